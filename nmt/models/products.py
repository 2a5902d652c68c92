"""Dot-product attention as one function with a hand-written gradient, for training on a CPU.

On a CPU, the backward pass of `F.scaled_dot_product_attention` is many times slower than the matrix
products it consists of. In plain torch operations, each one copies, scales and converts its tensors
separately. This function makes one pass over each tensor and keeps only what the backward pass
needs.

B batch, Q queries, K keys, H heads, D width of a head, E width of a head's value; L is Q or K.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.models.dropout import keep_mask
from nmt.models.gradient import once_differentiable

# A CPU compiles the kernels of a matrix product for each new shape, which takes half a millisecond
# and memory that is never freed. Therefore lengths are padded to multiples of this.
GRAIN = 8


def attend(
    query: Tensor, key: Tensor, value: Tensor, seen: Tensor | None, *, scale: float, dropout: float
) -> Tensor:
    """softmax(scale * query . key) value, the same function as `F.scaled_dot_product_attention`.

    query (B, H, Q, D), key (B, H, K, D), value (B, H, K, E), all of one type -> (B, H, Q, E).
    `seen` broadcasts to (B, H, Q, K): True, or 0 in a float mask, where a key may be attended to;
    False or -inf elsewhere. `dropout` of the weights is rounded as in `Dropout`.

    The softmax is computed at least in float32, but bf16 inputs round the scores before it: torch
    has no product of bf16 matrices with a float32 result on a CPU. Its own function does not round
    them, so with large scores (+-20) the error of the gradients here is 5 to 7 times as large.
    """
    context: Tensor = _Attend.apply(query, key, value, seen, scale, dropout)  # type: ignore[no-untyped-call]
    return context


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        seen: Tensor | None,
        scale: float,
        dropout: float,
    ) -> Tensor:
        ctx.scale, ctx.lengths = scale, (query.size(2), key.size(2))
        batch = query.shape[:2]
        query, key, value = _filled(query), _filled(key), _filled(value)
        scores = _split(_product(query, key.mT, scale), batch)
        hidden = _hidden(seen, *ctx.lengths)
        if hidden is not None:
            scores.masked_fill_(hidden, -math.inf)
        exact = torch.promote_types(scores.dtype, torch.float32)
        weights = torch.softmax(scores, dim=-1, dtype=exact)
        used = weights.to(value.dtype)
        kept, ctx.rescale = keep_mask(used, dropout) if dropout else (None, 1.0)
        used = (used if kept is None else used * kept).flatten(0, 1)
        ctx.save_for_backward(query, key, value, weights, kept, used)
        return _emptied(_product(used, value, ctx.rescale), batch, ctx.lengths[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, weights, kept, used = ctx.saved_tensors
        batch, (queries, keys) = weights.shape[:2], ctx.lengths
        grad = _filled(gradients[0])
        grad_weights = _product(grad, value.mT, ctx.rescale).view_as(weights)
        grad_value = _product(used.mT, grad, ctx.rescale)
        if kept is not None:
            grad_weights.mul_(kept)
        grad_scores = _softmax_gradient(grad_weights, weights).to(query.dtype).flatten(0, 1)
        return (
            _emptied(_product(grad_scores, key, ctx.scale), batch, queries),
            _emptied(_product(grad_scores.mT, query, ctx.scale), batch, keys),
            _emptied(grad_value, batch, keys),
            None,
            None,
            None,
        )


def _product(left: Tensor, right: Tensor, factor: float) -> Tensor:
    """factor * left @ right, of (n, M, K) and (n, K, N), in a single pass."""
    return torch.baddbmm(left.new_zeros(1, 1, 1), left, right, beta=0, alpha=factor)


def _softmax_gradient(grad: Tensor, weights: Tensor) -> Tensor:
    """The gradient of the scores from that of the weights, in the type of the weights."""
    product = weights * grad
    return product.addcmul_(weights, product.sum(-1, keepdim=True), value=-1)


def _filled(x: Tensor) -> Tensor:
    """(B, H, L, D) -> (B * H, L', D), padded with zeros to a multiple of GRAIN."""
    length = x.size(2)
    whole = x.new_empty(*x.shape[:2], length + -length % GRAIN, x.size(3))
    whole[:, :, length:] = 0
    whole[:, :, :length] = x
    return whole.flatten(0, 1)


def _emptied(x: Tensor, batch: torch.Size, length: int) -> Tensor:
    """(B * H, L', D) -> (B, H, L, D), with the memory layout of (B, L, H * D)."""
    cut = _split(x, batch)[:, :, :length]
    joined = x.new_empty(batch[0], length, batch[1], x.size(2)).transpose(1, 2)
    return joined.copy_(cut)


def _split(x: Tensor, batch: torch.Size) -> Tensor:
    """(B * H, L, D) -> (B, H, L, D)"""
    return x.view(*batch, *x.shape[1:])


def _hidden(seen: Tensor | None, queries: int, keys: int) -> Tensor | None:
    """True where a score is hidden, broadcasting to the padded (B, H, Q', K').

    Padded keys are hidden. Padded queries see at least one key, because a row that is hidden
    completely would be NaN.
    """
    more_queries, more_keys = -queries % GRAIN, -keys % GRAIN
    if seen is None:
        if not more_keys:
            return None
        seen = torch.ones(1, keys, dtype=torch.bool)
    seen = seen if seen.dtype == torch.bool else seen == 0
    hidden = F.pad(~seen, (0, more_keys), value=True)
    if seen.size(-2) == 1:  # the same for all queries
        return hidden
    return F.pad(hidden, (0, 0, 0, more_queries), value=False)
