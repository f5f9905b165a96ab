"""A server with a STAC API over the practice region's scenes, and with every way to fail that a test asks for.

`/stac/search` answers POST in pages, as Earth Search does; `/cogs/ITEM/BAND.tif` are the bands. Both are on the page's
own origin, which its content policy allows.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import rasterio
import shapely

from tools.policy import HEADERS
from tools.serve import Handler, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np

Json = dict[str, Any]
Change = "Callable[[str], Answer | None]"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer in place of the right one."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_s: float = 0.0


CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Content-Range, Retry-After",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
"""What hosts of open imagery send, so that pages of other origins may read them."""

HTML = Answer(headers={"Content-Type": "text/html"}, body=b"<!doctype html><title>Sign in</title>")
EMPTY = Answer(headers={"Content-Type": "application/json"})
NOT_FOUND = Answer(
    status=404, headers={"Content-Type": "application/xml"}, body=b"<Error><Code>NoSuchKey</Code></Error>"
)


def trouble(status: int, retry_after: str = "") -> Answer:
    """Return what a gateway says when the host behind it is down."""
    headers = {"Content-Type": "text/html"} | ({"Retry-After": retry_after} if retry_after else {})
    return Answer(status=status, headers=headers, body=b"<html><h1>Bad gateway</h1></html>")


class Archive(Server):
    """The site, and beside it a catalogue with files. Tests change the public attributes."""

    def __init__(self, root: Path, *, overlays: Sequence[Path] = (), headers: Mapping[str, str] = HEADERS) -> None:
        self.items: list[Json] = json.loads((root / "practice/catalogue.json").read_text())["features"]
        self.page_size = 3
        self.goes_in_circles = False
        self.catalogue_answers: list[Answer] = []
        """Given one after the other, before any right one."""
        self.catalogue_always: Answer | None = None
        self.change_file: Callable[[str], Answer | None] = lambda _path: None
        """Given the path of a band, an answer in place of the file's."""
        self.searches: list[Json] = []
        self.band_requests: list[str] = []
        super().__init__(root, overlays=overlays, headers=headers)

    def handler_class(self) -> type[Handler]:
        """Return a handler that knows this server."""
        archive = self

        class ArchiveHandler(Handler):
            def do_POST(self) -> None:  # noqa: N802 - the base class's name
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = archive.search(body)
                time.sleep(answer.delay_s)
                self.send(HTTPStatus(answer.status), answer.headers, answer.body)

            def do_OPTIONS(self) -> None:  # noqa: N802 - the base class's name
                allowed = {"Access-Control-Allow-Headers": "Content-Type, Range", "Access-Control-Allow-Methods": "*"}
                self.send(HTTPStatus.NO_CONTENT, allowed, b"")

            def answer(self) -> None:
                path = unquote(urlsplit(self.path).path)
                if not path.startswith("/cogs/"):
                    super().answer()
                    return
                archive.band_requests.append(path)
                changed = archive.change_file(path)
                if changed is None or changed.status == HTTPStatus.CONTINUE:
                    time.sleep(changed.delay_s if changed else 0)
                    self.path = path.replace("/cogs/", "/practice/items/")
                    super().answer()
                    return
                time.sleep(changed.delay_s)
                self.send(HTTPStatus(changed.status), changed.headers, changed.body)

        return ArchiveHandler

    @property
    def api_url(self) -> str:
        """Address of the STAC API."""
        return f"{self.url}/stac"

    def search(self, body: Json) -> Answer:
        """Answer one POST of a search."""
        self.searches.append(body)
        if self.catalogue_answers:
            return self.catalogue_answers.pop(0)
        if self.catalogue_always is not None:
            return self.catalogue_always
        outline = shapely.geometry.shape(body["intersects"])
        found = [item for item in self.items if shapely.geometry.shape(item["geometry"]).intersects(outline)]
        found.sort(key=lambda item: item["properties"]["datetime"], reverse=True)
        start = int(body.get("next", 0))
        page: Json = {"type": "FeatureCollection", "features": [self._with_addresses(item) for item in
                      found[start : start + self.page_size]], "links": []}  # fmt: skip
        after = start + self.page_size
        if self.goes_in_circles or after < len(found):
            following = 0 if self.goes_in_circles else after
            link = {"rel": "next", "method": "POST", "href": f"{self.api_url}/search", "merge": True}
            page["links"].append({**link, "body": {"next": following}})
        return Answer(headers={"Content-Type": "application/geo+json"}, body=json.dumps(page).encode())

    def _with_addresses(self, item: Json) -> Json:
        assets = {
            key: {**asset, "href": asset["href"].replace("items/", f"{self.url}/cogs/")}
            for key, asset in item["assets"].items()
        }
        return {**item, "assets": assets}


def write_like_earth_search(path: Path, values: np.ndarray, like: Path, *, block_px: int = 1024) -> None:
    """Write a band as those of the real archive are: deflate, predictor 2, 1024 px tiles, averaged overviews.

    Read off `gdalinfo` of a file in sentinel-cogs: COMPRESSION=DEFLATE, PREDICTOR=2, INTERLEAVE=BAND, Block=1024x1024,
    OVR_RESAMPLING_ALG=AVERAGE, nodata 0.
    """
    with rasterio.open(like) as source:
        crs, transform = source.crs, source.transform
    height, width = values.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="COG", width=width, height=height, count=1, dtype=values.dtype.name, crs=crs,
        transform=transform, nodata=0, blocksize=block_px, compress="DEFLATE", predictor="YES", interleave="BAND",
        overview_resampling="AVERAGE", overviews="IGNORE_EXISTING", num_threads=1,
    ) as target:  # fmt: skip
        target.write(values, 1)


def rewrite(overlay: Path, change: Callable[[str, np.ndarray], np.ndarray], root: Path) -> None:
    """Put a changed copy of every scene's files into the overlay; `change` gets a file's stem and values."""
    for source in sorted((root / "practice/items").glob("*/*.tif")):
        with rasterio.open(source) as file:
            values = file.read(1)
        changed = change(source.stem, values)
        if changed is not values:
            write_like_earth_search(overlay / source.relative_to(root), changed, source, block_px=256)
