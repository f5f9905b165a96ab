import pytest

from galamsey.models import DEMO, FULL, build_name
from galamsey.planner import (
    BATCH_BYTES,
    FAILED,
    LONGEST_TOKENS,
    MOST_TOGETHER,
    SLOW,
    UNMEASURED,
    UNMEASURED_ANSWER,
    Machine,
    Plan,
    after_failure,
    most_together,
    other_ways,
    plans,
    weights_bytes,
)

MIB = 2**20
GIB = 2**30
NO_GPU = Machine(webgpu=False, no_webgpu_reason="this browser has no WebGPU")
GPU = Machine(webgpu=True, shader_f16=True, max_buffer_bytes=2 * GIB, memory_bytes=8 * GIB)
NO_F16 = Machine(webgpu=True, max_buffer_bytes=2 * GIB)
SMALL_BUFFERS = Machine(webgpu=True, shader_f16=True, max_buffer_bytes=64 * MIB)
LITTLE_MEMORY = Machine(webgpu=True, shader_f16=True, max_buffer_bytes=2 * GIB, memory_bytes=GIB)


def devices(found):
    return [(plan.device, plan.dtype) for plan in found]


@pytest.mark.parametrize(
    ("model", "machine", "builds", "expected"),
    [
        (DEMO, GPU, (), [("webgpu", "fp32"), ("wasm", "fp32")]),
        (DEMO, NO_F16, (), [("webgpu", "fp32"), ("wasm", "fp32")]),
        (DEMO, NO_GPU, (), [("wasm", "fp32")]),
        (DEMO, LITTLE_MEMORY, (), [("webgpu", "fp32"), ("wasm", "fp32")]),
        (FULL, GPU, (), [("webgpu", "fp16"), ("wasm", "fp16")]),
        (FULL, GPU, ("fp16", "fp32", "q4"), [("webgpu", "fp16"), ("wasm", "fp16")]),
        (FULL, NO_F16, (), [("wasm", "fp16")]),
        (FULL, NO_F16, ("fp16", "fp32", "q4"), [("webgpu", "fp32"), ("wasm", "fp32")]),
        (FULL, NO_F16, ("fp16", "q4f16", "q4"), [("webgpu", "q4"), ("wasm", "q4")]),
        (FULL, SMALL_BUFFERS, ("fp16", "q4f16"), [("webgpu", "q4f16"), ("wasm", "q4f16")]),
        (FULL, SMALL_BUFFERS, ("fp16",), [("wasm", "fp16"), ("wasm", "fp16")]),
        (FULL, LITTLE_MEMORY, ("fp16", "fp32", "q4"), [("webgpu", "q4"), ("wasm", "q4")]),
        (FULL, LITTLE_MEMORY, ("fp16",), [("wasm", "fp16")]),
        (FULL, LITTLE_MEMORY, ("fp16", "q4f16+fp16", "q4f16"), [("webgpu", "q4f16+fp16"), ("wasm", "q4f16+fp16")]),
        (FULL, NO_F16, ("fp16", "q4f16+fp16", "q4+fp32", "q4"), [("webgpu", "q4+fp32"), ("wasm", "q4+fp32")]),
        (FULL, NO_GPU, ("fp16",), [("wasm", "fp16")]),
    ],
)
def test_the_best_build_that_the_graphics_processor_can_run_comes_first_and_wasm_is_always_left(
    model, machine, builds, expected
):
    assert devices(plans(model, machine, builds)) == expected


@pytest.mark.parametrize(
    ("model", "machine", "why"),
    [
        (DEMO, NO_GPU, "slower: this browser has no WebGPU"),
        (FULL, NO_F16, "slower: the graphics processor cannot compute in 16 bits"),
        (FULL, SMALL_BUFFERS, "slower: the graphics processor's buffers are too small for fp16"),
        (FULL, LITTLE_MEMORY, "slower: the 1.0 GB of fp16 are too much for this device's 1 GB"),
        (DEMO, GPU, "slower: the graphics processor failed"),
    ],
)
def test_the_reason_for_the_slow_way_and_its_cost_are_told(model, machine, why):
    slow = plans(model, machine)[-1]

    assert why in slow.reason
    assert SLOW in slow.cost


@pytest.mark.parametrize(
    ("dtype", "cost"),
    [
        ("q4", UNMEASURED),
        ("q4+fp32", UNMEASURED_ANSWER),
        ("fp32", "twice the download and the memory of fp16"),
    ],
)
def test_another_build_says_why_it_is_taken_and_what_it_costs(dtype, cost):
    plan = plans(FULL, NO_F16, ("fp16", dtype))[0]

    why = "because the graphics processor cannot compute in 16 bits"
    assert plan.reason == f"on the graphics processor as {build_name(dtype)}, {why}"
    assert plan.cost == cost


