"""Draw the ledgers of a soak: python -m bench.soak LEDGER.jsonl PICTURE.svg."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MIB: Final = 1 << 20
CURVES: Final = {
    "python_bytes": ("Interpreter's memory, MiB", MIB),
    "python_objects": ("Python's containers, thousands", 1000),
    "js_references": ("JavaScript objects held by Python", 1),
    "proxies": ("Python objects held by JavaScript", 1),
    "js_bytes": ("JavaScript heap of the page, MiB", MIB),
    "model_bytes": ("WebAssembly memory of the model worker, MiB", MIB),
    "gpu_bytes": ("Graphics buffers of the model worker, MiB", MIB),
}
WIDTH: Final = 800
HEIGHT: Final = 150
MARGIN: Final = 30


def panel(title: str, values: Sequence[float], top: int) -> str:
    """Return one curve from 0 to its largest value, which is written beside it."""
    largest = max(*values, 1e-9)
    step = (WIDTH - 2 * MARGIN) / max(1, len(values) - 1)
    bottom, room = top + HEIGHT - MARGIN, HEIGHT - 2 * MARGIN
    points = " ".join(
        f"{MARGIN + index * step:.1f},{bottom - room * value / largest:.1f}" for index, value in enumerate(values)
    )
    return (
        f'<text x="{MARGIN}" y="{top + 20}">{title}: {values[0]:.1f} to {values[-1]:.1f}, most {largest:.1f}</text>'
        f'<path d="M{MARGIN},{bottom}H{WIDTH - MARGIN}" stroke="#999"/>'
        f'<polyline points="{points}" fill="none" stroke="#0b5cad" stroke-width="1.5"/>'
    )


def drawing(rows: Sequence[dict[str, float]]) -> str:
    """Return all ledgers over the clicks."""
    panels = [
        panel(f"{title}, {len(rows)} clicks", [row[name] / unit for row in rows], index * HEIGHT)
        for index, (name, (title, unit)) in enumerate(CURVES.items())
    ]
    height = HEIGHT * len(CURVES)
    style = 'font-family="sans-serif" font-size="13"'
    frame = f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {style}>'
    return f"{head}{frame}{''.join(panels)}</svg>\n"


def main(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit status."""
    ledger, picture = map(Path, arguments)
    rows = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    picture.write_text(drawing(rows), encoding="utf-8")
    print(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
