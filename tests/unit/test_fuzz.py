"""Damaged and hostile input, thousands of times: it is read, or refused by name, and never anything else.

mangling.py makes the cases.
"""

from __future__ import annotations

import io
import json
import math
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from galamsey.coordinates import parse_coordinate
from galamsey.detections import parse_answer
from galamsey.detections import suppress as suppress_overlapping
from galamsey.errors import CatalogueError, CoordinateError, ImageFileError, ModelOutputError
from galamsey.geo import Point
from galamsey.imagefile import MAX_BANDS_SHOWN, read_layers
from galamsey.links import read_link
from galamsey.picturefile import decode_picture, read_picture_header
from galamsey.product import read_description
from galamsey.scenes import CATALOGUES, Page, next_page, page_items, parse_scene
from galamsey.state import initial_state
from tests.safe import description
from tests.unit.mangling import CASES, ODD_VALUES, cases, mangle_bytes, mangle_json, mangle_text

if TYPE_CHECKING:
    from collections.abc import Callable

ITEM = json.loads((Path(__file__).parents[1] / "fixtures/earth-search-item.json").read_text())

ANSWERS = (
    '[{"label": "mining_pit", "bbox": [0.25, 0.25, 0.5, 0.375]}]',
    '[{"label": "a", "bbox": [0.1, 0.1, 0.2, 0.2]}, {"label": "b", "bbox": [0.3, 0.3, 0.4, 0.4]}]',
    "```json\n[]\n```",
    "[]",
)


def test_any_description_of_a_product_is_read_or_refused_by_name() -> None:
    read = 0
    good = description()
    for chance in cases("description"):
        with suppress(ImageFileError):
            found = read_description(mangle_bytes(chance, good))
            read += 1
            assert found.scale >= 1
            assert all(0 <= added <= 10_000 for added in found.added.values())
    assert read


def test_any_answer_of_a_model_is_boxes_within_the_chip_or_unreadable() -> None:
    read = 0
    for chance in cases("answer"):
        text = mangle_text(chance, chance.choice(ANSWERS))
        try:
            parsed = parse_answer(text)
        except ModelOutputError:
            continue
        read += 1
        assert "[" in text or "{" in text, f"no list, and yet read: {text[:80]!r}"
        for found in suppress_overlapping(parsed.detections):
            left, top, right, bottom = found.box
            assert 0 <= left < right <= 1, text[:200]
            assert 0 <= top < bottom <= 1, text[:200]
    assert read > CASES / 20, "hardly anything was read: the cases are too wild to say much"


def pictures() -> list[bytes]:
    pixels = np.random.default_rng(5).integers(0, 255, (24, 20, 4), dtype=np.uint8)
    made = []
    for mode, kind in (("RGB", "PNG"), ("RGBA", "PNG"), ("RGB", "JPEG"), ("CMYK", "JPEG"), ("L", "PNG"), ("P", "PNG")):
        buffer = io.BytesIO()
        Image.fromarray(pixels[..., :3]).convert(mode).save(buffer, kind)
        made.append(buffer.getvalue())
    return made


@pytest.mark.filterwarnings("ignore")
def test_any_picture_is_decoded_or_refused_by_name() -> None:
    originals = pictures()
    for chance in cases("picture"):
        data = mangle_bytes(chance, chance.choice(originals), head=chance.choice((40, 1 << 30)))
        with suppress(ImageFileError):
            read_picture_header("a.png", data[: 1 << 16], len(data))
            decode_picture("a.png", data)


def test_any_catalogue_answer_is_scenes_or_refused_by_name() -> None:
    answer = {
        "type": "FeatureCollection",
        "features": [ITEM],
        "links": [{"rel": "next", "href": "https://a.example/b"}],
    }
    first = Page(url="https://a.example/search", body={"limit": 10})
    for chance in cases("catalogue"):
        changed = answer
        for _ in range(chance.randint(1, 4)):
            changed = mangle_json(chance, changed)
        with suppress(CatalogueError):
            for item in page_items(changed):
                parse_scene(item, "https://a.example/", chance.choice(CATALOGUES))
            next_page(changed, first)


HEADER = {
    "width": 128, "height": 128, "samples": 6, "dtype": "uint16", "compression": "deflate", "epsg": 32630,
    "transform": [10, 0, 600_000, 0, -10, 670_000], "geographic": False, "nodata": 0, "names": ["B02", "B03"],
    "scales": [[1, 0]], "date": "2025:01:03 10:00:00",
}  # fmt: skip


def test_any_file_header_is_layers_or_refused_by_name() -> None:
    for chance in cases("header"):
        key = chance.choice(sorted(HEADER))
        odd = chance.choice((*ODD_VALUES[2:7], chance.uniform(-1e6, 1e6), chance.randint(-10, 10**7)))
        value: Any = HEADER[key]
        if isinstance(value, list):
            value = [odd if chance.random() < 0.3 else one for one in value] if key == "transform" else value
        elif isinstance(value, int) and not isinstance(value, bool):
            value = odd if key == "nodata" else int(odd) if math.isfinite(odd) else 0
        elif isinstance(value, str):
            value = mangle_text(chance, value)
        with suppress(ImageFileError):
            changed = HEADER | {key: value}
            bands = max(0, min(int(changed["samples"]), MAX_BANDS_SHOWN))
            changed |= {
                "scales": [[1, 0]] * bands,
                "names": [changed["date"]] * bands,
            }  # the file worker gives one each
            read_layers("key", "a.tif", changed)


TYPED: tuple[tuple[str, Callable[[str], object]], ...] = (
    (
        "#at=6.0442,-1.9571&from=practice&dates=latest",
        lambda text: read_link(text, initial_state().settings, date(2025, 1, 3)),
    ),
    ("6.0442, -1.9571", parse_coordinate),
    ("30N 612345 668901", parse_coordinate),
    ("30NXM1234568901", parse_coordinate),
    ("6°02'39\"N 1°57'25\"W", parse_coordinate),
)


@pytest.mark.parametrize(("text", "read"), TYPED, ids=[text[:12] for text, _ in TYPED])
def test_any_typed_place_or_link_is_a_place_or_refused_by_name(text: str, read: Callable[[str], object]) -> None:
    for chance in cases(text):
        with suppress(CoordinateError):
            found = read(mangle_text(chance, text))
            point = getattr(found, "point", found)
            if isinstance(point, Point):
                assert -180 <= point.lon <= 180
                assert -90 <= point.lat <= 90
