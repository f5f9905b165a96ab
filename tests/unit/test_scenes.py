import json
from copy import deepcopy
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from galamsey.errors import CatalogueError
from galamsey.geo import Point
from galamsey.scenes import (
    BANDS,
    CATALOGUES,
    SCL,
    Period,
    SceneQuery,
    dry_season,
    format_date,
    matching_scenes,
    next_body,
    page_items,
    parse_scene,
    search_body,
)

ITEM = json.loads((Path(__file__).parents[1] / "fixtures" / "earth-search-item.json").read_text(encoding="utf-8"))
"""Recorded from Earth Search v1."""

BASE = "https://earth-search.aws.element84.com/v1/search"
INSIDE = Point(48.7, 18.5)
QUERY = SceneQuery(point=INSIDE, period=Period(since=date(2023, 6, 1), until=date(2023, 6, 30)), max_cloud_percent=70.0)


def item_with(identifier="S2X", **properties):
    item = deepcopy(ITEM)
    item["id"] = identifier
    item["properties"] |= properties
    return item


def item_without(*path):
    item = deepcopy(ITEM)
    parent = item
    for key in path[:-1]:
        parent = parent[key]
    del parent[path[-1]]
    return item


def found(items, query=QUERY):
    return [scene.id for scene in matching_scenes(items, query, BASE)]


def test_a_recorded_item_becomes_a_scene():
    scene = parse_scene(ITEM, BASE)

    assert scene.id == "S2A_39QTA_20230628_0_L2A"
    assert scene.acquired == datetime(2023, 6, 28, 7, 24, 41, 632000, tzinfo=UTC)
    assert scene.platform == "sentinel-2a"
    assert scene.cloud_percent == pytest.approx(4.025136)
    assert scene.baseline == (5, 9)
    assert scene.boa_offset_applied is True
    assert scene.generated is False
    folder = "https://sentinel-cogs.s3.us-west-2.amazonaws.com/sentinel-s2-l2a-cogs/39/Q/TA/2023/6/"
    names = [href.removeprefix(folder) for href in (scene.hrefs[key] for key in (*BANDS, SCL))]
    assert names == [
        f"S2A_39QTA_20230628_0_L2A/{band}.tif" for band in ("B02", "B03", "B04", "B08", "B11", "B12", "SCL")
    ]


def test_relative_hrefs_are_resolved_against_the_collection():
    item = deepcopy(ITEM)
    item["assets"]["red"]["href"] = "items/s/B04.tif"

    scene = parse_scene(item, "http://localhost:8000/practice/catalogue.json")

    assert scene.hrefs["red"] == "http://localhost:8000/practice/items/s/B04.tif"
    assert scene.hrefs["blue"].startswith("https://sentinel-cogs")


@pytest.mark.parametrize(
    ("path", "lack"),
    [
        (("properties",), "properties"),
        (("assets",), "assets"),
        (("properties", "datetime"), "datetime"),
        (("properties", "eo:cloud_cover"), "eo:cloud_cover"),
        *(((("assets", key), key)) for key in (*BANDS, SCL)),
        (("assets", "red", "href"), "href"),
    ],
)
def test_an_item_that_lacks_something_is_refused_by_name(path, lack):
    with pytest.raises(CatalogueError, match=f"item S2A_39QTA_20230628_0_L2A lacks .*{lack}"):
        parse_scene(item_without(*path), BASE)


@pytest.mark.parametrize(
    "properties",
    [
        {"datetime": "yesterday"},
        {"datetime": None},
        {"datetime": "2023-06-28T07:24:41"},
        {"eo:cloud_cover": None},
        {"eo:cloud_cover": "cloudy"},
        {"s2:processing_baseline": "five"},
    ],
)
def test_an_item_with_an_unreadable_property_is_refused(properties):
    with pytest.raises(CatalogueError, match="item S2X"):
        parse_scene(item_with(**properties), BASE)


@pytest.mark.parametrize(
    ("told", "baseline"), [("05.09", (5, 9)), ("04.00", (4, 0)), ("02.14", (2, 14)), ("3", (3, 0)), (None, (0, 0))]
)
def test_the_processing_baseline_is_read_as_numbers(told, baseline):
    assert parse_scene(item_with(**{"s2:processing_baseline": told}), BASE).baseline == baseline


@pytest.mark.parametrize(("told", "applied"), [(True, True), (False, False), (None, None), ("yes", None)])
def test_the_catalogue_s_word_on_the_offset_is_kept_only_when_it_is_one(told, applied):
    scene = parse_scene(item_with(**{"earthsearch:boa_offset_applied": told}), BASE)

    assert scene.boa_offset_applied is applied


def test_projection_facts_of_the_item_are_not_needed_because_the_raster_s_own_count():
    bare = deepcopy(ITEM)
    del bare["properties"]["proj:epsg"]
    for asset in bare["assets"].values():
        for key in ("proj:shape", "proj:transform", "raster:bands"):
            asset.pop(key, None)

    assert parse_scene(bare, BASE) == parse_scene(ITEM, BASE)


def test_a_time_in_another_zone_is_brought_to_utc():
    scene = parse_scene(item_with(datetime="2023-06-30T23:30:00-02:00"), BASE)

    assert scene.acquired == datetime(2023, 7, 1, 1, 30, tzinfo=UTC)
    assert scene.acquired.utcoffset().total_seconds() == 0


