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

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

ENLARGED: Final = 5
"""Whole numbers: every pixel stays a square."""
MARGIN: Final = 16
FOOT: Final = 208
"""Room for five lines of text, the scale and the legend."""
SITE: Final = (242, 31, 198)
DRAWN: Final = (15, 230, 255)
"""Cyan: reviewers' boxes."""
CASING: Final = (23, 6, 15)
WARNING: Final = (168, 38, 28)
GENERATED: Final = "no satellite has seen this"
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


def _font(size: int) -> Font:
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
    lines = [
        (finding.words.line, 18, INK),
        (f"{picture.name}, {finding.words.when}", 16, INK),
        (f"{finding.words.place}   {finding.words.place_utm}   EPSG:{grid.epsg}", 16, INK),
    ]
    if scene and scene["generated"]:
        lines.insert(1, (f"GENERATED IMAGE: {GENERATED}", 16, WARNING))
    y = top
    for text, size, colour in lines:
        for line in _wrapped(pen, text, _font(size), picture.pixels.shape[1] * ENLARGED):
            pen.text((MARGIN, y), line, fill=colour, font=_font(size))
            y += size + 8
    y = top + FOOT - 62
    if grid.measured:
        bar = BAR_M / grid.gsd_m * ENLARGED
        pen.rectangle((MARGIN, y + 6, MARGIN + bar, y + 11), fill=INK)
        pen.text((MARGIN + bar + 8, y - 1), f"{BAR_M:.0f} m", fill=INK, font=_font(16))
    _draw_legend(pen, y + 30, drawn=drawn)


def _wrapped(pen: ImageDraw.ImageDraw, text: str, font: Font, wide: int) -> list[str]:
    """Break text into lines that fit."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and pen.textlength(longer, font=font) > wide:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _draw_legend(pen: ImageDraw.ImageDraw, y: int, *, drawn: bool) -> None:
    x = MARGIN
    for name, colour in (("model's box", SITE), ("reviewer's box", DRAWN))[: 2 if drawn else 1]:
        pen.rectangle((x, y - 1, x + 20, y + 15), outline=CASING, width=5)
        pen.rectangle((x + 1, y, x + 19, y + 14), outline=colour, width=3)
        pen.text((x + 28, y - 2), name, fill=INK, font=_font(16))
        x += 160
    pen.line([(x, y + 14), (x, y), (x + 10, y), (x + 10, y + 7), (x + 20, y + 7)], fill=SITE, width=2)
    pen.text((x + 28, y - 2), "disturbed ground in the model's boxes", fill=INK, font=_font(16))
