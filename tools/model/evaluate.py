"""Measure a model folder on held-out generated chips and print one JSON line.

    python -m tools.model.evaluate --model models/demo --chips 500

The answers are those of the page's own engine in Chromium, on WebAssembly or, with ``--backend auto``, on the graphics
processor. Pixel figures pool true and false positives over all chips, as the published evaluation of the full model
does; boxes are drawn as they come, without suppression. ``box_ceiling_iou`` is what perfect boxes would score on the
same chips. ``--answers`` keeps every token for ``tools.model.parity_answers``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from galamsey.detections import parse_answer
from galamsey.drafts import description, detection
from galamsey.errors import ModelOutputError
from galamsey.prompts import AS_TRAINED, DESCRIPTION, HIGH_RECALL
from tools.model.answers import CHIP_SIZE, PIXEL_HA, described_count
from tools.model.browser import browser_model
from tools.model.dataset import Chips, load, shard_paths

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from tools.model.browser import Said

PROMPTS: Final = (HIGH_RECALL.prompt, AS_TRAINED.prompt, DESCRIPTION)

NormalisedBox = tuple[float, float, float, float]

SIZE_CLASSES_HA: Final = {"under_0.5_ha": (0.0, 0.5), "0.5_to_5_ha": (0.5, 5.0), "over_5_ha": (5.0, float("inf"))}
"""By a mine's true area."""

FOUND_SHARE: Final = 0.5
"""A mine counts as found when boxes cover at least this much of its own patch of the mask."""

_DIGITS: Final = 4


def drawn(boxes: Iterable[NormalisedBox]) -> NDArray[np.bool_]:
    """Rasterise boxes on the chip, corners rounded to pixels."""
    covered = np.zeros((CHIP_SIZE, CHIP_SIZE), dtype=np.bool_)
    for box in boxes:
        x1, y1, x2, y2 = (round(corner * CHIP_SIZE) for corner in box)
        covered[y1:y2, x1:x2] = True
    return covered


def ratio(part: float, whole: float) -> float | None:
    """Return a rounded share, or None where there is nothing to share."""
    return round(part / whole, _DIGITS) if whole else None


