from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from galamsey.dates import describe, group_days, ranked, replaced, season_factor, why
from tests.unit.builders import scene_of


def scene_on(day, *, cloud_percent=0.0, name="", covers=1.0, baseline=(5, 9)):
    when = datetime.combine(date.fromisoformat(day), datetime.min.time(), tzinfo=UTC).replace(hour=10)
    made = scene_of(name or day, cloud_percent=cloud_percent)
    return replace(made, acquired=when, covers=covers, baseline=baseline)


def days_of(*scenes):
    return group_days(scenes)


def known(days, **clouds):
    """Return the days with chip clouds filled in; keys are written d20250110."""
    for key, cloud in clouds.items():
        when = datetime.strptime(key, "d%Y%m%d").replace(tzinfo=UTC).date()
        day = next(day for day in days if day.when == when)
        days = replaced(days, replace(day, chip_cloud_percent=cloud))
    return days


def order(days):
    return [f"{day.when}" for day in days]


def test_no_scenes_are_no_days():
    assert group_days([]) == ()


def test_scenes_of_one_day_are_brought_together_the_one_that_covers_most_first():
    (day,) = days_of(
        scene_on("2025-01-10", name="west", covers=0.4),
        scene_on("2025-01-10", name="east", covers=0.9, baseline=(5, 0)),
        scene_on("2025-01-10", name="east again", covers=0.9, baseline=(5, 10)),
    )

    assert [scene.id for scene in day.scenes] == ["east again", "east", "west"]


def test_a_day_is_that_of_utc():
    late = replace(scene_on("2025-01-10"), acquired=datetime(2025, 1, 10, 23, 59, 59, tzinfo=UTC))

    assert order(days_of(late)) == ["2025-01-10"]


def test_until_the_chip_was_looked_at_the_scene_s_cloud_stands_in():
    days = days_of(scene_on("2025-01-10", cloud_percent=60), scene_on("2025-01-05", cloud_percent=10))

    assert order(days) == ["2025-01-05", "2025-01-10"]
    assert order(known(days, d20250110=0.0)) == ["2025-01-10", "2025-01-05"]


def test_the_score_is_what_can_be_seen_times_season_times_age():
    newest, old = days_of(scene_on("2025-01-10"), scene_on("2021-01-10"))

    assert newest.score == pytest.approx(100)
    assert old.score == pytest.approx(50, abs=0.1)
    assert replace(newest, chip_cloud_percent=10.0).score == pytest.approx(81)
    assert replace(newest, chip_cloud_percent=50.0).score == pytest.approx(25)
    assert replace(newest, chip_cloud_percent=50.0).ceiling == pytest.approx(100)


@pytest.mark.parametrize(("month", "factor"), [(11, 1), (1, 1), (3, 1), (4, 0.85), (10, 0.85), (5, 0.6), (9, 0.6)])
def test_months_differ_in_use(month, factor):
    assert season_factor(date(2025, month, 15)) == factor


def test_a_clear_view_of_the_last_dry_season_beats_one_of_these_rains():
    days = days_of(scene_on("2025-08-01"), scene_on("2025-02-10"))

    assert order(days) == ["2025-02-10", "2025-08-01"]


def test_a_day_that_cannot_be_used_comes_last():
    first, second = days_of(scene_on("2025-01-10"), scene_on("2019-01-10"))

    assert order(replaced((first, second), replace(first, problem="cut short"))) == ["2019-01-10", "2025-01-10"]


def test_of_two_alike_the_newer_comes_first():
    days = days_of(scene_on("2025-01-05", cloud_percent=100), scene_on("2025-01-10", cloud_percent=100))

    assert order(ranked(days)) == ["2025-01-10", "2025-01-05"]


def test_the_reason_claims_newest_only_when_every_newer_day_was_seen_to_be_cloudy():
    days = known(
        days_of(scene_on("2025-01-20"), scene_on("2025-01-15"), scene_on("2025-01-10")), d20250110=1.0, d20250115=60.0
    )
    chosen = next(day for day in days if day.when == date(2025, 1, 10))

    assert why(chosen, days) == "clear dry-season image: 1 % chip cloud"
    days = known(days, d20250120=80.0)
    assert why(chosen, days) == "newest clear dry-season image: 1 % chip cloud"


def test_a_newer_image_of_the_rains_does_not_count_against_a_dry_season_one():
    days = known(days_of(scene_on("2025-06-20"), scene_on("2025-01-10")), d20250110=0.0)

    assert why(days[0], days) == "newest clear dry-season image: 0 % chip cloud"


def test_an_image_that_is_not_clear_is_not_called_so():
    days = known(days_of(scene_on("2025-01-20"), scene_on("2025-01-10")), d20250110=22.0, d20250120=70.0)

    assert why(days[0], days) == "the most useful of 2 dates looked at, none of them clear: 22 % chip cloud"


def test_a_day_is_described_by_what_hides_it():
    (day,) = days_of(scene_on("2025-01-03"))

    assert describe(replace(day, chip_cloud_percent=94.4)) == "94 % cloud on 3 Jan 2025"
    assert describe(replace(day, chip_cloud_percent=100.0, missing_percent=80.0)) == "80 % without data on 3 Jan 2025"
    assert describe(replace(day, problem="the file is cut short")) == "the file is cut short on 3 Jan 2025"
