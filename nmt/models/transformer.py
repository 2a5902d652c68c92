"""The Transformer (Vaswani et al. 2017) on the one attention module.

B sentences, W hypotheses of each, S source length, T target length, N model width, L layers,
H heads.
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from nmt.config import TransformerConfig
from nmt.models.attention import Attended, Attention, KeyValue
from nmt.models.cache import Cache
from nmt.models.dropout import Dropout
from nmt.models.layers import Layers, for_products
from nmt.models.linear import rectified
from nmt.models.seq2seq import Decoded, Decoder, Encoder, Memory, Seq2Seq, Stepped


class Residual(nn.Module):
    """x + sublayer(x), with layer normalisation before the sublayer (pre) or after the sum (post).

    The paper uses post; Xiong et al. 2020 compare the two.
    """

    def __init__(self, width: int, *, pre_norm: bool, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.pre_norm = pre_norm
        self.dropout = Dropout(dropout)

    def enter(self, x: Tensor) -> Tensor:
        """The input of the sublayer."""
        return for_products(self.norm(x) if self.pre_norm else x)

    def leave(self, x: Tensor, sublayer: Tensor) -> Tensor:
        """The sum of `x` and the output of the sublayer."""
        total = self.dropout.added(x, sublayer)
        left: Tensor = total if self.pre_norm else self.norm(total)
        return left


class FeedForward(nn.Sequential):
    """A two-layer network, the same at every position (Vaswani et al. 2017, equation 2)."""

    def __init__(self, width: int, inner: int, *, activation: str) -> None:
        curve = nn.GELU() if activation == "gelu" else nn.ReLU()
        super().__init__(nn.Linear(width, inner), curve, nn.Linear(inner, width))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, N) -> (B, T, N)."""
        into, curve, out = self
        inner = rectified(into, x) if isinstance(curve, nn.ReLU) else curve(into(x))
        return cast(Tensor, out(inner))


class Embedding(nn.Module):
    """Token embeddings times sqrt(N), plus sinusoids unless positions are rotary (3.4, 3.5)."""

    def __init__(self, tokens: nn.Embedding, *, sinusoids: bool, dropout: float) -> None:
        super().__init__()
        self.tokens = tokens
        self.sinusoids = sinusoids
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, positions: Tensor | None = None) -> Tensor:
        """`tokens` (B, T) -> (B, T, N); `positions` (T,) count from 0 if None."""
        width = self.tokens.embedding_dim
        x: Tensor = self.tokens(tokens)
        if self.sinusoids:
            if positions is None:
                positions = torch.arange(tokens.size(1), device=tokens.device)
            x = torch.add(sinusoids(positions, width).to(x.dtype), x, alpha=math.sqrt(width))
        else:
            x = x * math.sqrt(width)
        dropped: Tensor = self.dropout(for_products(x))
        return dropped


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Encodings (T, width) of `positions` (T,): Vaswani et al. 2017, section 3.5."""
    pairs = torch.arange(0, width, 2, device=positions.device, dtype=torch.float32)
    angle = positions.float()[:, None] * 10_000.0 ** -(pairs / width)  # (T, width / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention = _attention(config, rotary=config.positions == "rotary")
        self.feedforward = _feedforward(config)
        self.around_attention, self.around_feedforward = _residuals(config, 2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, S, N), mask (B, S) -> (B, S, N)."""
        inner = self.around_attention.enter(x)
        attended = self.attention(inner, self.attention.project(inner), mask=mask)
        x = self.around_attention.leave(x, attended.context)
        inner = self.around_feedforward.enter(x)
        return self.around_feedforward.leave(x, self.feedforward(inner))


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to the source, then feed-forward."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.self_attention = _attention(config, rotary=config.positions == "rotary")
        self.cross_attention = _attention(config, rotary=False)
        self.feedforward = _feedforward(config)
        self.around_self, self.around_source, self.around_feedforward = _residuals(config, 3)

    def attend_self(self, x: Tensor) -> Tensor:
        """Causal self-attention: x (B, T, N) -> (B, T, N)."""
        inner = self.around_self.enter(x)
        attended = self.self_attention(inner, self.self_attention.project(inner), causal=True)
        return self.around_self.leave(x, attended.context)

    def attend_own(
        self, x: Tensor, cache: Cache, layer: int, positions: Tensor
    ) -> tuple[Tensor, Cache]:
        """Self-attention of one token of each hypothesis, x (B, W, N), to its own earlier tokens.

        Returns (B, W, N) and the cache with the new tokens added in this `layer`.
        """
        inner = self.around_self.enter(x)
        new = self.self_attention.project(inner, positions)
        seen, cache = cache.write(layer, new)
        mask = cache.own[:, :, : seen.key.size(2)]
        attended = self.self_attention(inner, seen, mask=mask, positions=positions)
        return self.around_self.leave(x, attended.context), cache

    def attend_source(
        self, x: Tensor, source: KeyValue, mask: Tensor, need_weights: bool = False
    ) -> Attended:
        """Attention of x (B, Q, N) to the projected source, then feed-forward."""
        context, weights = self.cross_attention(
            self.around_source.enter(x), source, mask=mask, need_weights=need_weights
        )
        x = self.around_source.leave(x, context)
        inner = self.around_feedforward.enter(x)
        return Attended(self.around_feedforward.leave(x, self.feedforward(inner)), weights)


