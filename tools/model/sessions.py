"""Run a model folder with ONNX Runtime on the CPU, the way the app runs it in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from tools.model.pixels import PATCH, patches
from tools.model.tokenizer import IM_END, IMAGE, chat_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

Cache = dict[str, "NDArray[np.float32]"]


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Open one file on one CPU thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Sessions:
    """The three sessions of a model folder and its tokenizer."""

    def __init__(self, folder: Path, suffix: str = "") -> None:
        onnx = folder / "onnx"
        self.vision = open_session(onnx / f"vision_encoder{suffix}.onnx")
        self.embed = open_session(onnx / f"embed_tokens{suffix}.onnx")
        self.decoder = open_session(onnx / f"decoder_model_merged{suffix}.onnx")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._outputs = [output.name for output in self.decoder.get_outputs()]

    def see(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return image tokens of pictures (n, 128, 128, 3), shape (64 n, hidden)."""
        values = np.stack([patches(picture) for picture in pictures])
        edge = int(values.shape[1] ** 0.5)
        if edge * edge != values.shape[1]:
            raise ValueError(f"expected square pictures of a multiple of {PATCH // 2} pixels, got {pictures.shape}")
        return self.look(values, np.ones(values.shape[:2], np.int64), np.full((len(values), 2), edge, np.int64))

    def look(
        self, pixel_values: NDArray[np.float32], mask: NDArray[np.int64], shapes: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Run the tower on prepared patches."""
        feeds = {"pixel_values": pixel_values, "pixel_attention_mask": mask, "spatial_shapes": shapes}
        (features,) = self.vision.run(None, feeds)
        return np.asarray(features)

    def embedded(self, ids: NDArray[np.int64], image_tokens: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Look ids (batch, positions) up and put image tokens in their places."""
        (vectors,) = self.embed.run(None, {"input_ids": ids})
        result = np.array(vectors)
        if image_tokens is not None:
            result[ids == IMAGE] = image_tokens
        return result

    def empty_cache(self) -> Cache:
        """Return the caches of an empty sequence, batch of one."""
        cache: Cache = {}
        for value in self.decoder.get_inputs():
            if value.name.startswith("past"):
                lengths = {"batch_size": 1, "past_sequence_length": 0}
                cache[value.name] = np.zeros([lengths.get(length, length) for length in value.shape], np.float32)
        return cache

    def step(self, vectors: NDArray[np.float32], cache: Mapping[str, Any]) -> tuple[NDArray[np.float32], Cache]:
        """Run the decoder over new positions; return their logits and the longer cache."""
        past = next((value.shape[2] for name, value in cache.items() if name.endswith(".key")), 0)
        mask = np.ones((len(vectors), past + vectors.shape[1]), np.int64)
        results = dict(
            zip(
                self._outputs,
                self.decoder.run(None, {"inputs_embeds": vectors, "attention_mask": mask, **cache}),
                strict=True,
            )
        )
        logits = np.asarray(results.pop("logits"))
        longer = {
            name.replace("present_conv", "past_conv").replace("present.", "past_key_values."): np.asarray(value)
            for name, value in results.items()
        }
        return logits, longer

    def answer(self, image_tokens: NDArray[np.float32], prompt: str, *, max_new_tokens: int = 256) -> str:
        """Return the greedy answer, special tokens left out."""
        ids = self._tokenizer.encode(chat_text(prompt), add_special_tokens=False).ids
        vectors, cache = self.embedded(np.array([ids], np.int64), image_tokens), self.empty_cache()
        said: list[int] = []
        for _ in range(max_new_tokens):
            logits, cache = self.step(vectors, cache)
            said.append(int(logits[0, -1].argmax()))
            if said[-1] == IM_END:
                break
            vectors = self.embedded(np.array([said[-1:]], np.int64))
        return str(self._tokenizer.decode(said, skip_special_tokens=True))
