import asyncio
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from galamsey.choice import MAX_LOOKS
from galamsey.dates import CLEAR_CHIP_PERCENT, MAX_CHIP_CLOUD_PERCENT
from galamsey.errors import EngineError, NoSceneError, NoUsableImageError, UnreachableError
from galamsey.geo import ring_lonlat
from galamsey.pipeline import (
    AnswerGrew,
    AnswerUnreadable,
    ChipComposed,
    ChipOutlined,
    DaysOffered,
    Described,
    DescriptionGrew,
    SceneChosen,
    SitesFound,
    StageTimed,
    analyse,
)
from galamsey.prompts import DESCRIPTION
from galamsey.scenes import BANDS
from tests.unit.builders import (
    BOXES,
    CHIP_GRID,
    HEADER_BYTES,
    REQUEST,
    TILE_BYTES,
    WINDOW_BYTES,
    World,
    scene_of,
)


def run(world, request=REQUEST):
    steps = []
    asyncio.run(analyse(request, world.services(), steps.append))
    return steps


def run_into(error, world, request=REQUEST):
    """Return the steps reported before the error, and the error."""
    steps = []
    with pytest.raises(error) as caught:
        asyncio.run(analyse(request, world.services(), steps.append))
    return steps, caught.value


def only(kind, steps):
    (step,) = (step for step in steps if isinstance(step, kind))
    return step


def days(count):
    """Return scenes of as many days, newest first."""
    return [scene_of(f"s{day}", day) for day in range(count, 0, -1)]


def test_a_run_reports_each_stage_in_order_as_soon_as_it_is_known():
    steps = run(World(scenes=days(1)))

    assert [step.stage if isinstance(step, StageTimed) else type(step) for step in steps] == [
        ChipOutlined, DaysOffered, "search",
        DaysOffered, ChipOutlined, SceneChosen, "choose",
        ChipComposed, "bands",
        AnswerGrew, AnswerGrew, SitesFound, "detect",
        DescriptionGrew, DescriptionGrew, Described, "describe",
    ]  # fmt: skip


def test_the_world_is_asked_for_no_more_than_is_needed():
    world = World(scenes=days(3))

    run(world)

    assert world.asked == [
        "search practice", "read s3/scl", *(f"read s3/{band}" for band in BANDS),
        "breathe", "detect 256", "describe 256",
    ]  # fmt: skip
    assert world.query.outline == ring_lonlat(CHIP_GRID.corners, CHIP_GRID.epsg)
    assert world.query.period == REQUEST.period
    assert world.query.max_cloud_percent == 100


def test_the_outline_shown_at_once_is_where_the_chip_turns_out_to_lie():
    first, second = (step for step in run(World(scenes=days(1))) if isinstance(step, ChipOutlined))

    assert first.grid == second.grid == CHIP_GRID


def test_the_chip_holds_the_scene_s_values_and_both_calls_see_the_same_two_pictures():
    world = World(scenes=days(1))

    composed = only(ChipComposed, run(world))

    np.testing.assert_array_equal(composed.chip.dn, world.generated.dn)
    assert composed.chip.grid == CHIP_GRID
    assert composed.chip.offset_rule.offset == world.generated.facts.offset_dn
    assert world.pictures == [composed.rgb.pixels.tobytes() + composed.swir.pixels.tobytes()] * 2
    assert composed.rgb.pixels.tobytes() != composed.swir.pixels.tobytes()


def test_bytes_of_the_six_bands_are_counted_beside_the_least_that_could_cross():
    composed = only(ChipComposed, run(World(scenes=days(1))))

    assert composed.bytes_read == 6 * (WINDOW_BYTES + HEADER_BYTES)
    assert composed.least_bytes == 6 * (TILE_BYTES + HEADER_BYTES)


def test_boxes_become_sites_on_the_ground():
    found = only(SitesFound, run(World(scenes=days(1))))

    assert [site.label for site in found.sites] == ["mining_pit", "pond"]
    assert found.sites[0].corners[0] == (CHIP_GRID.origin.x + 320, CHIP_GRID.origin.y - 160)
    assert found.sites[0].box_area_ha == pytest.approx(30.72)
    assert found.union_ha == pytest.approx(30.72 + 1.6384)
    assert (found.suppressed, found.parsed.dropped, found.parsed.cut_off) == (0, 0, False)
    assert found.text == BOXES