def test_the_best_way_costs_nothing():
    assert plans(FULL, GPU)[0].cost == ""
    assert plans(DEMO, GPU)[0].cost == ""


def test_embeddings_are_looked_up_on_the_main_processor_whatever_the_rest_does():
    for plan in (*plans(FULL, GPU), *plans(FULL, SMALL_BUFFERS, ("fp16",)), *plans(DEMO, NO_GPU)):
        assert plan.devices["embed_tokens"] == "wasm"
        assert plan.devices["decoder_model_merged"] == plan.device


def test_where_only_the_decoder_is_too_large_the_graphics_processor_still_sees_the_pictures():
    mixed, alone = plans(FULL, SMALL_BUFFERS, ("fp16",))

    assert mixed.devices == {"vision_encoder": "webgpu", "embed_tokens": "wasm", "decoder_model_merged": "wasm"}
    assert "the pictures on the graphics processor, the answer on the main processor" in mixed.reason
    assert set(alone.devices.values()) == {"wasm"}


def test_a_build_too_large_for_the_memory_warns_where_there_is_no_other():
    (plan,) = plans(FULL, LITTLE_MEMORY, ("fp16",))

    assert "it may fail: the 1.0 GB of fp16 are too much" in plan.cost


def test_every_other_way_is_offered_with_its_cost():
    best = plans(FULL, GPU, ("fp16", "q4"))[0]
    ways = other_ways(FULL, GPU, ("fp16", "q4"), best)

    assert devices(ways) == [("webgpu", "q4"), ("wasm", "fp16"), ("wasm", "q4")]
    assert [UNMEASURED in way.cost for way in ways] == [True, False, True]
    assert [SLOW in way.cost for way in ways] == [False, True, True]
    assert len({way.key for way in (best, *ways)}) == 4


def test_a_way_that_the_graphics_processor_cannot_go_is_not_offered():
    best = plans(FULL, NO_F16, ("fp16", "fp32"))[0]

    assert ("webgpu", "fp16") not in devices(other_ways(FULL, NO_F16, ("fp16", "fp32"), best))
    assert other_ways(DEMO, NO_GPU, (), plans(DEMO, NO_GPU)[0]) == ()


def test_a_way_that_was_tried_in_vain_is_offered_with_a_warning():
    fast, slow = plans(FULL, GPU)

    assert [way.cost for way in other_ways(FULL, GPU, ("fp16",), slow, [fast.key])] == [FAILED]


def test_too_little_graphics_memory_is_named_as_the_reason_for_the_slow_way():
    fast, slow = plans(FULL, GPU)

    assert "too little memory" in after_failure(slow, "OutOfMemory").reason
    assert after_failure(slow, "OutOfMemory").cost == slow.cost
    assert after_failure(slow, "EngineError") == slow
    assert after_failure(fast, "") == fast


def test_weights_take_what_their_numbers_take():
    assert weights_bytes(FULL, "fp16") == 1_000_000_000
    assert weights_bytes(FULL, "q4") == 250_000_000
    assert weights_bytes(FULL, "q4+fp16") == 250_000_000 + round(1.5 * 95_000_000)
    assert weights_bytes(DEMO, "fp32") == 0


def test_a_way_has_a_name_for_controls():
    assert Plan(device="webgpu", dtype="q4", reason="").key == "webgpu-q4"


ON_GPU = Plan(device="webgpu", dtype="fp16", reason="")
ON_CPU = Plan(device="wasm", dtype="fp16", reason="")


@pytest.mark.parametrize(
    ("model", "plan", "machine", "expected"),
    [
        (DEMO, ON_GPU, GPU, MOST_TOGETHER),
        (FULL, ON_GPU, GPU, MOST_TOGETHER),
        (DEMO, ON_CPU, NO_GPU, 1),
        (FULL, ON_CPU, GPU, 1),
        # The scores of a prompt take 79 MB for each chip.
        (FULL, ON_GPU, Machine(webgpu=True, max_buffer_bytes=256 * MIB), 3),
        (FULL, ON_GPU, Machine(webgpu=True, max_buffer_bytes=64 * MIB), 1),
        # 1 GB of weights leave 74 MB of the half that may be taken: room for one chip's 41 MB.
        (FULL, ON_GPU, Machine(webgpu=True, memory_bytes=2 * GIB), 1),
        (FULL, ON_GPU, Machine(webgpu=True, memory_bytes=GIB), 1),
    ],
)
def test_as_many_chips_are_asked_at_once_as_the_machine_holds(model, plan, machine, expected):
    assert most_together(model, plan, machine) == expected


@pytest.mark.parametrize("model", [DEMO, FULL])
def test_the_states_of_chips_asked_at_once_stay_bounded(model):
    count = most_together(model, ON_GPU, GPU)

    assert count * 3 * LONGEST_TOKENS * model.numbers_per_token * 4 <= BATCH_BYTES
    assert count > 1
