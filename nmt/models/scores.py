"""Scores: how well each key answers each query. Attention mechanisms differ mainly in the score.

B batch, Q queries, K keys, H heads, D width of a head.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from nmt.models.gradient import once_differentiable


class Score(nn.Module):
    """How well a key answers a query: query (B, H, Q, D), key (B, H, K, D) -> (B, H, Q, K)."""

    scale: float | None = None  # the factor of a scaled inner product; None for other scores

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        raise NotImplementedError


class Dot(Score):
    """score = q . k (Luong et al. 2015, equation 8, "dot"), rounded to the type of q and k."""

    scale = 1.0

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        return query @ key.transpose(-2, -1)


class ScaledDot(Score):
    """score = q . k / sqrt(D) (Vaswani et al. 2017, equation 1), rounded to the type of q and k."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale: float = 1 / math.sqrt(width)

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        # Scaling the query is cheaper than scaling the scores: D is usually smaller than K.
        return (query * self.scale) @ key.transpose(-2, -1)


class Additive(Score):
    """score = v . tanh(q + k), q = W s and k = U h (Bahdanau et al. 2015, appendix A.1.2)."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.energy = nn.Parameter(torch.empty(heads, width))  # v of each head
        bound = 1 / math.sqrt(width)
        nn.init.uniform_(self.energy, -bound, bound)

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        scores: Tensor = _Additive.apply(query, key, self.energy)  # type: ignore[no-untyped-call]
        return scores


class _Additive(torch.autograd.Function):
    """The additive score, without keeping tanh(q + k) for the backward pass.

    tanh(q + k) is (B, H, Q, K, D), by far the largest tensor of a decoder step. It is computed
    block by block and recomputed in the backward pass, as 2 s - 1 with s = sigmoid(2 (q + k)),
    which a CPU computes six times as fast. If g is the gradient of a score, the gradient of v is
    g (2 s - 1), and that of q and k is 4 g v s (1 - s), each summed over the broadcast dimensions.
    Everything is computed at least in float32.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, energy: Tensor) -> Tensor:
        ctx.save_for_backward(query, key, energy)
        exact = torch.promote_types(query.dtype, torch.float32)
        v = energy.to(exact)[:, None, None]  # (H, 1, 1, D)
        scores = query.new_empty(*query.shape[:3], key.size(2), dtype=exact)
        for rows, mixed in _sigmoids(query, key):
            torch.sum(mixed.mul_(v), dim=-1, out=scores[rows])
        return scores.mul_(2).sub_(v.sum(-1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, energy = ctx.saved_tensors
        exact = torch.promote_types(query.dtype, torch.float32)
        v = 4 * energy.to(exact).unsqueeze(1)  # (H, 1, D)
        grad_query, grad_key = torch.empty_like(query), torch.empty_like(key)
        grad_energy = -gradients[0].sum((0, 2, 3))[:, None].expand(energy.shape)
        for rows, mixed in _sigmoids(query, key):
            grad = gradients[0][rows]  # (b, H, Q, K)
            summed = grad.unsqueeze(3) @ mixed  # over the keys: (b, H, Q, 1, D)
            grad_energy = grad_energy + 2 * summed.sum((0, 2, 3))
            slope = torch.addcmul(mixed, mixed, mixed, value=-1, out=mixed)
            grad_query[rows] = (grad.unsqueeze(3) @ slope).squeeze(3).mul_(v)
            each = slope.mul_(grad.unsqueeze(4))
            each = each.squeeze(2) if each.size(2) == 1 else each.sum(2)
            grad_key[rows] = each.mul_(v)
        return grad_query, grad_key, grad_energy.to(energy.dtype)


def _sigmoids(query: Tensor, key: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """sigmoid(2 (q + k)) of b entries of the batch at a time, (b, H, Q, K, D).

    Each block overwrites the one before.
    """
    size = (*query.shape[1:3], *key.shape[2:])  # (H, Q, K, D)
    step = max(1, _block(query.device) // math.prod(size))
    exact = torch.promote_types(query.dtype, torch.float32)
    memory = query.new_empty((min(step, len(query)), *size), dtype=exact)
    for start in range(0, len(query), step):
        rows = slice(start, start + step)
        part = 2 * query[rows].to(exact).unsqueeze(3)  # (b, H, Q, 1, D)
        mixed = memory[: len(part)].copy_(key[rows].unsqueeze(2))
        yield rows, torch.add(part, mixed, alpha=2, out=mixed).sigmoid_()


def _block(device: torch.device) -> int:
    """The size of a block in numbers: enough to keep the device busy."""
    return 1 << 26 if device.type == "cuda" else 1 << 20


def build_score(name: str, heads: int, width: int) -> Score:
    """The score of this name for heads of this width."""
    match name:
        case "additive":
            return Additive(heads, width)
        case "dot":
            return Dot()
        case "scaled_dot":
            return ScaledDot(width)
    raise ValueError(f"no score is called {name!r}")
