"""Draw training logs, one run after the other, as a picture: ``python -m tools.model.curve --log FIRST SECOND``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

SMOOTHED_OVER: Final = 15
"""Logged steps in the running mean."""


def main() -> None:
    """Read the log, draw both losses over the steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=Path, nargs="+", default=[Path(".cache/demo-training/log.jsonl")])
    parser.add_argument("--out", type=Path, default=Path("models/demo/training.png"))
    options = parser.parse_args()
    entries: list[dict[str, float]] = []
    for log in options.log:
        before = entries[-1]["step"] if entries else 0
        for line in log.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            entries.append({**entry, "step": before + entry["step"]})
    steps = np.array([entry["step"] for entry in entries])
    figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    window = np.ones(SMOOTHED_OVER) / SMOOTHED_OVER
    for panel, key, title in (
        (axes[0], "text", "Answer tokens"),
        (axes[1], "dense", "Masks and corners (training only)"),
    ):
        values = np.array([entry[key] for entry in entries])
        panel.plot(steps, values, color="#b9c2cc", linewidth=0.8)
        panel.plot(steps[SMOOTHED_OVER - 1 :], np.convolve(values, window, "valid"), color="#1f4e79")
        panel.set(title=title, xlabel="Step", ylabel="Loss", yscale="log")
    figure.savefig(options.out, dpi=110)


if __name__ == "__main__":
    main()
