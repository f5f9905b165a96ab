"""The generated chips: reproducible, varied, and true to their masks."""

from datetime import date

import numpy as np
import pytest
from scipy.ndimage import label

from tools.landscape import BANDS, CHIP_PX, LOOKALIKES, generate_chip, mask_boxes
from tools.landscape.atmosphere import SEASONS
from tools.landscape.boxes import without_specks
from tools.landscape.courses import Line, survey, through
from tools.landscape.mining import dig_order, dug, random_area_px, random_mine
from tools.landscape.sensor import capture, classify, digital_numbers, doubled, offset_dn
from tools.landscape.spectra import SPECTRA, palette

BLUE, GREEN, RED, NIR, SWIR16, SWIR22 = range(6)


@pytest.fixture(scope="module")
def mines():
    return [generate_chip(seed, kind="mine") for seed in range(60)]


@pytest.fixture(scope="module")
def lookalikes():
    return [generate_chip(seed, kind="lookalike") for seed in range(60)]


@pytest.fixture(scope="module")
def forests():
    return [generate_chip(seed, kind="forest") for seed in range(20)]


def drawing(text):
    return np.array([[pixel == "#" for pixel in row] for row in text.split()])


def reflectance(chip):
    return (chip.dn.astype(np.float32) - chip.facts.offset_dn) / 10_000


def ndvi(bands):
    return (bands[NIR] - bands[RED]) / (bands[NIR] + bands[RED])


def mndwi(bands):
    return (bands[GREEN] - bands[SWIR16]) / (bands[GREEN] + bands[SWIR16])


def bsi(bands):
    bare, green = bands[SWIR16] + bands[RED], bands[NIR] + bands[BLUE]
    return (bare - green) / (bare + green)


# Boxes


@pytest.mark.parametrize(
    ("mask", "boxes"),
    [
        ("..... ..... .....", []),
        ("####. ..... .....", []),  # four pixels are too few
        ("##### ..... .....", [(0, 0, 5, 1)]),
        (".###. .##.. .....", [(1, 0, 4, 2)]),
        ("##... ##... ..### ..###", [(2, 2, 5, 4)]),  # corners do not touch: 4 and 6 pixels
        ("##... ###.. ..... .....", [(0, 0, 3, 2)]),
        ("...## ...## ##..# ##... #....", [(3, 0, 5, 3), (0, 2, 2, 5)]),  # raster order of the first pixel
        ("....# #...# #...# #...# ##..#", [(4, 0, 5, 5), (0, 1, 2, 5)]),
        ("##### #...# #.#.# #...# #####", [(0, 0, 5, 5)]),  # a speck within a ring
    ],
)
def test_boxes_are_those_of_patches_of_five_pixels_in_raster_order(mask, boxes):
    assert mask_boxes(drawing(mask)) == boxes


def test_boxes_of_a_mask_with_bands_are_refused():
    with pytest.raises(ValueError, match="two axes"):
        mask_boxes(np.zeros((1, 4, 4), bool))


def test_boxes_agree_with_a_search_done_by_hand():
    mask = np.random.default_rng(7).random((40, 40)) < 0.5
    seen = np.zeros_like(mask)
    expected = []
    for row, column in zip(*np.nonzero(mask), strict=True):
        if seen[row, column]:
            continue
        patch, queue = set(), [(row, column)]
        while queue:
            r, c = queue.pop()
            if (r, c) in patch or not (0 <= r < 40 and 0 <= c < 40) or not mask[r, c]:
                continue
            patch.add((r, c))
            seen[r, c] = True
            queue += [(r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)]
        if len(patch) >= 5:
            rows, columns = zip(*patch, strict=True)
            expected.append((min(columns), min(rows), max(columns) + 1, max(rows) + 1))
    assert mask_boxes(mask) == expected


# Spectra


def test_every_cover_has_a_plausible_spectrum_and_a_source():
    for name, spectrum in SPECTRA.items():
        assert len(spectrum.reflectance) == len(BANDS) == 6, name
        assert all(0 < value < 0.7 for value in spectrum.reflectance), name
        assert len(spectrum.basis) > 10, name


def test_covers_look_to_the_indices_as_their_names_say():
    colours = palette(0.7)
    for name in ("forest", "forest_pale", "cocoa", "plantation", "swamp"):
        assert ndvi(colours[name]) > 0.6, name
    for name in ("pond", "pond_milky", "pond_green", "river", "river_turbid", "water", "fish_pond"):
        assert mndwi(colours[name]) > 0.2, name
    for name in ("spoil", "spoil_ochre", "laterite", "earth", "field"):
        assert bsi(colours[name]) > 0.05, name
        assert mndwi(colours[name]) < 0, name


