"""Train the demo model from scratch on generated chips.

    python -m tools.model.train --out .cache/demo-training --minutes 60

resumes from the last checkpoint in ``--out``. It uses CUDA where there is one, else one CPU thread in bfloat16. Two
auxiliary losses,
dropped at export, teach what the boxes need long before the text does: each patch predicts its own mask and, if a
mine's first pixel lies in it, that mine's box; so do the decoder's positions over the second picture.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own convention)
from torch import Tensor, nn

from galamsey.prompts import DESCRIPTION, GROUNDING_AS_TRAINED, GROUNDING_HIGH_RECALL
from tools.model.answers import CHIP_SIZE, Box, boxes_answer, description_answer
from tools.model.architecture import PRESETS, with_vocabulary
from tools.model.dataset import Chips, load, shard_paths
from tools.model.network import Network
from tools.model.symmetry import in_raster_order, turned, turned_boxes
from tools.model.tokenizer import IM_END, PAD, VOCABULARY, build_tokenizer, chat_text
from tools.model.weights import save_safetensors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PROMPT_SHARES: Final = ((GROUNDING_HIGH_RECALL, 0.44), (GROUNDING_AS_TRAINED, 0.44), (DESCRIPTION, 0.12))
LONGEST_ANSWER: Final = 12
"""Boxes; the hundredth chip that has more is passed over, or its length would be the whole batch's."""

CELL: Final = CHIP_SIZE // 16
"""Pixels of a patch along an edge."""

ANCHOR_PRIOR_LOGIT: Final = -5.0

WARM_UP_STEPS: Final = 100
WEIGHT_DECAY: Final = 0.02


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one step learns from."""

    pictures: Tensor
    ids: Tensor
    prefix: int
    """Positions before the answer."""
    masks: Tensor
    """Shape (chips, 16, 16, 64): the mask's pixels by patch."""
    anchors: Tensor
    """Shape (chips, 16, 16): 1 where a mine's first pixel lies."""
    corners: Tensor
    """Shape (chips, 16, 16, 4): that mine's box, 0-1."""


class Auxiliary(nn.Module):
    """The two heads that only training has."""

    def __init__(self, vision_hidden: int, text_hidden: int) -> None:
        super().__init__()
        self.patch = nn.Linear(vision_hidden, CELL**2 + 5)
        self.token = nn.Linear(text_hidden, 4 * (CELL**2 + 5))

    def loss(self, features: Tensor, kept: Tensor, batch: Batch) -> Tensor:
        """Return the sum of both heads' losses, as a scalar."""
        chips = len(batch.masks)
        by_patch = self.patch(features).float().view(chips, 2, 16, 16, -1)
        by_token = self.token(kept).float().view(chips, 8, 8, 2, 2, -1).transpose(2, 3).reshape(chips, 16, 16, -1)
        return 0.5 * (_dense(by_patch[:, 0], batch) + _dense(by_patch[:, 1], batch)) + _dense(by_token, batch)


def _dense(predicted: Tensor, batch: Batch) -> Tensor:
    mask, anchor, corners = predicted.split([CELL**2, 1, 4], dim=-1)
    anchor_loss = F.binary_cross_entropy_with_logits(anchor[..., 0], batch.anchors, reduction="sum") / len(batch.masks)
    off = F.smooth_l1_loss(corners, batch.corners, beta=0.02, reduction="none").sum(-1)
    corner_loss = (off * batch.anchors).sum() / batch.anchors.sum().clamp(min=1)
    return F.binary_cross_entropy_with_logits(mask, batch.masks) * 4 + 0.1 * anchor_loss + 2 * corner_loss


