"""The messages that cross to the model worker and back; ``protocol/messages.schema.json`` describes each once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin

from galamsey.detections import Token
from galamsey.errors import EngineError
from galamsey.models import SESSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from galamsey.composites import Composite
    from galamsey.models import Model, Plan

LOAD_TIMEOUT_MS: Final = 120_000
"""Without a sign of life; a transfer that moves may take as long as it needs."""
GENERATE_TIMEOUT_MS: Final = 600_000
"""Without a sign of life: the longest single step is the full model's first one on a slow processor."""
PROBE_TIMEOUT_MS: Final = 20_000

EXTERNAL_DATA: Final = ".onnx_data"
"""Weights beside a graph. Exports keep small graphs whole, so each such file may be absent."""

ON_MAIN_PROCESSOR: Final = {"embed_tokens": "wasm"}
"""A table look-up: the graphics processor would add a round trip to every token, and without ``shader-f16`` it
cannot read a table stored in 16 bits at all."""

TERMINAL: Final = frozenset({"probed", "loaded", "generated", "failed", "cancelled"})
"""Every request but ``cancel`` gets exactly one of these."""


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """What the browser offers for computing."""

    webgpu: bool
    shader_f16: bool
    name: str
    reason: str
    """Why there is no WebGPU; empty where there is."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A model that is ready to be asked."""

    device: str
    dtype: str
    ms: float


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a file's transfer is."""

    file: str
    loaded_bytes: int
    total_bytes: int
    """0 where the server does not say."""
    from_cache: bool


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the model wrote."""

    text: str
    tokens: tuple[Token, ...]
    complete: bool
    """False when the limit of tokens ended it."""
    input_tokens: int
    ms: Mapping[str, float]
    """Milliseconds by stage of the engine."""


def probe_request(request_id: str) -> dict[str, Any]:
    """Ask what the browser can compute on."""
    return {"type": "probe", "id": request_id, "timeout_ms": PROBE_TIMEOUT_MS}


def load_request(request_id: str, model: Model, plan: Plan, *, page_url: str) -> dict[str, Any]:
    """Ask the worker to load a model in one way; relative folders are resolved against ``page_url``."""
    return {
        "type": "load",
        "id": request_id,
        "timeout_ms": LOAD_TIMEOUT_MS,
        "model": {
            "id": model.id,
            "base_url": urljoin(page_url, model.base_url),
            "files": [{"path": path, "required": not path.endswith(EXTERNAL_DATA)} for path in model.files(plan.dtype)],
            "cache": "://" in model.base_url,
        },
        "device": {**dict.fromkeys(SESSIONS, plan.device), **ON_MAIN_PROCESSOR},
        "dtype": dict.fromkeys(SESSIONS, plan.dtype),
        "processor": {"image_processor": dict(model.processor)},
    }


def generate_request(
    request_id: str, composites: Sequence[Composite], prompt: str, *, max_new_tokens: int
) -> dict[str, Any]:
    """Ask the model; the composites' bytes travel beside the message, in the same order."""
    images = []
    for composite in composites:
        height, width, channels = composite.pixels.shape
        images.append({"width": width, "height": height, "channels": channels})
    return {
        "type": "generate",
        "id": request_id,
        "timeout_ms": GENERATE_TIMEOUT_MS,
        "images": images,
        "prompt": prompt,
        "max_new_tokens": max_new_tokens,
    }


def cancel_request(request_id: str) -> dict[str, Any]:
    """Ask that a running request ends; that request then answers ``cancelled``."""
    return {"type": "cancel", "id": request_id}


def read_terminal(message: Mapping[str, Any]) -> Adapter | Loaded | Answer | None:
    """Read a terminal answer; None for ``cancelled``. Raises EngineError for ``failed``."""
    match message["type"]:
        case "probed":
            adapter = message.get("adapter") or {}
            parts = (adapter.get(key) for key in ("vendor", "architecture", "description"))
            return Adapter(
                webgpu=bool(message["webgpu"]),
                shader_f16=bool(message["shader_f16"]),
                name=" ".join(str(part) for part in parts if part),
                reason=str(message.get("reason") or ""),
            )
        case "loaded":
            return Loaded(
                device=str(message["device"]["decoder_model_merged"]),
                dtype=str(message["dtype"]["decoder_model_merged"]),
                ms=float(message["ms"]),
            )
        case "generated":
            return Answer(
                text=str(message["text"]),
                tokens=tuple(
                    Token(text=str(token["text"]), probability=float(token["probability"]))
                    for token in message["tokens"]
                ),
                complete=message["stopped"] == "eos",
                input_tokens=int(message["input_tokens"]),
                ms={str(key): float(value) for key, value in message["ms"].items() if isinstance(value, (int, float))},
            )
        case "cancelled":
            return None
        case "failed":
            raise EngineError(str(message["name"]), str(message["message"]))
        case other:
            raise EngineError("InvalidMessage", f"expected a terminal answer, got {other!r}")


def read_progress(message: Mapping[str, Any]) -> Progress:
    """Read a ``progress`` message."""
    return Progress(
        file=str(message["file"]),
        loaded_bytes=int(message["loaded_bytes"]),
        total_bytes=int(message["total_bytes"] or 0),
        from_cache=bool(message["from_cache"]),
    )