class TransformerEncoder(Encoder):
    """Layers of self-attention and feed-forward."""

    def __init__(self, config: TransformerConfig, embedding: Embedding) -> None:
        super().__init__()
        self.embedding = embedding
        self.layers = Layers[EncoderLayer](
            EncoderLayer(config) for _ in range(config.encoder_layers)
        )
        self.norm = _final_norm(config)

    def forward(self, source: Tensor, mask: Tensor, lengths: Tensor) -> Memory:
        x = self.embedding(source)
        for layer in self.layers:
            x = layer(x, mask)
        return Memory(for_products(self.norm(x)), mask)


class TransformerState(NamedTuple):
    """Keys and values, once per sentence: the source's, and those of its hypotheses' tokens."""

    source: tuple[KeyValue, ...]  # L of (B, H, S, D)
    mask: Tensor  # (B, 1, S): 0, or -inf for padding
    target: Cache
    length: int  # the number of tokens of each hypothesis

    def select(self, rows: Tensor) -> TransformerState:
        target = self.target.select(rows)
        if rows.size(0) == len(self.mask):
            return self._replace(target=target)
        kept = rows[:, 0] // self.target.own.size(1)
        source = tuple(layer.select(kept) for layer in self.source)
        return self._replace(source=source, mask=self.mask[kept], target=target)


class TransformerDecoder(Decoder[TransformerState]):
    def __init__(self, config: TransformerConfig, embedding: Embedding) -> None:
        super().__init__()
        self.embedding = embedding
        self.layers = Layers[DecoderLayer](
            DecoderLayer(config) for _ in range(config.decoder_layers)
        )
        self.norm = _final_norm(config)

    def forward(self, tokens: Tensor, memory: Memory, need_weights: bool = False) -> Decoded:
        x = self.embedding(tokens)
        maps = []
        for layer in self.layers:
            x = layer.attend_self(x)
            source = layer.cross_attention.project(memory.states)
            x, weights = layer.attend_source(x, source, memory.mask, need_weights)
            maps += [] if weights is None else [weights]
        return Decoded(self.norm(x), torch.stack(maps, dim=1) if need_weights else None)

    def start(self, memory: Memory) -> TransformerState:
        attentions = [layer.cross_attention for layer in self.layers]
        source = tuple(each.project(memory.states).packed() for each in attentions)
        mask = torch.zeros(memory.mask.shape, device=memory.mask.device)
        mask = mask.masked_fill_(~memory.mask, -math.inf)[:, None]
        return TransformerState(source, mask, Cache.start(len(mask), mask.device), 0)

    def step(
        self, tokens: Tensor, state: TransformerState, need_weights: bool = False
    ) -> Stepped[TransformerState]:
        # All hypotheses have the same length.
        positions = torch.full((tokens.size(1),), state.length, device=tokens.device)  # (W,)
        x = self.embedding(tokens, positions)  # (B, W) -> (B, W, N)
        mask = state.mask.expand(-1, tokens.size(1), -1)
        cache, maps = state.target.with_room(), []
        for index, (layer, source) in enumerate(zip(self.layers, state.source, strict=True)):
            x, cache = layer.attend_own(x, cache, index, positions)
            x, weights = layer.attend_source(x, source, mask, need_weights)
            maps += [] if weights is None else [weights]
        after = state._replace(target=cache, length=state.length + 1)
        return Stepped(self.norm(x), after, torch.stack(maps, dim=1) if need_weights else None)


def build_transformer(
    config: TransformerConfig, source_vocabulary: int, target_vocabulary: int
) -> Seq2Seq:
    """A freshly initialised Transformer: projections are Xavier, embeddings N(0, 1/N).

    The vector of the additive score initialises itself.
    """
    tables = [nn.Embedding(size, config.width) for size in (source_vocabulary, target_vocabulary)]
    source_table = tables[1] if config.tied_embeddings == "all" else tables[0]
    output = nn.Linear(config.width, target_vocabulary, bias=False)
    sides = [_embedding(config, table) for table in (source_table, tables[1])]
    model = Seq2Seq(
        TransformerEncoder(config, sides[0]), TransformerDecoder(config, sides[1]), output
    )
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for table in (source_table, tables[1], output):
        nn.init.normal_(table.weight, std=config.width**-0.5)
    if config.tied_embeddings != "none":
        output.weight = tables[1].weight
    return model


def _embedding(config: TransformerConfig, table: nn.Embedding) -> Embedding:
    sinusoidal = config.positions == "sinusoidal"
    return Embedding(table, sinusoids=sinusoidal, dropout=config.dropout)


def _attention(config: TransformerConfig, *, rotary: bool) -> Attention:
    settings = config.attention
    return Attention.multi_head(
        config.width,
        score=settings.score,
        heads=settings.heads,
        dropout=settings.dropout,
        rotary=rotary,
    )


def _feedforward(config: TransformerConfig) -> FeedForward:
    return FeedForward(config.width, config.feedforward, activation=config.activation)


def _residuals(config: TransformerConfig, count: int) -> list[Residual]:
    pre_norm = config.norm == "pre"
    return [Residual(config.width, pre_norm=pre_norm, dropout=config.dropout) for _ in range(count)]


def _final_norm(config: TransformerConfig) -> nn.Module:
    # A post-norm layer already ends in a normalisation.
    return nn.LayerNorm(config.width) if config.norm == "pre" else nn.Identity()
