"""What a Sentinel-2 product's description and names say of its values."""

from datetime import UTC, datetime

import numpy as np
import pytest

from galamsey.errors import ImageFileError
from galamsey.product import (
    MAX_XML_BYTES,
    Product,
    band_number,
    describe,
    description_path,
    product_words,
    read_description,
    read_names,
    taken_words,
    to_reflectance_scale,
)
from tests.safe import description

NAME = "S2B_MSIL2A_20250110T103321_N0511_R108_T30NXM_20250110T130000.SAFE"
NUMBERS = ("B02", "B03", "B04", "B08", "B11", "B12")
RNG = np.random.default_rng(11)
BRIGHT = RNG.integers(1100, 4000, (6, 32, 32)).astype(np.float64)
DARK = RNG.integers(150, 4000, (6, 32, 32)).astype(np.float64)
ALL = np.ones((32, 32), dtype=np.bool_)


def rule_of(product, dn=BRIGHT):
    return to_reflectance_scale(product, dn, ALL, NUMBERS)


def told(**changes):
    return describe(read_names([NAME]), f"{NAME}/MTD_MSIL2A.xml", description(**changes))


def test_a_description_of_level_2a_is_read():
    found = read_description(description())

    assert (found.level, found.baseline, found.scale) == ("2A", (5, 11), 10_000)
    assert found.taken == datetime(2025, 1, 10, 10, 33, 21, 24_000, tzinfo=UTC)
    assert {found.added[number] for number in NUMBERS} == {1000}
    assert len(found.added) == 13


def test_a_description_of_level_1c_has_names_of_its_own():
    found = read_description(description(level="1C"))

    assert (found.level, found.scale) == ("1C", 10_000)
    assert {found.added[number] for number in NUMBERS} == {1000}


def test_before_baseline_04_nothing_is_listed():
    found = read_description(description(baseline="02.14", offsets=None))

    assert (found.baseline, dict(found.added)) == ((2, 14), {})


def test_each_band_has_its_own_offset_told_by_the_description_s_own_list():
    offsets = dict.fromkeys(range(13), -1000) | {11: -900, 12: -800}
    product = told(offsets=offsets)
    assert (product.added["B11"], product.added["B12"], product.added["B8A"]) == (900, 800, 1000)

    dn, rule = rule_of(product)
    reflectance = dn - rule.offset

    np.testing.assert_allclose(reflectance[3], BRIGHT[3] - 1000)
    np.testing.assert_allclose(reflectance[4], BRIGHT[4] - 900)
    np.testing.assert_allclose(reflectance[5], BRIGHT[5] - 800)


def test_another_scale_is_brought_to_ten_thousand():
    dn, rule = rule_of(told(scale="1000", offsets=dict.fromkeys(range(13), -100)), BRIGHT / 10)

    np.testing.assert_allclose(dn - rule.offset, BRIGHT - 1000)


def test_a_band_that_is_not_listed_among_others_is_taken_like_them():
    dn, rule = rule_of(told(offsets={0: -1000, 3: -1000}))

    np.testing.assert_allclose(dn - rule.offset, BRIGHT - 1000)


@pytest.mark.parametrize(
    ("changes", "dn", "offset", "said"),
    [
        ({}, BRIGHT, 1000, "MTD_MSIL2A.xml: baseline 05.11, 1000 added"),
        ({}, DARK, 0, "of values lie below 1000: it was taken off before"),
        ({"offsets": None}, BRIGHT, 1000, "no offset, against the rule that this baseline adds 1000; the data decide"),
        ({"offsets": None}, DARK, 0, "so nothing is taken off"),
        ({"baseline": "02.14", "offsets": None}, BRIGHT, 1000, "against baseline 05.11 in the product's name"),
        ({"baseline": "02.14", "offsets": None}, DARK, 0, "against baseline 05.11 in the product's name"),
        ({"baseline": "02.14"}, BRIGHT, 1000, "against the rule that this baseline has no offset"),
        ({"baseline": None}, BRIGHT, 1000, "baseline unknown, 1000 added"),
    ],
)
def test_where_sayings_contradict_each_other_or_the_data_the_dark_pixels_decide(changes, dn, offset, said):
    _, rule = rule_of(told(**changes), dn)

    assert rule.offset == offset
    assert said in rule.reason


def test_an_old_product_without_an_offset_is_left_as_it_is_however_bright():
    product = describe(None, "MTD_MSIL2A.xml", description(baseline="02.14", offsets=None))

    _, rule = rule_of(product)
    assert (rule.offset, rule.reason) == (0, "MTD_MSIL2A.xml: baseline 02.14, no offset")


