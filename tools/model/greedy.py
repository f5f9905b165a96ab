"""Greedy answers of the training network itself, many chips at once: for checks during and after training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from tools.model.network import Network
from tools.model.tokenizer import IM_END, PAD, build_tokenizer, chat_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from tools.model.architecture import Architecture

AT_ONCE: Final = 256
"""Chips in one pass."""


def network_of(architecture: Architecture, weights: Mapping[str, NDArray[np.float32]], device: torch.device) -> Network:
    """Build a network in single precision."""
    network = Network(architecture)
    network.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights}, strict=True)
    return network.to(device).eval()


@torch.no_grad()
def greedy_ids(
    network: Network, pictures: NDArray[np.uint8], prompt: str, *, max_new_tokens: int = 256
) -> list[list[int]]:
    """Return each chip's answer to a prompt as token ids, the end token included.

    ``pictures`` has shape (chips, 2, 128, 128, 3). Every step reads the whole text again: no cache that could be wrong.
    """
    device = network.model["language_model"].cosine.device
    prefix = build_tokenizer().encode(chat_text(prompt), add_special_tokens=False).ids
    answers: list[list[int]] = []
    for first in range(0, len(pictures), AT_ONCE):
        part = torch.from_numpy(pictures[first : first + AT_ONCE]).to(device)
        _, image_tokens = network.see(part)
        ids = torch.tensor(prefix, device=device).repeat(len(part), 1)
        ended = torch.zeros(len(part), dtype=torch.bool, device=device)
        for _ in range(max_new_tokens):
            hidden, _ = network.read(image_tokens, ids)
            chosen = network.logits(hidden[:, -1]).argmax(-1)
            chosen[ended] = PAD
            ids = torch.cat([ids, chosen[:, None]], 1)
            ended |= chosen == IM_END
            if bool(ended.all()):
                break
        answers += [[token for token in row if token != PAD] for row in ids[:, len(prefix) :].tolist()]
    return answers
