"""Decide how a model is loaded: which build, and where each of its sessions computes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from galamsey.models import build_name, session_dtypes
from galamsey.prompts import MAX_NEW_TOKENS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from galamsey.models import Model

BYTES: Final = {"fp32": 4.0, "fp16": 2.0, "q4f16": 0.5, "q4": 0.5}
"""Of one number in a build's large weights."""

HALF_FLOATS: Final = frozenset({"fp16", "q4f16"})
"""Builds that compute in 16 bits, for which an adapter needs ``shader-f16``."""

MEMORY_SHARE: Final = 0.5
"""Of the device's memory that a model may take: the browser and the images need the rest."""

GB: Final = 1_000_000_000

MOST_TOGETHER: Final = 4
"""Chips that are asked at once: more were not measured."""

BATCH_BYTES: Final = 256_000_000
"""What the states of chips that are asked at once may take."""

PROMPT_TOKENS: Final = 300
"""About what a prompt about two pictures of 128 x 128 has."""

LONGEST_TOKENS: Final = PROMPT_TOKENS + MAX_NEW_TOKENS

STATE_BYTES: Final = 4
"""Of one number that the decoder remembers or puts out: exports keep both in 32 bits."""

UNMEASURED: Final = "weights rounded to 4 bits: recall was not measured for this build"
UNMEASURED_ANSWER: Final = (
    "weights rounded to 4 bits, but for those that see the pictures: recall was not measured for this build"
)
SLOW: Final = "many times slower than a graphics processor"

FAILED: Final = "it has just failed here"

NO_HALF_FLOATS: Final = "the graphics processor cannot compute in 16 bits"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One way of loading a model."""

    device: str
    """Where the answer is computed: ``webgpu`` or ``wasm``."""
    dtype: str
    """The build, which says each session's dtype."""
    reason: str
    """Why this one, for the person."""
    cost: str = ""
    """What it costs in speed or quality, for the person; empty where it costs nothing."""
    vision: str = ""
    """Where the pictures are seen; empty where the answer is computed."""

    @property
    def devices(self) -> Mapping[str, str]:
        """Return where each session computes.

        Embedding is a table look-up: on the graphics processor it would add a round trip to every token, and without
        ``shader-f16`` a table stored in 16 bits could not be read at all.
        """
        return {
            "vision_encoder": self.vision or self.device,
            "embed_tokens": "wasm",
            "decoder_model_merged": self.device,
        }

    @property
    def key(self) -> str:
        """Name the way in controls."""
        return f"{self.device}-{self.dtype}"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the browser lets a model compute on."""

    webgpu: bool
    shader_f16: bool = False
    no_webgpu_reason: str = ""
    max_buffer_bytes: int = 0
    """The largest weight that a shader can read; 0 where it is not known."""
    memory_bytes: int = 0
    """Of the whole device, as far as the browser tells; 0 where it does not."""


def weights_bytes(model: Model, dtype: str) -> int:
    """Return about how much memory a build's weights take; 0 where it is not worth counting."""
    parts = session_dtypes(dtype)
    rest = (model.numbers - model.vision_numbers) * BYTES[parts["decoder_model_merged"]]
    return round(rest + model.vision_numbers * BYTES[parts["vision_encoder"]])


def plans(model: Model, machine: Machine, offered: Sequence[str] = ()) -> tuple[Plan, ...]:
    """Return the ways to try by themselves, best first: on the graphics processor if a build can run there, then not.

    ``offered`` are the builds that can be had; empty takes those that the model is known to have.
    """
    builds = tuple(offered) or model.dtypes
    on_gpu = _on_gpu(model, machine, builds)
    problems = _problems(model, machine, builds)
    if on_gpu is not None:
        why = "the graphics processor failed"
    elif not machine.webgpu:
        why = machine.no_webgpu_reason
    else:
        why = problems[builds[0]]
    dtype = on_gpu.dtype if on_gpu else _fitting(model, machine, builds)
    return (*([on_gpu] if on_gpu else []), *_mixed(model, machine, builds, on_gpu), _on_cpu(model, machine, dtype, why))


def other_ways(
    model: Model, machine: Machine, offered: Sequence[str], plan: Plan, failed: Sequence[str] = ()
) -> tuple[Plan, ...]:
    """Return every other way that the person may choose, with what it costs; ``failed`` are the keys of those tried."""
    builds = tuple(offered) or model.dtypes
    problems = _problems(model, machine, builds)
    found = [
        _gpu_plan(model, machine, dtype, f"on the graphics processor as {dtype}")
        for dtype in builds
        if machine.webgpu and not problems[dtype]
    ]
    found += [_on_cpu(model, machine, dtype, "") for dtype in builds]
    return tuple(
        replace(way, cost=_joined(FAILED, way.cost)) if way.key in failed else way
        for way in found
        if way.key != plan.key
    )


def after_failure(plan: Plan, cause: str) -> Plan:
    """Return the next plan as it reads after the one before it failed for a known cause."""
    if cause != "OutOfMemory" or plan.device == "webgpu":
        return plan
    why = "the graphics processor has too little memory for this build"
    return Plan(device=plan.device, dtype=plan.dtype, reason=_cpu_reason(why), cost=plan.cost)


