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
    DIGITAL_EARTH_AFRICA,
    NO_END,
    SCL,
    Page,
    Period,
    SceneQuery,
    dry_season,
    format_date,
    matching_scenes,
    next_page,
    other_catalogue,
    page_items,
    parse_scene,
    read_other,
    search_body,
    write_other,
)
from tools.policy import DIRECTIVES

ITEM = json.loads((Path(__file__).parents[1] / "fixtures" / "earth-search-item.json").read_text(encoding="utf-8"))
"""Recorded from Earth Search v1."""

BASE = "https://earth-search.aws.element84.com/v1/search"
INSIDE = Point(48.7, 18.5)


def around(point, half_deg=0.006):
    """Return a closed ring of a chip's size around a point."""
    lon, lat = point
    corners = [(-1, 1), (1, 1), (1, -1), (-1, -1), (-1, 1)]
    return tuple(Point(lon + dx * half_deg, lat + dy * half_deg) for dx, dy in corners)


QUERY = SceneQuery(
    outline=around(INSIDE),
    period=Period(since=date(2023, 6, 1), until=date(2023, 6, 30)),
    max_cloud_percent=70.0,
)


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
        {"eo:cloud_cover": -1},
        {"eo:cloud_cover": 101},
        {"eo:cloud_cover": float("nan")},
        {"s2:processing_baseline": "five"},
    ],
)
def test_an_item_with_an_unreadable_property_is_refused(properties):
    with pytest.raises(CatalogueError, match="item S2X"):
        parse_scene(item_with(**properties), BASE)