class Stream:
    """Endless batches of augmented chips."""

    def __init__(self, chips: Chips, batch_size: int, seed: int, device: torch.device) -> None:
        self._chips = chips
        self._short = np.flatnonzero((chips.boxes[:, :, 0] >= 0).sum(axis=1) <= LONGEST_ANSWER)
        self._size = batch_size
        self._rng = np.random.default_rng(seed)
        self._device = device
        self._tokenizer = build_tokenizer()
        self._prefixes = {prompt: self.encode(chat_text(prompt)) for prompt, _ in PROMPT_SHARES}

    def encode(self, text: str) -> list[int]:
        """Tokenise without adding anything."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def batches(self) -> Iterator[Batch]:
        """Yield for ever. Each batch has one prompt, so that prefixes need no padding."""
        prompts = [prompt for prompt, _ in PROMPT_SHARES]
        shares = [share for _, share in PROMPT_SHARES]
        while True:
            prompt = prompts[self._rng.choice(len(prompts), p=shares)]
            yield self._collate(prompt, [self._example(prompt) for _ in range(self._size)])

    def _example(self, prompt: str) -> tuple[tuple[int, int, list[tuple[int, Box]]], list[int]]:
        index, symmetry = int(self._rng.choice(self._short)), int(self._rng.integers(8))
        raw = self._chips.boxes[index]
        _, mask = turned(self._chips.pictures[index, :, :1, :1], self._chips.masks[index], symmetry)
        ordered = in_raster_order(turned_boxes(raw[raw[:, 0] >= 0], symmetry), mask)
        boxes = [box for _, box in ordered]
        answer = description_answer(boxes) if prompt == DESCRIPTION else boxes_answer(boxes)
        return (index, symmetry, ordered), [*self.encode(answer), IM_END]

    def _collate(self, prompt: str, examples: list[tuple[tuple[int, int, list[tuple[int, Box]]], list[int]]]) -> Batch:
        prefix = self._prefixes[prompt]
        longest = max(len(answer) for _, answer in examples)
        ids = np.full((len(examples), len(prefix) + longest), PAD, dtype=np.int64)
        ids[:, : len(prefix)] = prefix
        pictures = np.empty((len(examples), 2, CHIP_SIZE, CHIP_SIZE, 3), dtype=np.uint8)
        masks = np.empty((len(examples), CHIP_SIZE, CHIP_SIZE), dtype=np.float32)
        anchors = np.zeros((len(examples), 16, 16), dtype=np.float32)
        corners = np.zeros((len(examples), 16, 16, 4), dtype=np.float32)
        for row, ((index, symmetry, ordered), answer) in enumerate(examples):
            ids[row, len(prefix) : len(prefix) + len(answer)] = answer
            pictures[row], masks[row] = turned(self._chips.pictures[index], self._chips.masks[index], symmetry)
            for first, box in reversed(ordered):
                anchors[row, box[1] // CELL, first // CELL] = 1
                corners[row, box[1] // CELL, first // CELL] = np.array(box) / CHIP_SIZE
        cells = masks.reshape(-1, 16, CELL, 16, CELL).swapaxes(2, 3).reshape(-1, 16, 16, CELL**2)
        move = {"device": self._device, "non_blocking": True}
        return Batch(
            pictures=torch.from_numpy(pictures).to(**move),
            ids=torch.from_numpy(ids).to(**move),
            prefix=len(prefix),
            masks=torch.from_numpy(cells).to(**move),
            anchors=torch.from_numpy(anchors).to(**move),
            corners=torch.from_numpy(corners).to(**move),
        )


class Trainer:
    """Full-precision weights with a bfloat16 working copy that computes."""

    def __init__(self, preset: str, device: torch.device, rate: float, seed: int) -> None:
        torch.manual_seed(seed)
        architecture = with_vocabulary(PRESETS[preset], VOCABULARY)
        self._rate = rate
        self._keep_after = len(architecture.text.kinds) - 3
        self.master = nn.ModuleDict(
            {
                "network": Network(architecture),
                "auxiliary": Auxiliary(architecture.vision.hidden, architecture.text.hidden),
            }
        ).to(device)
        _initialise(self.master)
        self._working = nn.ModuleDict(
            {
                "network": Network(architecture),
                "auxiliary": Auxiliary(architecture.vision.hidden, architecture.text.hidden),
            }
        ).to(device, torch.bfloat16)
        matrices, others = [], []
        for name, weight in self.master.named_parameters():
            hidden = (".layers." in name and weight.ndim == 2) or ("linear_" in name and weight.ndim == 2)
            (matrices if hidden else others).append(weight)
        self._optimizers = [
            torch.optim.Muon(matrices, lr=rate, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY),
        ]
        self.step_number = 0
        self._synchronise()

    def _synchronise(self) -> None:
        with torch.no_grad():
            for working, master in zip(self._working.parameters(), self.master.parameters(), strict=True):
                working.copy_(master)

    def step(self, batch: Batch, progress: float) -> dict[str, float]:
        """Learn from one batch; ``progress`` (0-1) places the step on the cosine schedule."""
        warm = min(1.0, (self.step_number + 1) / WARM_UP_STEPS)
        rate = self._rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        network, auxiliary = self._working["network"], self._working["auxiliary"]
        features, image_tokens = network.see(batch.pictures)
        hidden, kept = network.read(image_tokens, batch.ids[:, :-1], keep_after=self._keep_after)
        logits = network.logits(hidden[:, batch.prefix - 1 :]).float()
        text_loss = F.cross_entropy(
            logits.flatten(0, 1), batch.ids[:, batch.prefix :].flatten(), ignore_index=PAD, label_smoothing=0.0
        )
        # The second picture's positions have seen both pictures; 3 tokens open the turn, then 66 + 1 for each picture.
        second = (batch.ids[0] == network.architecture.image_token).nonzero()[64, 0]
        dense_loss = auxiliary.loss(features, kept[:, second : second + 64], batch)
        # Once boxes come out right, what is left to learn is the text's: the scaffold fades, but stays.
        (text_loss + (0.2 + 0.8 * (1 - progress)) * dense_loss).backward()
        masters = list(self.master.parameters())
        for working, master in zip(self._working.parameters(), masters, strict=True):
            master.grad = None if working.grad is None else working.grad.float()
            working.grad = None
        norm = nn.utils.clip_grad_norm_(masters, 1.0)
        for optimizer in self._optimizers:
            optimizer.step()
        self._synchronise()
        self.step_number += 1
        return {"text": text_loss.item(), "dense": dense_loss.item(), "gradient": norm.item(), "rate": rate}

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the network's weights under Hugging Face's names."""
        return {name: value.detach().cpu().float().numpy() for name, value in self.master["network"].named_parameters()}

    def state(self) -> dict[str, object]:
        """Return all that a resumed run needs."""
        return {
            "step": self.step_number,
            "master": self.master.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
        }

    def restore(self, state: dict[str, object]) -> None:
        """Continue from a saved state."""
        self.step_number = int(state["step"])  # type: ignore[call-overload]
        self.master.load_state_dict(state["master"])  # type: ignore[arg-type]
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):  # type: ignore[call-overload]
            optimizer.load_state_dict(saved)
        self._synchronise()


