"""Record what transformers' own PyTorch classes answer, for tests that run without PyTorch.

python -m tools.model.record_parity            # rewrite the fixture
python -m tools.model.record_parity --check    # compare it, and the training network, with PyTorch now
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from transformers import DynamicCache, Lfm2VlConfig, Lfm2VlForConditionalGeneration

from tools.model.network import Network
from tools.model.parity import (
    ARCHITECTURE,
    DRAFT,
    FIXTURE,
    IMAGE_SETS,
    PREFILL_KEPT,
    PROMPT_IMAGES,
    STEPS,
    WEIGHTS_SEED,
    Images,
    images,
    prompt_ids,
)
from tools.model.pixels import patches
from tools.model.weights import RandomWeights

TOLERANCE = 5e-4
"""Float32 sums in another order, on logits of standard deviation near 8."""


def reference() -> Lfm2VlForConditionalGeneration:
    """Build transformers' model with the builder's weights; every name and shape must match."""
    model = Lfm2VlForConditionalGeneration(Lfm2VlConfig(**ARCHITECTURE.hugging_face_config())).eval().float()
    weights = RandomWeights(ARCHITECTURE, WEIGHTS_SEED)
    state = {name: torch.from_numpy(weights[name]) for name in weights}
    state["lm_head.weight"] = state["model.language_model.embed_tokens.weight"]
    model.load_state_dict(state, strict=True)
    return model


def _tensors(batch: Images) -> dict[str, torch.Tensor]:
    return {
        "pixel_values": torch.from_numpy(batch.pixel_values),
        "spatial_shapes": torch.from_numpy(batch.shapes),
        "pixel_attention_mask": torch.from_numpy(batch.mask),
    }


@torch.no_grad()
def record() -> dict[str, np.ndarray]:
    """Return the answers to all questions."""
    model = reference()
    answers = {}
    for name in IMAGE_SETS:
        features = model.model.get_image_features(**_tensors(images(name))).pooler_output
        answers[f"vision.{name}"] = torch.cat(list(features), 0).numpy()
    ids = torch.from_numpy(prompt_ids())

    def prefill() -> tuple[torch.Tensor, DynamicCache]:
        out = model(
            input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=True, **_tensors(images(PROMPT_IMAGES))
        )
        return out.logits, out.past_key_values

    logits, cache = prefill()
    answers["prefill"] = logits[0, -PREFILL_KEPT:].numpy()
    said, steps = [int(logits[0, -1].argmax())], []
    for step in range(STEPS):
        mask = torch.ones(1, ids.shape[1] + step + 1, dtype=torch.long)
        out = model(input_ids=torch.tensor([said[-1:]]), attention_mask=mask, past_key_values=cache, use_cache=True)
        steps.append(out.logits[0, 0].numpy())
        said.append(int(out.logits[0, 0].argmax()))
    answers["steps"], answers["said"] = np.stack(steps), np.array(said[:-1], np.int64)
    # The same positions at once, without a cache: what a step of several tokens must give.
    together = torch.cat([ids, torch.tensor([said[:DRAFT]])], 1)
    out = model(input_ids=together, attention_mask=torch.ones_like(together), **_tensors(images(PROMPT_IMAGES)))
    answers["draft"] = out.logits[0, -DRAFT:].numpy()
    return answers


@torch.no_grad()
def network_difference() -> float:
    """Return the greatest difference in logits between the training network and transformers' classes."""
    model, network = reference(), Network(ARCHITECTURE)
    weights = RandomWeights(ARCHITECTURE, WEIGHTS_SEED)
    network.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights}, strict=True)
    pictures = np.random.default_rng(9).integers(0, 256, (1, 2, 128, 128, 3), dtype=np.uint8)
    ids = np.concatenate([prompt_ids()[:, :10], np.full((1, 128), ARCHITECTURE.image_token), prompt_ids()[:, 30:]], 1)
    batch = Images(
        pixel_values=np.stack([patches(picture) for picture in pictures[0]]),
        mask=np.ones((2, 256), np.int64),
        shapes=np.full((2, 2), 16, np.int64),
    )
    theirs = model(input_ids=torch.from_numpy(ids), attention_mask=torch.ones(ids.shape), **_tensors(batch)).logits
    _, tokens = network.see(torch.from_numpy(pictures))
    hidden, _ = network.read(tokens, torch.from_numpy(ids))
    return float((network.logits(hidden) - theirs).abs().max())


def main() -> None:
    """Record, or check a record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    answers = record()
    difference = network_difference()
    print(f"training network against transformers: {difference:.1e}")
    if options.check:
        recorded = np.load(FIXTURE)
        worst = {name: float(np.abs(recorded[name] - answers[name]).max()) for name in answers}
        print("fixture against transformers:", ", ".join(f"{name} {value:.1e}" for name, value in worst.items()))
        difference = max(difference, *worst.values())
    else:
        FIXTURE.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(FIXTURE, **answers)
        print(f"{FIXTURE}: {FIXTURE.stat().st_size / 1e3:.0f} kB")
    if difference > TOLERANCE:
        raise SystemExit(f"expected differences up to {TOLERANCE}, got {difference:.1e}")


if __name__ == "__main__":
    main()
