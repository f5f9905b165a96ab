"""The models that can be asked, and how their published files must be used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SESSIONS: Final = ("vision_encoder", "embed_tokens", "decoder_model_merged")
"""The three ONNX sessions of an ``lfm2_vl`` export."""

CONFIG_FILES: Final = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
)

SUFFIX: Final = {"fp32": "", "fp16": "_fp16"}
"""How transformers.js names the file of a dtype."""

PROCESSOR: Final[Mapping[str, object]] = {"do_resize": False, "max_num_patches": 256}
"""Set on the loaded image processor.

The published configuration lets the processor enlarge chips: prompts then grow from about 285 to about 653 tokens and
real mines come back as ``[]``. 256 patches hold a whole chip; the published 1024 only add padding.
"""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model, its files and what the person must know of it."""

    key: str
    name: str
    """Short name to show."""
    id: str
    base_url: str
    """Folder of its files, ending in a slash; relative to the page for what comes with it."""
    dtypes: tuple[str, ...]
    """What its repository offers, best first."""
    external_data: bool
    """True where the weights lie beside the graphs as ``.onnx_data``."""
    download_mb: float
    """About how much is fetched once; 0 where it comes with the page."""
    honesty: str
    """What must be said wherever it is chosen."""
    licence: str = ""
    processor: Mapping[str, object] = field(default_factory=lambda: dict(PROCESSOR))

    def files(self, dtype: str) -> tuple[str, ...]:
        """Return the paths that loading with this dtype reads."""
        graphs = [f"onnx/{session}{SUFFIX[dtype]}.onnx" for session in SESSIONS]
        data = [f"{graph}_data" for graph in graphs] if self.external_data else []
        return (*CONFIG_FILES, *graphs, *data)


DEMO: Final = Model(
    key="demo",
    name="Demo model",
    id="demo",
    base_url="models/demo/",
    dtypes=("fp32",),
    external_data=False,
    download_mb=0,
    honesty="Trained on generated scenes, for practice only. Its answers about real places mean nothing.",
)

FULL: Final = Model(
    key="full",
    name="galamsey-v9-e3",
    id="samwell/galamsey-v9-e3-onnx",
    base_url="https://huggingface.co/samwell/galamsey-v9-e3-onnx/resolve/main/",
    dtypes=("fp16",),
    external_data=True,
    download_mb=1000,
    honesty="Finds suspected mining, and misses some: published pixel recall 0.592, pixel IoU 0.332 on SmallMinesDS.",
    licence="LFM Open License v1.0",
)

MODELS: Final = (DEMO, FULL)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One way of loading a model."""

    device: str
    """``webgpu`` or ``wasm``."""
    dtype: str
    reason: str
    """Why this one, for the person."""


def plans(model: Model, *, webgpu: bool, shader_f16: bool, no_webgpu_reason: str) -> tuple[Plan, ...]:
    """Return the ways to load a model, best first: WebGPU where it can run a dtype of the model, then wasm.

    An adapter without ``shader-f16`` cannot run fp16 files; the processor can.
    """
    found = []
    for dtype in model.dtypes:
        if webgpu and (dtype != "fp16" or shader_f16):
            found.append(Plan(device="webgpu", dtype=dtype, reason="on the graphics processor"))
            break
    if not webgpu:
        why = f"on the main processor, slower: {no_webgpu_reason}"
    elif not found:
        why = "on the main processor, slower: the graphics processor cannot compute in 16 bits"
    else:
        why = "on the main processor, slower: the graphics processor failed"
    return (*found, Plan(device="wasm", dtype=model.dtypes[0], reason=why))
