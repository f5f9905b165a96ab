"""The messages that cross to the model worker and back; ``protocol/messages.schema.json`` describes each once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin

from galamsey.detections import Token
from galamsey.errors import EngineError
from galamsey.models import session_dtypes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from galamsey.composites import Composite
    from galamsey.drafts import Field, Question
    from galamsey.models import Model
    from galamsey.planner import Plan

LOAD_TIMEOUT_MS: Final = 120_000
"""Without a sign of life; a transfer that moves may take as long as it needs."""
GENERATE_TIMEOUT_MS: Final = 600_000
"""Without a sign of life: the longest single step is the full model's first one on a slow processor."""
PROBE_TIMEOUT_MS: Final = 20_000

EXTERNAL_DATA: Final = ".onnx_data"
"""Weights beside a graph. Exports keep small graphs whole, so each such file may be absent."""

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
    max_buffer_bytes: int = 0
    """The largest weight that a shader can read; 0 without WebGPU."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A model that is ready to be asked."""

    device: str
    dtype: str
    ms: float
    files: tuple[tuple[str, str], ...] = ()
    """Path and SHA-256 of each file that was loaded."""
    revision: str = ""
    """The commit that they come from; empty where it is not known."""


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
    steps: int = 0
    """Runs of the decoder that wrote it; chips that are asked together share them."""


@dataclass(frozen=True, kw_only=True)
class Grown:
    """A question's answer so far."""

    question: int
    """Place of the question in the request, from 0."""
    text: str
    chip: int = 0
    """Place of the chip in a request for several, from 0."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A question's whole answer."""

    question: int
    answer: Answer
    chip: int = 0


@dataclass(frozen=True, kw_only=True)
class Recovering:
    """The engine failed; the model is loaded again, and what is not answered yet is asked once more."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Generated:
    """All questions of a request are answered."""

    ms: Mapping[str, float]
    """Milliseconds by stage of the engine."""


def probe_request(request_id: str) -> dict[str, Any]:
    """Ask what the browser can compute on."""
    return {"type": "probe", "id": request_id, "timeout_ms": PROBE_TIMEOUT_MS}


def model_source(model: Model, paths: Sequence[str]) -> dict[str, Any]:
    """Say where a model's files are and which may be read. Those that come with the page are not stored again."""
    return {
        "id": model.id,
        "base_url": model.base_url,
        "files": [{"path": path, "required": not path.endswith(EXTERNAL_DATA)} for path in paths],
        "cache": "://" in model.base_url,
        "manifest_url": model.manifest_url or None,
        "pinned_url": model.pinned_url or None,
    }


def load_request(request_id: str, model: Model, plan: Plan, *, page_url: str) -> dict[str, Any]:
    """Ask the worker to load a model in one way; relative folders are resolved against ``page_url``."""
    return {
        "type": "load",
        "id": request_id,
        "timeout_ms": LOAD_TIMEOUT_MS,
        "model": {**model_source(model, model.files(plan.dtype)), "base_url": urljoin(page_url, model.base_url)},
        "device": dict(plan.devices),
        "dtype": session_dtypes(plan.dtype),
        "processor": {"image_processor": dict(model.processor)},
    }


def generate_request(request_id: str, composites: Sequence[Composite], questions: Sequence[Question]) -> dict[str, Any]:
    """Ask the model questions about one chip; the composites' bytes travel beside the message, in the same order."""
    return {
        "type": "generate",
        "id": request_id,
        "timeout_ms": GENERATE_TIMEOUT_MS,
        "images": [_image(composite) for composite in composites],
        "prompts": [_question(question) for question in questions],
    }


def rehearsal_request(
    request_id: str, composites: Sequence[Composite], questions: Sequence[Question]
) -> dict[str, Any]:
    """Ask for the sake of asking: the model learns nothing from what it answers."""
    return generate_request(request_id, composites, questions) | {"rehearsal": True}


