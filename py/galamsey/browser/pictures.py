"""Draw both pictures, small and large, and the sites' boxes over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import js

from galamsey.browser.page import clone, part, set_text
from galamsey.browser.spectral import SpectralViews
from galamsey.refine import outline_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from galamsey.drawings import Drawn
    from galamsey.geo import Grid
    from galamsey.pipeline import ChipComposed
    from galamsey.refine import Refined
    from galamsey.sites import Site


class Pictures:
    """The composites in the inspector and in the large view."""

    def __init__(self, choose_views: Callable[[tuple[str, str]], None]) -> None:
        self._composed: ChipComposed | None = None
        self._boxes: object = None
        self._path = ""
        self._grounds = js.document.querySelectorAll(".ground")
        self._spectral = SpectralViews(choose_views)

    def show_views(self, views: tuple[str, str]) -> None:
        """Show both pictures in these views."""
        self._spectral.choose(views)

    def render(
        self,
        composed: ChipComposed | None,
        sites: Sequence[Site],
        selected: int | None,
        *,
        provisional: bool,
        drawn: Sequence[Drawn] = (),
    ) -> None:
        """Draw what differs from the last time."""
        if composed is not None and composed is not self._composed:
            self._spectral.show(composed)
        self._composed = composed
        own = [one.site for one in drawn]
        boxes = (tuple((site.number, site.box) for site in (*sites, *own)), len(own), selected, provisional)
        if boxes != self._boxes:
            self._boxes = boxes
            self._place(sites, own, selected, provisional=provisional)

    def outline(self, refined: Refined | None, grid: Grid | None) -> None:
        """Draw the outlines of disturbed ground over all pictures."""
        path = "" if grid is None else outline_path(refined, grid)
        if path != self._path:
            self._path = path
            for line in js.document.querySelectorAll(".dug path"):
                line.setAttribute("d", path)

    def _place(self, sites: Sequence[Site], drawn: Sequence[Site], selected: int | None, *, provisional: bool) -> None:
        for ground in self._grounds:
            boxes = [box_over(site, selected=site.number == selected, provisional=provisional) for site in sites]
            boxes += [box_over(site, selected=site.number == selected, by="reviewer") for site in drawn]
            ground.replaceChildren(*ground.querySelectorAll("[data-keep]"), *boxes)


def box_over(site: Site, *, selected: bool, provisional: bool = False, by: str = "model") -> Any:  # noqa: ANN401 - a DOM element
    """Return a site's box as an overlay, placed in percent of its frame."""
    row = clone("box-row")
    put_over(row, site.box)
    row.dataset.selected = str(selected).lower()
    row.dataset.provisional = str(provisional).lower()
    row.dataset.by = by
    set_text(part(row, "number"), str(site.number))
    return row


def put_over(row: Any, box: tuple[float, float, float, float]) -> None:  # noqa: ANN401 - a DOM element
    """Place an overlay where a box is, in percent of its frame."""
    x1, y1, x2, y2 = box
    row.style.left, row.style.top = f"{x1:.4%}", f"{y1:.4%}"
    row.style.width, row.style.height = f"{x2 - x1:.4%}", f"{y2 - y1:.4%}"
