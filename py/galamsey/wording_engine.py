"""Put failures of the model's engine into words, each with its remedy."""

from __future__ import annotations

from typing import Final

NOTHING_SAID: Final = "This says nothing about mining here."

_REMEDIES: Final = {
    "Timeout": (
        "The model gave no sign of life and was stopped",
        "Run again: the model is loaded anew first. On a slow device the demo model needs the least.",
    ),
    "OutOfMemory": (
        "There was not enough memory for the model",
        "Close other pages and programs, then run again; if that fails too, load a smaller model.",
    ),
    "GaveUp": (
        "The model failed three times in a row",
        "Nothing is tried again by itself. Close other pages and programs, then load the model again under “Model”.",
    ),
    "NotLoaded": ("No model is loaded", "Load one under “Model”, then run again."),
    "WorkerDied": (
        "The model failed, and failed again after a fresh start",
        "Run again; if that fails too, reload the page.",
    ),
    "EngineError": (
        "The model failed, and failed again after a fresh start",
        "Run again; if that fails too, reload the page.",
    ),
}
"""What to say of a failed run and what to do about it, by the engine's cause."""

_OTHER: Final = ("The run did not finish", "Run again; if that fails too, reload the page.")

MAX_REPORTED: Final = 160
"""Characters of what the engine reported that are shown; the cause stands at its beginning."""

RESTARTED: Final = "The model failed and is loaded again; then it is asked once more."

GPU_GIVEN_UP: Final = "the graphics processor failed three times in a row; reload the page to try it again"
"""Why the main processor is used after that."""


def engine_failure(cause: str, problem: str) -> tuple[str, str]:
    """Return the line and the detail for a run that the engine ended."""
    line, remedy = _REMEDIES.get(cause, _OTHER)
    return line, f"{NOTHING_SAID} {remedy} {_reported(problem)}"


def gave_up(problem: str, *, on_gpu: bool) -> str:
    """Say under the model what became of it, and what loading it again will do."""
    then = " Loaded again, it computes on the main processor, slower." if on_gpu else ""
    return f"Failed three times in a row, so it is not tried again by itself.{then} {_reported(problem)}"


def restarted(reasons: tuple[str, ...]) -> str:
    """Say for the record how often a run's engine had to be started again, and why."""
    return f"started again and asked once more after: {'; '.join(reasons)}"


def _reported(problem: str) -> str:
    shown = problem if len(problem) <= MAX_REPORTED else f"{problem[:MAX_REPORTED]}…"
    return f"Reported: {shown}"


def sentence(text: str) -> str:
    """Return a text with a capital and one full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
