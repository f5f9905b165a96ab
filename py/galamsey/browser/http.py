"""Ask catalogues over HTTP: time limits, retries, pages, and errors fit to be shown."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

import js
from pyodide.ffi import JsException, to_js

from galamsey.errors import CatalogueError
from galamsey.scenes import MAX_PAGES, Catalogue, Scene, SceneQuery, matching_scenes, next_body, page_items, search_body

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_MS: Final = 20_000
ATTEMPTS: Final = 3
FIRST_PAUSE_S: Final = 1.0
"""Doubled after each attempt."""

PASSING_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Answers that a later attempt may not get; Earth Search has been seen to answer 500 and 502 now and then."""

OK: Final = 200


class _PassingError(Exception):
    """Worth another attempt."""


async def fetch_json(url: str, body: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - any JSON
    """GET a JSON document, or POST ``body`` for one.

    Raises CatalogueError that names the host, what was expected and what came.
    """
    pause = FIRST_PAUSE_S
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await _fetch_once(url, body)
        except _PassingError as error:
            if attempt == ATTEMPTS:
                raise CatalogueError(f"{_host(url)} {error}, {ATTEMPTS} times in a row") from error
            await asyncio.sleep(pause)
            pause *= 2
    raise AssertionError("unreachable")


async def _fetch_once(url: str, body: Mapping[str, Any] | None) -> Any:  # noqa: ANN401 - any JSON
    gone = js.AbortController.new()
    timer = js.setTimeout(gone.abort.bind(gone), TIMEOUT_MS)
    options: dict[str, Any] = {"method": "GET", "headers": {"Accept": "application/json"}}
    if body is not None:
        options = {
            "method": "POST",
            "headers": {"Accept": "application/json", "Content-Type": "application/json"},
            "body": json.dumps(body),
        }
    init = to_js({**options, "credentials": "omit"}, dict_converter=js.Object.fromEntries)
    init.signal = gone.signal
    try:
        response = await js.fetch(url, init)
        text = str(await response.text())
    except JsException as error:
        if gone.signal.aborted:
            raise _PassingError(f"did not answer within {TIMEOUT_MS // 1000} s") from error
        raise _PassingError("could not be reached") from error
    finally:
        js.clearTimeout(timer)
        gone.abort()
    if response.status in PASSING_STATUSES:
        raise _PassingError(f"answered {response.status}")
    if response.status != OK:
        raise CatalogueError(f"{_host(url)} answered {response.status} {response.statusText} for {url}")
    try:
        return json.loads(text)
    except ValueError as error:
        raise CatalogueError(f"{_host(url)}: expected JSON, got {text[:60]!r}") from error


def _host(url: str) -> str:
    return urlsplit(url).netloc or "the page's own server"


def absolute(url: str) -> str:
    """Resolve a URL against the page's."""
    return urljoin(str(js.document.baseURI), url)


async def search(catalogue: Catalogue, query: SceneQuery) -> list[Scene]:
    """Return the scenes that answer the query, newest first."""
    url = absolute(catalogue.url)
    if catalogue.kind == "items":
        return matching_scenes(page_items(await fetch_json(url)), query, url)
    items: list[Mapping[str, Any]] = []
    body: dict[str, Any] | None = search_body(query)
    for _ in range(MAX_PAGES):
        answer = await fetch_json(f"{url}/search", body)
        items += page_items(answer)
        body = next_body(answer, body)
        if body is None:
            break
    return matching_scenes(items, query, url)