def test_a_box_inside_another_is_suppressed_and_counted():
    inner = BOXES.replace("[0.8, 0.8, 0.9, 0.9]", "[0.25, 0.125, 0.7, 0.5]")

    found = only(SitesFound, run(World(scenes=days(1), boxes=inner)))

    assert len(found.sites) == found.suppressed == 1
    assert found.union_ha == pytest.approx(30.72)


def test_ground_in_two_overlapping_sites_counts_once():
    overlapping = BOXES.replace("[0.8, 0.8, 0.9, 0.9]", "[0.5, 0.25, 1.0, 0.625]")

    found = only(SitesFound, run(World(scenes=days(1), boxes=overlapping)))

    assert len(found.sites) == 2
    assert found.union_ha == pytest.approx(2 * 30.72 - 0.25 * 0.25 * 163.84)


def test_an_empty_list_is_a_finding():
    found = only(SitesFound, run(World(scenes=days(1), boxes="[]")))

    assert found.sites == ()
    assert found.union_ha == 0


@pytest.mark.parametrize("text", ["", "mud mud mud", "zq [] wv", '[{"label": "pit", "bbox": []}]'])
def test_an_unreadable_answer_is_told_as_such_and_the_description_still_comes(text):
    steps = run(World(scenes=days(1), boxes=text))

    assert not any(isinstance(step, SitesFound) for step in steps)
    assert only(AnswerUnreadable, steps).text == text
    assert only(AnswerUnreadable, steps).reason.startswith("expected")
    assert only(Described, steps).text == "Two areas of exposed soil."


