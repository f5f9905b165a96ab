"""Draw the icons of the installed page: a river, and the corners of a box around a suspected site.

python -m tools.icons           write icons/
python -m tools.icons --check   say whether the committed files are the drawn ones
"""

from __future__ import annotations

import argparse
import io
import sys
from functools import partial
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw

from tools.console import SetupError, exit_status, say

FOLDER: Final = Path("icons")
GROUND, WATER, SITE, SOIL = "#1b2430", "#5b9bd5", "#f21fc6", "#d9b38c"
OVERSAMPLING: Final = 8
SPAN: Final = 24
"""Of the drawing, in its own units."""

RIVER: Final = ((2, 19), (6, 17.5), (8.5, 14), (11, 12.4), (14, 11.6), (16.5, 9.5), (18.5, 6), (22, 4.5))
PIT: Final = (9.4, 10.0, 15.2, 14.4)
CORNERS: Final = (
    ((7, 9.5), (7, 7), (9.5, 7)),
    ((14.5, 7), (17, 7), (17, 9.5)),
    ((17, 14.5), (17, 17), (14.5, 17)),
    ((9.5, 17), (7, 17), (7, 14.5)),
)


def svg() -> str:
    """Return the drawing as it scales."""
    river = " ".join(f"{x},{y}" for x, y in RIVER)
    corners = "".join(f'<polyline points="{" ".join(f"{x},{y}" for x, y in line)}"/>' for line in CORNERS)
    left, top, right, bottom = PIT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SPAN} {SPAN}">'
        f'<rect width="{SPAN}" height="{SPAN}" rx="5" fill="{GROUND}"/>'
        '<g fill="none" stroke-linecap="round" stroke-linejoin="round">'
        f'<polyline points="{river}" stroke="{WATER}" stroke-width="2"/>'
        f'<ellipse cx="{(left + right) / 2:g}" cy="{(top + bottom) / 2:g}" rx="{(right - left) / 2:g}" '
        f'ry="{(bottom - top) / 2:g}" fill="{SOIL}"/>'
        f'<g stroke="{SITE}" stroke-width="1.6">{corners}</g></g></svg>\n'
    )


def png(size_px: int, *, maskable: bool) -> bytes:
    """Return the drawing as pixels; a maskable one fills the square, for systems that cut it into their own shape."""
    edge = size_px * OVERSAMPLING
    image = Image.new("RGBA", (edge, edge), GROUND if maskable else (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    shrink, shift = (0.8, SPAN * 0.1) if maskable else (1.0, 0.0)
    unit = edge / SPAN

    def at(x: float, y: float) -> tuple[float, float]:
        return ((x * shrink + shift) * unit, (y * shrink + shift) * unit)

    def line(points: tuple[tuple[float, float], ...], colour: str, width: float) -> None:
        radius = width * shrink * unit / 2
        draw.line([at(*point) for point in points], colour, round(radius * 2), joint="curve")
        for x, y in (at(*point) for point in points):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)

    if not maskable:
        draw.rounded_rectangle((0, 0, edge - 1, edge - 1), 5 * unit, GROUND)
    line(RIVER, WATER, 2)
    draw.ellipse((*at(*PIT[:2]), *at(*PIT[2:])), SOIL)
    for corner in CORNERS:
        line(corner, SITE, 1.6)
    buffer = io.BytesIO()
    image.resize((size_px, size_px), Image.Resampling.LANCZOS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def drawn() -> dict[str, bytes]:
    """Return all icons by name."""
    return {
        "icon.svg": svg().encode(),
        "icon-192.png": png(192, maskable=False),
        "icon-512.png": png(512, maskable=False),
        "icon-maskable-512.png": png(512, maskable=True),
    }


def _run(folder: Path, *, check: bool) -> None:
    for name, content in drawn().items():
        path = folder / name
        if not check:
            path.write_bytes(content)
        elif not path.is_file() or path.read_bytes() != content:
            raise SetupError(f"{path} is not the drawn one: run `python -m tools.icons` and commit the result")
    say(f"{folder}: {'up to date' if check else 'drawn'}")


def main(arguments: list[str]) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.icons", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file differs")
    options = parser.parse_args(arguments)
    return exit_status(partial(_run, Path(__file__).resolve().parents[1] / FOLDER, check=options.check))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
