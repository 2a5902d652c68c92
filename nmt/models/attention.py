"""Attention: score every key against every query, mask, apply softmax, average the values.

    context = softmax(score(query, key)) value

One class serves every model. Bahdanau's W and U are the query and the key projection; the models
differ only in the score and in which projections they add.

B batch, Q queries, K keys, H heads, D width of a head, E width of a head's value,
N width of a query, M width of the memory.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models.dropout import Dropout
from nmt.models.linear import trains_on_cpu
from nmt.models.products import attend
from nmt.models.scores import Score, build_score

FEW = 8  # queries from which the library's kernel is the faster one on a CPU


class KeyValue(NamedTuple):
    """The projected keys and values of a memory."""

    key: Tensor  # (B, H, K, D)
    value: Tensor  # (B, H, K, E)

    def select(self, rows: Tensor) -> KeyValue:
        """Keys and values of the entries `rows` (B',) int64 of the batch."""
        return KeyValue(self.key.index_select(0, rows), self.value.index_select(0, rows))

    def packed(self) -> KeyValue:
        """A contiguous copy: many decoding steps read it, and contiguous keys are read fastest."""
        return KeyValue(self.key.contiguous(), self.value.contiguous())


class Attended(NamedTuple):
    context: Tensor  # (B, Q, N)
    weights: Tensor | None  # (B, H, Q, K) float32 or float64, rows sum to 1; None unless requested


class Attention(nn.Module):
    """Attention with any score and any number of heads, to a memory or to the queries themselves.

    `nn.Identity()` stands for a projection that a model does not have. Projected queries and keys
    have the same width, a multiple of `heads`. `rotary` turns queries and keys by an angle that
    depends on their position (Su et al. 2021); use it for self-attention only.
    """

    def __init__(
        self,
        score: Score,
        *,
        query_proj: nn.Module,
        key_proj: nn.Module,
        value_proj: nn.Module,
        output_proj: nn.Module,
        heads: int = 1,
        dropout: float = 0.0,
        rotary: bool = False,
    ) -> None:
        super().__init__()
        self.score = score
        self.query_proj = query_proj
        self.key_proj = key_proj
        self.value_proj = value_proj
        self.output_proj = output_proj
        self.heads = heads
        self.dropout = Dropout(dropout)
        self.rotary = rotary

    def project(self, memory: Tensor, positions: Tensor | None = None) -> KeyValue:
        """Keys and values of `memory` (B, K, M), computed once per sentence or per new token.

        `positions` (K,) of the keys are used by `rotary` only; None: they count from 0.
        """
        key = self._split(self.key_proj(memory))
        # Where values are the memory itself, autocast would otherwise convert it at every use.
        value = self._split(self.value_proj(memory)).to(key.dtype)
        if self.rotary:
            key = rotate(key, _positions(0, key) if positions is None else positions)
        return KeyValue(key, value)

    def forward(
        self,
        query: Tensor,
        memory: KeyValue,
        *,
        mask: Tensor | None = None,
        causal: bool = False,
        positions: Tensor | None = None,
        need_weights: bool = False,
    ) -> Attended:
        """Attention of `query` (B, Q, N) to the memory.

        `mask` is (B, K), the same for all queries of a sentence, or (B, Q, K). It holds booleans,
        True where a key may be attended to, or floats: 0 there and -inf elsewhere, no other value.
        Every query must see at least one key. With `causal`, the queries are the last Q of the K
        keys, and none looks ahead. `rotary` assumes the same positions unless `positions` (Q,) are
        given. Scores and their softmax are computed at least in float32, except that bf16 inputs
        round the scores of `dot` and `scaled_dot` to bf16.
        """
        queries = self._split(self.query_proj(query))  # (B, Q, N) -> (B, H, Q, D)
        if self.rotary:
            first = memory.key.size(2) - query.size(1)
            queries = rotate(
                queries, _positions(first, queries) if positions is None else positions
            )
        seen = _visible(mask, causal, query.size(1), memory.key.size(2), query.device)
        weights = None
        if self.score.scale is not None and self._fused(queries, need_weights):
            context = self._attend_fused(queries, memory, seen, self.score.scale)
        else:
            weights = self._weights(queries, memory, seen)
            context = self.dropout(weights.to(memory.value.dtype)) @ memory.value
        joined = context.transpose(1, 2).flatten(2)  # (B, H, Q, E) -> (B, Q, H * E)
        return Attended(self.output_proj(joined), weights if need_weights else None)

    def _fused(self, queries: Tensor, need_weights: bool) -> bool:
        if need_weights or not queries.is_cpu:
            return not need_weights
        # On a CPU, `attend` copies all keys, which costs too much for a single query, as in a
        # recurrent decoder; and the library's kernel is slower than the formula for few queries.
        return queries.size(2) > 1 if torch.is_grad_enabled() else queries.size(2) >= FEW

    def _attend_fused(
        self, queries: Tensor, memory: KeyValue, seen: Tensor | None, scale: float
    ) -> Tensor:
        dropout = self.dropout.share if self.training else 0.0
        if trains_on_cpu(queries):
            return attend(queries, *memory, seen, scale=scale, dropout=dropout)
        if seen is not None and seen.dtype != torch.bool:
            # A GPU rejects or misreads a float mask of another type than the queries.
            seen = seen.to(queries.dtype)
        return F.scaled_dot_product_attention(
            queries, *memory, attn_mask=seen, dropout_p=dropout, scale=scale
        )

    def _weights(self, queries: Tensor, memory: KeyValue, seen: Tensor | None) -> Tensor:
        scores = self.score(queries, memory.key)
        if seen is not None:
            hidden = seen.dtype == torch.bool
            scores = scores.masked_fill(~seen, -math.inf) if hidden else scores + seen
        exact = torch.promote_types(scores.dtype, torch.float32)
        return torch.softmax(scores, dim=-1, dtype=exact)

    def _split(self, x: Tensor) -> Tensor:
        """(B, T, H * D) -> (B, H, T, D)"""
        return x.view(*x.shape[:-1], self.heads, -1).transpose(1, 2)

    @classmethod
    def multi_head(
        cls, width: int, *, score: str, heads: int, dropout: float = 0.0, rotary: bool = False
    ) -> Self:
        """Four projections of the same width (Vaswani et al. 2017, section 3.2.2)."""
        names = ("query_proj", "key_proj", "value_proj", "output_proj")
        projections = {name: nn.Linear(width, width) for name in names}
        built = build_score(score, heads, width // heads)
        return cls(built, heads=heads, dropout=dropout, rotary=rotary, **projections)


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Turns each pair of features by an angle that grows with the position (Su et al. 2021).

    `x` (B, H, T, D) with even D, its T tokens at `positions` (T,). The angles are computed at
    least in float32, the products in the type of `x`.
    """
    half, exact = x.size(-1) // 2, torch.promote_types(x.dtype, torch.float32)
    speed = 10_000.0 ** -(torch.arange(half, device=x.device, dtype=exact) / half)
    angle = positions.to(exact)[:, None] * speed  # (T, D / 2)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def _positions(first: int, x: Tensor) -> Tensor:
    """Positions `first`, `first` + 1, ... of the T tokens of `x` (B, H, T, D)."""
    return torch.arange(first, first + x.size(2), device=x.device)


def _visible(
    mask: Tensor | None, causal: bool, queries: int, keys: int, device: torch.device
) -> Tensor | None:
    """`mask` and `causal` as one mask that broadcasts to (B, H, Q, K), of the type of `mask`.

    None: every key may be attended to.
    """
    seen = mask
    if mask is not None:  # (B, K) -> (B, 1, 1, K), (B, Q, K) -> (B, 1, Q, K)
        seen = mask[:, None, None] if mask.dim() == 2 else mask[:, None]
    if causal and queries > 1:
        # The last query sees all keys. `is_causal` aligns the first query with the first key,
        # which is right only for square masks.
        square = torch.ones(queries, keys, dtype=torch.bool, device=device)
        triangle = square.tril(keys - queries)  # (Q, K)
        if seen is None:
            return triangle
        if seen.dtype == torch.bool:
            return seen & triangle
        return seen.masked_fill(~triangle, -math.inf)
    return seen
