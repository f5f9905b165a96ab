from dataclasses import replace
from datetime import date
from urllib.parse import parse_qs

import pytest

from galamsey.errors import CoordinateError
from galamsey.geo import Point
from galamsey.links import read_link, write_link
from galamsey.prompts import AS_TRAINED, HIGH_RECALL, SENSITIVITIES
from galamsey.scenes import CATALOGUES, EARTH_SEARCH, PRACTICE, dry_season
from galamsey.state import Settings, initial_state

TODAY = date(2025, 7, 1)
FIRST = initial_state().settings
POINT = Point(-2.04471, 6.09312)


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda catalogue: catalogue.key)
@pytest.mark.parametrize("sensitivity", SENSITIVITIES, ids=lambda sensitivity: sensitivity.key)
@pytest.mark.parametrize("period", [FIRST.period, dry_season(2021)], ids=str)
def test_a_link_reopens_the_same_place_and_settings(catalogue, sensitivity, period):
    settings = Settings(catalogue=catalogue, sensitivity=sensitivity, period=period)

    link = read_link("#" + write_link(POINT, settings), FIRST, TODAY)

    assert link is not None
    assert link.point == pytest.approx(POINT, abs=1e-9)
    assert link.settings == settings


def test_a_link_is_short_and_readable():
    assert write_link(POINT, FIRST) == "at=6.09312,-2.04471&from=practice&dates=latest&ask=high-recall"
    assert set(parse_qs(write_link(POINT, FIRST))) == {"at", "from", "dates", "ask"}


@pytest.mark.parametrize(("day", "median"), [(None, False), (date(2025, 1, 10), False), (None, True)])
def test_a_link_reopens_the_same_day(day, median):
    link = read_link("#" + write_link(POINT, FIRST, day=day, median=median), FIRST, TODAY)

    assert (link.day, link.median) == (day, median)


@pytest.mark.parametrize("views", [("ndvi", "swir"), ("rgb", "bsi"), ("swir", "rgb")])
def test_a_link_reopens_the_same_views(views):
    link = read_link("#" + write_link(POINT, replace(FIRST, views=views)), FIRST, TODAY)

    assert link.settings.views == views


@pytest.mark.parametrize("text", ["", "ndvi", "ndvi,heat", "a,b,c", ","])
def test_views_that_are_unknown_leave_those_that_the_model_sees(text):
    assert read_link(f"#at=6.1,-2&show={text}", FIRST, TODAY).settings.views == ("rgb", "swir")


@pytest.mark.parametrize("text", ["yesterday", "2025-13-01", "", "10.1.2025"])
def test_a_day_that_cannot_be_read_leaves_the_choice_open(text):
    link = read_link(f"#at=6.1,-2&day={text}", FIRST, TODAY)

    assert (link.day, link.median) == (None, False)


@pytest.mark.parametrize("fragment", ["", "#", "#from=practice", "#settings", "#at="])
def test_a_fragment_that_names_no_place_is_no_link(fragment):
    assert read_link(fragment, FIRST, TODAY) is None


@pytest.mark.parametrize(
    "rest", ["", "&from=nowhere", "&dates=1999", "&dates=\u00b2", "&ask=louder", "&backdrop=true", "&at=0,0"]
)
def test_unknown_settings_keep_their_present_value(rest):
    present = Settings(catalogue=EARTH_SEARCH, sensitivity=AS_TRAINED, period=dry_season(2020))

    link = read_link(f"#at=6.1,-2{rest}", present, TODAY)

    assert link is not None
    assert link.settings == present
    assert link.point == Point(-2.0, 6.1)


def test_a_link_never_switches_online_imagery_on():
    assert not read_link("#at=6.1,-2&backdrop=1&from=earth-search", FIRST, TODAY).settings.backdrop


def test_a_place_that_cannot_be_read_is_an_error_and_not_another_place():
    with pytest.raises(CoordinateError):
        read_link("#at=somewhere", FIRST, TODAY)


def test_defaults_are_practice_and_high_recall():
    assert (FIRST.catalogue, FIRST.sensitivity) == (PRACTICE, HIGH_RECALL)
