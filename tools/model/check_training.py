"""Measure trained weights on held-out chips in PyTorch: ``python -m tools.model.check_training``.

The same figures as ``tools.model.evaluate``, in seconds on a GPU, for choosing between runs. The browser's are the
ones that count.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from galamsey.prompts import AS_TRAINED, DESCRIPTION, HIGH_RECALL
from tools.model.dataset import load, shard_paths
from tools.model.evaluate import figures
from tools.model.export import preset_architecture
from tools.model.greedy import greedy_ids, network_of
from tools.model.tokenizer import build_tokenizer
from tools.model.weights import load_safetensors


def main() -> None:
    """Read the command line, ask all three prompts, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--weights", type=Path, default=Path(".cache/demo-training/weights.safetensors"))
    parser.add_argument("--data", type=Path, default=Path(".cache/demo-chips"))
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--chips", type=int, default=500)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network_of(preset_architecture(options.preset), load_safetensors(options.weights), device)
    chips = load(shard_paths(options.data, options.split))
    tokenizer = build_tokenizer()
    pictures = chips.pictures[: options.chips]
    answers = {
        prompt: [tokenizer.decode(ids, skip_special_tokens=True) for ids in greedy_ids(network, pictures, prompt)]
        for prompt in (HIGH_RECALL.prompt, AS_TRAINED.prompt, DESCRIPTION)
    }
    print(json.dumps({"split": options.split, "chips": options.chips, **figures(chips, answers)}))


if __name__ == "__main__":
    main()