@pytest.mark.parametrize(
    ("told", "baseline"), [("05.09", (5, 9)), ("04.00", (4, 0)), ("02.14", (2, 14)), ("3", (3, 0))]
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


def test_the_search_asks_for_the_outline_the_dates_and_the_cloud():
    assert search_body(QUERY) == {
        "collections": ["sentinel-2-l2a"],
        "intersects": {"type": "Polygon", "coordinates": [[list(point) for point in QUERY.outline]]},
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


FIRST = Page(url=f"{BASE}/search", body=search_body(QUERY))


def test_the_next_page_is_asked_with_the_body_of_its_link():
    token = {"rel": "next", "method": "POST", "href": BASE, "body": {**FIRST.body, "next": "token"}, "merge": False}

    assert next_page({"links": [{"rel": "self"}, token]}, FIRST).body == {**FIRST.body, "next": "token"}
    assert next_page({"links": [token]}, FIRST).url == FIRST.url


def test_a_next_link_that_merges_adds_to_the_former_body():
    link = {"rel": "next", "merge": True, "body": {"token": "t", "limit": 10}}

    assert next_page({"links": [link]}, FIRST).body == {**search_body(QUERY), "token": "t", "limit": 10}


def test_a_next_link_may_be_an_address():
    link = {"rel": "next", "href": "/stac/search?page=2"}

    assert next_page({"links": [link]}, FIRST) == Page(
        url="https://earth-search.aws.element84.com/stac/search?page=2", body=None
    )


@pytest.mark.parametrize(
    "links",
    [None, [], [{"rel": "self", "body": {"a": 1}}], [{"rel": "next", "href": BASE, "method": "POST"}], ["next"],
     [{"rel": "prev"}]],
)  # fmt: skip
def test_after_the_last_page_nothing_is_asked(links):
    assert next_page({"links": links}, FIRST) is None
    assert next_page({}, FIRST) is None


def test_a_running_period_has_no_end_so_that_a_wrong_clock_hides_nothing():
    query = SceneQuery(
        outline=QUERY.outline, period=Period(since=date(2015, 6, 23), until=NO_END), max_cloud_percent=100
    )

    assert search_body(query)["datetime"] == "2015-06-23T00:00:00Z/.."
    assert found([item_with(datetime="2031-01-01T00:00:00Z")], query) == ["S2X"]
    assert str(query.period) == "2015-06-23 on"


def test_the_share_of_the_outline_that_a_footprint_holds_is_told():
    west_edge = 48.1583  # of the recorded footprint at this latitude
    query = SceneQuery(outline=around(Point(west_edge, 18.5)), period=QUERY.period, max_cloud_percent=70.0)

    (scene,) = matching_scenes([ITEM], query, BASE)

    assert scene.covers == pytest.approx(0.5, abs=0.03)
    assert matching_scenes([ITEM], QUERY, BASE)[0].covers == pytest.approx(1)


def digital_earth_africa_item():
    """Return an item shaped as Digital Earth Africa's: ESA's band numbers, S3 addresses, older property names."""
    item = deepcopy(ITEM)
    item["collection"] = "s2_l2a"
    numbers = dict(DIGITAL_EARTH_AFRICA.asset_keys)
    bucket = "s3://deafrica-sentinel-2/sentinel-s2-l2a-cogs/39/Q/TA/2023/6/S2A_39QTA_20230628_0_L2A"
    item["assets"] = {numbers[key]: {"href": f"{bucket}/{numbers[key]}.tif"} for key in numbers}
    item["properties"]["sentinel:processing_baseline"] = item["properties"].pop("s2:processing_baseline")
    item["properties"]["sentinel:boa_offset_applied"] = item["properties"].pop("earthsearch:boa_offset_applied")
    return item


def test_the_second_catalogue_s_items_become_the_same_scenes():
    scene = parse_scene(digital_earth_africa_item(), BASE, DIGITAL_EARTH_AFRICA)
    same = parse_scene(ITEM, BASE)

    folder = "https://deafrica-sentinel-2.s3.af-south-1.amazonaws.com/sentinel-s2-l2a-cogs/39/Q/TA/2023/6/"
    assert scene.hrefs["red"] == f"{folder}S2A_39QTA_20230628_0_L2A/B04.tif"
    assert {key: href.rsplit("/", 1)[1] for key, href in scene.hrefs.items()} == {
        key: href.rsplit("/", 1)[1] for key, href in same.hrefs.items()
    }
    assert (scene.baseline, scene.boa_offset_applied, scene.acquired) == (same.baseline, True, same.acquired)
    assert search_body(QUERY, DIGITAL_EARTH_AFRICA)["collections"] == ["s2_l2a"]


@pytest.mark.parametrize(("day", "baseline"), [("2022-01-24", (0, 0)), ("2022-01-25", (4, 0)), ("2025-01-10", (4, 0))])
def test_an_item_without_a_baseline_has_that_of_its_time(day, baseline):
    scene = parse_scene(item_with(**{"s2:processing_baseline": None, "datetime": f"{day}T10:00:00Z"}), BASE)

    assert scene.baseline == baseline


@pytest.mark.parametrize(
    "url", ["https://stac.example.org/v1", " https://stac.example.org/v1/ ", "https://stac.example.org/v1/search"]
)
def test_another_catalogue_can_be_described_by_its_address(url):
    other = other_catalogue(url, "sentinel-2-l2a", bands="numbers")

    assert (other.url, other.key, other.kind) == ("https://stac.example.org/v1", "other", "api")
    assert dict(other.asset_keys)["swir22"] == "B12"
    assert "stac.example.org" in other.discloses
    assert dict(other_catalogue(url, "c", bands="names").asset_keys)["swir22"] == "swir22"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "stac",
        "ftp://x/y",
        "javascript:alert(1)",
        "https://",
        "https://[",
        "https://x:99999/",
        "https:///v1",
        "//x/v1",
    ],
)
def test_an_address_that_cannot_be_asked_is_refused(url):
    with pytest.raises(CatalogueError, match="expected the https address of a STAC API, got"):
        other_catalogue(url, "sentinel-2-l2a", bands="names")


@pytest.mark.parametrize("url", ["http://stac.example.org", "http://192.168.1.7:8080/v1", "HTTP://Stac.example.org"])
def test_plain_http_is_refused_by_its_reason(url):
    with pytest.raises(CatalogueError, match="this page's policy closes plain http"):
        other_catalogue(url, "sentinel-2-l2a", bands="names")