def batch_request(
    request_id: str, chips: Sequence[Sequence[Composite]], questions: Sequence[Question]
) -> dict[str, Any]:
    """Ask the same questions about several chips at once; their composites' bytes travel chip by chip.

    Raises ValueError unless the chips' composites are alike: prompts of unequal length cannot share a step.
    """
    shapes = [[composite.pixels.shape for composite in chip] for chip in chips]
    if not shapes or not shapes[0] or any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"expected chips whose pictures have equal shapes, got {shapes}")
    together = [composite for chip in chips for composite in chip]
    return generate_request(request_id, together, questions) | {"chips": len(chips)}


def _image(composite: Composite) -> dict[str, int]:
    height, width, channels = composite.pixels.shape
    return {"width": width, "height": height, "channels": channels}


def _question(question: Question) -> dict[str, Any]:
    draft: dict[str, Any] = {}
    if question.draft.form is not None:
        form = question.draft.form
        item = [part if isinstance(part, str) else _field(part) for part in form.item]
        draft["form"] = {"before": form.before, "item": item, "between": form.between, "after": form.after}
    if question.draft.texts:
        draft["texts"] = list(question.draft.texts)
    message: dict[str, Any] = {"prompt": question.prompt, "max_new_tokens": question.max_new_tokens, "draft": draft}
    return message if question.stop is None else message | {"stop": question.stop}


def _field(field: Field) -> dict[str, Any]:
    values = [list(notation) for notation in field.notations]
    return {"values": values} if field.like is None else {"values": values, "like": field.like}


def cancel_request(request_id: str) -> dict[str, Any]:
    """Ask that a running request ends; that request then answers ``cancelled``."""
    return {"type": "cancel", "id": request_id}


def read_terminal(message: Mapping[str, Any]) -> Adapter | Loaded | Generated | None:
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
                max_buffer_bytes=min((message.get("limits") or {}).values(), default=0),
            )
        case "loaded":
            return Loaded(
                device=str(message["device"]["decoder_model_merged"]),
                dtype=str(message["dtype"]["decoder_model_merged"]),
                ms=float(message["ms"]),
                files=tuple((str(one["path"]), str(one["sha256"])) for one in message["files"]),
                revision=str(message["revision"] or ""),
            )
        case "generated":
            return Generated(ms={str(key): float(value) for key, value in message["ms"].items()})
        case "cancelled":
            return None
        case "failed":
            raise EngineError(str(message["name"]), str(message["message"]))
        case other:
            raise EngineError("InvalidMessage", f"expected a terminal answer, got {other!r}")


def read_heard(message: Mapping[str, Any]) -> Grown | Answered | Recovering | None:
    """Read what a ``generate`` request hears before its end; None for a message that tells nothing about an answer."""
    match message["type"]:
        case "text":
            return Grown(question=int(message["prompt"]), text=str(message["text"]), chip=int(message.get("chip", 0)))
        case "answered":
            return Answered(
                question=int(message["prompt"]), answer=_answer(message["answer"]), chip=int(message.get("chip", 0))
            )
        case "stage" if message["stage"] == "recover":
            return Recovering(reason=str(message.get("reason", "")))
        case _:
            return None


def _answer(said: Mapping[str, Any]) -> Answer:
    return Answer(
        text=str(said["text"]),
        tokens=tuple(
            Token(
                text=str(token["text"]),
                probability=float(token["probability"]),
                runner_up=float(token["runner_up"]),
            )
            for token in said["tokens"]
        ),
        complete=said["stopped"] != "length",
        input_tokens=int(said["input_tokens"]),
        steps=1 + len(said["ms"]["steps"]),
    )


def read_progress(message: Mapping[str, Any]) -> Progress:
    """Read a ``progress`` message."""
    return Progress(
        file=str(message["file"]),
        loaded_bytes=int(message["loaded_bytes"]),
        total_bytes=int(message["total_bytes"] or 0),
        from_cache=bool(message["from_cache"]),
    )
