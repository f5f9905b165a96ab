"""Kept regions: the dates on offer, what is fetched, their records, and when a click finds them."""

import json
from dataclasses import replace
from datetime import date

import pytest
import shapely

from galamsey.areas import read_box
from galamsey.errors import RegionError
from galamsey.geo import Point
from galamsey.regions import (
    PIECE_BYTES,
    File,
    Piece,
    import_plan,
    kept_scenes,
    offers,
    preselected,
    read_region,
    region_of,
    region_query,
    split,
    urls_of,
    write_region,
)
from galamsey.scenes import EARTH_SEARCH, NO_END, PRACTICE, Period
from tests.unit.test_scenes import item_with

AREA = read_box("-2.05, 6.0, -1.95, 6.1")
INSIDE, OUTSIDE = Point(-2.0, 6.05), Point(-1.8, 6.05)
ALWAYS = Period(since=date(2015, 1, 1), until=NO_END)
HASH = "ab" * 32


def item(name: str, when: str, *, cloud: float = 1.0, west: float = -2.5, east: float = -1.5) -> dict:
    """An item whose footprint reaches from west to east over the whole region."""
    made = item_with(name)
    made["assets"] = {key: {"href": f"https://files.example.org/{name}/{key}.tif"} for key in made["assets"]}
    made["geometry"] = shapely.geometry.mapping(shapely.box(west, 5.5, east, 6.5))
    made["properties"] = {**made["properties"], "datetime": f"{when}T10:30:00Z", "eo:cloud_cover": cloud}
    return made


def offered(*items: dict) -> tuple:
    return offers(items, AREA, EARTH_SEARCH, ALWAYS)


def region(*items: dict, catalogue=EARTH_SEARCH, complete: bool = True, name: str = "Offin"):
    found = offers(items, AREA, catalogue, ALWAYS)
    pieces = (Piece(offset=0, length=100, sha256=HASH if complete else ""),)
    files = [File(url=url, size=200, pieces=pieces) for offer in found for url in urls_of(offer.scenes)]
    return region_of(found, files, name=name, area=AREA, catalogue=catalogue, new_id=name, today=date(2025, 11, 1))


def test_the_most_useful_date_comes_first_and_says_how_much_it_shows():
    found = offered(
        item("cloudy", "2025-01-20", cloud=60),
        item("clear", "2025-01-10", cloud=2),
        item("half", "2025-01-15", cloud=0, west=-2.0),
        item("rains", "2025-07-01", cloud=2),
    )
    assert [offer.when.isoformat() for offer in found] == ["2025-01-10", "2025-07-01", "2025-01-15", "2025-01-20"]
    assert found[0].covers_percent == pytest.approx(100)
    assert found[2].covers_percent == pytest.approx(50)
    assert found[0].cloud_percent == 2


def test_scenes_of_one_day_join_and_those_that_show_nothing_more_are_left_out():
    (offer,) = offered(
        item("west", "2025-01-10", east=-1.99),
        item("east", "2025-01-10", west=-2.0, cloud=3),
        item("again", "2025-01-10", west=-2.0, east=-1.98),
    )
    assert {scene.id for scene in offer.scenes} == {"west", "east"}
    assert offer.covers_percent == pytest.approx(100)
    assert len(urls_of(offer.scenes)) == 14


def test_a_date_that_hardly_touches_the_region_is_not_offered():
    assert offered(item("sliver", "2025-01-10", west=-1.9501)) == ()


def test_the_question_to_the_catalogue_is_one_closed_ring():
    ring = region_query(AREA, ALWAYS).outline
    assert ring[0] == ring[-1]
    assert len(ring) == 5


def test_ranges_are_cut_into_pieces_that_join_without_a_gap():
    pieces = split([(0, 16_384), (100_000, 2 * PIECE_BYTES + 5)])
    assert [(piece.offset, piece.length) for piece in pieces] == [
        (0, 16_384),
        (100_000, PIECE_BYTES),
        (100_000 + PIECE_BYTES, PIECE_BYTES),
        (100_000 + 2 * PIECE_BYTES, 5),
    ]


def test_a_record_says_the_same_after_it_was_written():
    before = region(item("a", "2025-01-10"), item("b", "2025-03-01"))
    after = read_region(write_region(before))
    assert write_region(after) == write_region(before)
    assert after.days == ("2025-03-01", "2025-01-10")
    assert after.complete
    assert after.total_bytes == after.kept_bytes == 1400


def test_a_region_counts_what_is_here_and_is_whole_only_at_the_end():
    made = region(item("a", "2025-01-10"), complete=False)
    assert (made.kept_bytes, made.complete) == (0, False)
    for file in made.files:
        made = made.with_piece(file.url, 0, HASH)
    assert (made.kept_bytes, made.complete) == (700, True)