@pytest.mark.parametrize("url", ["http://localhost:8080/stac", "http://127.0.0.1/stac"])
def test_a_server_on_the_device_itself_may_speak_plain_http(url):
    assert other_catalogue(url, "sentinel-2-l2a", bands="names").url == url
    assert {"http://localhost:*", "http://127.0.0.1:*"} <= set(DIRECTIVES["connect-src"].split())


@pytest.mark.parametrize("url", ["https://me:pw@stac.example.org", "https://x.org/v1?key=1", "https://x.org/v1#top"])
def test_an_address_with_more_than_a_path_is_refused(url):
    with pytest.raises(CatalogueError, match="without a user, a question mark or a hash"):
        other_catalogue(url, "sentinel-2-l2a", bands="names")


def test_a_catalogue_without_a_collection_is_refused():
    with pytest.raises(CatalogueError, match="name of a collection"):
        other_catalogue("https://stac.example.org", " ", bands="names")


def test_the_person_s_own_catalogue_is_kept_for_the_next_visit():
    other = other_catalogue("https://stac.example.org/v1", "s2", bands="numbers")

    assert read_other(write_other(other)) == other


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"url": 1, "collection": "s", "bands": "numbers"}',
             '{"url": "http://a.b", "collection": "s", "bands": "numbers"}']
)  # fmt: skip
def test_what_is_no_kept_catalogue_is_none(text):
    assert read_other(text) is None


def test_fallbacks_are_catalogues_of_their_own():
    keys = {catalogue.key for catalogue in CATALOGUES}

    assert {catalogue.fallback for catalogue in CATALOGUES} <= keys | {""}


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
def test_only_scenes_whose_footprint_meets_the_outline_answer(point, kept):
    query = SceneQuery(outline=around(point), period=QUERY.period, max_cloud_percent=70.0)

    assert found([ITEM], query) == ([ITEM["id"]] if kept else [])


def test_a_footprint_may_have_several_parts():
    item = deepcopy(ITEM)
    near = item["geometry"]["coordinates"]
    item["geometry"] = {"type": "MultiPolygon", "coordinates": [[[[0, 0], [1, 0], [1, 1], [0, 0]]], near]}

    assert found([item]) == [ITEM["id"]]


@pytest.mark.parametrize(
    "geometry",
    [
        None,
        {},
        {"type": "Polygon", "coordinates": []},
        {"type": "Polygon", "coordinates": [[[1, 2]]]},
        {"type": "Point"},
    ],
)
def test_a_scene_without_a_footprint_shows_nothing(geometry):
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


@pytest.mark.parametrize("identifier", [None, 7, {}])
def test_an_item_without_an_id_is_refused(identifier):
    with pytest.raises(CatalogueError, match="an item with an id"):
        parse_scene({**item_with(), "id": identifier}, BASE)


@pytest.mark.parametrize("links", [7, "next", {"rel": "next"}])
def test_links_that_are_no_list_are_refused_by_name(links):
    with pytest.raises(CatalogueError, match="expected a list of links"):
        next_page({"features": [], "links": links}, Page(url="https://a.example/", body=None))


def test_a_next_page_without_a_readable_address_is_refused_by_name():
    links = [{"rel": "next", "href": "https://[broken/"}]
    with pytest.raises(CatalogueError, match="expected the address of the next page"):
        next_page({"features": [], "links": links}, Page(url="https://a.example/", body=None))


def test_a_catalogue_may_name_its_bands_as_it_likes():
    names = "B2, B3,B4 ,B8,B11,B12,classes"
    other = other_catalogue("https://stac.example.org", "s2", bands=names)

    assert dict(other.asset_keys)["scl"] == "classes"
    assert dict(other.asset_keys)["blue"] == "B2"
    assert read_other(write_other(other)) == other


@pytest.mark.parametrize("names", ["", "B2,B3", "a,b,c,d,e,f,", "a,b,c,d,e,f,f", "a,b,c,d,e,f,g,h"])
def test_other_than_seven_different_names_are_refused_with_the_order_expected(names):
    with pytest.raises(CatalogueError, match="blue, green, red, nir, swir16, swir22, scl: 7 different ones"):
        other_catalogue("https://stac.example.org", "s2", bands=names)