def most_together(model: Model, plan: Plan, machine: Machine) -> int:
    """Return how many chips to ask at once, at least one.

    On the main processor several take as long as one after the other. On a graphics processor a chip adds what the
    decoder remembers of its tokens, three times: of what the prompts share, and before and after a step. The scores of
    a whole prompt must fit into one buffer for all chips, since a model whose graph cannot be changed puts them out.
    """
    if plan.device != "webgpu":
        return 1
    remembered = LONGEST_TOKENS * model.numbers_per_token * STATE_BYTES
    limits = [MOST_TOGETHER, BATCH_BYTES // (3 * remembered)]
    if machine.memory_bytes:
        free = machine.memory_bytes * MEMORY_SHARE - weights_bytes(model, plan.dtype)
        limits.append(int(free // (3 * remembered)))
    if machine.max_buffer_bytes:
        limits.append(machine.max_buffer_bytes // max(PROMPT_TOKENS * model.vocabulary * STATE_BYTES, remembered))
    return max(1, min(limits))


def _problems(model: Model, machine: Machine, builds: Sequence[str]) -> dict[str, str]:
    """Say for each build why the graphics processor cannot run all of it; empty where it can."""
    return {dtype: _problem(model, machine, dtype) for dtype in builds}


def _problem(model: Model, machine: Machine, dtype: str) -> str:
    parts = session_dtypes(dtype)
    if HALF_FLOATS.intersection(parts.values()) and not machine.shader_f16:
        return NO_HALF_FLOATS
    if 0 < machine.max_buffer_bytes < model.largest_weight * BYTES[parts["decoder_model_merged"]]:
        return _too_large(dtype)
    return _shortage(model, machine, dtype)


def _too_large(dtype: str) -> str:
    return f"the graphics processor's buffers are too small for {build_name(dtype)}"


def _shortage(model: Model, machine: Machine, dtype: str) -> str:
    need = weights_bytes(model, dtype)
    if 0 < machine.memory_bytes * MEMORY_SHARE < need:
        needed, has = f"{need / GB:.1f} GB of {build_name(dtype)}", f"{machine.memory_bytes / GB:.0f} GB"
        return f"the {needed} are too much for this device's {has}"
    return ""


def _cost(model: Model, machine: Machine, dtype: str) -> str:
    """Say what a build costs on its own, wherever it computes."""
    costs = []
    if dtype.startswith("q4"):
        rounded = session_dtypes(dtype)["vision_encoder"].startswith("q4")
        costs.append(UNMEASURED if rounded else UNMEASURED_ANSWER)
    if dtype == "fp32" and "fp16" in model.possible_dtypes:
        costs.append("twice the download and the memory of fp16")
    if shortage := _shortage(model, machine, dtype):
        costs.append(f"it may fail: {shortage}")
    return "; ".join(costs)


def _on_gpu(model: Model, machine: Machine, builds: Sequence[str]) -> Plan | None:
    if not machine.webgpu:
        return None
    problems = _problems(model, machine, builds)
    dtype = next((dtype for dtype in builds if not problems[dtype]), None)
    if dtype is None:
        return None
    reason = "on the graphics processor"
    if dtype != builds[0]:
        reason = f"on the graphics processor as {build_name(dtype)}, because {problems[builds[0]]}"
    return _gpu_plan(model, machine, dtype, reason)


def _gpu_plan(model: Model, machine: Machine, dtype: str, reason: str) -> Plan:
    return Plan(device="webgpu", dtype=dtype, reason=reason, cost=_cost(model, machine, dtype))


def _mixed(model: Model, machine: Machine, builds: Sequence[str], on_gpu: Plan | None) -> tuple[Plan, ...]:
    """Let the graphics processor see the pictures where only the decoder's largest weight is too much for it."""
    dtype = builds[0]
    problem = _problem(model, machine, dtype)
    if on_gpu is not None or not machine.webgpu or problem != _too_large(dtype):
        return ()
    reason = f"the pictures on the graphics processor, the answer on the main processor, slower: {problem}"
    cost = _joined(SLOW, _cost(model, machine, dtype))
    return (Plan(device="wasm", dtype=dtype, vision="webgpu", reason=reason, cost=cost),)


def _on_cpu(model: Model, machine: Machine, dtype: str, why: str) -> Plan:
    return Plan(device="wasm", dtype=dtype, reason=_cpu_reason(why), cost=_joined(SLOW, _cost(model, machine, dtype)))


def _cpu_reason(why: str) -> str:
    return f"on the main processor, slower: {why}" if why else "on the main processor"


def _fitting(model: Model, machine: Machine, builds: Sequence[str]) -> str:
    """Return the best build that fits into the memory; the best one where none does."""
    return next((dtype for dtype in builds if not _shortage(model, machine, dtype)), builds[0])


def _joined(*costs: str) -> str:
    return "; ".join(cost for cost in costs if cost)
