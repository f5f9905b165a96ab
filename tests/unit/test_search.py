import asyncio
import json
from copy import deepcopy
from dataclasses import replace

import pytest

from galamsey.errors import CatalogueError, PassingError
from galamsey.scenes import DIGITAL_EARTH_AFRICA, EARTH_SEARCH, MAX_PAGES, PRACTICE
from galamsey.search import find_scenes
from tests.unit.test_scenes import QUERY, digital_earth_africa_item, item_with

FIRST = f"{EARTH_SEARCH.url}/search"
SECOND = f"{DIGITAL_EARTH_AFRICA.url}/search"


def collection(*items, link=None):
    return {"type": "FeatureCollection", "features": list(items), "links": [link] if link else []}


def following(token):
    return {"rel": "next", "method": "POST", "merge": True, "body": {"next": token}}


def items(first, count):
    return [item_with(f"s{number}") for number in range(first, first + count)]


class Api:
    """Answers by address and body; keeps what was asked."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    async def ask(self, url, body):
        self.asked.append((url, deepcopy(body)))
        answer = self.answer(url, body)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def find(self, catalogue=EARTH_SEARCH, fallback=None):
        return asyncio.run(find_scenes(catalogue, QUERY, self.ask, fallback))


def test_pages_are_followed_to_the_last():
    pages = {None: collection(*items(0, 2), link=following("a")), "a": collection(*items(2, 2), link=following("b")),
             "b": collection(*items(4, 1))}  # fmt: skip
    api = Api(lambda _url, body: pages[body.get("next")])

    assert sorted(scene.id for scene in api.find()) == ["s0", "s1", "s2", "s3", "s4"]
    assert [body.get("next") for _, body in api.asked] == [None, "a", "b"]
    assert {url for url, _ in api.asked} == {FIRST}


def test_pages_may_follow_by_address():
    link = {"rel": "next", "href": "https://earth-search.aws.element84.com/v1/search?token=2"}
    api = Api(lambda _url, body: collection(*items(0, 1), link=link) if body else collection(*items(1, 1)))

    assert sorted(scene.id for scene in api.find()) == ["s0", "s1"]
    assert api.asked[1] == (link["href"], None)


def test_no_more_than_so_many_pages_are_read():
    api = Api(
        lambda _url, body: collection(*items(10 * body.get("next", 0), 2), link=following(body.get("next", 0) + 1))
    )

    scenes = api.find()
    assert len(scenes) == 2 * MAX_PAGES
    assert len(api.asked) == MAX_PAGES
    assert all("only the newest 24 images were listed" in scene.found_in for scene in scenes), "nothing is cut silently"


@pytest.mark.parametrize("told", [{"numberMatched": 1204}, {"context": {"matched": 1204}}])
def test_where_pages_are_left_out_the_catalogues_own_count_is_named(told):
    api = Api(
        lambda _url, body: {
            **collection(*items(10 * body.get("next", 0), 2), link=following(body.get("next", 0) + 1)), **told
        }
    )  # fmt: skip

    assert "only the newest 24 of 1,204 images were listed" in api.find()[0].found_in


def test_where_all_pages_were_read_nothing_is_said_to_be_missing():
    api = Api(lambda _url, _body: {**collection(*items(0, 2)), "numberMatched": 2})

    assert all("listed" not in scene.found_in for scene in api.find())


def test_a_catalogue_that_leads_back_to_the_same_page_is_an_error_and_not_a_loop():
    link = {"rel": "next", "method": "POST", "body": {"limit": 7}}
    api = Api(lambda _url, body: collection(*items(len(body), 1), link=link))

    with pytest.raises(CatalogueError, match=r"earth-search.*page 3 leads back to a page before it"):
        api.find()
    assert len(api.asked) == 2


def test_a_catalogue_whose_pages_repeat_their_items_is_an_error():
    api = Api(lambda _url, body: collection(*items(0, 2), link=following(body.get("next", 0) + 1)))

    with pytest.raises(CatalogueError, match="page 2 repeats what came before"):
        api.find()


def test_an_empty_page_is_the_last():
    api = Api(lambda _url, body: collection(*([] if body.get("next") else items(0, 1)), link=following("a")))

    assert len(api.find()) == 1
    assert len(api.asked) == 2


def test_an_empty_answer_is_an_answer_and_no_reason_to_ask_elsewhere():
    api = Api(lambda _url, _body: collection())

    assert api.find(fallback=DIGITAL_EARTH_AFRICA) == []
    assert len(api.asked) == 1


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (
            PassingError("answered 502, 4 times in a row"),
            "earth-search.aws.element84.com answered 502, 4 times in a row",
        ),
        (CatalogueError("answered 403"), "earth-search.aws.element84.com: answered 403"),
        ({"message": "no"}, "earth-search.aws.element84.com: expected a STAC ItemCollection"),
    ],
)
def test_a_failure_names_the_host_and_what_came(trouble, said):
    with pytest.raises(CatalogueError) as caught:
        Api(lambda _url, _body: trouble).find()

    assert str(caught.value).startswith(said)


def test_where_the_first_catalogue_fails_the_second_answers_and_the_scenes_say_why():
    def answer(url, _body):
        return (
            PassingError("answered 502, 4 times in a row") if url == FIRST else collection(digital_earth_africa_item())
        )

    api = Api(answer)
    (scene,) = api.find(fallback=DIGITAL_EARTH_AFRICA)

    assert [url for url, _ in api.asked] == [FIRST, SECOND]
    assert api.asked[1][1]["collections"] == ["s2_l2a"]
    assert scene.hrefs["swir16"].startswith("https://deafrica-sentinel-2.s3.af-south-1.amazonaws.com/")
    assert scene.found_in == (
        "Sentinel-2 (Digital Earth Africa), because earth-search.aws.element84.com answered 502, 4 times in a row"
    )


def test_where_both_fail_both_are_named():
    with pytest.raises(CatalogueError, match=r"earth-search.*502.*; and explorer\.digitalearth\.africa.*502"):
        Api(lambda _url, _body: PassingError("answered 502")).find(fallback=DIGITAL_EARTH_AFRICA)


def test_a_static_collection_is_one_document():
    practice = replace(PRACTICE, url="http://localhost:8000/practice/catalogue.json")
    api = Api(lambda _url, _body: json.loads(json.dumps(collection(item_with("p1")))))

    (scene,) = api.find(practice)

    assert api.asked == [(practice.url, None)]
    assert scene.found_in == "Practice region (generated)"