def test_the_search_asks_for_the_point_the_dates_and_the_cloud():
    assert search_body(QUERY) == {
        "collections": ["sentinel-2-l2a"],
        "intersects": {"type": "Point", "coordinates": [48.7, 18.5]},
        "datetime": "2023-06-01T00:00:00Z/2023-06-30T23:59:59Z",
        "query": {"eo:cloud_cover": {"lte": 70.0}},
        "sortby": [{"field": "properties.datetime", "direction": "desc"}],
        "limit": 100,
    }


@pytest.mark.parametrize(
    "answer",
    [None, [], "Internal Server Error", {}, {"type": "Feature"}, {"type": "FeatureCollection"},
     {"type": "FeatureCollection", "features": {}}, {"type": "FeatureCollection", "features": ["item"]},
     {"message": "Internal server error"}],
)  # fmt: skip
def test_an_answer_that_is_no_item_collection_is_an_error_and_not_an_empty_search(answer):
    with pytest.raises(CatalogueError, match="expected a STAC ItemCollection"):
        page_items(answer)


def test_the_items_of_a_page_are_returned_as_they_are():
    assert page_items({"type": "FeatureCollection", "features": [ITEM]}) == [ITEM]
    assert page_items({"type": "FeatureCollection", "features": []}) == []


def test_the_next_page_is_asked_with_the_body_of_its_link():
    body = search_body(QUERY)
    token = {"rel": "next", "method": "POST", "href": BASE, "body": {**body, "next": "token"}, "merge": False}

    assert next_body({"links": [{"rel": "self"}, token]}, body) == {**body, "next": "token"}


def test_a_next_link_that_merges_adds_to_the_former_body():
    body = search_body(QUERY)
    link = {"rel": "next", "merge": True, "body": {"token": "t", "limit": 10}}

    assert next_body({"links": [link]}, body) == {**body, "token": "t", "limit": 10}
    assert body == search_body(QUERY)


@pytest.mark.parametrize(
    "links",
    [None, [], [{"rel": "self", "body": {"a": 1}}], [{"rel": "next", "href": BASE}], ["next"], [{"rel": "prev"}]],
)
def test_after_the_last_page_nothing_is_asked(links):
    assert next_body({"links": links}, {}) is None
    assert next_body({}, {}) is None


def test_scenes_come_newest_first_and_once():
    items = [
        item_with("old", datetime="2023-06-03T00:00:00Z"),
        item_with("new", datetime="2023-06-28T00:00:00Z"),
        item_with("middle", datetime="2023-06-13T00:00:00Z"),
        item_with("new", datetime="2023-06-28T00:00:00Z"),
    ]

    assert found(items) == ["new", "middle", "old"]


@pytest.mark.parametrize(
    ("acquired", "kept"),
    [
        ("2023-05-31T23:59:59Z", False),
        ("2023-06-01T00:00:00Z", True),
        ("2023-06-30T23:59:59Z", True),
        ("2023-07-01T00:00:00Z", False),
    ],
)
def test_both_days_of_a_period_count(acquired, kept):
    assert found([item_with(datetime=acquired)]) == (["S2X"] if kept else [])


@pytest.mark.parametrize(("cloud", "kept"), [(0, True), (70.0, True), (70.01, False), (100, False)])
def test_cloud_is_percent_and_its_limit_counts_as_clear(cloud, kept):
    assert found([item_with(**{"eo:cloud_cover": cloud})]) == (["S2X"] if kept else [])


@pytest.mark.parametrize(
    ("point", "kept"),
    [(INSIDE, True), (Point(48.14, 18.5), False), (Point(49.3, 18.5), False), (Point(48.7, 19.1), False),
     (Point(48.7, 17.9), False), (Point(18.5, 48.7), False)],
)  # fmt: skip
def test_only_scenes_whose_footprint_holds_the_point_answer(point, kept):
    query = SceneQuery(point=point, period=QUERY.period, max_cloud_percent=70.0)

    assert found([ITEM], query) == ([ITEM["id"]] if kept else [])


def test_a_footprint_may_have_several_parts():
    item = deepcopy(ITEM)
    near = item["geometry"]["coordinates"]
    item["geometry"] = {"type": "MultiPolygon", "coordinates": [[[[0, 0], [1, 0], [1, 1], [0, 0]]], near]}

    assert found([item]) == [ITEM["id"]]


@pytest.mark.parametrize("geometry", [None, {}, {"type": "Polygon", "coordinates": []}])
def test_a_scene_without_a_footprint_holds_no_point(geometry):
    assert found([{**ITEM, "geometry": geometry}]) == []


def test_one_bad_item_does_not_hide_the_good_ones():
    assert found([item_without("assets", "scl"), item_with("good")]) == ["good"]


def test_where_no_item_can_be_read_the_first_reason_is_raised():
    with pytest.raises(CatalogueError, match="scl"):
        found([item_without("assets", "scl"), item_without("properties")])


def test_no_items_are_no_scenes():
    assert found([]) == []


def test_a_dry_season_runs_from_november_to_march():
    assert dry_season(2025) == Period(since=date(2024, 11, 1), until=date(2025, 3, 31))
    assert str(dry_season(2025)) == "2024-11-01 to 2025-03-31"


def test_a_day_is_written_as_officers_do():
    assert format_date(date(2025, 1, 3)) == "3 Jan 2025"


def test_a_catalogue_on_the_network_says_who_learns_what():
    for catalogue in CATALOGUES:
        assert bool(catalogue.discloses) is catalogue.url.startswith("https://")
