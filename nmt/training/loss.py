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
from torch.nn import functional as F

from nmt.config import PAD
from nmt.device import send

CHUNK = 1024  # positions whose logits exist at one time
BLOCK = 64  # of them whose softmax a CPU makes at one time, within a core's cache
UNDERFLOW = 1e-30  # a smaller probability may have lost digits in float32
# Chunks are filled up to a multiple of this many, so that the last one has one of few sizes: on a
# CPU the kernels of a matrix product are made anew for each size, and the memory of them is kept.
GRAIN = 128


def translation_loss(
    states: Tensor, labels: Tensor, output: nn.Linear, *, smoothing: float, dtype: torch.dtype
) -> Tensor:
    """Two sums over the labels that are not PAD, in nats: (2,) float32.

    The first is the loss to minimise, the cross-entropy with label smoothing (Szegedy et al. 2016,
    section 7): (1 - smoothing) * NLL + smoothing * mean over the vocabulary. The second, without
    gradient, is the plain negative log-likelihood. `states` (B, T, N), `labels` (B, T), products
    in `dtype`, everything else in float32. Labels on the CPU spare a GPU that a count is waited
    for.
    """
    real = (labels != PAD).flatten().nonzero().squeeze(1)
    gold = send(labels.flatten().index_select(0, real), states.device)
    rows = states.flatten(0, 1).index_select(0, send(real, states.device))  # (B, T, N) -> (P, N)
    # Inside the function it could not be told that nobody wants a gradient of the weight.
    weight = output.weight if torch.is_grad_enabled() else output.weight.detach()
    sums: Tensor = _ChunkedLoss.apply(  # type: ignore[no-untyped-call]
        rows, weight, gold, smoothing, dtype
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
        mean_row = weight.detach().mean(dim=0, dtype=torch.float32)  # gives that of the logits
        grad_states = torch.empty_like(states) if need_grad else None
        grad_weight: Tensor | None = None
        sums = torch.zeros(2, device=states.device)
        # One memory for all chunks: fresh pages of this size cost more than the arithmetic.
        most, pieces = min(CHUNK, len(labels) + -len(labels) % GRAIN), len(weight)
        product = weight.new_empty((most, pieces), dtype=dtype)
        block = min(BLOCK, most) if weight.is_cpu else most
        room = weight.new_empty((block, pieces), dtype=torch.float32)
        for start in range(0, len(labels), CHUNK):
            gold = labels[start : start + CHUNK, None]
            # Rows of zeros: they get no gradient and add none to that of the weight.
            padding = (0, 0, 0, -len(gold) % min(GRAIN, CHUNK))
            part = F.pad(states[start : start + CHUNK].detach().to(dtype), padding)
            logits = torch.mm(part, table.T, out=product[: len(part)])
            mean = (part.float() @ mean_row)[: len(gold)]
            sums += _sums(logits[: len(gold)], mean, gold, smoothing, room, need_grad)
            if grad_states is not None:
                grad_states[start : start + CHUNK] = (logits @ table)[: len(gold)]
                of_part = logits.T @ part
                grad_weight = of_part.float() if grad_weight is None else grad_weight.add_(of_part)
        if grad_states is not None:
            grad_states -= smoothing * mean_row
        # What smoothing takes from the gradient of each row of the weight, (N,).
        of_all = smoothing / pieces * states.detach().sum(dim=0, dtype=torch.float32)
        ctx.save_for_backward(grad_states, grad_weight, of_all)
        return sums

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        grad_states, grad_weight, of_all = ctx.saved_tensors
        scale = gradients[0][0]
        # (grad_weight - of_all) * scale in one pass and no memory of its own; torch refuses to go
        # back a second time.
        torch.addcmul(of_all * -scale, grad_weight, scale, out=grad_weight)
        return grad_states * scale, grad_weight, None, None, None


def _sums(
    logits: Tensor, mean: Tensor, gold: Tensor, smoothing: float, room: Tensor, need_grad: bool
) -> Tensor:
    """The two sums of `translation_loss` over logits (P, V) with their means (P,), gold (P, 1).

    With `need_grad` the logits are overwritten by the gradient of the loss by them, less its part
    that is the same everywhere: smoothing / V. `room` (b, V) is to work in, b at a
    time.
    """
    of_gold = logits.gather(1, gold).squeeze(1).float()
    log_z = torch.empty_like(mean)
    for start in range(0, len(gold), len(room)):
        rows = slice(start, start + len(room))
        block, labels = logits[rows], gold[rows]
        probs = room[: len(block)].copy_(block)
        torch.softmax(probs, dim=-1, out=probs)
        likelihood = probs.gather(1, labels)
        log_z[rows] = _log_z(block, probs, of_gold[rows], likelihood.squeeze(1))
        if need_grad:  # softmax - (1 - smoothing) * one-hot
            block.copy_(probs.scatter_(1, labels, likelihood + (smoothing - 1)))
    negative_log_likelihood = (log_z - of_gold).sum()
    loss = (1 - smoothing) * negative_log_likelihood + smoothing * (log_z - mean).sum()
    return torch.stack([loss, negative_log_likelihood])


def _log_z(logits: Tensor, probs: Tensor, of_gold: Tensor, likelihood: Tensor) -> Tensor:
    """log of the sum of exp(logits): logits and softmax (P, V) and their entries at the label (P,).

    By any piece whose probability did not underflow, as the likeliest. A GPU is not to wait for the
    answer whether those of the labels did.
    """
    if not likelihood.is_cpu or float(likelihood.min()) < UNDERFLOW:
        return logits.amax(dim=-1).float() - probs.amax(dim=-1).log()
    return of_gold - likelihood.log()
