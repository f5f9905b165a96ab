"""The shape of an lfm2_vl model: a SigLIP2 NaFlex tower, a projector and an LFM2 hybrid decoder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

LayerKind = Literal["conv", "full_attention"]

PATCH_VALUES: Final = 16 * 16 * 3
"""Values in one 16 x 16 pixel patch of three channels."""

SHUFFLE: Final = 2
"""The projector folds 2 x 2 patches into one image token."""

CONV_WIDTH: Final = 3
"""Taps of the short convolution, and positions that its cache holds."""


@dataclass(frozen=True, kw_only=True)
class VisionShape:
    """The image tower."""

    hidden: int
    feed_forward: int
    layers: int
    heads: int
    grid: int = 16
    """Edge of the square table of position embeddings."""
    norm_epsilon: float = 1e-6

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads


@dataclass(frozen=True, kw_only=True)
class TextShape:
    """The decoder."""

    vocabulary: int
    hidden: int
    feed_forward: int
    kinds: tuple[LayerKind, ...]
    """What mixes positions in each layer."""
    heads: int
    key_value_heads: int
    positions: int
    """Longest sequence: the length of the rotary tables."""
    norm_epsilon: float = 1e-5
    rope_theta: float = 1e6

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """All that the graphs, the configuration files and the weights have to agree on."""

    vision: VisionShape
    text: TextShape
    projector_hidden: int
    image_token: int = 396
    bos_token: int = 1
    eos_token: int = 7
    pad_token: int = 0
    norm_names: tuple[str, ...] = field(default=("layernorm", "layer_norm", "_norm"), repr=False)

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return every weight's shape under the name that Hugging Face's state dict gives it.

        The output projection is tied to the token embedding and has no entry of its own.
        """
        return {**_vision_weights(self), **_text_weights(self.text)}

    def is_norm(self, name: str) -> bool:
        """Tell whether a weight belongs to a normalisation layer."""
        return any(part in name for part in self.norm_names)

    def parameters(self) -> int:
        """Return how many numbers the model has learnt."""
        total = 0
        for shape in self.weight_shapes().values():
            size = 1
            for length in shape:
                size *= length
            total += size
        return total

    def hugging_face_config(self) -> dict[str, Any]:
        """Return ``config.json`` as transformers and transformers.js read it."""
        vision, text = self.vision, self.text
        return {
            "architectures": ["Lfm2VlForConditionalGeneration"],
            "model_type": "lfm2_vl",
            "image_token_id": self.image_token,
            "downsample_factor": SHUFFLE,
            "projector_hidden_act": "gelu",
            "projector_hidden_size": self.projector_hidden,
            "projector_bias": True,
            "projector_use_layernorm": False,
            "tie_word_embeddings": True,
            "text_config": {
                "model_type": "lfm2",
                "vocab_size": text.vocabulary,
                "hidden_size": text.hidden,
                "intermediate_size": text.feed_forward,
                "block_auto_adjust_ff_dim": False,
                "num_hidden_layers": len(text.kinds),
                "layer_types": list(text.kinds),
                "num_attention_heads": text.heads,
                "num_key_value_heads": text.key_value_heads,
                "max_position_embeddings": text.positions,
                "norm_eps": text.norm_epsilon,
                "rope_parameters": {"rope_theta": text.rope_theta, "rope_type": "default"},
                "rope_theta": text.rope_theta,
                "conv_L_cache": CONV_WIDTH,
                "conv_bias": False,
                "bos_token_id": self.bos_token,
                "eos_token_id": self.eos_token,
                "pad_token_id": self.pad_token,
                "tie_word_embeddings": True,
            },
            "vision_config": {
                "model_type": "siglip2_vision_model",
                "hidden_size": vision.hidden,
                "intermediate_size": vision.feed_forward,
                "num_hidden_layers": vision.layers,
                "num_attention_heads": vision.heads,
                "num_channels": 3,
                "num_patches": vision.grid**2,
                "patch_size": 16,
                "hidden_act": "gelu_pytorch_tanh",
                "layer_norm_eps": vision.norm_epsilon,
                "vision_use_head": False,
            },
        }


