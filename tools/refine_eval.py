"""Measure the disturbed area inside boxes against the truth of generated chips; prints one line of JSON.

python -m tools.refine_eval [--chips 500] [--first-seed 30000000] [--model models/demo]

Boxes are the truth's own, so that what is measured is the refining. With ``--model`` the model's boxes are refined too.
Areas are in hectares; errors are those of single chips with mining.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from galamsey.chips import Chip, make_chip
from galamsey.composites import rgb_composite, swir_composite
from galamsey.detections import parse_answer, suppress
from galamsey.drafts import detection
from galamsey.errors import ModelOutputError
from galamsey.geo import Grid, PointXY
from galamsey.prompts import HIGH_RECALL
from galamsey.refine import box_mask, disturbed_mask, refine
from galamsey.scenes import BANDS
from galamsey.sites import locate
from tools.landscape.chip import generate_chip
from tools.model.browser import browser_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from tools.landscape.chip import GeneratedChip

    Boxes = list[tuple[float, float, float, float]]

SIZE: Final = 128
GRID: Final = Grid(epsg=32630, origin=PointXY(600_000.0, 700_000.0), gsd_m=10.0, width=SIZE, height=SIZE)
FIRST_SEED: Final = 30_000_000
"""No chip of the demo model's training comes from here on."""


def chip_of(drawn: GeneratedChip) -> Chip:
    """Return the chip that the page would make of a generated one."""
    return make_chip(
        {key: drawn.dn[index] for index, key in enumerate(BANDS)},
        drawn.scl,
        grid=GRID,
        baseline=(5, 9) if drawn.facts.offset_dn else (3, 0),
        said_applied=None,
    )


class Tally:
    """Pixels and areas over all chips, of one way of telling where the mines are."""

    def __init__(self) -> None:
        self._shared = self._either = self._told = self._true = 0
        self._errors: list[float] = []
        self._ratios: list[float] = []

    def add(self, told: NDArray[np.bool_], truth: NDArray[np.bool_]) -> None:
        """Take one chip."""
        self._shared += int((told & truth).sum())
        self._either += int((told | truth).sum())
        self._told += int(told.sum())
        self._true += int(truth.sum())
        if truth.any():
            self._errors.append(abs(int(told.sum()) - int(truth.sum())) / 100)
            self._ratios.append(int(told.sum()) / int(truth.sum()))

    def result(self) -> dict[str, float]:
        """Return the pooled pixel IoU, the share of the true area, and the errors of single chips."""
        return {
            "pixel_iou": round(self._shared / max(self._either, 1), 4),
            "area_over_truth": round(self._told / max(self._true, 1), 4),
            "mean_error_ha": round(float(np.mean(self._errors)), 4),
            "median_area_over_truth": round(float(np.median(self._ratios)), 4),
        }


class Ranges:
    """How often the range of a chip's area holds the truth, and how wide it is."""

    def __init__(self) -> None:
        self._held: list[bool] = []
        self._widths: list[float] = []

    def add(self, chip: Chip, boxes: Boxes, true_ha: float) -> None:
        """Take one chip with mining; without a box its range is nothing, and misses."""
        answer = json.dumps([{"label": "mining_pit", "bbox": box} for box in boxes])
        refined = refine(chip, locate(parse_answer(answer).detections, GRID))
        self._held.append(refined is not None and refined.low_ha <= true_ha <= refined.high_ha)
        if refined is not None and refined.area_ha:
            self._widths.append((refined.high_ha - refined.low_ha) / refined.area_ha)

    def result(self) -> dict[str, float]:
        """Return the share of chips, and the median width as a share of the area."""
        return {
            "truth_within_range": round(float(np.mean(self._held)), 4),
            "median_range_over_area": round(float(np.median(self._widths)), 4),
        }


@contextmanager
def asking(folder: Path | None) -> Iterator[Callable[[Chip], Boxes] | None]:
    """Give a function that returns a model's boxes for a chip, computed in a browser; None without a folder."""
    if folder is None:
        yield None
        return
    with browser_model(folder, backend="wasm", dtype="fp32") as model:

        def ask(chip: Chip) -> Boxes:
            pictures = np.stack([rgb_composite(chip).pixels, swir_composite(chip).pixels])
            (said,) = model.answers(pictures, (detection(HIGH_RECALL.prompt),))
            try:
                return [one.box for one in suppress(parse_answer(said.text).detections)]
            except ModelOutputError:
                return []

        yield ask


def evaluate(chips: int, first_seed: int, ask: Callable[[Chip], Boxes] | None) -> dict[str, Any]:
    """Measure boxes and refined ground over so many chips."""
    tallies = {name: Tally() for name in ("boxes", "refined", *(("model_boxes", "model_refined") if ask else ()))}
    ranges = {prefix: Ranges() for prefix in ("", *(("model_",) if ask else ()))}
    mines = 0
    for seed in range(first_seed, first_seed + chips):
        drawn = generate_chip(seed)
        chip = chip_of(drawn)
        truth = [tuple(edge / SIZE for edge in box) for box in drawn.boxes]
        for prefix, boxes in (("", truth), *((("model_", ask(chip)),) if ask else ())):
            inside = box_mask(boxes, SIZE, SIZE)
            found, _ = disturbed_mask(chip.reflectance, inside & ~chip.obscured)
            tallies[f"{prefix}boxes"].add(inside, drawn.mask)
            tallies[f"{prefix}refined"].add(found, drawn.mask)
            if drawn.boxes:
                ranges[prefix].add(chip, boxes, float(drawn.mask.sum()) / 100)
        mines += bool(drawn.boxes)
        if sys.stderr.isatty():
            print(f"\r{seed - first_seed + 1} of {chips}", end="", file=sys.stderr)
    return {
        "chips": chips,
        "first_seed": first_seed,
        "chips_with_mines": mines,
        **{name: tally.result() for name, tally in tallies.items()},
        **{f"{prefix}{name}": value for prefix, one in ranges.items() for name, value in one.result().items()},
    }


def main(arguments: Sequence[str]) -> int:
    """Run the tool; returns 1 where refining does not beat perfect boxes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chips", type=int, default=500)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--model", type=Path, help="a model's folder, such as models/demo")
    options = parser.parse_args(arguments)
    with asking(options.model) as ask:
        result = evaluate(options.chips, options.first_seed, ask)
    print(json.dumps(result))
    return 0 if result["refined"]["pixel_iou"] > result["boxes"]["pixel_iou"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
