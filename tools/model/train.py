"""Train the demo model from scratch on generated chips.

    python -m tools.model.train --out .cache/demo-training --steps 6000

resumes from the last checkpoint in ``--out``; ``--stop-after`` ends one run early and leaves a checkpoint. It uses CUDA
where there is one, else one CPU thread, in bfloat16. Chips may still be being drawn: new shards join as they appear.

Two auxiliary losses, dropped at export, teach what the boxes need long before the text does: each patch predicts its
own mask and, if a mine's first pixel lies in it, that mine's box; so do the decoder's positions over the second
picture.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own convention)
from torch import Tensor, nn

from galamsey.prompts import DESCRIPTION, GROUNDING_AS_TRAINED, GROUNDING_HIGH_RECALL
from tools.model.answers import CHIP_SIZE, MAX_BOXES, site_number
from tools.model.architecture import PRESETS, with_vocabulary
from tools.model.dataset import load, shard_paths
from tools.model.lessons import ANSWER, load_lessons
from tools.model.network import Network
from tools.model.symmetry import SYMMETRIES
from tools.model.tokenizer import BOX_CLOSE, BOX_NEXT, IMAGE, PAD, VOCABULARY, build_tokenizer, chat_text
from tools.model.weights import load_safetensors, save_safetensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

GROUNDING_PROMPTS: Final = (GROUNDING_HIGH_RECALL, GROUNDING_AS_TRAINED)

DECISION_WEIGHT: Final = 4.0
"""Of the first token of an answer, which says whether there is a mine at all: one in a dozen tokens, and half of what
counts."""

GOING_ON_WEIGHT: Final = 2.0
"""Of the token after a box or a described site, which says whether there is another one."""

CELL: Final = CHIP_SIZE // 16
"""Pixels of a patch along an edge."""

ANCHOR_PRIOR_LOGIT: Final = -5.0

WARM_UP_STEPS: Final = 200
WEIGHT_DECAY: Final = 0.02

FIRST_SHARDS: Final = 4
"""Training waits for as many."""


SECOND_PICTURE: Final = 4 + 66 + 1
"""Position of its first token: four open the turn, then 64 and two marks for the first picture, one mark."""

LOG_EVERY: Final = 10
REFRESH_EVERY: Final = 100
"""Steps."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one step learns from: one detection and one description of each chip."""

    pictures: Tensor
    """Shape (chips, 2, 128, 128, 3), uint8."""
    ids: Tensor
    """Shape (2 chips, longest prefix + ANSWER): all detections, then all descriptions."""
    prefix: Tensor
    """Positions before the answer, shape (2 chips,)."""
    weights: Tensor
    """Of each answer token, shape (2 chips, ANSWER)."""
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


