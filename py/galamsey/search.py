"""Search a catalogue page by page, and a second one where the first does not answer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from galamsey.errors import CatalogueError, PassingError
from galamsey.scenes import (
    MAX_PAGES,
    Catalogue,
    Page,
    Scene,
    SceneQuery,
    matching_scenes,
    next_page,
    page_items,
    search_body,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Ask: TypeAlias = "Callable[[str, Any], Awaitable[Any]]"
"""Address and JSON to POST (None for a GET) to the JSON of the answer. Raises PassingError or CatalogueError."""


async def find_scenes(catalogue: Catalogue, query: SceneQuery, ask: Ask, fallback: Catalogue | None) -> list[Scene]:
    """Return the scenes that answer the query, newest first; ``url`` of both catalogues must be absolute.

    The fallback is asked only when the catalogue fails, not when it has nothing. Raises CatalogueError naming each
    catalogue that failed and how.
    """
    try:
        return await _scenes(catalogue, query, ask)
    except CatalogueError as error:
        if fallback is None:
            raise
        problem = error
    try:
        scenes = await _scenes(fallback, query, ask)
    except CatalogueError as error:
        raise CatalogueError(f"{problem}; and {error}") from error
    return [replace(scene, found_in=f"{fallback.name}, because {problem}") for scene in scenes]


async def _scenes(catalogue: Catalogue, query: SceneQuery, ask: Ask) -> list[Scene]:
    host = urlsplit(catalogue.url).netloc
    try:
        if catalogue.kind == "items":
            items = page_items(await ask(catalogue.url, None))
        else:
            items = await _pages(catalogue, query, ask)
        return matching_scenes(items, query, catalogue.url, catalogue)
    except (CatalogueError, PassingError) as error:
        raise CatalogueError(f"{host} {error}" if isinstance(error, PassingError) else f"{host}: {error}") from error


async def _pages(catalogue: Catalogue, query: SceneQuery, ask: Ask) -> list[Any]:
    """Return the items of all pages, but no more than ``MAX_PAGES``; a catalogue that goes in circles is an error."""
    page: Page | None = Page(url=f"{catalogue.url}/search", body=search_body(query, catalogue))
    asked: set[str] = set()
    items: dict[str, Any] = {}
    for number in range(1, MAX_PAGES + 1):
        if page is None:
            break
        wanted = json.dumps([page.url, page.body], sort_keys=True)
        if wanted in asked:
            raise CatalogueError(f"page {number} leads back to a page before it: the catalogue goes in circles")
        asked.add(wanted)
        answer = await ask(page.url, page.body)
        found = {str(item.get("id")): item for item in page_items(answer)}
        if found and found.keys() <= items.keys():
            raise CatalogueError(f"page {number} repeats what came before: the catalogue goes in circles")
        items |= found
        page = next_page(answer, page) if found else None
    return list(items.values())
