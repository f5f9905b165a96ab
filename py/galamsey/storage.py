"""What becomes of a model's files: messages to and from the files worker, and what they mean to the person."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from galamsey.errors import StorageError
from galamsey.models import Model, Source
from galamsey.protocol import model_source

if TYPE_CHECKING:
    from collections.abc import Mapping

TERMINAL: Final = frozenset(
    {"fetched", "offered", "verified", "listed", "removed", "imported", "exported", "failed", "stopped"},
)
"""Every request but ``stop`` gets exactly one of these."""

SPEED_WINDOW_S: Final = 5.0
"""A transfer's speed is that of its last seconds."""


class Step(Enum):
    """What a transfer does; the value is what the person reads."""

    CHECKING = "Asking the host"
    DOWNLOADING = "Downloading"
    WAITING = "Waiting for the host"
    ELSEWHERE = "Another tab is downloading"
    VERIFYING = "Checking the files"
    REPAIRING = "Fetching a damaged part again"
    IMPORTING = "Reading the files"
    EXPORTING = "Writing the files"
    PAUSED = "Paused"
    FAILED = "Stopped"
    DONE = "Complete"

    @property
    def under_way(self) -> bool:
        """Say whether more will come by itself."""
        return self not in (Step.PAUSED, Step.FAILED, Step.DONE)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One transfer or check of a model's files, as far as it got."""

    name: str
    """Of the model, for the person."""
    step: Step = Step.CHECKING
    loaded_bytes: int = 0
    total_bytes: int = 0
    """0 while it is not known."""
    bytes_per_second: float = 0.0
    note: str = ""
    """Why it waits, why it failed, or what must be known of its end."""
    resumable: bool = False
    """Whether it can be paused and resumed."""

    @property
    def seconds_left(self) -> float | None:
        """Time left at the present speed; None while it cannot be told."""
        if self.bytes_per_second <= 0 or self.total_bytes <= self.loaded_bytes:
            return None
        return (self.total_bytes - self.loaded_bytes) / self.bytes_per_second


@dataclass(frozen=True, kw_only=True)
class StoredModel:
    """A model of which files are kept in this browser."""

    base_url: str
    """Its name in the storage."""
    name: str
    complete: bool
    bytes: int
    paths: tuple[str, ...]
    """Of its files."""
    revision: str
    """The commit that it comes from; empty where its host does not tell."""
    from_disk: bool


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What this browser keeps."""

    models: tuple[StoredModel, ...] = ()
    unavailable: str = ""
    """Why nothing can be kept; empty where something can."""
    usage_bytes: int = 0
    quota_bytes: int = 0
    persisted: bool = False
    """Whether the browser promised to clear nothing unasked."""


@dataclass(frozen=True, kw_only=True)
class StorageState:
    """Everything about model files that the page shows."""

    source: Source = field(default_factory=Source)
    job: Job | None = None
    stored: Stored | None = None
    """None before it was asked for."""
    message: str = ""
    """What came of the last action, or what is wrong with what was typed."""


class Speedometer:
    """Speed of a transfer over its last seconds."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def add(self, now_s: float, loaded_bytes: int) -> float:
        """Take how far the transfer is, and return bytes per second; 0 while unknown."""
        if self._marks and loaded_bytes < self._marks[-1][1]:
            self._marks.clear()  # it started anew
        self._marks.append((now_s, loaded_bytes))
        while now_s - self._marks[0][0] > SPEED_WINDOW_S:
            self._marks.popleft()
        since, before = self._marks[0]
        return (loaded_bytes - before) / (now_s - since) if now_s > since else 0.0


def fetch_request(request_id: str, model: Model, dtype: str) -> dict[str, Any]:
    """Ask for a model's files, from where its host is."""
    return {"type": "fetch", "id": request_id, "model": model_source(model, model.files(dtype))}


def offer_request(request_id: str, model: Model) -> dict[str, Any]:
    """Ask which builds the model's host has."""
    paths = dict.fromkeys(path for dtype in model.possible_dtypes for path in model.files(dtype))
    return {"type": "offer", "id": request_id, "model": model_source(model, tuple(paths))}


def import_request(request_id: str, model: Model) -> dict[str, Any]:
    """Ask to keep files from a disk as those of a model; the files travel beside the message."""
    paths = dict.fromkeys(path for dtype in model.possible_dtypes for path in model.files(dtype))
    source = model_source(model, tuple(paths))
    return {"type": "import", "id": request_id, "model": source}


def folder_request(kind: str, request_id: str, base_url: str) -> dict[str, Any]:
    """Ask to ``verify``, ``remove`` or ``export`` a stored model."""
    return {"type": kind, "id": request_id, "base_url": base_url}


def list_request(request_id: str) -> dict[str, Any]:
    """Ask what is stored."""
    return {"type": "list", "id": request_id}


def stop_request(request_id: str) -> dict[str, Any]:
    """Ask that a request ends; what it fetched stays."""
    return {"type": "stop", "id": request_id}


def read_end(message: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a terminal answer; None for ``stopped``. Raises StorageError for ``failed``."""
    if message["type"] == "failed":
        raise StorageError(str(message["name"]), str(message["message"]))
    return None if message["type"] == "stopped" else message


def read_step(message: Mapping[str, Any]) -> Step:
    """Return what a ``progress`` message is about."""
    return Step[str(message["state"]).upper()]


def read_stored(message: Mapping[str, Any]) -> Stored:
    """Read a ``listed`` message."""
    models = [
        StoredModel(
            base_url=str(one["base_url"]),
            name=str(one["id"] or one["base_url"]),
            complete=bool(one["complete"]),
            bytes=int(one["bytes"]),
            paths=tuple(str(file["path"]) for file in one["files"]),
            revision=str(one["revision"] or ""),
            from_disk=one["source"] == "disk",
        )
        for one in message["models"]
    ]
    return Stored(
        models=tuple(models),
        unavailable=str(message["unavailable"] or ""),
        usage_bytes=int(message["usage_bytes"] or 0),
        quota_bytes=int(message["quota_bytes"] or 0),
        persisted=bool(message["persisted"]),
    )


def offered_dtypes(model: Model, message: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the builds of which an ``offered`` message names every graph."""
    return _builds(model, {str(file["path"]) for file in message["files"]})


def stored_dtypes(stored: Stored, model: Model) -> tuple[str, ...]:
    """Return the builds of a model that are kept here."""
    return _builds(model, {path for one in stored.models if one.base_url == model.base_url for path in one.paths})


def _builds(model: Model, paths: set[str]) -> tuple[str, ...]:
    return tuple(dtype for dtype in model.possible_dtypes if set(model.graphs(dtype)) <= paths)


def is_stored(stored: Stored, model: Model) -> bool:
    """Say whether a model was stored to its end."""
    return any(one.complete and one.base_url == model.base_url for one in stored.models)
