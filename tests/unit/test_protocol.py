import json
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from galamsey.composites import Composite
from galamsey.detections import Token
from galamsey.drafts import Question, description, detection
from galamsey.errors import EngineError
from galamsey.models import DEMO, FULL, SESSIONS
from galamsey.planner import Plan
from galamsey.prompts import DESCRIPTION, GROUNDING_AS_TRAINED, MAX_NEW_TOKENS
from galamsey.protocol import (
    TERMINAL,
    Adapter,
    Answered,
    Generated,
    Grown,
    Loaded,
    Progress,
    batch_request,
    cancel_request,
    generate_request,
    load_request,
    probe_request,
    read_heard,
    read_progress,
    read_terminal,
    rehearsal_request,
)
from galamsey.rehearsal import questions, stand_ins

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "protocol" / "messages.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
GOLDEN = ROOT / "tests" / "fixtures" / "messages"

PAGE = "http://localhost:8000/index.html"
WEBGPU = Plan(device="webgpu", dtype="fp32", reason="")
WASM = Plan(device="wasm", dtype="fp16", reason="")
MIXED = Plan(device="webgpu", dtype="q4f16+fp16", reason="")
PICTURE = Composite(name="Natural colour", pixels=np.zeros((128, 96, 3), np.uint8))
LARGER = Composite(name="Natural colour", pixels=np.zeros((128, 128, 3), np.uint8))


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def assert_valid(message):
    problems = [error.message for error in VALIDATOR.iter_errors(message)]
    assert not problems


REQUESTS = {
    "probe": probe_request("p1"),
    "load demo": load_request("l1", DEMO, WEBGPU, page_url=PAGE),
    "load full": load_request("l2", FULL, WASM, page_url=PAGE),
    "load mixed": load_request("l3", FULL, MIXED, page_url=PAGE),
    "generate": generate_request("g1", [PICTURE, PICTURE], (detection(GROUNDING_AS_TRAINED), description())),
    "generate for chips": batch_request("g2", [[PICTURE, PICTURE]] * 3, (detection(GROUNDING_AS_TRAINED),)),
    "rehearsal": rehearsal_request("r1", stand_ins(), questions()),
    "cancel": cancel_request("g1"),
}


def test_a_mixed_build_loads_each_session_in_its_own_way():
    message = REQUESTS["load mixed"]
    graphs = [file["path"] for file in message["model"]["files"] if file["path"].endswith(".onnx")]

    assert message["dtype"] == {
        "vision_encoder": "fp16", "embed_tokens": "q4f16", "decoder_model_merged": "q4f16",
    }  # fmt: skip
    assert graphs == [
        "onnx/vision_encoder_fp16.onnx", "onnx/embed_tokens_q4f16.onnx", "onnx/decoder_model_merged_q4f16.onnx",
    ]  # fmt: skip


def test_the_schema_is_itself_valid():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.json")))
def test_every_golden_message_is_valid(name):
    assert_valid(golden(name))


@pytest.mark.parametrize("name", sorted(path.stem for path in (GOLDEN / "invalid").glob("*.json")))
def test_every_broken_message_is_refused(name):
    assert not VALIDATOR.is_valid(golden(f"invalid/{name}"))


@pytest.mark.parametrize("name", REQUESTS)
def test_every_request_is_valid_and_plain_json(name):
    assert_valid(REQUESTS[name])
    assert json.loads(json.dumps(REQUESTS[name])) == REQUESTS[name]


def test_loading_names_every_file_device_and_dtype():
    message = REQUESTS["load full"]

    assert [entry["path"] for entry in message["model"]["files"]] == list(FULL.files("fp16"))
    assert message["device"] == dict.fromkeys(SESSIONS, "wasm")
    assert REQUESTS["load demo"]["device"] == {
        "vision_encoder": "webgpu",
        "embed_tokens": "wasm",
        "decoder_model_merged": "webgpu",
    }
    assert [entry["path"] for entry in message["model"]["files"] if not entry["required"]] == [
        f"onnx/{session}_fp16.onnx_data" for session in SESSIONS
    ]
    assert message["dtype"] == dict.fromkeys(SESSIONS, "fp16")
    assert message["processor"] == {"image_processor": {"do_resize": False, "max_num_patches": 256}}


@pytest.mark.parametrize(
    "page",
    [PAGE, "http://localhost:8000/", "http://localhost:8000/?from=/a/b", "http://localhost:8000/index.html#at=6/2"],
)
def test_the_model_beside_the_page_is_found_whatever_follows_the_page_s_path(page):
    model = load_request("l1", DEMO, WEBGPU, page_url=page)["model"]

    assert model["base_url"] == "http://localhost:8000/models/demo/"


def test_the_page_may_live_in_a_folder():
    message = load_request("l1", DEMO, WEBGPU, page_url="https://example.org/app/index.html")

    assert message["model"]["base_url"] == "https://example.org/app/models/demo/"


def test_only_a_foreign_model_is_kept_in_the_model_cache():
    assert REQUESTS["load demo"]["model"]["cache"] is False
    assert REQUESTS["load full"]["model"]["cache"] is True
    assert REQUESTS["load full"]["model"]["base_url"] == FULL.base_url


def test_a_question_describes_its_pictures_in_order():
    wide = Composite(name="x", pixels=np.zeros((4, 8, 3), np.uint8))
    message = generate_request("g1", [PICTURE, wide], [Question(prompt="What?", max_new_tokens=7)])

    assert message["images"] == [
        {"width": 96, "height": 128, "channels": 3},
        {"width": 8, "height": 4, "channels": 3},
    ]
    assert message["prompts"] == [{"prompt": "What?", "max_new_tokens": 7, "draft": {}}]