@dataclass
class Pixels:
    """Pooled counts of pixels."""

    hit: int = 0
    false: int = 0
    missed: int = 0
    by_chip: list[float] = field(default_factory=list)

    def add(self, found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> None:
        """Count one chip."""
        hit, false, missed = int((found & truth).sum()), int((found & ~truth).sum()), int((~found & truth).sum())
        self.hit, self.false, self.missed = self.hit + hit, self.false + false, self.missed + missed
        if hit + false + missed:
            self.by_chip.append(hit / (hit + false + missed))

    @property
    def iou(self) -> float | None:
        """Intersection over union."""
        return ratio(self.hit, self.hit + self.false + self.missed)


def mine_masks(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Split a mask into its 4-connected patches."""
    from scipy.ndimage import label  # noqa: PLC0415 (needed nowhere else here)

    labels, count = label(mask)
    return [labels == number for number in range(1, count + 1)]


def size_class(area_ha: float) -> str:
    """Name the class that an area lies in."""
    return next(name for name, (low, high) in SIZE_CLASSES_HA.items() if low <= area_ha < high)


@dataclass
class Tally:
    """What the answers about a group of chips come to."""

    chips: int = 0
    agree: int = 0
    readable: int = 0
    pixels: Pixels = field(default_factory=Pixels)
    ceiling: Pixels = field(default_factory=Pixels)

    def add(
        self, boxes: Sequence[NormalisedBox] | None, perfect: Sequence[NormalisedBox], truth: NDArray[np.bool_]
    ) -> None:
        """Count one chip; no boxes are None when the answer cannot be read."""
        self.chips += 1
        self.readable += boxes is not None
        self.agree += bool(boxes) == bool(truth.any())
        self.pixels.add(drawn(boxes or ()), truth)
        self.ceiling.add(drawn(perfect), truth)

    @property
    def figures(self) -> dict[str, object]:
        """The figures that every group of chips has."""
        return {
            "pixel_iou": self.pixels.iou,
            "box_ceiling_iou": self.ceiling.iou,
            "share_of_ceiling": ratio(self.pixels.iou or 0, self.ceiling.iou or 0),
            "patch_accuracy": ratio(self.agree, self.chips),
            "readable": ratio(self.readable, self.chips),
        }


def grounding_figures(chips: Chips, answers: Sequence[str]) -> dict[str, object]:
    """Return the figures of one sensitivity mode, of all chips and by the size of a chip's largest mine."""
    whole, by_size = Tally(), {name: Tally() for name in SIZE_CLASSES_HA}
    alarms = clean_lookalikes = 0
    found, present = dict.fromkeys(SIZE_CLASSES_HA, 0), dict.fromkeys(SIZE_CLASSES_HA, 0)
    for index, answer in enumerate(answers):
        truth, boxes = chips.masks[index], told_boxes(answer)
        perfect = [normalised(box) for box in chips.boxes_of(index)]
        whole.add(boxes, perfect, truth)
        covered, largest_ha = drawn(boxes or ()), 0.0
        if chips.has_lookalike[index] and not truth.any():
            clean_lookalikes += 1
            alarms += bool(boxes)
        for mine in mine_masks(truth):
            area_ha = float(mine.sum()) * PIXEL_HA
            largest_ha = max(largest_ha, area_ha)
            present[size_class(area_ha)] += 1
            found[size_class(area_ha)] += bool((mine & covered).sum() >= FOUND_SHARE * mine.sum())
        if truth.any():
            by_size[size_class(largest_ha)].add(boxes, perfect, truth)
    pixels = whole.pixels
    return {
        **whole.figures,
        "mean_chip_iou": round(float(np.mean(pixels.by_chip)), _DIGITS) if pixels.by_chip else None,
        "recall": ratio(pixels.hit, pixels.hit + pixels.missed),
        "precision": ratio(pixels.hit, pixels.hit + pixels.false),
        "lookalike_false_alarm": ratio(alarms, clean_lookalikes),
        "mines_found": {name: ratio(found[name], present[name]) for name in SIZE_CLASSES_HA},
        "mines": present,
        "by_largest_mine": {name: {"chips": tally.chips, **tally.figures} for name, tally in by_size.items()},
    }


def normalised(box: tuple[int, int, int, int]) -> NormalisedBox:
    """Turn pixel edges into shares of the chip."""
    x1, y1, x2, y2 = box
    return x1 / CHIP_SIZE, y1 / CHIP_SIZE, x2 / CHIP_SIZE, y2 / CHIP_SIZE


def told_boxes(answer: str) -> list[NormalisedBox] | None:
    """Return an answer's boxes, None when it cannot be read."""
    try:
        return [detection.box for detection in parse_answer(answer).detections]
    except ModelOutputError:
        return None


def told_count(answer: str) -> int | None:
    """Return how many boxes an answer holds, None when it cannot be read."""
    boxes = told_boxes(answer)
    return None if boxes is None else len(boxes)


def draw_worst(path: Path, chips: Chips, answers: Sequence[str], count: int = 20) -> None:
    """Draw the chips with the most wrong pixels beyond what perfect boxes cost.

    Both pictures side by side, the truth's boxes white, the model's magenta.
    """
    from PIL import Image, ImageDraw  # noqa: PLC0415 (needed nowhere else here)

    def wrong(index: int) -> int:
        truth = chips.masks[index]
        perfect = drawn(normalised(box) for box in chips.boxes_of(index))
        return int((drawn(told_boxes(answers[index]) or ()) ^ truth).sum()) - int((perfect ^ truth).sum())

    order = sorted(range(len(answers)), key=wrong, reverse=True)[:count]
    scale, columns = 2, 4
    edge = scale * CHIP_SIZE
    sheet = Image.new("RGB", (columns * (2 * edge + 8), -(-count // columns) * (edge + 8)), "white")
    for place, index in enumerate(order):
        row, column = divmod(place, columns)
        for view in range(2):
            picture = Image.fromarray(chips.pictures[index, view]).resize((edge, edge), Image.Resampling.NEAREST)
            pen = ImageDraw.Draw(picture)
            for box in chips.boxes_of(index):
                pen.rectangle([scale * corner for corner in box], outline="white")
            for box in told_boxes(answers[index]) or ():
                pen.rectangle([edge * corner for corner in box], outline="magenta")
            sheet.paste(picture, (column * (2 * edge + 8) + view * edge, row * (edge + 8)))
    sheet.save(path, quality=80)


def figures(chips: Chips, answers: Mapping[str, Sequence[str]]) -> dict[str, object]:
    """Return all figures of the answers, by prompt, to the first chips."""
    boxes, words = answers[HIGH_RECALL.prompt], answers[DESCRIPTION]
    agrees = [described_count(text) == told_count(told) for text, told in zip(words, boxes, strict=True)]
    return {
        **grounding_figures(chips, boxes),
        "description_count_agrees": ratio(sum(agrees), len(agrees)),
        AS_TRAINED.key.replace("-", "_"): grounding_figures(chips, answers[AS_TRAINED.prompt]),
    }


def ask_all(options: argparse.Namespace, chips: Chips) -> dict[str, list[Said]]:
    """Ask all three prompts of the first chips in a browser."""
    questions = (detection(PROMPTS[0]), detection(PROMPTS[1]), description())
    answers: dict[str, list[Said]] = {prompt: [] for prompt in PROMPTS}
    with browser_model(options.model, backend=options.backend, dtype=options.dtype) as model:
        for index in range(options.chips):
            for prompt, said in zip(PROMPTS, model.answers(chips.pictures[index], questions), strict=True):
                answers[prompt].append(said)
            if (index + 1) % 50 == 0:
                print(f"{index + 1} of {options.chips} chips", file=sys.stderr, flush=True)
    return answers


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/demo"))
    parser.add_argument("--backend", choices=("wasm", "auto", "swiftshader"), default="wasm")
    parser.add_argument("--dtype", choices=("fp32", "fp16"), default="fp32")
    parser.add_argument("--data", type=Path, default=Path(".cache/demo-chips"))
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--chips", type=int, default=500)
    parser.add_argument("--answers", type=Path, help="keep the tokens of every answer in this file")
    parser.add_argument("--worst", type=Path, help="write a picture of the twenty chips with the most wrong pixels")
    options = parser.parse_args()
    chips = load(shard_paths(options.data, options.split))
    if len(chips) < options.chips:
        parser.error(f"expected at least {options.chips} {options.split} chips in {options.data}, found {len(chips)}")
    started = time.monotonic()
    said = ask_all(options, chips)
    seconds = round(time.monotonic() - started, 1)
    answers = {prompt: [one.text for one in said[prompt]] for prompt in PROMPTS}
    if options.answers:
        kept = [[{"ids": one.ids, "stopped": one.stopped} for one in said[prompt]] for prompt in PROMPTS]
        options.answers.write_text(json.dumps({"seeds": chips.seeds[: options.chips].tolist(), "answers": kept}))
    if options.worst:
        draw_worst(options.worst, chips, answers[HIGH_RECALL.prompt])
    where = {"backend": options.backend, "dtype": options.dtype, "split": options.split, "chips": options.chips}
    print(json.dumps({**where, **figures(chips, answers), "seconds": seconds}))


if __name__ == "__main__":
    main()
