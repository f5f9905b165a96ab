"""Check messages to and from the files worker against their schema."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

if TYPE_CHECKING:
    from playwright.sync_api import Page

PROTOCOL = Path(__file__).resolve().parents[2] / "protocol"


def _read(name: str) -> Any:
    return json.loads((PROTOCOL / name).read_text(encoding="utf-8"))


REGISTRY = Registry().with_resource("messages.schema.json", Resource.from_contents(_read("messages.schema.json")))
VALIDATOR = Draft202012Validator(_read("files.schema.json"), registry=REGISTRY)


def ask(page: Page, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all answers to a request; the last is the terminal one, and every one keeps to the schema."""
    VALIDATOR.validate(request)
    answers = page.evaluate("(request) => files.ask(request)", request)
    for answer in answers:
        VALIDATOR.validate(answer)
    return answers


def until(page: Page, expression: str, argument: object = None, limit_s: float = 60) -> Any:
    """Ask the page again and again until the answer is truthy."""
    end = time.monotonic() + limit_s
    while not (answer := page.evaluate(expression, argument)):
        assert time.monotonic() < end, f"still {answer!r}: {expression}"
        page.wait_for_timeout(50)
    return answer