def test_turbid_water_peaks_in_the_red_and_clear_water_does_not():
    colours = palette(0.0)
    assert colours["pond"].argmax() == RED
    assert colours["river_turbid"].argmax() == RED
    assert colours["water"].argmax() != RED


def test_the_dry_season_browns_fields_and_leaves_bare_ground_alone():
    wet, dry = palette(0.0), palette(1.0)
    assert ndvi(dry["crops"]) < ndvi(wet["crops"]) - 0.1
    assert np.array_equal(dry["spoil"], wet["spoil"])
    with pytest.raises(ValueError, match="dryness"):
        palette(1.1)


# Lines


def test_distance_from_a_straight_line_is_exact_and_it_ends_where_it_ends():
    course = survey(through([(10.0, 20.5), (50.0, 20.5)], np.random.default_rng(0), wander_px=0.0), (40, 80))
    assert course.across[25, 30] == pytest.approx(5.0, abs=0.05)
    assert course.across[15, 30] == pytest.approx(-5.0, abs=0.05)
    assert abs(course.across[20, 70]) == pytest.approx(20.5, abs=0.6)


def test_a_line_far_away_is_not_surveyed():
    far = np.full(9, 500.0)
    assert survey(Line(x=far, y=far, heading=np.zeros(9)), (40, 40)) is None


# Mines


def test_mine_sizes_cover_a_tenth_to_forty_hectares():
    rng = np.random.default_rng(1)
    sizes = np.array([random_area_px(rng) for _ in range(4000)])
    assert sizes.min() >= 10
    assert sizes.max() <= 4000
    assert np.percentile(sizes, 2) < 25
    assert np.percentile(sizes, 98) > 1500
    for low, high in ((10, 50), (50, 500), (500, 4001)):
        assert ((sizes >= low) & (sizes < high)).mean() > 0.15


def test_a_mine_has_the_area_it_was_given_and_only_grows():
    rng = np.random.default_rng(3)
    order = dig_order(rng, (128, 128), random_mine(rng, (64.0, 64.0), 0.3, 900), None)
    before = np.zeros((128, 128), bool)
    for area in (5, 40, 200, 600, 900):
        after = dug(order, area)
        assert not (before & ~after).any()
        assert 0.6 * area - 5 <= after.sum() <= area
        before = after


def test_drawn_mines_run_from_tiny_to_large(mines):
    areas = np.array([area for chip in mines for area in chip.facts.mine_areas_ha])
    assert areas.min() < 0.15
    assert areas.max() > 10
    assert areas.max() <= 80  # neighbours may merge


# Chips


def test_a_seed_makes_the_same_chip_again():
    for seed, kind in ((5, None), (5, "mine"), (9, "lookalike"), (2, "forest")):
        first, second = generate_chip(seed, kind=kind), generate_chip(seed, kind=kind)
        assert np.array_equal(first.dn, second.dn)
        assert np.array_equal(first.scl, second.scl)
        assert np.array_equal(first.mask, second.mask)
        assert first.facts == second.facts
    assert not np.array_equal(generate_chip(5).dn, generate_chip(6).dn)


def test_chips_have_the_shapes_and_types_that_the_app_reads(mines, lookalikes, forests):
    for chip in (*mines, *lookalikes, *forests):
        assert chip.dn.shape == (6, CHIP_PX, CHIP_PX)
        assert chip.dn.dtype == np.uint16
        assert chip.scl.shape == chip.mask.shape == (CHIP_PX, CHIP_PX)
        assert (chip.scl.dtype, chip.mask.dtype) == (np.uint8, np.bool_)
        assert set(np.unique(chip.scl)) <= set(range(12))
        assert np.array_equal((chip.dn == 0).all(axis=0), chip.scl == 0)
        assert np.array_equal(chip.dn[4:], doubled(chip.dn[4:, ::2, ::2]))
        assert np.array_equal(chip.scl, doubled(chip.scl[::2, ::2]))


def test_fine_bands_have_detail_that_coarse_ones_lack(forests):
    for chip in forests:
        assert not np.array_equal(chip.dn[:4], doubled(chip.dn[:4, ::2, ::2]))


def test_boxes_and_areas_are_those_of_the_mask(mines):
    for chip in mines:
        assert chip.boxes == tuple(mask_boxes(chip.mask))
        assert chip.boxes
        assert np.array_equal(chip.mask, without_specks(chip.mask))
        assert len(chip.boxes) == len(chip.facts.mine_areas_ha) == label(chip.mask)[1]
        assert sum(chip.facts.mine_areas_ha) == pytest.approx(chip.mask.sum() / 100)


