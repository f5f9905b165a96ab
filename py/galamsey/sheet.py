"""Draw a chip as evidence: enlarged pixel for pixel, sites outlined, with scale bar, north arrow, date and legend."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from galamsey.composites import Composite
    from galamsey.drawings import Drawn
    from galamsey.findings import Finding
    from galamsey.geo import Grid
    from galamsey.refine import Refined
    from galamsey.sites import Site

ENLARGED: Final = 5
"""Whole numbers: every pixel stays a square."""
MARGIN: Final = 16
FOOT: Final = 116
SITE: Final = (242, 31, 198)
DRAWN: Final = (15, 230, 255)
"""Cyan: reviewers' boxes."""
CASING: Final = (23, 6, 15)
INK: Final = (23, 32, 43)
BAR_M: Final = 500.0


def draw_sheet(
    finding: Finding,
    picture: Composite,
    grid: Grid,
    *,
    sites: tuple[Site, ...],
    refined: Refined | None,
    drawn: tuple[Drawn, ...] = (),
) -> bytes:
    """Return a PNG of one composite."""
    height, width, _ = picture.pixels.shape
    wide, high = width * ENLARGED, height * ENLARGED
    sheet = Image.new("RGB", (wide + 2 * MARGIN, high + 2 * MARGIN + FOOT), "white")
    ground = Image.fromarray(picture.pixels).resize((wide, high), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(ground)
    _draw_disturbed(pen, refined, grid)
    for site in sites:
        _draw_site(pen, site, wide, high, SITE)
    for one in drawn:
        _draw_site(pen, one.site, wide, high, DRAWN)
    _draw_north(pen, wide)
    sheet.paste(ground, (MARGIN, MARGIN))
    _draw_foot(ImageDraw.Draw(sheet), finding, picture, grid, high + 2 * MARGIN, drawn=bool(drawn))
    packed = io.BytesIO()
    sheet.save(packed, "PNG", optimize=True)
    return packed.getvalue()


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _draw_site(pen: ImageDraw.ImageDraw, site: Site, wide: int, high: int, colour: tuple[int, int, int]) -> None:
    x1, y1, x2, y2 = site.box
    box = (round(x1 * wide), round(y1 * high), round(x2 * wide) - 1, round(y2 * high) - 1)
    pen.rectangle(box, outline=CASING, width=5)
    pen.rectangle((box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1), outline=colour, width=3)
    size = (12 + 11 * len(str(site.number)), 22)
    left, top = (box[0], box[1]) if colour == SITE else (box[2] - size[0], box[3] - size[1])
    pen.rectangle((left, top, left + size[0], top + size[1]), fill=colour, outline=CASING)
    pen.text((left + 7, top + 2), str(site.number), fill=CASING, font=_font(16))


def _draw_disturbed(pen: ImageDraw.ImageDraw, refined: Refined | None, grid: Grid) -> None:
    for part in () if refined is None else refined.sites:
        for rings in part.polygons:
            for ring in rings:
                line = [
                    (ENLARGED * (x - grid.origin.x) / grid.gsd_m, ENLARGED * (grid.origin.y - y) / grid.gsd_m)
                    for x, y in ring
                ]
                pen.line(line, fill=CASING, width=3)
                pen.line(line, fill=SITE, width=1)


def _draw_north(pen: ImageDraw.ImageDraw, wide: int) -> None:
    x, y = wide - 34, 14
    pen.polygon([(x, y), (x + 10, y + 30), (x, y + 23), (x - 10, y + 30)], fill="white", outline=CASING)
    pen.text((x - 6, y + 32), "N", fill="white", font=_font(18), stroke_width=2, stroke_fill=CASING)


def _draw_foot(
    pen: ImageDraw.ImageDraw, finding: Finding, picture: Composite, grid: Grid, top: int, *, drawn: bool
) -> None:
    scene = finding.run["scene"]
    generated = "   GENERATED IMAGE: no satellite has seen this" if scene and scene["generated"] else ""
    lines = (
        (finding.words.line, 16),
        (f"{picture.name}, {finding.words.when}{generated}", 13),
        (f"{finding.words.place}   {finding.words.place_utm}   EPSG:{grid.epsg}", 13),
    )
    y = top
    for text, size in lines:
        pen.text((MARGIN, y), text, fill=INK, font=_font(size))
        y += size + 7
    y += 8
    if grid.measured:
        bar = BAR_M / grid.gsd_m * ENLARGED
        pen.rectangle((MARGIN, y + 4, MARGIN + bar, y + 9), fill=INK)
        pen.text((MARGIN + bar + 8, y - 2), f"{BAR_M:.0f} m", fill=INK, font=_font(13))
    x = MARGIN + 210
    pen.rectangle((x, y - 1, x + 18, y + 13), outline=SITE, width=3)
    pen.text((x + 26, y - 2), "suspected site", fill=INK, font=_font(13))
    x += 136
    pen.line([(x, y + 12), (x, y), (x + 10, y), (x + 10, y + 6), (x + 18, y + 6)], fill=SITE, width=2)
    pen.text((x + 26, y - 2), "disturbed ground", fill=INK, font=_font(13))
    if drawn:
        x += 150
        pen.rectangle((x, y - 1, x + 18, y + 13), outline=CASING, width=5)
        pen.rectangle((x + 1, y, x + 17, y + 12), outline=DRAWN, width=3)
        pen.text((x + 26, y - 2), "reviewer's box", fill=INK, font=_font(13))
