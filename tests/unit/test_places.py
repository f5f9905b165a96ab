import pytest

from galamsey.geo import Point
from galamsey.places import MAX_SUGGESTIONS, Place, find_places, read_places

PLACES = read_places(
    [
        {"name": "Tarkwa", "lon": -1.99, "lat": 5.3, "region": "Western"},
        {"name": "Dunkwa-on-Offin", "lon": -1.78, "lat": 5.97, "kind": "town"},
        {"name": "Ob\u00fcasi", "lon": -1.66, "lat": 6.2},
        {"name": "New Obuasi", "lon": -1.5, "lat": 6.3, "region": "Ashanti"},
        {"name": "Obuasi North", "lon": -1.6, "lat": 6.25, "region": "Ashanti"},
    ],
)


def names(text):
    return [place.name for place in find_places(PLACES, text)]


def test_rows_become_places_longitude_first():
    assert PLACES[0] == Place(name="Tarkwa", detail="Western", point=Point(-1.99, 5.3))
    assert [place.detail for place in PLACES[1:3]] == ["town", ""]


def test_a_whole_name_comes_before_a_beginning_and_that_before_a_part():
    assert names("obuasi") == ["Ob\u00fcasi", "Obuasi North", "New Obuasi"]


@pytest.mark.parametrize("text", ["TARKWA", " tarkwa ", "tark", "T\u00e1rkwa", "arkw"])
def test_case_blanks_and_accents_do_not_matter(text):
    assert names(text) == ["Tarkwa"]


@pytest.mark.parametrize("text", ["", "   ", "Paris", "6.1, -2.0"])
def test_what_matches_nothing_finds_nothing(text):
    assert names(text) == []


def test_suggestions_are_few():
    many = read_places({"name": f"Nkwanta {number}", "lon": 0, "lat": 6} for number in range(50))

    assert len(find_places(many, "nkwanta")) == MAX_SUGGESTIONS