def broken(change) -> str:
    value = json.loads(write_region(region(item("a", "2025-01-10"))))
    change(value)
    return json.dumps(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        broken(lambda value: value.update(version=2)),
        broken(lambda value: value.update(format="other")),
        broken(lambda value: value.update(area={"type": "Polygon", "coordinates": []})),
        broken(lambda value: value.update(items=[])),
        broken(lambda value: value.update(items=[{"id": "a"}])),
        broken(lambda value: value.update(files=value["files"][1:])),
        broken(lambda value: value.update(fetched="yesterday")),
        broken(lambda value: value["files"][0].update(url="javascript:alert(1)")),
        broken(lambda value: value["files"][0]["pieces"].append([150, 100, HASH])),
        broken(lambda value: value["files"][0]["pieces"].append([-1, 10, HASH])),
        broken(lambda value: value["files"][0]["pieces"].append([0, 10, "xyz"])),
        broken(lambda value: value["files"][0]["pieces"].append([0, True, HASH])),
        broken(lambda value: value["files"][0].update(size=float("inf"))),
        broken(lambda value: value["items"][0]["properties"].update(note=float("nan"))),
        broken(lambda value: value["items"].append({"id": "b"})),
        broken(lambda value: value["catalogue"].update(asset_keys=value["catalogue"]["asset_keys"][1:])),
        '{"a":' * 50_000,
    ],
)
def test_a_record_that_is_damaged_or_hostile_is_refused(text):
    with pytest.raises(RegionError):
        read_region(text)


def test_only_a_click_inside_a_whole_region_finds_its_scenes():
    whole, part = region(item("a", "2025-01-10")), region(item("a", "2025-01-10"), complete=False)
    query = region_query(AREA, ALWAYS)
    (scene,) = kept_scenes([whole], INSIDE, query, "earth-search")
    assert scene.found_in == "Offin, kept on this device since 2025-11-01 (from Sentinel-2 (Earth Search))"
    assert kept_scenes([whole], OUTSIDE, query, "earth-search") is None
    assert kept_scenes([part], INSIDE, query, "earth-search") is None
    assert kept_scenes([], INSIDE, query, "earth-search") is None


def test_generated_imagery_never_stands_in_for_the_real():
    kept = region(item("a", "2025-01-10"), catalogue=replace(PRACTICE, url="http://localhost/practice/catalogue.json"))
    query = region_query(AREA, ALWAYS)
    assert kept_scenes([kept], INSIDE, query, "earth-search") is None
    assert len(kept_scenes([kept], INSIDE, query, "practice")) == 1


def test_of_two_regions_the_one_with_the_newest_image_is_used():
    old, new = region(item("a", "2024-01-10"), name="old"), region(item("b", "2025-01-10"), name="new")
    assert kept_scenes([new, old], INSIDE, region_query(AREA, ALWAYS), "earth-search")[0].id == "b"


def test_dates_outside_the_period_are_not_found_and_leave_the_click_to_the_network():
    narrow = region_query(AREA, Period(since=date(2020, 1, 1), until=date(2020, 12, 31)))
    assert kept_scenes([region(item("a", "2025-01-10"))], INSIDE, narrow, "earth-search") is None


def test_an_archive_is_taken_under_a_new_name_with_what_each_piece_must_be():
    made = region(item("a", "2025-01-10"))
    pieces = [{"url": file.url, "offset": 0, "length": 100, "path": f"p{n}"} for n, file in enumerate(made.files)]
    taken, plan = import_plan(write_region(made), json.dumps(pieces), "fresh")
    assert taken.id == "fresh"
    assert [path for path, _ in plan] == [f"p{n}" for n in range(7)]
    assert plan[0][1] == {"url": made.files[0].url, "offset": 0, "length": 100, "size": 200, "sha256": HASH}


@pytest.mark.parametrize("pieces", ["", "{}", "[1]", "[]", '[{"url": "x"}]'])
def test_an_archive_without_all_its_pieces_is_refused(pieces):
    with pytest.raises(RegionError, match="archive"):
        import_plan(write_region(region(item("a", "2025-01-10"))), pieces, "fresh")


def test_what_a_region_takes_the_place_of_is_kept_on_this_device_and_not_carried_to_another():
    made = replace(region(item("a", "2025-01-10")), replaces="old one")
    pieces = [{"url": file.url, "offset": 0, "length": 100, "path": "p"} for file in made.files]

    assert read_region(write_region(made)).replaces == "old one"
    assert import_plan(write_region(made), json.dumps(pieces), "fresh")[0].replaces == ""
    assert read_region(broken(lambda value: value.pop("replaces"))).replaces == ""


def test_a_refresh_ticks_the_dates_that_are_kept_and_the_most_useful_one():
    old = region(item("a", "2024-01-10"), item("gone", "2023-01-10"))
    listed = offered(item("a", "2024-01-10"), item("new", "2025-01-10"), item("other", "2024-03-10"))

    assert {day.isoformat() for day in preselected(listed, old)} == {"2025-01-10", "2024-01-10"}
    assert {day.isoformat() for day in preselected(listed, None)} == {"2025-01-10"}


def test_an_archive_of_an_unfinished_region_is_refused():
    with pytest.raises(RegionError, match="not complete"):
        import_plan(write_region(region(item("a", "2025-01-10"), complete=False)), "[]", "fresh")
