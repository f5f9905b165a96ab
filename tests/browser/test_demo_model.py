"""The demo model in a real browser, loaded by unmodified transformers.js classes, against ONNX Runtime and numpy."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from galamsey.drafts import description, detection
from galamsey.planner import Plan
from galamsey.prompts import DESCRIPTION, GROUNDING_AS_TRAINED, GROUNDING_HIGH_RECALL
from tools.model.browser import BrowserModel
from tools.model.dataset import generate
from tools.model.pixels import patches
from tools.model.sessions import Sessions
from tools.model.tokenizer import build_tokenizer, chat_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
PROMPTS = (GROUNDING_HIGH_RECALL, GROUNDING_AS_TRAINED, DESCRIPTION)
TEXT = '[{"label": "mining_pit", "bbox": [0.0078, 0.5, 1.0, 0.5078]}] 3 sites of 0.5 ha, Akyɛm, été'

PROBE = """
async ({pictures, prompts, text, device, dtype}) => {
  const { AutoModelForImageTextToText, AutoProcessor, RawImage, env } =
    await import("/vendor/transformers/transformers.min.js");
  Object.assign(env, { allowLocalModels: true, allowRemoteModels: false, localModelPath: "/models/" });
  Object.assign(env, { useBrowserCache: false, useWasmCache: false });
  const runtime = location.origin + "/vendor/onnxruntime/ort-wasm-simd-threaded.asyncify";
  env.backends.onnx.wasm.wasmPaths = { mjs: runtime + ".mjs", wasm: runtime + ".wasm" };
  const processor = await AutoProcessor.from_pretrained("demo");
  const model = await AutoModelForImageTextToText.from_pretrained("demo", { device, dtype });
  const result = { encoded: processor.tokenizer.encode(text, { add_special_tokens: false }), ids: [], answers: [] };
  for (const [index, encoded] of pictures.entries()) {
    const bytes = Uint8ClampedArray.from(atob(encoded), (c) => c.charCodeAt(0));
    const size = 128 * 128 * 3;
    const images = [0, 1].map((k) => new RawImage(bytes.slice(k * size, (k + 1) * size), 128, 128, 3));
    const content = [{ type: "image" }, { type: "image" }, { type: "text", text: prompts[index % prompts.length] }];
    const chat = processor.apply_chat_template([{ role: "user", content }], { add_generation_prompt: true });
    const inputs = await processor(images, chat, { add_special_tokens: false });
    if (index === 0) {
      const { buffer, byteOffset, byteLength } = inputs.pixel_values.data;
      const floats = new Uint8Array(buffer, byteOffset, byteLength);
      result.pixels = btoa(Array.from(floats, (byte) => String.fromCharCode(byte)).join(""));
    }
    result.ids.push(Array.from(inputs.input_ids.data, Number));
    const output = await model.generate({ ...inputs, do_sample: false, max_new_tokens: 256 });
    const said = output.slice(null, [inputs.input_ids.dims.at(-1), null]);
    result.answers.push(processor.batch_decode(said, { skip_special_tokens: true })[0]);
  }
  return result;
}
"""


@pytest.fixture
def open_blank(open_page, overlay) -> Callable[[Browser], Page]:
    """Open a page of the site that does nothing by itself."""
    (overlay / "blank.html").write_text('<!doctype html><link rel="icon" href="data:,">')
    return lambda browser: open_page(browser, "blank.html")


def probe(page: Page, pictures, *, device: str, dtype: str) -> dict[str, Any]:
    encoded = [base64.b64encode(pair.tobytes()).decode() for pair in pictures]
    question = {"pictures": encoded, "prompts": PROMPTS, "text": TEXT, "device": device, "dtype": dtype}
    return page.evaluate(PROBE, question)


def expected_answers(pictures, suffix: str) -> list[str]:
    sessions = Sessions(ROOT / "models/demo", suffix)
    return [sessions.answer(sessions.see(pair), PROMPTS[index % 3]) for index, pair in enumerate(pictures)]


@pytest.fixture(scope="module")
def pictures():
    return generate(range(40_000_000, 40_000_006)).pictures


def test_the_processor_gives_the_bytes_that_training_used(wasm_browser, open_blank, pictures):
    page = open_blank(wasm_browser)
    result = probe(page, pictures[:1], device="wasm", dtype="fp32")
    seen = np.frombuffer(base64.b64decode(result["pixels"]), np.float32).reshape(2, 256, 768)
    np.testing.assert_array_equal(seen, np.stack([patches(picture) for picture in pictures[0]]))


def test_both_tokenizers_agree(wasm_browser, open_blank, pictures):
    page = open_blank(wasm_browser)
    result = probe(page, pictures[:3], device="wasm", dtype="fp32")
    tokenizer = build_tokenizer()
    assert result["encoded"] == tokenizer.encode(TEXT, add_special_tokens=False).ids
    assert result["ids"] == [tokenizer.encode(chat_text(prompt), add_special_tokens=False).ids for prompt in PROMPTS]


@pytest.mark.parametrize(("dtype", "suffix"), [("fp32", ""), ("fp16", "_fp16")])
def test_answers_on_wasm_are_those_of_the_native_runtime(wasm_browser, open_blank, pictures, dtype, suffix):
    page = open_blank(wasm_browser)
    result = probe(page, pictures, device="wasm", dtype=dtype)
    same = [one == other for one, other in zip(result["answers"], expected_answers(pictures, suffix), strict=True)]
    # Single precision differs in the last bit between builds; half rounds more, so a near tie may fall the other way.
    assert sum(same) >= (len(same) if dtype == "fp32" else len(same) - 1)


def test_the_page_s_engine_says_what_pytorch_says(wasm_browser, open_blank, site):
    """Every tenth of the chips that `make parity` compares."""
    recorded = json.loads((ROOT / "tests/fixtures/demo_answers.json").read_text())
    chips = range(0, len(recorded["seeds"]), 10)
    model = BrowserModel(open_blank(wasm_browser))
    model.load("models/demo", Plan(device="wasm", dtype="fp32", reason=""), f"{site.url}/")
    questions = (detection(GROUNDING_HIGH_RECALL), detection(GROUNDING_AS_TRAINED), description())
    seen = generate([recorded["seeds"][chip] for chip in chips]).pictures
    said = [[list(one.ids) for one in model.answers(pair, questions)] for pair in seen]
    assert said == [[answers[chip] for answers in recorded["answers"]] for chip in chips]
    assert len({str(answers) for answers in said}) > len(said) // 3


@pytest.mark.long
def test_software_webgpu_gives_the_same_answer(webgpu_browser, open_blank, pictures):
    page = open_blank(webgpu_browser)
    result = probe(page, pictures[:1], device="webgpu", dtype="fp32")
    assert result["answers"] == expected_answers(pictures[:1], "")