def test_text_is_told_while_it_grows():
    steps = run(World(scenes=days(1)))

    assert [step.text for step in steps if isinstance(step, AnswerGrew)] == [BOXES[: len(BOXES) // 2], BOXES]


def test_times_are_those_of_the_clock():
    timed = [step for step in run(World(scenes=days(1))) if isinstance(step, StageTimed)]

    assert [step.ms for step in timed] == [250.0] * 5


# Choosing a date


def test_a_clear_newest_date_is_taken_without_looking_further():
    world = World(scenes=days(4))

    chosen = only(SceneChosen, run(world))

    assert (chosen.scene.id, chosen.candidates, chosen.examined) == ("s4", 4, 1)
    assert chosen.chip_cloud_percent == 0


def test_a_cloudy_date_is_skipped_for_the_newest_clear_one():
    world = World(scenes=days(4), cloudy={"s4": 100, "s3": 20})

    chosen = only(SceneChosen, run(world))

    assert (chosen.scene.id, chosen.examined) == ("s2", 3)
    assert not any(call.startswith(("read s4/r", "read s1")) for call in world.asked)


def test_without_a_clear_date_the_least_cloudy_usable_one_is_taken():
    world = World(scenes=days(3), cloudy={"s3": 60, "s2": 20, "s1": 30})

    chosen = only(SceneChosen, run(world))

    assert (chosen.scene.id, chosen.examined) == ("s2", 3)
    assert chosen.chip_cloud_percent == pytest.approx(100 * 20 / 128)
    assert CLEAR_CHIP_PERCENT < chosen.chip_cloud_percent < MAX_CHIP_CLOUD_PERCENT


def test_only_the_most_promising_dates_are_looked_at():
    world = World(scenes=days(20), cloudy={f"s{day}": 128 for day in range(5, 21)})

    steps, error = run_into(NoUsableImageError, world)

    assert sum(call.endswith("/scl") for call in world.asked) == MAX_LOOKS
    assert "clearest of 8 dates" in str(error)
    assert not any(isinstance(step, (SceneChosen, ChipComposed)) for step in steps)


def test_where_every_date_is_cloudy_the_model_is_not_asked():
    world = World(scenes=days(2), cloudy={"s2": 100, "s1": 50})

    steps, error = run_into(NoUsableImageError, world)

    assert str(error) == "39 % cloud on 1 Jan 2025, and that is the clearest of 2 dates looked at"
    assert [type(step) for step in steps] == [ChipOutlined, DaysOffered, StageTimed, DaysOffered, DaysOffered]
    assert not any(call.startswith(("detect", "describe")) for call in world.asked)


def test_where_there_is_no_scene_the_error_names_dates_and_catalogue():
    world = World(scenes=[])

    steps, error = run_into(NoSceneError, world)

    assert "no scene here from 2024-11-01 to 2025-03-31 in Practice region (generated)" in str(error)
    assert [type(step) for step in steps] == [ChipOutlined]
    assert world.asked == ["search practice"]


@pytest.mark.parametrize("key", ["scl", "red", "blue", "swir22"])
def test_a_band_that_cannot_be_read_ends_the_run_before_the_model_is_asked(key):
    world = World(scenes=days(1), broken=frozenset({f"s1/{key}"}))

    steps, error = run_into(NoUsableImageError, world)

    assert f"s1/{key} is cut short" in str(error)
    assert "1 Jan 2025" in str(error)
    assert not any(isinstance(step, ChipComposed) for step in steps)
    assert not any(call.startswith("detect") for call in world.asked)


@pytest.mark.parametrize("key", ["scl", "blue"])
def test_a_date_that_cannot_be_read_makes_room_for_the_next_best(key):
    world = World(scenes=days(2), broken=frozenset({f"s2/{key}"}))

    steps = run(world)

    assert [step for step in steps if isinstance(step, SceneChosen)][-1].scene.id == "s1"
    offered = [step for step in steps if isinstance(step, DaysOffered)][-1].days
    assert {day.when.day: day.problem for day in offered} == {1: "", 2: f"s2/{key} is cut short"}


def test_values_that_no_surface_has_make_room_for_the_next_best_date():
    world = World(scenes=days(2), spoiled={"s2": 65_100})

    steps = run(world)

    assert only(ChipComposed, steps).chip.valid.all()
    assert [step.scene.id for step in steps if isinstance(step, SceneChosen)] == ["s2", "s1"]


@pytest.mark.parametrize(
    ("spoiled", "said"), [(65_100, "values near 65,100"), (65_535, "values near 65,535"), (0, "no data")]
)
def test_where_no_date_holds_sound_values_the_error_says_what_they_hold(spoiled, said):
    world = World(scenes=days(1), spoiled={"s1": spoiled})

    steps, error = run_into(NoUsableImageError, world)

    assert said in str(error)
    assert "on 1 Jan 2025" in str(error)
    assert not any(call.startswith("detect") for call in world.asked)
    assert not any(isinstance(step, ChipComposed) for step in steps)


def test_an_archive_that_does_not_answer_is_not_asked_for_date_after_date():
    class Gone(World):
        async def read_header(self, href):
            self.asked.append(f"header {href}")
            raise UnreachableError(f"{href} could not be reached")

    world = Gone(scenes=days(5))
    _, error = run_into(UnreachableError, world)

    assert "could not be reached" in str(error)
    assert len(world.asked) == 2


# A date of one's own


def test_a_picked_date_is_taken_although_others_are_clearer():
    world = World(scenes=days(3), cloudy={"s1": 60})

    chosen = only(SceneChosen, run(world, replace(REQUEST, day=date(2025, 1, 1))))

    assert (chosen.scene.id, chosen.examined, chosen.candidates) == ("s1", 1, 3)
    assert chosen.reason == "picked by you: 47 % chip cloud"


def test_days_known_from_an_earlier_run_are_not_searched_for_again():
    world = World(scenes=days(3))
    offered = [step for step in run(world) if isinstance(step, DaysOffered)][-1].days
    world.asked.clear()

    steps = run(world, replace(REQUEST, day=date(2025, 1, 2), offered=offered))

    assert "search practice" not in world.asked
    assert only(SceneChosen, steps).scene.id == "s2"


def test_a_picked_date_that_shows_nothing_is_no_image():
    world = World(scenes=days(2), cloudy={"s1": 128})

    _, error = run_into(NoUsableImageError, world, replace(REQUEST, day=date(2025, 1, 1)))

    assert str(error) == "100 % cloud on 1 Jan 2025, the date that you picked"


def test_a_picked_date_that_is_not_on_offer_says_so():
    _, error = run_into(NoUsableImageError, World(scenes=days(2)), replace(REQUEST, day=date(2019, 1, 1)))

    assert str(error) == "the catalogue holds no image of 1 Jan 2019 here"


# Several dates together


def test_a_median_is_made_of_the_clearest_dates_of_a_season():
    world = World(scenes=days(8), cloudy={f"s{day}": 10 * day for day in range(1, 9)})

    steps = run(world, replace(REQUEST, median=True))

    chosen, composed = only(SceneChosen, steps), only(ChipComposed, steps)
    assert [day.day for day in chosen.median_of] == [5, 4, 3, 2, 1]
    assert chosen.reason == "median of the 5 clearest dates of a season"
    assert chosen.chip_cloud_percent == pytest.approx(100 * 10 / 128)
    np.testing.assert_allclose(
        composed.chip.reflectance[:, 60:], (world.generated.dn[:, 60:].astype(float) - world.offset) / 10_000, atol=1e-4
    )
    assert "1 Jan 2025, 2 Jan 2025, 3 Jan 2025, 4 Jan 2025, 5 Jan 2025" in composed.chip.offset_rule.reason


def test_a_median_needs_enough_dates_that_show_something():
    world = World(scenes=days(4), cloudy={"s1": 128, "s2": 128})

    _, error = run_into(NoUsableImageError, world, replace(REQUEST, median=True))

    assert str(error) == "a median needs 3 dates that show part of the chip, and there are 2"


def test_a_date_that_cannot_be_read_is_left_out_of_a_median():
    world = World(scenes=days(4), broken=frozenset({"s2/nir", "s4/scl"}))

    _, error = run_into(NoUsableImageError, world, replace(REQUEST, median=True))
    assert "there are 2" in str(error)

    chosen = only(SceneChosen, run(World(scenes=days(5), broken=world.broken), replace(REQUEST, median=True)))
    assert [day.day for day in chosen.median_of] == [5, 3, 1]


def test_a_failing_engine_ends_the_run_with_the_pictures_shown():
    class Failing(World):
        async def generate(self, *_):
            raise EngineError("OutOfMemory", "no buffer of 400 MB")

    steps, error = run_into(EngineError, Failing(scenes=days(1)))

    assert error.name == "OutOfMemory"
    assert only(ChipComposed, steps)
    assert not any(isinstance(step, (SitesFound, AnswerUnreadable)) for step in steps)


# Cancelling


def cancel_at(world_class):
    """Run until the world waits for ever, cancel, and return the steps."""

    async def scenario():
        world, steps = world_class(scenes=days(1)), []
        world.waiting = asyncio.Event()
        task = asyncio.create_task(analyse(REQUEST, world.services(), steps.append))
        await asyncio.wait_for(world.waiting.wait(), timeout=30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        count = len(steps)
        await asyncio.sleep(0)
        assert len(steps) == count
        return steps

    return asyncio.run(scenario())


class StuckSearch(World):
    async def search(self, *_):
        self.waiting.set()
        await asyncio.Event().wait()


class StuckRead(World):
    async def read_window(self, href, window):
        if href.endswith("/nir"):
            self.waiting.set()
            await asyncio.Event().wait()
        return await super().read_window(href, window)


class StuckDetection(World):
    async def generate(self, *arguments):
        grow = arguments[-1]
        grow('[{"label"')
        self.waiting.set()
        await asyncio.Event().wait()


class StuckDescription(World):
    async def generate(self, composites, prompt, max_new_tokens, grow):
        if prompt == DESCRIPTION:
            self.waiting.set()
            await asyncio.Event().wait()
        return await super().generate(composites, prompt, max_new_tokens, grow)


@pytest.mark.parametrize(
    ("world_class", "last"),
    [
        (StuckSearch, ChipOutlined),
        (StuckRead, StageTimed),
        (StuckDetection, AnswerGrew),
        (StuckDescription, StageTimed),
    ],
)
def test_a_cancelled_run_stops_where_it_waits_and_reports_nothing_more(world_class, last):
    steps = cancel_at(world_class)

    assert type(steps[-1]) is last
    assert not any(isinstance(step, Described) for step in steps)


def test_a_run_cancelled_while_detecting_found_nothing():
    assert not any(isinstance(step, (SitesFound, AnswerUnreadable)) for step in cancel_at(StuckDetection))


def test_a_run_cancelled_while_describing_keeps_what_it_found():
    assert only(SitesFound, cancel_at(StuckDescription)).sites