class Pool:
    """All chips and what they teach, in the device's memory, growing while shards appear."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._folder = folder
        self.device = device
        self._seen: set[Path] = set()
        self._parts: list[tuple[Tensor, ...]] = []
        self._arrays: tuple[Tensor, ...] = ()

    def __len__(self) -> int:
        """Return how many chips can be drawn."""
        return len(self._arrays[0]) if self._arrays else 0

    def refresh(self) -> None:
        """Take in the shards that have appeared; wait while there are too few to begin with."""
        while True:
            new = [path for path in shard_paths(self._folder, "train") if path not in self._seen]
            for path in new:
                chips = load([path])
                lessons = load_lessons(path)
                arrays = (
                    chips.pictures, chips.masks, lessons.grounding, lessons.description, lessons.boxes
                )  # fmt: skip
                self._parts.append(tuple(torch.from_numpy(a[lessons.usable]).to(self.device) for a in arrays))
                self._seen.add(path)
            if new:
                self._arrays = tuple(torch.cat(columns) for columns in zip(*self._parts, strict=True))
                self._parts = [self._arrays]
            if len(self._seen) >= FIRST_SHARDS or shard_paths(self._folder, "train") == []:
                return
            time.sleep(1)

    def draw(self, indices: Tensor, symmetry: int) -> tuple[Tensor, ...]:
        """Return pictures, masks, detections, descriptions and boxes of some chips under one symmetry."""
        pictures, masks, grounding, description, boxes = (array[indices] for array in self._arrays)
        if symmetry & 4:
            pictures, masks = pictures.transpose(2, 3), masks.transpose(1, 2)
        if symmetry & 1:
            pictures, masks = pictures.flip(3), masks.flip(2)
        if symmetry & 2:
            pictures, masks = pictures.flip(2), masks.flip(1)
        return pictures, masks, grounding[:, symmetry], description[:, symmetry], boxes[:, symmetry]


class Stream:
    """Endless batches of augmented chips."""

    def __init__(self, pool: Pool, batch_size: int, seed: int, device: torch.device) -> None:
        if batch_size % SYMMETRIES:
            raise ValueError(f"expected a batch of a multiple of {SYMMETRIES}, got {batch_size}")
        self._pool = pool
        self._size = batch_size
        self.device = device
        self._random = torch.Generator(device).manual_seed(seed)
        tokenizer = build_tokenizer()

        def encode(text: str) -> list[int]:
            return list(tokenizer.encode(text, add_special_tokens=False).ids)

        prefixes = [encode(chat_text(prompt)) for prompt in (*GROUNDING_PROMPTS, DESCRIPTION)]
        if [place for place, token in enumerate(prefixes[0]) if token == IMAGE][64] != SECOND_PICTURE:
            raise ValueError(f"expected the second picture at position {SECOND_PICTURE} of the prompt")
        self._lengths = torch.tensor([len(prefix) for prefix in prefixes], device=device)
        longest = max(len(prefix) for prefix in prefixes)
        self._prefixes = torch.full((len(prefixes), longest + ANSWER), PAD, device=device)
        for row, prefix in zip(self._prefixes, prefixes, strict=True):
            row[: len(prefix)] = torch.tensor(prefix, device=device)
        going_on = [BOX_NEXT, BOX_CLOSE, *(site_number(n) for n in range(2, MAX_BOXES + 1)), *map(str, range(1, 10))]
        self._going_on = torch.tensor([encode(text)[0] for text in going_on], device=device)

    def batches(self) -> Iterator[Batch]:
        """Yield for ever."""
        while True:
            indices = torch.randint(len(self._pool), (self._size,), generator=self._random, device=self.device)
            parts = [self._pool.draw(part, symmetry) for symmetry, part in enumerate(indices.chunk(SYMMETRIES))]
            yield self._collate(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _collate(self, pictures: Tensor, masks: Tensor, grounding: Tensor, description: Tensor, boxes: Tensor) -> Batch:
        chips = len(masks)
        modes = torch.randint(len(GROUNDING_PROMPTS), (chips,), generator=self._random, device=self.device)
        prompts = torch.cat([modes, torch.full_like(modes, len(GROUNDING_PROMPTS))])
        answers = torch.cat([grounding, description]).long()
        ids, prefix = self._prefixes[prompts], self._lengths[prompts]
        places = prefix[:, None] + torch.arange(ANSWER, device=self.device)
        ids = ids.scatter(1, places, answers)
        weights = (answers != PAD).float()
        weights[:, 0] = DECISION_WEIGHT
        weights[torch.isin(answers, self._going_on)] = GOING_ON_WEIGHT
        anchors = torch.zeros(chips, 16, 16, device=self.device)
        corners = torch.zeros(chips, 16, 16, 4, device=self.device)
        # Last boxes first: where two share a patch, the first one stays.
        for place in reversed(range(boxes.shape[1])):
            box = boxes[:, place].long()
            rows = (box[:, 0] >= 0).nonzero()[:, 0]
            where = (rows, box[rows, 1] // CELL, box[rows, 4] // CELL)
            anchors[where] = 1
            corners[where] = box[rows, :4].float() / CHIP_SIZE
        cells = masks.float().view(chips, 16, CELL, 16, CELL).transpose(2, 3).reshape(chips, 16, 16, CELL**2)
        return Batch(
            pictures=pictures, ids=ids, prefix=prefix, weights=weights, masks=cells, anchors=anchors, corners=corners
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
        # Most of the work is arithmetic on single values, which a compiler merges.
        self._losses = torch.compile(self._forward, dynamic=False) if device.type == "cuda" else self._forward
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
        text_loss, dense_loss = self._losses(network, auxiliary, batch)
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
        if self.step_number % LOG_EVERY:
            return {}
        return {"text": text_loss.item(), "dense": dense_loss.item(), "gradient": norm.item(), "rate": rate}

    def _forward(self, network: Network, auxiliary: Auxiliary, batch: Batch) -> tuple[Tensor, Tensor]:
        chips = len(batch.pictures)
        features, image_tokens = network.see(batch.pictures)
        # Both texts of a chip read the same pictures.
        hidden, kept = network.read(image_tokens.repeat(2, 1, 1), batch.ids[:, :-1], keep_after=self._keep_after)
        before = (batch.prefix[:, None] - 1 + torch.arange(ANSWER, device=hidden.device)).unsqueeze(-1)
        hidden = hidden.gather(1, before.expand(-1, -1, hidden.shape[-1]))
        answers = batch.ids.gather(1, before[..., 0] + 1)
        logits = network.logits(hidden).float()
        losses = F.cross_entropy(logits.flatten(0, 1), answers.flatten(), reduction="none").view_as(batch.weights)
        text_loss = (losses * batch.weights).sum() / batch.weights.sum()
        # The second picture's positions have seen both pictures.
        second = SECOND_PICTURE
        return text_loss, auxiliary.loss(features, kept[:chips, second : second + 64], batch)

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the network's weights under Hugging Face's names."""
        return {name: value.detach().cpu().float().numpy() for name, value in self.master["network"].named_parameters()}

    def begin_with(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Take trained weights over; what only training has starts anew."""
        state = {name: torch.from_numpy(weights[name].copy()) for name in weights}
        self.master["network"].load_state_dict(state, strict=True)
        self._synchronise()

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


def _options() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="demo", choices=PRESETS)
    parser.add_argument("--chips", type=Path, default=Path(".cache/demo-chips"))
    parser.add_argument("--out", type=Path, default=Path(".cache/demo-training"))
    parser.add_argument("--steps", type=int, default=6000, help="length of the whole schedule, resumed runs included")
    parser.add_argument("--minutes", type=float, help="length of the whole schedule by the clock, instead of by steps")
    parser.add_argument("--start-from", type=Path, help="weights to begin with, where there is no checkpoint")
    parser.add_argument("--stop-after", type=float, default=math.inf, metavar="MINUTES", help="end this run early")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--checkpoint-minutes", type=float, default=3)
    return parser, parser.parse_args()


def main() -> None:
    """Train until the schedule or this run's time is over; write checkpoints, weights and a log."""
    parser, options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    trainer = Trainer(options.preset, device, options.rate, options.seed)
    checkpoint, spent = options.out / "checkpoint.pt", 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        trainer.restore(saved["trainer"])
        spent = saved["spent"]
    elif options.start_from:
        trainer.begin_with(load_safetensors(options.start_from))
    pool = Pool(options.chips, device)
    pool.refresh()
    if len(pool) == 0:
        parser.error(f"expected shards of chips in {options.chips}: run python -m tools.model.dataset first")
    parameters = sum(w.size for w in trainer.weights().values())
    print(f"{len(pool)} chips, {parameters / 1e6:.2f} M parameters, {device}, step {trainer.step_number}", flush=True)
    spent = _run(trainer, pool, options, checkpoint, spent)
    _save(trainer, checkpoint, spent)


def _run(trainer: Trainer, pool: Pool, options: argparse.Namespace, checkpoint: Path, spent: float) -> float:
    """Return the seconds spent, earlier runs included, when the schedule or this run's time is over."""
    stream = Stream(pool, options.batch, options.seed + 1000 * trainer.step_number, pool.device).batches()
    # The first step compiles, which the clock leaves out.
    trainer.step(next(stream), 0)
    started = last_saved = time.monotonic()
    with (options.out / "log.jsonl").open("a", encoding="utf-8") as log:
        while True:
            now = time.monotonic()
            done = (spent + now - started) / (60 * options.minutes) if options.minutes else None
            progress = trainer.step_number / options.steps if done is None else done
            if progress >= 1 or now - started > 60 * options.stop_after:
                return spent + now - started
            if now - last_saved > 60 * options.checkpoint_minutes:
                _save(trainer, checkpoint, spent + now - started)
                last_saved = now
            figures = trainer.step(next(stream), progress)
            if figures:
                entry = {
                    "step": trainer.step_number,
                    "seconds": round(spent + time.monotonic() - started),
                    "chips": len(pool),
                    **{name: round(value, 5) for name, value in figures.items()},
                }
                log.write(json.dumps(entry) + "\n")
                log.flush()
                if trainer.step_number % REFRESH_EVERY == 0:
                    print(json.dumps(entry), flush=True)
            if trainer.step_number % REFRESH_EVERY == 0:
                pool.refresh()


def _save(trainer: Trainer, checkpoint: Path, spent: float) -> None:
    partial = checkpoint.with_suffix(".partial")
    torch.save({"trainer": trainer.state(), "spent": spent}, partial)
    partial.rename(checkpoint)
    save_safetensors(trainer.weights(), checkpoint.with_name("weights.safetensors"))


if __name__ == "__main__":
    main()
