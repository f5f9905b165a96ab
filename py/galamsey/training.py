"""Write reviewed findings as training data: pictures and masks, boxes as COCO and as conversations."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from galamsey.errors import FindingError
from galamsey.findings import kept_confirmed, kept_grid, read_pixels
from galamsey.refine import box_mask, disturbed_mask, refine
from galamsey.reviews import added_sites, latest, site_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from galamsey.findings import Finding
    from galamsey.geo import Grid
    from galamsey.refine import Disturbed
    from galamsey.sites import Site

LABEL: Final = "mining_pit"
"""The one label of the full model's training."""

DIGITS: Final = 4
"""Of a box's corners; a pixel is 0.0078 of a chip."""


def is_settled(finding: Finding) -> bool:
    """Say whether a finding can teach: every suspected site was confirmed or rejected, and nobody disagrees.

    That goes for sites that a reviewer added too. A chip in which neither model nor reviewer found anything can not:
    nobody has said that nothing is there.
    """
    missed = [key for key in added_sites(finding.reviews) if latest(finding.reviews, key)]
    statuses = {site_status(finding.reviews, key) for key in (*finding.sites, *missed)}
    return bool(statuses) and statuses <= {"confirmed", "rejected"}


def write_training(findings: Sequence[tuple[Finding, str]]) -> bytes:
    """Return a zip archive of the settled findings among these, given with their pixels.

    It holds ``annotations.json`` (COCO), ``conversations.jsonl`` (pictures, prompt and answer in the form of chat
    fine-tuning) and for each finding both pictures as the model saw them and a mask: 255 where ground in a confirmed
    site's box is disturbed. A box that a reviewer drew goes before the model's. Raises FindingError where no finding is
    settled.
    """
    settled = [(finding, pixels) for finding, pixels in findings if pixels and is_settled(finding)]
    if not settled:
        raise FindingError("none of these findings can teach yet: confirm or reject each of their sites first")
    files: dict[str, bytes] = {}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    lines = []
    for finding, pixels in settled:
        grid = kept_grid(finding)
        if grid is None:
            continue
        composed = read_pixels(pixels, grid)
        sites = tuple(site for site, _ in kept_confirmed(finding))
        names = {kind: f"images/{finding.id}-{kind}.png" for kind in ("rgb", "swir", "mask")}
        files[names["rgb"]] = _png(composed.rgb.pixels)
        files[names["swir"]] = _png(composed.swir.pixels)
        inside = box_mask([site.box for site in sites], grid.height, grid.width) & ~composed.chip.obscured
        mask, _ = disturbed_mask(composed.chip.reflectance, inside)
        files[names["mask"]] = _png(np.where(mask, np.uint8(255), np.uint8(0)))
        images.append(_image(len(images) + 1, finding, grid, names))
        refined = refine(composed.chip, sites)  # over these boxes only, as the mask
        parts = refined.sites if refined else (None,) * len(sites)
        annotations += [_annotation(len(annotations) + k, images[-1]["id"], site, grid, part)
                        for k, (site, part) in enumerate(zip(sites, parts, strict=True), start=1)]  # fmt: skip
        lines.append(json.dumps(_conversation(finding, sites, names), ensure_ascii=False))
    coco = {
        "info": {"description": "Suspected mining, reviewed by people"},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": LABEL, "supercategory": "disturbance"}],
    }
    files["annotations.json"] = json.dumps(coco, indent=1).encode()
    files["conversations.jsonl"] = ("\n".join(lines) + "\n").encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return packed.getvalue()


def _png(pixels: NDArray[np.uint8]) -> bytes:
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "PNG")
    return packed.getvalue()


def _image(image_id: int, finding: Finding, grid: Grid, names: dict[str, str]) -> dict[str, Any]:
    return {
        "id": image_id,
        "file_name": names["rgb"],
        "swir_file_name": names["swir"],
        "mask_file_name": names["mask"],
        "width": grid.width,
        "height": grid.height,
        "date_captured": finding.acquired,
        "finding": finding.id,
    }


def _annotation(number: int, image_id: int, site: Site, grid: Grid, part: Disturbed | None) -> dict[str, Any]:
    x1, y1, x2, y2 = site.box
    outlines = [rings[0] for rings in part.polygons] if part else []
    area_px = part.area_ha * 10_000 / grid.gsd_m**2 if part else 0.0
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [x1 * grid.width, y1 * grid.height, (x2 - x1) * grid.width, (y2 - y1) * grid.height],
        "area": area_px,
        "segmentation": [
            [
                edge
                for x, y in ring[:-1]
                for edge in ((x - grid.origin.x) / grid.gsd_m, (grid.origin.y - y) / grid.gsd_m)
            ]
            for ring in outlines
        ],
    }


def _conversation(finding: Finding, sites: Sequence[Site], names: dict[str, str]) -> dict[str, Any]:
    answer = [{"label": LABEL, "bbox": [round(edge, DIGITS) for edge in site.box]} for site in sites]
    asked = [
        {"type": "image", "image": names["rgb"]},
        {"type": "image", "image": names["swir"]},
        {"type": "text", "text": str(finding.run["prompts"]["boxes"])},
    ]
    return {
        "messages": [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": [{"type": "text", "text": json.dumps(answer)}]},
        ],
        "mask": names["mask"],
    }
