"""Generated chips as the model sees them, kept in shards on disk: pictures, masks, boxes.

Run ``python -m tools.model.dataset --out .cache/demo-chips`` before training. Seeds of the three splits never meet.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from galamsey.chips import CORRUPT_FROM, NODATA
from galamsey.composites import RGB_BANDS, SWIR_BANDS, stretch
from galamsey.scenes import BANDS
from tools.landscape import generate_chip
from tools.model.answers import MAX_BOXES
from tools.model.lessons import lessons_of, save_lessons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tools.landscape import GeneratedChip

FIRST_SEED: Final = {"train": 10_000_000, "validation": 20_000_000, "test": 30_000_000}
"""Splits are 10 million seeds apart."""

SHARD: Final = 512


@dataclass(frozen=True, kw_only=True, eq=False)
class Chips:
    """Chips in arrays, first axis the chip."""

    seeds: NDArray[np.int64]
    pictures: NDArray[np.uint8]
    """Shape (chips, 2, 128, 128, 3): natural colour, then short-wave infrared."""
    masks: NDArray[np.bool_]
    """Shape (chips, 128, 128)."""
    boxes: NDArray[np.int16]
    """Shape (chips, MAX_BOXES, 4), pixel edges, padded with -1."""
    has_lookalike: NDArray[np.bool_]
    """Shape (chips,): something that resembles a mine can be seen."""

    def __len__(self) -> int:
        """Return the number of chips."""
        return len(self.seeds)

    def boxes_of(self, index: int) -> list[tuple[int, int, int, int]]:
        """Return one chip's boxes in raster order of their first pixel."""
        return [(int(a), int(b), int(c), int(d)) for a, b, c, d in self.boxes[index] if a >= 0]


def pictures_of(chip: GeneratedChip) -> NDArray[np.uint8]:
    """Compose a chip with the app's own stretch, shape (2, 128, 128, 3)."""
    valid = ((chip.dn != NODATA) & (chip.dn < CORRUPT_FROM)).all(axis=0)
    return np.stack(
        [
            np.stack([stretch(chip.dn[BANDS.index(band)], valid) for band in bands], axis=-1)
            for bands in (RGB_BANDS, SWIR_BANDS)
        ]
    )


def generate(seeds: Sequence[int]) -> Chips:
    """Draw chips and compose them."""
    drawn = [generate_chip(seed) for seed in seeds]
    boxes = np.full((len(drawn), MAX_BOXES, 4), -1, dtype=np.int16)
    for row, chip in zip(boxes, drawn, strict=True):
        for place, box in enumerate(chip.boxes[:MAX_BOXES]):
            row[place] = box
    return Chips(
        seeds=np.array(seeds, dtype=np.int64),
        pictures=np.stack([pictures_of(chip) for chip in drawn]),
        masks=np.stack([chip.mask for chip in drawn]),
        boxes=boxes,
        has_lookalike=np.array([bool(chip.lookalike.any()) for chip in drawn]),
    )


def save(chips: Chips, path: Path) -> None:
    """Write a shard so that it is whole or absent."""
    partial = path.with_suffix(".partial.npz")
    np.savez(
        partial,
        seeds=chips.seeds,
        pictures=chips.pictures,
        masks=np.packbits(chips.masks, axis=-1),
        boxes=chips.boxes,
        has_lookalike=chips.has_lookalike,
    )
    partial.rename(path)


def load(paths: Sequence[Path]) -> Chips:
    """Read shards into one set. Raises FileNotFoundError if there is none."""
    if not paths:
        raise FileNotFoundError("no shards of generated chips: run python -m tools.model.dataset first")
    shards = [np.load(path) for path in paths]
    return Chips(
        seeds=np.concatenate([shard["seeds"] for shard in shards]),
        pictures=np.concatenate([shard["pictures"] for shard in shards]),
        masks=np.unpackbits(np.concatenate([shard["masks"] for shard in shards]), axis=-1).astype(np.bool_),
        boxes=np.concatenate([shard["boxes"] for shard in shards]),
        has_lookalike=np.concatenate([shard["has_lookalike"] for shard in shards]),
    )


def shard_paths(folder: Path, split: str) -> list[Path]:
    """Return a split's finished shards in order."""
    return sorted(path for path in folder.glob(f"{split}-*.npz") if ".partial" not in path.name)


def _write_shard(path: Path, first: int) -> str:
    started = time.monotonic()
    chips = generate(range(first, first + SHARD))
    if path.name.startswith("train"):
        # First the lessons: a shard that is there is complete.
        save_lessons(lessons_of(chips), path)
    save(chips, path)
    return f"{path.name}: {SHARD} chips in {time.monotonic() - started:.0f} s"


def main() -> None:
    """Write the shards that are missing, validation and test first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(".cache/demo-chips"))
    parser.add_argument("--train", type=int, default=32, help=f"training shards of {SHARD} chips")
    parser.add_argument("--skip", type=int, default=0, help="training shards to leave out before those")
    parser.add_argument("--validation", type=int, default=1)
    parser.add_argument("--test", type=int, default=1)
    parser.add_argument("--processes", type=int, default=max(1, (os.cpu_count() or 1) - 1))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    skipped = {"validation": 0, "test": 0, "train": options.skip}
    wanted = [
        (options.out / f"{split}-{number:04d}.npz", FIRST_SEED[split] + number * SHARD)
        for split in ("validation", "test", "train")
        for number in range(skipped[split], skipped[split] + getattr(options, split))
    ]
    with ProcessPoolExecutor(options.processes) as pool:
        written = [pool.submit(_write_shard, path, first) for path, first in wanted if not path.exists()]
        for done in as_completed(written):
            print(done.result(), flush=True)


if __name__ == "__main__":
    main()
