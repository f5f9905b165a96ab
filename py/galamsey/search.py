"""Search a catalogue page by page, and a second one where the first does not answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
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
    found = await find_items(catalogue, query, ask)
    try:
        scenes = matching_scenes(found.items, query, catalogue.url, catalogue)
    except CatalogueError as error:
        raise CatalogueError(f"{urlsplit(catalogue.url).netloc}: {error}") from error
    if not found.cut:
        return scenes
    return [replace(scene, found_in=f"{scene.found_in}; {found.words}") for scene in scenes]


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What a catalogue answered."""

    items: tuple[Any, ...]
    cut: bool = False
    """Whether it has more than was asked for."""
    matched: int | None = None
    """How many it has, where it says so."""

    @property
    def words(self) -> str:
        """Say what was left out; empty where nothing was."""
        if not self.cut:
            return ""
        of_all = f" of {self.matched:,}" if self.matched else ""
        return (
            f"only the newest {len(self.items):,}{of_all} images were listed: choose narrower dates to see older ones"
        )


async def find_items(catalogue: Catalogue, query: SceneQuery, ask: Ask) -> Found:
    """Return the raw items of one catalogue, whose ``url`` must be absolute; raises CatalogueError naming the host."""
    host = urlsplit(catalogue.url).netloc
    try:
        if catalogue.kind == "items":
            return Found(items=tuple(page_items(await ask(catalogue.url, None))))
        return await _pages(catalogue, query, ask)
    except (CatalogueError, PassingError) as error:
        raise CatalogueError(f"{host} {error}" if isinstance(error, PassingError) else f"{host}: {error}") from error


async def _pages(catalogue: Catalogue, query: SceneQuery, ask: Ask) -> Found:
    """Return the items of up to ``MAX_PAGES`` pages; raises CatalogueError for a catalogue that goes in circles."""
    page: Page | None = Page(url=f"{catalogue.url}/search", body=search_body(query, catalogue))
    asked: set[str] = set()
    items: dict[str, Any] = {}
    matched: int | None = None
    for number in range(1, MAX_PAGES + 1):
        if page is None:
            break
        wanted = json.dumps([page.url, page.body], sort_keys=True)
        if wanted in asked:
            raise CatalogueError(f"page {number} leads back to a page before it: the catalogue goes in circles")
        asked.add(wanted)
        answer = await ask(page.url, page.body)
        matched = _matched(answer) or matched
        found = {str(item.get("id")): item for item in page_items(answer)}
        if found and found.keys() <= items.keys():
            raise CatalogueError(f"page {number} repeats what came before: the catalogue goes in circles")
        items |= found
        page = next_page(answer, page) if found else None
    return Found(items=tuple(items.values()), cut=page is not None, matched=matched)


def _matched(answer: Any) -> int | None:  # noqa: ANN401 - any JSON
    """Return how many items match, by either of the two fields in which catalogues say it."""
    context = answer.get("context") if isinstance(answer, dict) else None
    told = answer.get("numberMatched") if isinstance(answer, dict) else None
    number = told if told is not None else (context or {}).get("matched")
    return number if type(number) is int and number > 0 else None
