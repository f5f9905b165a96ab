"""The ``embed_tokens`` session: token ids to vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.model.architecture import Architecture
    from tools.model.graph import Graph


def build_embed(graph: Graph, architecture: Architecture) -> None:
    """Fill a graph with the lookup of ``input_ids`` (batch, positions): ``inputs_embeds`` has one more axis, hidden."""
    ids = graph.input("input_ids", ["batch_size", "sequence_length"], integer=True)
    # The table is brought into the compute type before the lookup, which the runtime does once, on the CPU: a lookup of
    # half-precision rows fails on WebGPU adapters that have no half precision, though nothing is computed with them.
    rows = graph.op("Gather", graph.weight("model.language_model.embed_tokens.weight"), ids, axis=0)
    graph.output("inputs_embeds", rows, ["batch_size", "sequence_length", architecture.text.hidden])