def test_lookalikes_are_there_and_are_not_mines(lookalikes):
    for chip in lookalikes:
        assert not chip.mask.any()
        assert chip.boxes == ()
        assert chip.facts.lookalikes
        assert chip.lookalike.any()
        clear = ~np.isin(chip.scl, (0, 3, 7, 8, 9, 10))
        thing, rest = chip.lookalike & clear, ~chip.lookalike & clear
        if thing.sum() > 40 and rest.sum() > 40:
            # Something really is drawn there: its colour is not that of its surroundings.
            bands = reflectance(chip)
            spread = bands[:, rest].std(axis=1)
            assert (np.abs(bands[:, thing].mean(axis=1) - bands[:, rest].mean(axis=1)) / spread).max() > 0.5


def test_every_lookalike_occurs_and_is_also_seen_beside_mines(lookalikes, mines):
    assert {name for chip in lookalikes for name in chip.facts.lookalikes} == set(LOOKALIKES)
    assert len({name for chip in mines for name in chip.facts.lookalikes}) >= 6


def test_forest_has_neither_mines_nor_lookalikes_and_is_green(forests):
    for chip in forests:
        assert not chip.mask.any()
        assert not chip.lookalike.any()
        green = chip.scl == 4
        assert np.median(ndvi(reflectance(chip))[green]) > 0.6


def test_mined_ground_is_bare_or_water_where_it_is_fresh(mines):
    bare, wet, pixels = 0, 0, 0
    for chip in mines:
        if chip.facts.conditions.cumulus or chip.facts.conditions.cirrus or chip.facts.conditions.haze > 0.2:
            continue
        inside = reflectance(chip)[:, chip.mask & (chip.scl != 0)]
        bare += (bsi(inside) > 0).sum()
        wet += (mndwi(inside) > 0).sum()
        pixels += inside.shape[1]
        outside = reflectance(chip)[:, ~chip.mask & (chip.scl == 4)]
        assert np.median(ndvi(inside)) < np.median(ndvi(outside)) - 0.2
    assert bare / pixels > 0.35
    assert wet / pixels > 0.05


def test_by_default_the_seed_decides_what_a_chip_shows():
    kinds = [generate_chip(seed).facts.kind for seed in range(80)]
    assert 30 <= kinds.count("mine") <= 58
    assert 12 <= kinds.count("lookalike") <= 38
    assert kinds.count("forest") >= 4


def test_seasons_haze_and_offsets_vary(mines, lookalikes):
    facts = [chip.facts for chip in (*mines, *lookalikes)]
    assert {fact.conditions.season for fact in facts} == set(SEASONS)
    haze = [fact.conditions.haze for fact in facts]
    assert min(haze) < 0.02
    assert max(haze) > 0.35
    assert {fact.offset_dn for fact in facts} == {0, 1000}
    assert any(fact.conditions.cumulus > 0 for fact in facts)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind is one of mine, lookalike, forest or None, got 'pit'"):
        generate_chip(0, kind="pit")


# Sensor


@pytest.mark.parametrize(
    ("day", "offset"),
    [
        (date(2016, 1, 3), 0),
        (date(2022, 1, 24), 0),
        (date(2022, 1, 25), 1000),
        (date(2025, 1, 10), 1000),
    ],
)
def test_the_offset_begins_with_baseline_four(day, offset):
    assert offset_dn(day) == offset


def test_digital_numbers_keep_zero_for_nodata():
    encoded = digital_numbers(np.array([-0.01, 0.0, 0.1234, 9.0], np.float32), 0)
    assert encoded.tolist() == [1, 1, 1234, 65_000]
    assert digital_numbers(np.array([0.1234], np.float32), 1000).tolist() == [2234]


def test_a_20_m_pixel_covers_two_by_two_of_10_m():
    surface = np.zeros((6, 64, 64), np.float32)
    surface[:, 20:30, 40:52] = 0.5
    fine, coarse = capture(surface, np.random.default_rng(0))
    assert fine.shape == (4, 64, 64)
    assert coarse.shape == (2, 32, 32)
    rows, columns = np.nonzero(coarse[0] > 0.25)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (10, 15, 20, 26)
    with pytest.raises(ValueError, match="even grid"):
        capture(np.zeros((6, 63, 64), np.float32), np.random.default_rng(0))


def test_the_class_map_tells_forest_water_and_soil(mines):
    colours = palette(0.5)
    surface = np.stack([np.repeat([colours[name][band] for name in ("forest", "pond", "spoil_ochre")], 8)
                        for band in range(6)]).astype(np.float32)  # fmt: skip
    surface = np.tile(surface[:, None, :], (1, 8, 1))
    clear = np.zeros((8, 24), np.float32)
    sky = type("Sky", (), {"cloud": clear, "shadow": clear, "cirrus": clear})()
    scl = classify(surface[:4], surface[4:, ::2, ::2], sky)
    assert scl[0, [1, 6, 10]].tolist() == [4, 6, 5]
    cloudy = next(chip for chip in mines if chip.facts.conditions.cumulus > 0.1)
    assert np.isin(cloudy.scl, (8, 9)).any()
