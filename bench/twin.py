"""Build the 450M twin: the full model's shapes, random weights, and a tokenizer that splits answers as its own would.

The twin says nothing of use, so a bench has it replay answers that the demo model gave. The demo model's tokenizer
holds whole phrases and coordinates; the twin's has them in the pieces usual for a large vocabulary (words, runs of
punctuation, single digits), so that steps per token mean what they would mean for the full model.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tools.model.architecture import PRESETS, Architecture
from tools.model.decoder import build_decoder
from tools.model.embed import build_embed
from tools.model.graph import PRECISIONS, Graph
from tools.model.vision import build_vision
from tools.model.weights import RandomWeights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEED: Final = 7

PIECES: Final = (
    '[{"', '":', ' "', '",', '"', " [", "[", "]},", "]}", "}]", ' {"', "]", "label", "mining", "_p", "it", "b", "box",
    "0", ".", ",", "[]",
)  # fmt: skip
"""What large vocabularies have as one token each, of the texts that detection answers are made of."""

FULL: Final = PRESETS["full"]

SHAPES: Final = PRESETS | {
    "cut": replace(
        FULL,
        vision=replace(FULL.vision, layers=6),
        text=replace(FULL.text, vocabulary=16_384, kinds=FULL.text.kinds[:8]),
    )
}
"""Presets, and the full model with a quarter of its words and half of its layers: for machines with little memory."""

COPIED: Final = ("tokenizer_config.json", "preprocessor_config.json", "processor_config.json", "generation_config.json")


def tokenizer_in_pieces(demo: dict[str, Any]) -> dict[str, Any]:
    """Return the demo model's tokenizer without its phrases: words by its merges, digits one by one."""
    specials = [token for token in demo["added_tokens"] if token["special"]]
    following = 1 + max(token["id"] for token in demo["added_tokens"])
    pieces = [
        {
            "id": following + place, "content": piece, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": False,
        }
        for place, piece in enumerate(PIECES)
    ]  # fmt: skip
    digits = {"type": "Digits", "individual_digits": True}
    return demo | {
        "added_tokens": [*specials, *pieces],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, demo["pre_tokenizer"]]},
    }


def build_twin(folder: Path, demo: Path, *, preset: str = "full", precision: str = "fp16") -> None:
    """Write the twin's folder, unless it is there; ``demo`` is the demo model's."""
    marker = folder / "complete"
    if marker.exists():
        return
    architecture = SHAPES[preset]
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    config = architecture.hugging_face_config()
    config["transformers.js_config"] = {"use_external_data_format": True}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name in COPIED:
        (folder / name).write_bytes((demo / name).read_bytes())
    tokenizer = json.loads((demo / "tokenizer.json").read_text(encoding="utf-8"))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_in_pieces(tokenizer)), encoding="utf-8")
    weights = RandomWeights(architecture, SEED)
    builders: dict[str, Callable[[Graph, Architecture], None]] = {
        "vision_encoder": lambda graph, shape: build_vision(graph, shape, "fused"),
        "embed_tokens": build_embed,
        "decoder_model_merged": lambda graph, shape: build_decoder(graph, shape, "fused"),
    }
    for session, build in builders.items():
        path = folder / "onnx" / f"{session}{PRECISIONS[precision].suffix}.onnx"
        with path.with_name(f"{path.name}_data").open("wb") as data:
            graph = Graph(weights, PRECISIONS[precision], data)
            build(graph, architecture)
            graph.save(path)
    marker.touch()
