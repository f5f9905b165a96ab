"""The ``vision_encoder`` session: patches of any number of images to image tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from onnx import TensorProto

from tools.model.architecture import PATCH_VALUES, SHUFFLE
from tools.model.graph import CONTRIB, MASKED

if TYPE_CHECKING:
    from tools.model.architecture import Architecture, VisionShape
    from tools.model.graph import Graph

AttentionStyle = Literal["primitive", "fused"]
"""Fused contrib operators are faster; software WebGPU adapters compute them wrongly."""

TOWER = "model.vision_tower."


def build_vision(graph: Graph, architecture: Architecture, attention: AttentionStyle) -> None:
    """Fill a graph with the tower and the projector.

    Inputs: ``pixel_values`` (images, patches, 768), ``pixel_attention_mask`` (images, patches) with 1 for real patches,
    ``spatial_shapes`` (images, 2) with rows and columns of patches. Output: ``image_features`` (image tokens, text
    hidden), all images' tokens after one another. Rows and columns must be even; images may differ in shape.
    """
    vision = architecture.vision
    pixels = graph.input("pixel_values", ["batch_size", "num_patches", PATCH_VALUES])
    mask = graph.input("pixel_attention_mask", ["batch_size", "num_patches"], integer=True)
    shapes = graph.input("spatial_shapes", ["batch_size", 2], integer=True)
    rows, columns = graph.part(shapes, 0, 1, 1), graph.part(shapes, 1, 2, 1)
    images, patches = graph.size(mask, 0), graph.size(mask, 1)

    x = graph.linear(pixels, f"{TOWER}embeddings.patch_embedding", bias=True)
    x = graph.op("Add", x, _positions(graph, vision, rows, columns, patches))
    hidden_share = graph.op("Sub", graph.number(1), graph.op("Cast", mask, to=graph.precision.onnx_compute))
    bias = graph.op("Unsqueeze", graph.op("Mul", hidden_share, graph.number(MASKED)), graph.integers(1, 2))
    if attention == "fused":
        lengths = [_vector(graph, length) for length in (images, patches, patches)]
        target = graph.op("Concat", lengths[0], graph.integers(vision.heads), *lengths[1:], axis=0)
        bias = graph.op("Expand", bias, target)
    for index in range(vision.layers):
        layer = f"{TOWER}encoder.layers.{index}."
        normal = _norm(graph, vision, x, f"{layer}layer_norm1")
        mixed = _attention(graph, vision, f"{layer}self_attn.", normal, bias=bias, style=attention)
        x = graph.op("Add", x, mixed)
        inner = graph.linear(_norm(graph, vision, x, f"{layer}layer_norm2"), f"{layer}mlp.fc1", bias=True)
        inner = graph.op("FastGelu", inner, domain=CONTRIB)
        x = graph.op("Add", x, graph.linear(inner, f"{layer}mlp.fc2", bias=True))
    x = _norm(graph, vision, x, f"{TOWER}post_layernorm")

    flat = graph.op("Reshape", x, graph.integers(-1, vision.hidden))
    folded = graph.op("Gather", flat, _folding(graph, rows, columns, images, patches), axis=0)
    folded = graph.op("Reshape", folded, graph.integers(-1, SHUFFLE**2 * vision.hidden))
    projector = "model.multi_modal_projector."
    inner = graph.op("Gelu", graph.linear(folded, f"{projector}linear_1", bias=True), domain=CONTRIB)
    tokens = graph.linear(inner, f"{projector}linear_2", bias=True)
    graph.output("image_features", tokens, ["num_image_tokens", architecture.text.hidden])


def _vector(graph: Graph, scalar: str) -> str:
    return graph.op("Unsqueeze", scalar, graph.integers(0))


def _norm(graph: Graph, vision: VisionShape, x: str, name: str) -> str:
    return graph.op(
        "LayerNormalization",
        x,
        graph.weight(f"{name}.weight"),
        graph.weight(f"{name}.bias"),
        axis=-1,
        epsilon=vision.norm_epsilon,
    )


def _attention(graph: Graph, vision: VisionShape, prefix: str, x: str, *, bias: str, style: AttentionStyle) -> str:
    query, key, value = (graph.linear(x, f"{prefix}{name}", bias=True) for name in ("q_proj", "k_proj", "v_proj"))
    scale = vision.head_size**-0.5
    if style == "fused":
        mixed = graph.op(
            "MultiHeadAttention", query, key, value, "", "", bias, domain=CONTRIB, num_heads=vision.heads, scale=scale
        )
    else:
        split = graph.integers(0, 0, vision.heads, vision.head_size)
        query = graph.op("Transpose", graph.op("Reshape", query, split), perm=[0, 2, 1, 3])
        key = graph.op("Transpose", graph.op("Reshape", key, split), perm=[0, 2, 3, 1])
        value = graph.op("Transpose", graph.op("Reshape", value, split), perm=[0, 2, 1, 3])
        scores = graph.op("MatMul", graph.op("Mul", query, graph.number(scale)), key)
        shares = graph.op("Softmax", graph.op("Add", scores, bias), axis=-1)
        mixed = graph.op("Transpose", graph.op("MatMul", shares, value), perm=[0, 2, 1, 3])
        mixed = graph.op("Reshape", mixed, graph.integers(0, 0, vision.hidden))
    return graph.linear(mixed, f"{prefix}out_proj", bias=True)


def _positions(graph: Graph, vision: VisionShape, rows: str, columns: str, patches: str) -> str:
    """Resize the square table of position embeddings to each image's grid: antialiased bilinear, as PyTorch does.

    Bilinear weights along both axes are computed for every patch and multiplied into a (patches, table) matrix, which
    needs no loop over images. Arithmetic on positions is int64 and float32 in every precision.
    """
    place = _vector(graph, graph.op("Range", graph.integer(0), patches, graph.integer(1)))
    # Padding gets the first patch's place; nothing reads it.
    place = graph.op("Where", graph.op("Less", place, graph.op("Mul", rows, columns)), place, graph.integers(0))
    row = graph.op("Div", place, columns)
    column = graph.op("Sub", place, graph.op("Mul", row, columns))
    down = graph.op("Unsqueeze", _axis_weights(graph, vision.grid, row, rows), graph.integers(3))
    across = graph.op("Unsqueeze", _axis_weights(graph, vision.grid, column, columns), graph.integers(2))
    both = graph.op("Reshape", graph.op("Mul", down, across), graph.integers(0, 0, vision.grid**2))
    table = graph.op("Cast", graph.stored(f"{TOWER}embeddings.position_embedding.weight"), to=TensorProto.FLOAT)
    return graph.computed(graph.op("MatMul", both, table))


def _axis_weights(graph: Graph, grid: int, index: str, length: str) -> str:
    """Return how much of each table line is in line ``index`` of ``length``, shape (images, patches, grid)."""
    scale = graph.op("Div", graph.exact(grid), graph.op("Cast", length, to=TensorProto.FLOAT))
    middle = graph.op("Mul", graph.op("Add", graph.op("Cast", index, to=TensorProto.FLOAT), graph.exact(0.5)), scale)
    lines = graph.exact_table("table_lines", np.arange(grid, dtype=np.float32) + np.float32(0.5))
    distance = graph.op("Abs", graph.op("Sub", lines, graph.op("Unsqueeze", middle, graph.integers(2))))
    # The triangle is one table line wide when enlarging, and grows with the scale when shrinking.
    support = graph.op("Unsqueeze", graph.op("Max", scale, graph.exact(1)), graph.integers(2))
    weights = graph.op("Relu", graph.op("Sub", graph.exact(1), graph.op("Div", distance, support)))
    return graph.op("Div", weights, graph.op("ReduceSum", weights, graph.integers(2), keepdims=1))


def _folding(graph: Graph, rows: str, columns: str, images: str, patches: str) -> str:
    """Return which four patches make each image token, shape (image tokens, 4), row by row and image by image."""
    two = graph.integers(SHUFFLE)
    narrow = graph.op("Div", columns, two)
    slots = graph.op("Div", patches, graph.integer(SHUFFLE**2))
    token = _vector(graph, graph.op("Range", graph.integer(0), slots, graph.integer(1)))
    row = graph.op("Div", token, narrow)
    column = graph.op("Sub", token, graph.op("Mul", row, narrow))
    first = graph.op("Add", graph.op("Mul", graph.op("Mul", row, two), columns), graph.op("Mul", column, two))
    image = graph.op("Range", graph.integer(0), images, graph.integer(1))
    first = graph.op("Add", first, graph.op("Unsqueeze", graph.op("Mul", image, patches), graph.integers(1)))
    below = graph.op("Add", first, columns)
    quarters = [first, graph.op("Add", first, graph.integers(1)), below, graph.op("Add", below, graph.integers(1))]
    stacked = graph.op("Concat", *(graph.op("Unsqueeze", quarter, graph.integers(2)) for quarter in quarters), axis=2)
    real = graph.op("Less", token, graph.op("Mul", graph.op("Div", rows, two), narrow))
    return graph.op(
        "Compress",
        graph.op("Reshape", stacked, graph.integers(-1, SHUFFLE**2)),
        graph.op("Reshape", real, graph.integers(-1)),
        axis=0,
    )
