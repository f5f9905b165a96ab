"""Ask the real engine on the bench page, and check that every message keeps to the schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tools.serve import Server

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "protocol/messages.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
SESSIONS = ("vision_encoder", "embed_tokens", "decoder_model_merged")
CONFIGS = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
PROCESSOR = {"do_resize": False, "max_num_patches": 256}
PROMPTS = ("What is in the two images?", "List every pit as JSON.", "Describe the river \u00e9\u2713.")


def load_request(base_url: str, *, device: str = "wasm", request_id: str = "load-1", **changes: Any) -> dict[str, Any]:
    files = [{"path": path, "required": True} for path in CONFIGS]
    files += [{"path": f"onnx/{session}.onnx", "required": True} for session in SESSIONS]
    files += [{"path": "chat_template.jinja", "required": False}]
    return {
        "type": "load",
        "id": request_id,
        "timeout_ms": 120_000,
        "model": {"id": "demo", "base_url": base_url, "files": files, "cache": False, **changes},
        # Looking up embeddings on the graphics processor costs a round trip per token and gains nothing.
        "device": {**dict.fromkeys(SESSIONS, device), "embed_tokens": "wasm"},
        "dtype": dict.fromkeys(SESSIONS, "fp32"),
        "processor": {"image_processor": PROCESSOR},
    }


def generate_request(request_id: str, *prompts: str, max_new_tokens: int = 24, **changes: Any) -> dict[str, Any]:
    """Ask each prompt without a draft; `changes` are laid over every question."""
    image = {"width": 128, "height": 128, "channels": 3}
    return {
        "type": "generate",
        "id": request_id,
        "timeout_ms": 120_000,
        "images": [image, image],
        "prompts": [
            {"prompt": prompt, "max_new_tokens": max_new_tokens, **changes} for prompt in prompts or PROMPTS[:1]
        ],
    }


def ask(page: Page, request: dict[str, Any], seeds: tuple[int | str, ...] = ()) -> list[dict[str, Any]]:
    """Return all answers to a request; the last is the terminal one, and every one keeps to the schema."""
    VALIDATOR.validate(request)
    answers = page.evaluate("([request, seeds]) => bench.ask(request, seeds)", [request, list(seeds)])
    return checked(answers)


def checked(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for answer in answers:
        VALIDATOR.validate({key: value for key, value in answer.items() if key != "at"})
    return answers


def load_demo(page: Page, site: Server, **changes: Any) -> None:
    answers = ask(page, load_request(f"{site.url}/models/demo/", **changes))
    assert answers[-1]["type"] == "loaded", answers[-1]


def answers_of(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the model answered, prompt by prompt."""
    assert answers[-1]["type"] == "generated", answers[-1]
    answered = [answer for answer in answers if answer["type"] == "answered"]
    assert [answer["prompt"] for answer in answered] == list(range(len(answered)))
    return [answer["answer"] for answer in answered]


def ids(answers: list[dict[str, Any]]) -> list[int]:
    """Return the token ids of the only answer."""
    (answer,) = answers_of(answers)
    return [token["id"] for token in answer["tokens"]]
