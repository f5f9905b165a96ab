"""Compare the answers that browsers gave with PyTorch's greedy ones, token for token.

    python -m tools.model.evaluate --chips 200 --answers .cache/answers-wasm-fp32.json
    python -m tools.model.parity_answers .cache/answers-wasm-fp32.json            # compare
    python -m tools.model.parity_answers .cache/answers-wasm-fp32.json --record   # and rewrite the fixture

The network gets the weights that the model folder's own files hold. An answer is PyTorch's greedy one if, read as a
whole, each of its tokens is the likeliest after those before it: one pass in place of one per token.
"""

from __future__ import annotations

import argparse
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from galamsey.prompts import MAX_NEW_TOKENS
from tools.model.dataset import load, shard_paths
from tools.model.evaluate import PROMPTS
from tools.model.export import preset_architecture
from tools.model.greedy import greedy_ids, network_of
from tools.model.network import Network
from tools.model.shipped import shipped_weights
from tools.model.tokenizer import IM_END, build_tokenizer, chat_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FIXTURE: Final = Path("tests/fixtures/demo_answers.json")
CHIPS: Final = 200
"""Chips that are compared, and kept in the fixture."""


@cache
def prefix_of(prompt: str) -> list[int]:
    """Return the ids that stand before an answer."""
    return build_tokenizer().encode(chat_text(prompt), add_special_tokens=False).ids


@torch.no_grad()
def greedy_length(network: Network, image_tokens: torch.Tensor, prompt: str, ids: list[int]) -> int:
    """Return how many of the first tokens of an answer are those that PyTorch finds likeliest."""
    prefix = prefix_of(prompt)
    hidden, _ = network.read(image_tokens, torch.tensor([[*prefix, *ids]]))
    likeliest = network.logits(hidden[0, len(prefix) - 1 : -1]).argmax(-1).tolist()
    same = [one == other for one, other in zip(likeliest, ids, strict=True)]
    return same.index(False) if False in same else len(same)


def answer_of(
    network: Network, picture: NDArray[np.uint8], prompt: str, told: dict[str, Any]
) -> tuple[list[int], bool]:
    """Return PyTorch's greedy answer to one prompt about pictures (1, 2, 128, 128, 3), and whether ``told`` is it."""
    _, image_tokens = network.see(torch.from_numpy(picture))
    ids = told["ids"]
    # Where a list has ended the engine may stop before the token that ends the answer.
    if greedy_length(network, image_tokens, prompt, ids) == len(ids) and (ids[-1] == IM_END) == (
        told["stopped"] == "eos"
    ):
        return ids, True
    return greedy_ids(network, picture, prompt, max_new_tokens=MAX_NEW_TOKENS)[0], False


def compare(folder: Path, path: Path, data: Path, chips: int) -> tuple[dict[str, Any], list[list[list[int]]]]:
    """Return the counts of one file of answers, and PyTorch's own answers, by prompt and chip."""
    told = json.loads(path.read_text())
    pool = load(shard_paths(data, "test"))
    if told["seeds"][:chips] != pool.seeds[:chips].tolist():
        raise SystemExit(f"{path}: expected answers about the first {chips} chips of {data}, got other seeds")
    architecture = preset_architecture("demo")
    shapes = {name: tuple(value.shape) for name, value in Network(architecture).state_dict().items()}
    network = network_of(architecture, shipped_weights(folder, shapes), torch.device("cpu"))
    own: list[list[list[int]]] = [[] for _ in PROMPTS]
    differing = 0
    for index in range(chips):
        for prompt, answers, kept in zip(PROMPTS, told["answers"], own, strict=True):
            ids, same = answer_of(network, pool.pictures[index : index + 1], prompt, answers[index])
            kept.append(ids)
            differing += not same
    counts = {"answers": str(path), "chips": chips, "compared": chips * len(PROMPTS), "differing": differing}
    return {**counts, "tokens": sum(len(ids) for answers in own for ids in answers)}, own


def main() -> None:
    """Compare files of answers; fail if those of single precision differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("answers", type=Path, nargs="+")
    parser.add_argument("--model", type=Path, default=Path("models/demo"))
    parser.add_argument("--data", type=Path, default=Path(".cache/demo-chips"))
    parser.add_argument("--chips", type=int, default=CHIPS)
    parser.add_argument("--record", action="store_true", help=f"write PyTorch's answers to {FIXTURE}")
    parser.add_argument("--allow", type=int, default=0, help="answers that may differ: half precision rounds more")
    options = parser.parse_args()
    differing = 0
    for path in options.answers:
        counts, own = compare(options.model, path, options.data, options.chips)
        print(json.dumps(counts), flush=True)
        differing += counts["differing"]
        if options.record:
            seeds = json.loads(path.read_text())["seeds"][: options.chips]
            FIXTURE.write_text(json.dumps({"seeds": seeds, "answers": own}, separators=(",", ":")) + "\n")
    if differing > options.allow:
        raise SystemExit(f"expected at most {options.allow} answers to differ from PyTorch's, got {differing}")


if __name__ == "__main__":
    main()
