"""The ``decoder_model_merged`` session: embeddings and caches to logits and longer caches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnx import TensorProto

from tools.model.architecture import CONV_WIDTH
from tools.model.graph import CONTRIB, END, MASKED
from tools.model.rotary import rotary_tables

if TYPE_CHECKING:
    from tools.model.architecture import Architecture, TextShape
    from tools.model.graph import Graph
    from tools.model.vision import AttentionStyle

MODEL = "model.language_model."


@dataclass(frozen=True, kw_only=True)
class _Positions:
    """What the attention layers share; fields of the style not built are empty."""

    cosine: str
    sine: str
    hidden: str = ""
    """Primitive: added to scores, shape (positions, total)."""
    last: str = ""
    """Fused: index of the last position, shape (batch,)."""
    total: str = ""
    """Fused: length with the cache."""


def build_decoder(graph: Graph, architecture: Architecture, attention: AttentionStyle) -> None:
    """Fill a graph with the decoder, for a prompt or for any number of positions after a cache.

    Inputs: ``inputs_embeds`` (batch, positions, hidden); ``attention_mask`` (batch, total), whose length alone
    counts: sequences of a
    batch are equally long, since padding would enter the short convolutions; ``past_conv.i`` (batch, hidden, 3) and
    ``past_key_values.i.key`` and ``.value`` (batch, key-value heads, past, head size). Outputs: ``logits`` (batch,
    positions, vocabulary), ``present_conv.i``, ``present.i.key`` and ``.value``.
    """
    text = architecture.text
    x = graph.input("inputs_embeds", ["batch_size", "sequence_length", text.hidden])
    mask = graph.input("attention_mask", ["batch_size", "total_sequence_length"], integer=True)
    positions = (_fused_positions if attention == "fused" else _primitive_positions)(graph, text, x, mask)
    caches: list[tuple[str, str, list[int | str]]] = []
    for index, kind in enumerate(text.kinds):
        layer = f"{MODEL}layers.{index}."
        normal = _norm(graph, text, x, f"{layer}operator_norm")
        if kind == "conv":
            mixed = _convolution(graph, text, index, normal, caches)
        elif attention == "fused":
            mixed = _fused_attention(graph, text, index, normal, positions=positions, caches=caches)
        else:
            mixed = _primitive_attention(graph, text, index, normal, positions=positions, caches=caches)
        x = graph.op("Add", x, mixed)
        normal = _norm(graph, text, x, f"{layer}ffn_norm")
        gate = graph.linear(normal, f"{layer}feed_forward.w1", bias=False)
        gate = graph.op("Mul", gate, graph.op("Sigmoid", gate))
        gated = graph.op("Mul", gate, graph.linear(normal, f"{layer}feed_forward.w3", bias=False))
        x = graph.op("Add", x, graph.linear(gated, f"{layer}feed_forward.w2", bias=False))
    normal = _norm(graph, text, x, f"{MODEL}embedding_norm")
    logits = graph.op("MatMul", normal, graph.weight(f"{MODEL}embed_tokens.weight", transposed=True))
    graph.output("logits", logits, ["batch_size", "sequence_length", text.vocabulary])
    for name, source, shape in caches:
        graph.output(name, source, shape)


def _norm(graph: Graph, text: TextShape, x: str, name: str) -> str:
    return graph.op(
        "SimplifiedLayerNormalization", x, graph.weight(f"{name}.weight"), axis=-1, epsilon=text.norm_epsilon
    )


def _primitive_positions(graph: Graph, text: TextShape, x: str, mask: str) -> _Positions:
    total, new = graph.size(mask, 1), graph.size(x, 1)
    place = graph.op("Range", graph.op("Sub", total, new), total, graph.integer(1))
    every = graph.op("Unsqueeze", graph.op("Range", graph.integer(0), total, graph.integer(1)), graph.integers(0))
    later = graph.op("Greater", every, graph.op("Unsqueeze", place, graph.integers(1)))
    hidden = graph.op("Mul", graph.op("Cast", later, to=graph.precision.onnx_compute), graph.number(MASKED))
    cosine, sine = (
        graph.op("Gather", graph.table(name, values), place, axis=0)
        for name, values in zip(("cosine", "sine"), rotary_tables(text), strict=True)
    )
    return _Positions(cosine=cosine, sine=sine, hidden=hidden)


def _fused_positions(graph: Graph, text: TextShape, _x: str, mask: str) -> _Positions:
    length = graph.op("ReduceSum", mask, graph.integers(1), keepdims=0)
    last = graph.op("Cast", graph.op("Sub", length, graph.integers(1)), to=TensorProto.INT32)
    total = graph.op("Cast", graph.size(mask, 1), to=TensorProto.INT32)
    cosine, sine = (
        graph.table(name, values) for name, values in zip(("cosine", "sine"), rotary_tables(text), strict=True)
    )
    return _Positions(cosine=cosine, sine=sine, last=last, total=total)


def _convolution(
    graph: Graph, text: TextShape, index: int, x: str, caches: list[tuple[str, str, list[int | str]]]
) -> str:
    layer = f"{MODEL}layers.{index}.conv."
    past = graph.input(f"past_conv.{index}", ["batch_size", text.hidden, CONV_WIDTH])
    projected = graph.op("Transpose", graph.linear(x, f"{layer}in_proj", bias=False), perm=[0, 2, 1])
    gate_in, gate_out, value = graph.ops(
        "Split", projected, graph.integers(*[text.hidden] * 3), out=[f"conv{index}_{part}" for part in "bcx"], axis=1
    )
    known = graph.op("Concat", past, graph.op("Mul", gate_in, value), axis=2)
    # The oldest of the three cached positions lies outside the first new position's reach.
    reached = graph.part(known, 1, END, 2)
    mixed = graph.op("Conv", reached, graph.weight(f"{layer}conv.weight"), kernel_shape=[CONV_WIDTH], group=text.hidden)
    caches.append(
        (f"present_conv.{index}", graph.part(known, -CONV_WIDTH, END, 2), ["batch_size", text.hidden, CONV_WIDTH])
    )
    gated = graph.op("Transpose", graph.op("Mul", gate_out, mixed), perm=[0, 2, 1])
    return graph.linear(gated, f"{layer}out_proj", bias=False)


def _cache(graph: Graph, text: TextShape, index: int, kind: str) -> str:
    return graph.input(
        f"past_key_values.{index}.{kind}",
        ["batch_size", text.key_value_heads, "past_sequence_length", text.head_size],
    )


def _keep(text: TextShape, index: int, kind: str, source: str) -> tuple[str, str, list[int | str]]:
    shape: list[int | str] = ["batch_size", text.key_value_heads, "total_sequence_length", text.head_size]
    return f"present.{index}.{kind}", source, shape


def _heads(graph: Graph, text: TextShape, x: str, name: str, heads: int, *, normal: bool) -> str:
    """Project and split into heads, shape (batch, positions, heads, head size), normalised per head if asked."""
    split = graph.op(
        "Reshape", graph.linear(x, f"{name}_proj", bias=False), graph.integers(0, 0, heads, text.head_size)
    )
    return _norm(graph, text, split, f"{name}_layernorm") if normal else split


def _fused_attention(
    graph: Graph,
    text: TextShape,
    index: int,
    x: str,
    *,
    positions: _Positions,
    caches: list[tuple[str, str, list[int | str]]],
) -> str:
    layer = f"{MODEL}layers.{index}.self_attn."
    query, key = (
        graph.op("Reshape", _heads(graph, text, x, f"{layer}{name}", heads, normal=True), graph.integers(0, 0, -1))
        for name, heads in (("q", text.heads), ("k", text.key_value_heads))
    )
    value = graph.linear(x, f"{layer}v_proj", bias=False)
    mixed, keys, values = graph.ops(
        "GroupQueryAttention",
        query,
        key,
        value,
        _cache(graph, text, index, "key"),
        _cache(graph, text, index, "value"),
        positions.last,
        positions.total,
        positions.cosine,
        positions.sine,
        out=[f"attention{index}", f"keys{index}", f"values{index}"],
        domain=CONTRIB,
        num_heads=text.heads,
        kv_num_heads=text.key_value_heads,
        scale=text.head_size**-0.5,
        do_rotary=1,
        rotary_interleaved=0,
    )
    caches.extend((_keep(text, index, "key", keys), _keep(text, index, "value", values)))
    return graph.linear(mixed, f"{layer}out_proj", bias=False)


def _primitive_attention(
    graph: Graph,
    text: TextShape,
    index: int,
    x: str,
    *,
    positions: _Positions,
    caches: list[tuple[str, str, list[int | str]]],
) -> str:
    layer = f"{MODEL}layers.{index}.self_attn."
    groups = text.heads // text.key_value_heads

    def by_head(y: str) -> str:
        return graph.op("Transpose", y, perm=[0, 2, 1, 3])

    query = _rotate(graph, text, by_head(_heads(graph, text, x, f"{layer}q", text.heads, normal=True)), positions)
    key = _rotate(
        graph, text, by_head(_heads(graph, text, x, f"{layer}k", text.key_value_heads, normal=True)), positions
    )
    value = by_head(_heads(graph, text, x, f"{layer}v", text.key_value_heads, normal=False))
    keys = graph.op("Concat", _cache(graph, text, index, "key"), key, axis=2)
    values = graph.op("Concat", _cache(graph, text, index, "value"), value, axis=2)
    caches.extend((_keep(text, index, "key", keys), _keep(text, index, "value", values)))
    turned = graph.op("Transpose", keys, perm=[0, 1, 3, 2])
    if groups > 1:
        # Several query heads share a cached head: a further axis lets the products broadcast over it.
        query = graph.op("Reshape", query, graph.integers(0, text.key_value_heads, groups, -1, text.head_size))
        turned, values = (graph.op("Unsqueeze", cached, graph.integers(2)) for cached in (turned, values))
    scores = graph.op("MatMul", graph.op("Mul", query, graph.number(text.head_size**-0.5)), turned)
    shares = graph.op("Softmax", graph.op("Add", scores, positions.hidden), axis=-1)
    mixed = graph.op("MatMul", shares, values)
    if groups > 1:
        mixed = graph.op("Reshape", mixed, graph.integers(0, text.heads, -1, text.head_size))
    joined = graph.op("Reshape", by_head(mixed), graph.integers(0, 0, text.hidden))
    return graph.linear(joined, f"{layer}out_proj", bias=False)


def _rotate(graph: Graph, text: TextShape, x: str, positions: _Positions) -> str:
    half = text.head_size // 2
    first, second = graph.part(x, 0, half, 3), graph.part(x, half, text.head_size, 3)

    def times(y: str, table: str) -> str:
        return graph.op("Mul", y, table)

    return graph.op(
        "Concat",
        graph.op("Sub", times(first, positions.cosine), times(second, positions.sine)),
        graph.op("Add", times(second, positions.cosine), times(first, positions.sine)),
        axis=3,
    )
