"""Write a model folder that unmodified transformers.js classes load.

python -m tools.model.export --preset demo --weights W.safetensors --out models/demo --dtypes fp32-half,fp16
python -m tools.model.export --preset full --random 7 --attention fused --external --out .cache/twin
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tools.model.architecture import FULL, PRESETS, Architecture, with_vocabulary
from tools.model.decoder import build_decoder
from tools.model.embed import build_embed
from tools.model.graph import PRECISIONS, Graph, Precision
from tools.model.tokenizer import BOS, IM_END, PAD, VOCABULARY, write_tokenizer
from tools.model.vision import AttentionStyle, build_vision
from tools.model.weights import RandomWeights, Weights, load_safetensors

if TYPE_CHECKING:
    from collections.abc import Sequence

SESSIONS: Final = ("vision_encoder", "embed_tokens", "decoder_model_merged")

PREPROCESSOR: Final[dict[str, Any]] = {
    "image_processor_type": "Lfm2VlImageProcessorFast",
    "processor_class": "Lfm2VlProcessor",
    "do_resize": False,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "do_pad": True,
    "do_image_splitting": False,
    "downsample_factor": 2,
    "encoder_patch_size": 16,
    "min_image_tokens": 64,
    "max_image_tokens": 64,
    "max_pixels_tolerance": 2.0,
    "return_row_col_info": True,
}
"""A chip becomes 64 image tokens and 256 patches without padding, whatever the caller sets on the instance."""


def _build(graph: Graph, session: str, architecture: Architecture, attention: AttentionStyle) -> None:
    match session:
        case "vision_encoder":
            build_vision(graph, architecture, attention)
        case "embed_tokens":
            build_embed(graph, architecture)
        case "decoder_model_merged":
            build_decoder(graph, architecture, attention)
        case _:
            raise ValueError(f"expected one of {', '.join(SESSIONS)}, got {session}")


def write_session(
    folder: Path,
    session: str,
    architecture: Architecture,
    weights: Weights,
    *,
    precision: Precision,
    attention: AttentionStyle,
    external: bool,
) -> None:
    """Write one session's file and, if asked, its weights beside it in ``.onnx_data``."""
    path = folder / f"{session}{precision.suffix}.onnx"
    if external:
        with path.with_name(f"{path.name}_data").open("wb") as data:
            graph = Graph(weights, precision, data)
            _build(graph, session, architecture, attention)
            graph.save(path)
    else:
        graph = Graph(weights, precision)
        _build(graph, session, architecture, attention)
        graph.save(path)


def write_configuration(folder: Path, architecture: Architecture, *, external: bool) -> None:
    """Write the JSON files beside the sessions, the tokenizer's included."""
    config = architecture.hugging_face_config()
    # transformers.js waits for ever for external data that it is told of and that is not there, so say it both ways.
    config["transformers.js_config"] = {
        "use_external_data_format": dict.fromkeys(SESSIONS, external) if external else False
    }
    files: dict[str, dict[str, Any]] = {
        "config.json": config,
        "preprocessor_config.json": PREPROCESSOR,
        "processor_config.json": {"processor_class": "Lfm2VlProcessor", "image_token": "<image>"},
        "generation_config.json": {
            "bos_token_id": BOS,
            "eos_token_id": IM_END,
            "pad_token_id": PAD,
            "do_sample": False,
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    write_tokenizer(folder)


def export_model(
    folder: Path,
    architecture: Architecture,
    weights: Weights,
    *,
    dtypes: Sequence[str] = ("fp32",),
    attention: AttentionStyle = "primitive",
    external: bool = False,
) -> None:
    """Write a whole model folder: configuration, tokenizer and three sessions in each precision."""
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    write_configuration(folder, architecture, external=external)
    for dtype in dtypes:
        for session in SESSIONS:
            write_session(
                folder / "onnx",
                session,
                architecture,
                weights,
                precision=PRECISIONS[dtype],
                attention=attention,
                external=external,
            )


def preset_architecture(name: str) -> Architecture:
    """Return a preset; all but the full-size twin have exactly the demo tokenizer's vocabulary."""
    return PRESETS[name] if PRESETS[name] is FULL else with_vocabulary(PRESETS[name], VOCABULARY)


def main() -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, required=True)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--weights", type=Path, help="safetensors file with Hugging Face's names")
    source.add_argument("--random", type=int, metavar="SEED", help="untrained weights")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dtypes", default="fp32", help=f"some of {','.join(PRECISIONS)}")
    parser.add_argument("--attention", choices=("primitive", "fused"), default="primitive")
    parser.add_argument("--external", action="store_true", help="keep weights in .onnx_data files")
    options = parser.parse_args()
    dtypes = options.dtypes.split(",")
    if unknown := set(dtypes) - set(PRECISIONS):
        parser.error(f"--dtypes takes {', '.join(PRECISIONS)}, got {', '.join(sorted(unknown))}")
    architecture = preset_architecture(options.preset)
    weights: Weights = (
        RandomWeights(architecture, options.random) if options.weights is None else load_safetensors(options.weights)
    )
    export_model(
        options.out, architecture, weights, dtypes=dtypes, attention=options.attention, external=options.external
    )
    for path in sorted((options.out / "onnx").iterdir()):
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