@pytest.mark.parametrize(("baseline", "offset"), [("N0511", 1000), ("N0400", 1000), ("N0301", 0)])
def test_without_a_description_the_name_tells(baseline, offset):
    product = read_names([f"GRANULE/x/{NAME}".replace("N0511", baseline)])

    _, rule = rule_of(product)
    assert rule.offset == offset
    assert "by the product's name" in rule.reason
    assert rule_of(product, DARK)[1].offset == 0


def test_file_names_tell_the_time_and_nothing_of_the_offset():
    product = read_names(["T30NXM_20250110T103321_B02_10m.jp2"])

    assert taken_words(product) == "10 Jan 2025, 10:33 UTC"
    assert not product.tells_offset
    assert product_words(product) == ""
    assert read_names(["a.tif"]) is None
    assert read_names(["S2B_MSIL2A_20259999T103321_N0511_R108.SAFE"]).taken is None


def test_band_numbers_are_those_of_the_file_names():
    assert [band_number(name) for name in ("T30NXM_20250110T103321_B8A_20m.jp2", "x_B02.JP2", "b02.tif")] == [
        "B8A",
        "B02",
        "",
    ]


def test_the_outermost_description_is_taken():
    inner = "X.SAFE/GRANULE/L2A/MTD_TL.xml"
    outer = "X.SAFE/MTD_MSIL2A.xml"

    assert description_path([inner, "X.SAFE/INSPIRE.xml", f"copy/{outer}", outer]) == outer
    assert description_path([outer.replace("/", "\\")])
    assert description_path(["X.SAFE/S2A_OPER_MTD_SAFL1C_PDMC_20160101T000000_R108.xml"])
    assert description_path([inner, "X.SAFE/manifest.safe"]) is None


ENTITIES = (
    b'<?xml version="1.0"?><!DOCTYPE n1 [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    b"<Level-2A_User_Product><PROCESSING_BASELINE>&b;</PROCESSING_BASELINE></Level-2A_User_Product>"
)
OUTSIDE = (
    b'<?xml version="1.0"?><!DOCTYPE n1 [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    b"<Level-2A_User_Product><PROCESSING_BASELINE>&a;</PROCESSING_BASELINE></Level-2A_User_Product>"
)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "expected XML"),
        (b"hello", "expected XML"),
        (description()[:-40], "cut short"),
        (description().replace(b"</n1:General_Info>", b""), "expected XML"),
        (b"\xff\xfe\x00", "expected XML"),
        (b"<html/>", "got <html>"),
        (ENTITIES, "document type declaration"),
        (OUTSIDE, "document type declaration"),
        (b"<!DOCTYPE html><html></html>", "document type declaration"),
        (b"<Level-2A_User_Product>&undeclared;</Level-2A_User_Product>", "expected XML"),
        (b" " * (MAX_XML_BYTES + 1), "at most 8,000,000 bytes"),
        (description(baseline="5"), "expected a processing baseline such as 05.11, got '5'"),
        (description(scale="many"), "expected a number as the quantification value, got 'many'"),
        (description(scale="0"), "1 or more, got 0"),
        (description(scale="nan"), "finite"),
        (description(offsets={3: "minus"}), "expected a number as the offset of band 3"),
        (description(offsets={3: 1000}), "from -10000 to 0, got '1000'"),
        (description(offsets={3: -1e9}), "from -10000 to 0"),
        (description(offsets={40: -1000}), "from 0 to 12, got '40'"),
        (description(taken="yesterday"), "expected a time such as"),
    ],
)
def test_a_description_that_cannot_be_read_is_refused_by_what_came(data, said):
    with pytest.raises(ImageFileError) as caught:
        read_description(data)
    assert said in str(caught.value)


def test_one_that_cannot_be_read_leaves_what_the_name_tells_and_says_so():
    product = describe(read_names([NAME]), f"{NAME}/MTD_MSIL2A.xml", ENTITIES)

    assert product.problem.startswith("MTD_MSIL2A.xml cannot be read: it has a document type declaration")
    assert (product.source, product.named_baseline) == ("", (5, 11))
    assert rule_of(product)[1].offset == 1000
    assert product_words(product).startswith("level 2A, baseline 05.11, told by its name, as MTD_MSIL2A.xml cannot")
    assert product_words(describe(None, "MTD_MSIL2A.xml", b"")).startswith("MTD_MSIL2A.xml cannot be read")


def test_what_is_known_is_put_into_words():
    assert product_words(told()) == "level 2A, baseline 05.11, told by MTD_MSIL2A.xml"
    assert product_words(Product(named_baseline=(5, 0), level="1C")) == "level 1C, baseline 05.00, told by its name"
    assert taken_words(None) == ""
