import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from galamsey.pipeline import AnswerGrew, ModelRestarted, analyse
from galamsey.protocol import Recovering
from galamsey.state import RunFailed, StepReported, initial_state, update
from galamsey.wording import provenance, verdict
from galamsey.wording_engine import RESTARTED, engine_failure, gave_up, restarted, sentence
from tests.unit.builders import REQUEST, World, scene_of
from tests.unit.test_wording import DENIAL, run_of

SCHEMA = json.loads((Path(__file__).parents[2] / "protocol/messages.schema.json").read_text())
CAUSES = SCHEMA["$defs"]["failed"]["properties"]["name"]["enum"]
SCENES = [scene_of("s1")]


@pytest.mark.parametrize("cause", CAUSES)
def test_every_cause_says_what_happened_that_it_says_nothing_about_mining_and_what_to_do(cause):
    line, detail = engine_failure(cause, "the worker struck")

    assert detail.startswith("This says nothing about mining here. ")
    assert detail.endswith(" Reported: the worker struck")
    assert len(detail) > len("This says nothing about mining here.  Reported: the worker struck") + 20
    assert not DENIAL.search(line)


def test_giving_up_says_that_nothing_is_tried_again_and_how_to_go_on():
    line, detail = engine_failure("GaveUp", "the graphics device was lost")

    assert "three times in a row" in line
    assert "Nothing is tried again by itself" in detail
    assert "load the model again" in detail
    assert "main processor" in gave_up("lost", on_gpu=True)
    assert "main processor" not in gave_up("lost", on_gpu=False)


def test_a_run_that_hung_offers_to_run_again():
    failed = RunFailed(run_id=1, kind="EngineError", problem="no sign of life for 600000 ms", cause="Timeout")
    said = verdict(run_of(World(scenes=SCENES), until=AnswerGrew, end=failed))

    assert said.tone == "problem"
    assert said.line == "The model gave no sign of life and was stopped"
    assert "Run again" in said.detail


def recovering_run(reason):
    """Return a run in which the model failed before it answered."""
    world = World(scenes=SCENES)
    services = world.services()

    async def ask(composites, questions):
        yield Recovering(reason=reason)
        async for one in services.ask(composites, questions):
            yield one

    steps = []
    asyncio.run(analyse(REQUEST, replace(services, ask=ask), steps.append))
    return steps


def test_a_restart_is_said_while_it_goes_on_and_kept_in_the_record():
    steps = recovering_run("the graphics device was lost")
    assert steps.count(ModelRestarted(reason="the graphics device was lost")) == 1
    run = run_of(World(scenes=SCENES), until=AnswerGrew)
    assert verdict(run).detail == ""
    restart = replace(run, restarts=("the graphics device was lost",))

    assert verdict(restart).detail == RESTARTED
    assert dict(provenance(restart))["Engine"] == restarted(restart.restarts)
    assert "Engine" not in dict(provenance(run))


def test_a_restart_reported_to_the_state_is_remembered_with_the_run():
    run = run_of(World(scenes=SCENES), until=AnswerGrew)
    state = replace(initial_state(), run=run)
    for reason in ("first", "second"):
        state = update(state, StepReported(run_id=1, step=ModelRestarted(reason=reason)))

    assert state.run.restarts == ("first", "second")


def test_a_long_report_is_cut_so_that_the_remedy_is_seen():
    _, detail = engine_failure("EngineError", "x" * 1000)

    assert "Run again" in detail
    assert len(detail) < 400


@pytest.mark.parametrize("text", ["it broke", "it broke.", "It broke"])
def test_a_problem_becomes_one_sentence(text):
    assert sentence(text) == "It broke."
