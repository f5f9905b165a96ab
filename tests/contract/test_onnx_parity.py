"""Every ONNX session against what transformers' own PyTorch classes answered (tools/model/record_parity.py)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from tools.model.export import export_model
from tools.model.parity import (
    ARCHITECTURE,
    DRAFT,
    FIXTURE,
    IMAGE_SETS,
    PREFILL_KEPT,
    PROMPT_IMAGES,
    WEIGHTS_SEED,
    images,
    prompt_ids,
)
from tools.model.sessions import Sessions
from tools.model.weights import RandomWeights

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXACT = 1e-4
"""Greatest difference allowed in float32: sums in another order."""

HALF = 0.15
"""Greatest difference allowed in float16, on logits with a standard deviation of about 8."""

AGREE = 0.95
"""Least share of equal maxima in float16: random weights leave near ties."""


@pytest.fixture(scope="module")
def recorded() -> dict[str, NDArray[np.float32]]:
    return dict(np.load(Path(__file__).parents[2] / FIXTURE))


@pytest.fixture(scope="module", params=["primitive", "fused"])
def folder(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp(request.param)
    weights = RandomWeights(ARCHITECTURE, WEIGHTS_SEED)
    export_model(path, ARCHITECTURE, weights, dtypes=["fp32", "fp16"], attention=request.param)
    return path


@pytest.fixture(scope="module")
def sessions(folder) -> Sessions:
    return Sessions(folder)


@pytest.fixture(scope="module")
def half(folder) -> Sessions:
    return Sessions(folder, "_fp16")


def prefill(sessions: Sessions):
    batch = images(PROMPT_IMAGES)
    tokens = sessions.look(batch.pixel_values, batch.mask, batch.shapes)
    return sessions.step(sessions.embedded(prompt_ids(), tokens), sessions.empty_cache())


def cached_steps(sessions: Sessions, said: NDArray[np.int64]) -> NDArray[np.float32]:
    _, cache = prefill(sessions)
    steps = []
    for token in said:
        logits, cache = sessions.step(sessions.embedded(np.array([[token]])), cache)
        steps.append(logits[0, 0])
    return np.stack(steps)


def difference(one, other) -> float:
    assert one.shape == other.shape
    return float(np.abs(one - other).max())


@pytest.mark.parametrize("name", IMAGE_SETS)
def test_image_tokens_are_those_of_pytorch(sessions, recorded, name):
    batch = images(name)
    tokens = sessions.look(batch.pixel_values, batch.mask, batch.shapes)
    assert recorded[f"vision.{name}"].std() > 0.1
    assert difference(tokens, recorded[f"vision.{name}"]) < EXACT


def test_embeddings_are_rows_of_the_table(sessions):
    table = RandomWeights(ARCHITECTURE, WEIGHTS_SEED)["model.language_model.embed_tokens.weight"]
    np.testing.assert_array_equal(sessions.embedded(prompt_ids()), table[prompt_ids()])


def test_a_prompt_scores_as_in_pytorch(sessions, recorded):
    logits, _ = prefill(sessions)
    assert difference(logits[0, -PREFILL_KEPT:], recorded["prefill"]) < EXACT


def test_forty_cached_steps_score_as_in_pytorch(sessions, recorded):
    steps = cached_steps(sessions, recorded["said"])
    assert len(steps) == 40
    assert difference(steps, recorded["steps"]) < EXACT


def test_a_step_of_several_tokens_scores_as_in_pytorch(sessions, recorded):
    _, cache = prefill(sessions)
    logits, _ = sessions.step(sessions.embedded(recorded["said"][None, :DRAFT]), cache)
    assert difference(logits[0], recorded["draft"]) < EXACT


@pytest.mark.parametrize("name", IMAGE_SETS)
def test_half_precision_image_tokens_stay_close(half, recorded, name):
    batch = images(name)
    tokens = half.look(batch.pixel_values, batch.mask, batch.shapes)
    assert difference(tokens, recorded[f"vision.{name}"]) < HALF


def test_half_precision_steps_stay_close_and_mostly_choose_the_same_token(half, recorded):
    steps = cached_steps(half, recorded["said"])
    assert difference(steps, recorded["steps"]) < HALF
    assert (steps.argmax(-1) == recorded["steps"].argmax(-1)).mean() >= AGREE


def test_the_prompt_depends_on_the_image(sessions, recorded):
    batch = images(PROMPT_IMAGES)
    tokens = sessions.look(batch.pixel_values * 0.5, batch.mask, batch.shapes)
    logits, _ = sessions.step(sessions.embedded(prompt_ids(), tokens), sessions.empty_cache())
    assert difference(logits[0, -PREFILL_KEPT:], recorded["prefill"]) > 100 * EXACT


def test_weights_stored_in_half_precision_compute_in_single(tmp_path):
    weights = RandomWeights(ARCHITECTURE, WEIGHTS_SEED)
    rounded = {name: weights[name].astype(np.float16).astype(np.float32) for name in weights}
    export_model(tmp_path / "half", ARCHITECTURE, weights, dtypes=["fp32-half"])
    export_model(tmp_path / "rounded", ARCHITECTURE, rounded, dtypes=["fp32"])
    stored, _ = prefill(Sessions(tmp_path / "half"))
    single, _ = prefill(Sessions(tmp_path / "rounded"))
    assert difference(stored, single) < EXACT


@pytest.mark.parametrize("suffix", ["", "_fp16"])
def test_attention_says_that_its_cache_grows(folder, suffix):
    """Else the runtime on WebGPU may lay the present cache over the past one, which is shorter, and refuse to run."""
    graph = onnx.load(folder / f"onnx/decoder_model_merged{suffix}.onnx").graph
    shapes = {info.name: [dim.dim_param for dim in info.type.tensor_type.shape.dim] for info in graph.value_info}
    kept = [name for node in graph.node if node.op_type == "GroupQueryAttention" for name in node.output[1:3]]
    assert bool(kept) == (folder.name.startswith("fused"))
    assert all(shapes[name][2] == "total_sequence_length" for name in kept)


def test_external_data_holds_the_same_model(tmp_path):
    weights = RandomWeights(ARCHITECTURE, WEIGHTS_SEED)
    export_model(tmp_path / "one", ARCHITECTURE, weights)
    export_model(tmp_path / "two", ARCHITECTURE, weights, external=True)
    assert (tmp_path / "two/onnx/decoder_model_merged.onnx_data").stat().st_size > 100_000
    inside, _ = prefill(Sessions(tmp_path / "one"))
    beside, _ = prefill(Sessions(tmp_path / "two"))
    np.testing.assert_array_equal(inside, beside)