def _vision_weights(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    vision = architecture.vision
    width, inner = vision.hidden, vision.feed_forward
    tower = "model.vision_tower."
    shapes: dict[str, tuple[int, ...]] = {
        f"{tower}embeddings.patch_embedding.weight": (width, PATCH_VALUES),
        f"{tower}embeddings.patch_embedding.bias": (width,),
        f"{tower}embeddings.position_embedding.weight": (vision.grid**2, width),
    }
    for index in range(vision.layers):
        layer = f"{tower}encoder.layers.{index}."
        for norm in ("layer_norm1", "layer_norm2"):
            shapes |= {f"{layer}{norm}.weight": (width,), f"{layer}{norm}.bias": (width,)}
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= {
                f"{layer}self_attn.{projection}.weight": (width, width),
                f"{layer}self_attn.{projection}.bias": (width,),
            }
        shapes |= {
            f"{layer}mlp.fc1.weight": (inner, width),
            f"{layer}mlp.fc1.bias": (inner,),
            f"{layer}mlp.fc2.weight": (width, inner),
            f"{layer}mlp.fc2.bias": (width,),
        }
    projector = "model.multi_modal_projector."
    return shapes | {
        f"{tower}post_layernorm.weight": (width,),
        f"{tower}post_layernorm.bias": (width,),
        f"{projector}linear_1.weight": (architecture.projector_hidden, SHUFFLE**2 * width),
        f"{projector}linear_1.bias": (architecture.projector_hidden,),
        f"{projector}linear_2.weight": (architecture.text.hidden, architecture.projector_hidden),
        f"{projector}linear_2.bias": (architecture.text.hidden,),
    }


def _text_weights(text: TextShape) -> dict[str, tuple[int, ...]]:
    width, inner = text.hidden, text.feed_forward
    narrow = text.key_value_heads * text.head_size
    model = "model.language_model."
    shapes: dict[str, tuple[int, ...]] = {f"{model}embed_tokens.weight": (text.vocabulary, width)}
    for index, kind in enumerate(text.kinds):
        layer = f"{model}layers.{index}."
        if kind == "conv":
            shapes |= {
                f"{layer}conv.in_proj.weight": (3 * width, width),
                f"{layer}conv.conv.weight": (width, 1, CONV_WIDTH),
                f"{layer}conv.out_proj.weight": (width, width),
            }
        else:
            shapes |= {
                f"{layer}self_attn.q_proj.weight": (width, width),
                f"{layer}self_attn.k_proj.weight": (narrow, width),
                f"{layer}self_attn.v_proj.weight": (narrow, width),
                f"{layer}self_attn.out_proj.weight": (width, width),
                f"{layer}self_attn.q_layernorm.weight": (text.head_size,),
                f"{layer}self_attn.k_layernorm.weight": (text.head_size,),
            }
        shapes |= {
            f"{layer}feed_forward.w1.weight": (inner, width),
            f"{layer}feed_forward.w3.weight": (inner, width),
            f"{layer}feed_forward.w2.weight": (width, inner),
            f"{layer}operator_norm.weight": (width,),
            f"{layer}ffn_norm.weight": (width,),
        }
    return shapes | {f"{model}embedding_norm.weight": (width,)}


TINY: Final = Architecture(
    vision=VisionShape(hidden=32, feed_forward=64, layers=2, heads=2),
    text=TextShape(
        vocabulary=2048,
        hidden=64,
        feed_forward=96,
        kinds=("conv", "full_attention", "conv", "full_attention"),
        heads=4,
        key_value_heads=2,
        positions=1024,
    ),
    projector_hidden=48,
)
"""For tests: every kind of layer, as small as the fused operators allow (heads of a multiple of 16)."""

DEMO: Final = Architecture(
    vision=VisionShape(hidden=256, feed_forward=768, layers=4, heads=4),
    text=TextShape(
        vocabulary=1536,
        hidden=256,
        feed_forward=448,
        kinds=("conv", "full_attention", "conv", "full_attention", "conv", "full_attention"),
        heads=8,
        key_value_heads=4,
        positions=1024,
    ),
    projector_hidden=512,
)
"""The embedded demo model: as large as two precisions of it may be in a repository, so that it sees single pixels."""

FULL: Final = Architecture(
    vision=VisionShape(hidden=768, feed_forward=3072, layers=12, heads=12),
    text=TextShape(
        vocabulary=65_536,
        hidden=1024,
        feed_forward=4608,
        kinds=tuple("full_attention" if index in {2, 5, 8, 10, 12, 14} else "conv" for index in range(16)),
        heads=16,
        key_value_heads=8,
        positions=4096,
    ),
    projector_hidden=2560,
)
"""LFM2.5-VL-450M, with rotary tables cut to 4096 positions: the twin for benchmarks."""

PRESETS: Final = {"tiny": TINY, "demo": DEMO, "full": FULL}


def with_vocabulary(architecture: Architecture, vocabulary: int) -> Architecture:
    """Return the architecture for a tokenizer of another size."""
    return replace(architecture, text=replace(architecture.text, vocabulary=vocabulary))
