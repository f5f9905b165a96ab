"""The architecture as plain PyTorch modules for training; weights carry Hugging Face's names.

Tuned for chips: every image is 128 x 128 pixels, enlarged twice as the processor does, so position embeddings are
used as they are. The parity check (``make parity``) holds this against transformers' own classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own convention)
from torch import Tensor, nn

from tools.model.architecture import CONV_WIDTH, PATCH_VALUES, SHUFFLE, Architecture, TextShape, VisionShape
from tools.model.pixels import enlargement
from tools.model.rotary import rotary_tables


class Attention(nn.Module):
    """The tower's self-attention over all patches of one image."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.heads = shape.heads
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self, name, nn.Linear(shape.hidden, shape.hidden))

    def forward(self, x: Tensor) -> Tensor:
        """Mix patches; shape (images, patches, hidden) stays."""
        query, key, value = (
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = _attend(query, key, value, causal=False)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class VisionMlp(nn.Module):
    """The tower's feed-forward step."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.fc1 = nn.Linear(shape.hidden, shape.feed_forward)
        self.fc2 = nn.Linear(shape.feed_forward, shape.hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each patch by itself."""
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class VisionLayer(nn.Module):
    """One pre-norm transformer layer of the tower."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(shape.hidden, eps=shape.norm_epsilon)
        self.self_attn = Attention(shape)
        self.layer_norm2 = nn.LayerNorm(shape.hidden, eps=shape.norm_epsilon)
        self.mlp = VisionMlp(shape)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (images, patches, hidden) stays."""
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Embeddings(nn.Module):
    """Patches to vectors."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.patch_embedding = nn.Linear(PATCH_VALUES, shape.hidden)
        self.position_embedding = nn.Embedding(shape.grid**2, shape.hidden)


class Tower(nn.Module):
    """The image tower, from chips as bytes."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.embeddings = Embeddings(shape)
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(VisionLayer(shape) for _ in range(shape.layers))})
        self.post_layernorm = nn.LayerNorm(shape.hidden, eps=shape.norm_epsilon)
        self.register_buffer("enlargement", torch.from_numpy(enlargement()), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Turn uint8 pictures (images, 128, 128, 3) into features (images, 256, hidden).

        The processor enlarges pictures twice and cuts patches of 16 x 16; both are linear, so they are folded into
        the patch embedding, which then reads 10 x 10 pixels: the patch's own 8 x 8 and a border of one.
        """
        embedding = self.embeddings.patch_embedding
        x = pictures.permute(0, 3, 1, 2).to(embedding.weight.dtype) / 127.5 - 1
        x = F.pad(x, (1, 1, 1, 1), mode="replicate").unfold(2, 10, 8).unfold(3, 10, 8)
        x = x.permute(0, 2, 3, 4, 5, 1).reshape(len(pictures), 256, 300)
        x = F.linear(x, embedding.weight @ self.enlargement, embedding.bias) + self.embeddings.position_embedding.weight
        for layer in self.encoder["layers"]:
            x = layer(x)
        return self.post_layernorm(x)


class Projector(nn.Module):
    """Folds 2 x 2 patches into one image token of the decoder's width."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(SHUFFLE**2 * architecture.vision.hidden, architecture.projector_hidden)
        self.linear_2 = nn.Linear(architecture.projector_hidden, architecture.text.hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Turn features (images, 256, hidden) into image tokens (images, 64, text hidden)."""
        folded = x.view(-1, 8, 2, 8, 2, x.shape[-1]).transpose(2, 3).reshape(len(x), 64, -1)
        return self.linear_2(F.gelu(self.linear_1(folded)))


class RmsNorm(nn.Module):
    """Root mean square normalisation."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        return F.rms_norm(x, self.weight.shape, self.weight, self.epsilon)


class TextAttention(nn.Module):
    """Causal self-attention with rotary positions and normalised queries and keys."""

    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        self.head_size = shape.head_size
        self.groups = shape.heads // shape.key_value_heads
        narrow = shape.key_value_heads * shape.head_size
        self.q_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.k_proj = nn.Linear(shape.hidden, narrow, bias=False)
        self.v_proj = nn.Linear(shape.hidden, narrow, bias=False)
        self.out_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.q_layernorm = RmsNorm(shape.head_size, shape.norm_epsilon)
        self.k_layernorm = RmsNorm(shape.head_size, shape.norm_epsilon)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Mix positions; shape (batch, positions, hidden) stays."""
        query = _rotate(
            self.q_layernorm(self.q_proj(x).unflatten(-1, (-1, self.head_size))).transpose(1, 2), cosine, sine
        )
        key = _rotate(
            self.k_layernorm(self.k_proj(x).unflatten(-1, (-1, self.head_size))).transpose(1, 2), cosine, sine
        )
        value = self.v_proj(x).unflatten(-1, (-1, self.head_size)).transpose(1, 2)
        if self.groups > 1:
            key, value = key.repeat_interleave(self.groups, 1), value.repeat_interleave(self.groups, 1)
        mixed = _attend(query, key, value, causal=True)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class ShortConvolution(nn.Module):
    """A gated causal convolution over three positions."""

    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        self.in_proj = nn.Linear(shape.hidden, 3 * shape.hidden, bias=False)
        self.conv = nn.Conv1d(shape.hidden, shape.hidden, CONV_WIDTH, groups=shape.hidden, bias=False)
        self.out_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Mix neighbouring positions; shape (batch, positions, hidden) stays."""
        gate_in, gate_out, value = self.in_proj(x).chunk(3, dim=-1)
        gated = F.pad(gate_in * value, (0, 0, CONV_WIDTH - 1, 0))
        taps = self.conv.weight[:, 0]
        length = x.shape[1]
        # Three shifted products: a depthwise Conv1d is many times slower on CPUs.
        mixed = sum(gated[:, tap : tap + length] * taps[:, tap] for tap in range(CONV_WIDTH))
        return self.out_proj(gate_out * mixed)


class FeedForward(nn.Module):
    """The decoder's gated feed-forward step."""

    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        self.w1 = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.w3 = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.w2 = nn.Linear(shape.feed_forward, shape.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each position by itself."""
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class TextLayer(nn.Module):
    """One decoder layer, of either kind."""

    def __init__(self, shape: TextShape, kind: str) -> None:
        super().__init__()
        self.kind = kind
        if kind == "conv":
            self.conv = ShortConvolution(shape)
        else:
            self.self_attn = TextAttention(shape)
        self.feed_forward = FeedForward(shape)
        self.operator_norm = RmsNorm(shape.hidden, shape.norm_epsilon)
        self.ffn_norm = RmsNorm(shape.hidden, shape.norm_epsilon)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Shape (batch, positions, hidden) stays."""
        normal = self.operator_norm(x)
        x = x + (self.conv(normal) if self.kind == "conv" else self.self_attn(normal, cosine, sine))
        return x + self.feed_forward(self.ffn_norm(x))


class Decoder(nn.Module):
    """The language model, without its output projection."""

    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(TextLayer(shape, kind) for kind in shape.kinds)
        self.embedding_norm = RmsNorm(shape.hidden, shape.norm_epsilon)
        cosine, sine = rotary_tables(shape)
        self.register_buffer("cosine", torch.from_numpy(cosine), persistent=False)
        self.register_buffer("sine", torch.from_numpy(sine), persistent=False)

    def forward(self, x: Tensor, *, keep_after: int | None = None) -> tuple[Tensor, Tensor | None]:
        """Return the last hidden states, and those after layer ``keep_after`` for auxiliary losses."""
        cosine, sine = self.cosine[: x.shape[1]], self.sine[: x.shape[1]]
        kept = None
        for index, layer in enumerate(self.layers):
            x = layer(x, cosine, sine)
            if index == keep_after:
                kept = x
        return x, kept


class Network(nn.Module):
    """Chips and token ids in, logits out."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.model = nn.ModuleDict(
            {
                "vision_tower": Tower(architecture.vision),
                "multi_modal_projector": Projector(architecture),
                "language_model": Decoder(architecture.text),
            }
        )

    def see(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return what uint8 pictures (chips, 2, 128, 128, 3) become.

        Tower features, shape (chips x 2, 256, hidden), and image tokens, shape (chips, 128, text hidden).
        """
        features = self.model["vision_tower"](pictures.flatten(0, 1))
        tokens = self.model["multi_modal_projector"](features)
        return features, tokens.view(len(pictures), -1, tokens.shape[-1])

    def read(self, image_tokens: Tensor, ids: Tensor, *, keep_after: int | None = None) -> tuple[Tensor, Tensor | None]:
        """Return hidden states for ids whose image places are filled with the image tokens."""
        decoder = self.model["language_model"]
        embedded = decoder.embed_tokens(ids)
        places = (ids == self.architecture.image_token).unsqueeze(-1)
        embedded = embedded.masked_scatter(places, image_tokens.to(embedded.dtype))
        return decoder(embedded, keep_after=keep_after)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return scores over the vocabulary; the projection is the embedding, transposed."""
        decoder = self.model["language_model"]
        return F.linear(decoder.embedding_norm(hidden), decoder.embed_tokens.weight)


def _attend(query: Tensor, key: Tensor, value: Tensor, *, causal: bool) -> Tensor:
    """Attend, all of shape (batch, heads, positions, head size)."""
    if query.is_cuda:
        return F.scaled_dot_product_attention(query, key, value, is_causal=causal)
    # Plain matrix products: the fused kernel's backward pass is several times slower on one CPU thread.
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    if causal:
        length = scores.shape[-1]
        scores = scores + torch.full((length, length), -1e4, dtype=scores.dtype).triu(1)
    return scores.softmax(-1) @ value


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
