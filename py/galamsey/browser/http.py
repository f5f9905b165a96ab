"""Ask hosts over HTTP, through the one queue of the page."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

import js
from pyodide.ffi import JsException, to_js

from galamsey.errors import CatalogueError, LockdownError, PassingError
from galamsey.search import find_items, find_scenes
from galamsey.transport import JSON_LIMIT_S, Reply, RequestQueue, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from galamsey.scenes import Catalogue, Scene, SceneQuery
    from galamsey.search import Found

QUEUE: Final = RequestQueue(asyncio.sleep)
"""Everything that the page asks of hosts goes through it: catalogues here, rasters in ``raster``."""


async def fetch_json(url: str, body: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - any JSON
    """GET a JSON document, or POST ``body`` for one.

    Raises CatalogueError that names the host, what was expected and what came.
    """
    try:
        return await _ask(url, body)
    except PassingError as error:
        raise CatalogueError(f"{_host(url)} {error}") from error
    except CatalogueError as error:
        raise CatalogueError(f"{_host(url)} {error} for {url}") from error


async def search(catalogue: Catalogue, query: SceneQuery, fallback: Catalogue | None) -> list[Scene]:
    """Return the scenes that answer the query, newest first; of the fallback where the catalogue fails."""
    here = replace(catalogue, url=absolute(catalogue.url))
    there = None if fallback is None else replace(fallback, url=absolute(fallback.url))
    return await find_scenes(here, query, _ask, there)


async def items_of(catalogue: Catalogue, query: SceneQuery) -> tuple[Found, str]:
    """Return what a catalogue has, raw, and the absolute address against which its items' addresses are resolved."""
    here = replace(catalogue, url=absolute(catalogue.url))
    return await find_items(here, query, _ask), here.url


async def _ask(url: str, body: Mapping[str, Any] | None) -> Any:  # noqa: ANN401 - any JSON
    async def once() -> Any:  # noqa: ANN401 - any JSON
        return read_json(await _send(url, body))

    return await QUEUE.run(once, limit_s=JSON_LIMIT_S)


async def _send(url: str, body: Mapping[str, Any] | None) -> Reply:
    gone = js.AbortController.new()
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
        raise _failure(error) from error
    finally:
        gone.abort()  # also when this task was cancelled: the transfer ends with it
    headers = {name: str(response.headers.get(name) or "") for name in ("Content-Type", "Retry-After", "Date")}
    return Reply(
        status=int(response.status),
        reason=str(response.statusText),
        text=text,
        media_type=headers["Content-Type"],
        retry_after=headers["Retry-After"],
        date=headers["Date"],
    )


def _failure(error: JsException) -> LockdownError | PassingError:
    if error.name == "Lockdown":
        return LockdownError(str(error.message))
    return PassingError("could not be reached")


def _host(url: str) -> str:
    return urlsplit(url).netloc or "the page's own server"


def absolute(url: str) -> str:
    """Resolve a URL against the page's."""
    return urljoin(str(js.document.baseURI), url)
