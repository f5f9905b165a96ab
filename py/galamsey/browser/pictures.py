"""Draw both composites, small and large, and the sites' boxes over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import js
import numpy as np
from pyodide.ffi import to_js

from galamsey.browser.page import clone, element, part, set_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from galamsey.pipeline import ChipComposed
    from galamsey.sites import Site

OPAQUE: Final = 255


class Pictures:
    """The composites in the inspector and in the large view."""

    def __init__(self) -> None:
        self._composed: ChipComposed | None = None
        self._boxes: object = None
        self._frames = js.document.querySelectorAll(".frame")

    def render(
        self, composed: ChipComposed | None, sites: Sequence[Site], selected: int | None, *, provisional: bool
    ) -> None:
        """Draw what differs from the last time."""
        if composed is not None and composed is not self._composed:
            for name, pixels in (("rgb", composed.rgb.pixels), ("swir", composed.swir.pixels)):
                for size in ("composite", "large"):
                    draw(element(f"{size}-{name}"), pixels)
        self._composed = composed
        boxes = (tuple((site.number, site.box) for site in sites), selected, provisional)
        if boxes != self._boxes:
            self._boxes = boxes
            self._place(sites, selected, provisional=provisional)

    def _place(self, sites: Sequence[Site], selected: int | None, *, provisional: bool) -> None:
        for frame in self._frames:
            boxes = [box_over(site, selected=site.number == selected, provisional=provisional) for site in sites]
            frame.replaceChildren(frame.firstElementChild, *boxes)


def draw(canvas: Any, pixels: NDArray[np.uint8]) -> None:  # noqa: ANN401 - a canvas
    """Put an image of shape (height, width, 3) on a canvas, pixel for pixel."""
    height, width, _ = pixels.shape
    rgba = np.full((height, width, 4), OPAQUE, dtype=np.uint8)
    rgba[..., :3] = pixels
    canvas.width, canvas.height = width, height
    data = js.Uint8ClampedArray.new(to_js(rgba.ravel()).buffer)
    canvas.getContext("2d").putImageData(js.ImageData.new(data, width, height), 0, 0)


def box_over(site: Site, *, selected: bool, provisional: bool) -> Any:  # noqa: ANN401 - a DOM element
    """Return a site's box as an overlay, placed in percent of its frame."""
    row = clone("box-row")
    x1, y1, x2, y2 = site.box
    row.style.left, row.style.top = f"{x1:.4%}", f"{y1:.4%}"
    row.style.width, row.style.height = f"{x2 - x1:.4%}", f"{y2 - y1:.4%}"
    row.dataset.selected = str(selected).lower()
    row.dataset.provisional = str(provisional).lower()
    set_text(part(row, "number"), str(site.number))
    return row