def test_the_questions_about_a_chip_keep_their_order_their_ends_and_their_drafts():
    boxes, prose = REQUESTS["generate"]["prompts"]

    assert (boxes["prompt"], boxes["stop"], boxes["max_new_tokens"]) == (GROUNDING_AS_TRAINED, "list", MAX_NEW_TOKENS)
    assert boxes["draft"]["form"]["item"][0] == '{"label": "mining_pit", "bbox": ['
    assert boxes["draft"]["form"]["item"][1]["like"] == 4
    assert (prose["prompt"], "stop" in prose) == (DESCRIPTION, False)
    assert prose["draft"]["texts"]


def test_chips_that_are_asked_together_list_their_pictures_chip_by_chip():
    message = REQUESTS["generate for chips"]

    assert (message["chips"], len(message["images"]), len(message["prompts"])) == (3, 6, 1)
    assert "chips" not in REQUESTS["generate"]


@pytest.mark.parametrize("chips", [[], [[]], [[PICTURE], [PICTURE, PICTURE]], [[PICTURE], [LARGER]]])
def test_chips_of_unequal_shapes_cannot_be_asked_together(chips):
    with pytest.raises(ValueError, match="expected chips whose pictures have equal shapes"):
        batch_request("g1", chips, [description()])


def test_what_is_heard_of_several_chips_names_its_chip():
    assert read_heard(golden("text-chip")) == Grown(question=0, text='[{"at"', chip=1)
    heard = read_heard(golden("answered-chip"))
    assert isinstance(heard, Answered)
    assert (heard.question, heard.chip) == (1, 1)


def test_an_alpha_channel_never_passes_the_schema():
    alpha = Composite(name="x", pixels=np.zeros((4, 8, 4), np.uint8))

    assert not VALIDATOR.is_valid(generate_request("g1", [alpha], [Question(prompt="What?")]))


def test_the_terminal_answers_are_those_of_the_schema():
    named = {option["$ref"].rsplit("/", 1)[1] for option in SCHEMA["$defs"]["terminal"]["oneOf"]}

    assert named == TERMINAL


def test_a_probe_s_answer_becomes_an_adapter():
    assert read_terminal(golden("probed")) == Adapter(
        webgpu=True, shader_f16=True, name="intel gen-12lp", reason="", max_buffer_bytes=2147483644
    )
    without = read_terminal(golden("probed-without-webgpu"))
    assert without == Adapter(webgpu=False, shader_f16=False, name="", reason="this browser has no WebGPU")


def test_a_loaded_model_tells_where_its_decoder_runs():
    assert read_terminal(golden("loaded")) == Loaded(
        device="webgpu",
        dtype="fp32",
        ms=1830.5,
        files=tuple((one["path"], one["sha256"]) for one in golden("loaded")["files"]),
    )


def test_an_answer_carries_text_tokens_and_how_clear_they_were():
    heard = read_heard(golden("answered"))

    assert isinstance(heard, Answered)
    assert heard.question == 1
    assert heard.answer.text == "Two squares."
    assert heard.answer.tokens[1] == Token(text=" squares", probability=0.71, runner_up=0.2)
    assert "".join(token.text for token in heard.answer.tokens) == heard.answer.text
    assert heard.answer.complete
    assert (heard.answer.input_tokens, heard.answer.steps) == (147, 3)


@pytest.mark.parametrize(("stopped", "complete"), [("eos", True), ("list", True), ("length", False)])
def test_only_an_answer_ended_by_the_limit_is_not_complete(stopped, complete):
    message = golden("answered")
    heard = read_heard(message | {"answer": message["answer"] | {"stopped": stopped}})

    assert isinstance(heard, Answered)
    assert heard.answer.complete is complete


def test_what_an_answer_grows_by_names_its_question():
    assert read_heard(golden("text")) == Grown(question=1, text="Two squares")
    assert read_heard(golden("stage")) is None


def test_the_end_of_all_answers_tells_where_the_time_went():
    ms = {"preprocess": 6.1, "vision": 40.2, "prefix": 44.0, "total": 187.9}
    assert read_terminal(golden("generated")) == Generated(ms=ms)


def test_a_cancelled_request_has_no_answer():
    assert read_terminal(golden("cancelled")) is None


def test_a_failure_is_raised_with_the_engine_s_name_for_it():
    with pytest.raises(EngineError, match="expected a file, got HTTP 404") as caught:
        read_terminal(golden("failed"))

    assert caught.value.name == "MissingFile"


@pytest.mark.parametrize("name", ["progress", "stage", "text", "answered"])
def test_what_is_not_terminal_is_refused_as_a_terminal_answer(name):
    with pytest.raises(EngineError, match=f"expected a terminal answer, got '{name}'") as caught:
        read_terminal(golden(name))

    assert caught.value.name == "InvalidMessage"


def test_progress_is_counted_in_bytes():
    assert read_progress(golden("progress")) == Progress(
        file="onnx/decoder_model_merged.onnx", loaded_bytes=16_777_216, total_bytes=33_554_432, from_cache=False
    )


def test_an_unknown_size_is_zero():
    message = golden("progress") | {"total_bytes": None}

    assert_valid(message)
    assert read_progress(message).total_bytes == 0
