"""Cross-entropy with label smoothing that never holds all logits.

A vocabulary of 8,000 makes the logits of a batch the largest tensor of a training step by far.
The targets go through in chunks: logits, loss and gradient of one chunk, then the next, in the
same memory. Padding is left out before.

N width of a decoder state, V vocabulary, P positions that are not padding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nmt.config import PAD

CHUNK = 1024  # positions whose logits exist at one time


def translation_loss(
    states: Tensor, labels: Tensor, output: nn.Linear, *, smoothing: float, dtype: torch.dtype
) -> Tensor:
    """Two sums over the labels that are not PAD, in nats: (2,) float32.

    The first is the loss to minimise, the cross-entropy with label smoothing (Szegedy et al. 2016,
    section 7): (1 - smoothing) * NLL + smoothing * mean over the vocabulary. The second, without
    gradient, is the plain negative log-likelihood. `states` (B, T, N), `labels` (B, T), products
    in `dtype`, everything else in float32.
    """
    real = (labels != PAD).flatten().nonzero().squeeze(1)
    rows = states.flatten(0, 1).index_select(0, real)  # (B, T, N) -> (P, N)
    # Inside the function it could not be told that nobody wants a gradient of the weight.
    weight = output.weight if torch.is_grad_enabled() else output.weight.detach()
    sums: Tensor = _ChunkedLoss.apply(  # type: ignore[no-untyped-call]
        rows, weight, labels.flatten().index_select(0, real), smoothing, dtype
    )
    return sums


class _ChunkedLoss(torch.autograd.Function):
    """The gradients are made on the way forward, while a chunk's logits are at hand."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        labels: Tensor,
        smoothing: float,
        dtype: torch.dtype,
    ) -> Tensor:
        need_grad = any(ctx.needs_input_grad[:2])
        table = weight.detach().to(dtype)
        grad_states = torch.empty_like(states) if need_grad else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if need_grad else None
        sums = torch.zeros(2, device=states.device)
        # One memory for all chunks: fresh pages of this size cost more than the arithmetic.
        size = min(CHUNK, len(labels)), len(weight)
        product, logits, probs = (
            weight.new_empty(size, dtype=d) for d in (dtype, *[torch.float32] * 2)
        )
        for start in range(0, len(labels), CHUNK):
            part = states[start : start + CHUNK].detach().to(dtype)
            gold = labels[start : start + CHUNK, None]
            rows = len(part)
            logits[:rows] = torch.mm(part, table.T, out=product[:rows])
            sums += _sums(logits[:rows], probs[:rows], gold, smoothing)
            if grad_states is None or grad_weight is None:
                continue
            # d loss / d logits = softmax - smoothing / V - (1 - smoothing) * one-hot
            grad = probs[:rows].sub_(smoothing / len(weight))
            grad.scatter_add_(1, gold, torch.full_like(gold, smoothing - 1, dtype=torch.float32))
            product[:rows] = grad
            grad_states[start : start + CHUNK] = product[:rows] @ table
            grad_weight += product[:rows].T @ part
        ctx.save_for_backward(grad_states, grad_weight)
        return sums

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        grad_states, grad_weight = ctx.saved_tensors
        scale = gradients[0][0]
        return grad_states * scale, grad_weight * scale, None, None, None


def _sums(logits: Tensor, probs: Tensor, gold: Tensor, smoothing: float) -> Tensor:
    """The two sums of `translation_loss` over a chunk (P, V); its softmax is left in `probs`."""
    torch.softmax(logits, dim=-1, out=probs)
    # log Z by the likeliest piece, whose probability cannot underflow.
    log_z = logits.amax(dim=-1) - probs.amax(dim=-1).log()
    negative_log_likelihood = (log_z - logits.gather(1, gold).squeeze(1)).sum()
    uniform = (log_z - logits.mean(dim=-1)).sum()
    loss = (1 - smoothing) * negative_log_likelihood + smoothing * uniform
    return torch.stack([loss, negative_log_likelihood])
