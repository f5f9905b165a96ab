"""The ``embed_tokens`` session: token ids to vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import TensorProto

if TYPE_CHECKING:
    from tools.model.architecture import Architecture
    from tools.model.graph import Graph


def build_embed(graph: Graph, architecture: Architecture) -> None:
    """Fill a graph with the lookup of ``input_ids`` (batch, positions): ``inputs_embeds`` has one more axis, hidden."""
    ids = graph.input("input_ids", ["batch_size", "sequence_length"], integer=True)
    rows = graph.op("Gather", graph.stored("model.language_model.embed_tokens.weight"), ids, axis=0)
    # Widened after the lookup, so that a table of half precision stays so in memory.
    wide = graph.op("Cast", rows, to=TensorProto.FLOAT)
    graph.output("inputs_embeds", graph.computed(wide), ["batch_size", "sequence_length", architecture.text.hidden])