@torch.no_grad()
def _initialise(module: nn.Module) -> None:
    for name, weight in module.named_parameters():
        if "embed" in name and weight.ndim == 2 and "patch" not in name:
            nn.init.normal_(weight, std=0.02)
        elif weight.ndim >= 2:
            nn.init.normal_(weight, std=0.8 / math.sqrt(weight[0].numel()))
        elif name.endswith("bias"):
            nn.init.zeros_(weight)
            if name.startswith("auxiliary"):
                # A mine's first pixel is rare: start from the prior instead of learning it.
                weight.view(-1, CELL**2 + 5)[:, CELL**2] = ANCHOR_PRIOR_LOGIT


def main() -> None:
    """Train until the minutes are over; write checkpoints, weights and a log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="demo", choices=PRESETS)
    parser.add_argument("--chips", type=Path, default=Path(".cache/demo-chips"))
    parser.add_argument("--out", type=Path, default=Path(".cache/demo-training"))
    parser.add_argument("--minutes", type=float, default=60, help="length of the whole schedule, resumed runs included")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--checkpoint-minutes", type=float, default=3)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    chips = load(shard_paths(options.chips, "train"))
    trainer = Trainer(options.preset, device, options.rate, options.seed)
    checkpoint, spent = options.out / "checkpoint.pt", 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        trainer.restore(saved["trainer"])
        spent = saved["spent"]
    print(
        f"{len(chips)} chips, {sum(w.size for w in trainer.weights().values()) / 1e6:.2f} M parameters, {device}",
        flush=True,
    )
    stream = Stream(chips, options.batch, options.seed + 1000 * trainer.step_number, device).batches()
    started = last_saved = time.monotonic()
    with (options.out / "log.jsonl").open("a", encoding="utf-8") as log:
        while True:
            elapsed = spent + time.monotonic() - started
            progress = elapsed / (60 * options.minutes)
            if progress < 1:
                figures = trainer.step(next(stream), progress)
                if trainer.step_number % 10 == 0:
                    line = {
                        "step": trainer.step_number,
                        "seconds": round(elapsed),
                        **{k: round(v, 5) for k, v in figures.items()},
                    }
                    log.write(json.dumps(line) + "\n")
                    log.flush()
            if progress >= 1 or time.monotonic() - last_saved > 60 * options.checkpoint_minutes:
                last_saved = time.monotonic()
                partial = checkpoint.with_suffix(".partial")
                torch.save({"trainer": trainer.state(), "spent": elapsed}, partial)
                partial.rename(checkpoint)
                save_safetensors(trainer.weights(), options.out / "weights.safetensors")
            if progress >= 1:
                break


if __name__ == "__main__":
    main()
