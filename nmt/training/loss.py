"""Cross-entropy with label smoothing that never holds all logits.

With a vocabulary of 8,000, the logits of a batch are by far the largest tensor of a training
step. Therefore targets are processed in chunks that share one memory: logits, loss and gradient of
one chunk, then those of the next. Padding is removed first.

N width of a decoder state, V vocabulary, P positions that are not padding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.config import PAD
from nmt.device import send
from nmt.models.gradient import once_differentiable

CHUNK = 1024  # positions whose logits exist at the same time
BLOCK = 64  # positions whose softmax a CPU computes at once, to stay within a core's cache
UNDERFLOW = 1e-30  # a smaller probability may have lost digits in float32
# The last chunk is padded to a multiple of this. A CPU compiles the kernels of a matrix product for
# each new shape and keeps them in memory, so there should be few shapes.
GRAIN = 128


def translation_loss(
    states: Tensor, labels: Tensor, output: nn.Linear, *, smoothing: float, dtype: torch.dtype
) -> Tensor:
    """Two sums over the labels that are not PAD, in nats: (2,) float32.

    The first is the loss to minimise, the cross-entropy with label smoothing (Szegedy et al. 2016,
    section 7): (1 - smoothing) * NLL + smoothing * mean over the vocabulary. The second, which has
    no gradient, is the plain negative log-likelihood. `states` (B, T, N), `labels` (B, T). The
    logits and their gradient are rounded to `dtype`; softmax, logarithms and sums are float32.
    Labels on the CPU avoid waiting for a GPU to count them.
    """
    real = (labels != PAD).flatten().nonzero().squeeze(1)
    gold = send(labels.flatten().index_select(0, real), states.device)
    rows = states.flatten(0, 1).index_select(0, send(real, states.device))  # (B, T, N) -> (P, N)
    # `needs_input_grad` is True even under no_grad.
    weight = output.weight if torch.is_grad_enabled() else output.weight.detach()
    sums: Tensor = _ChunkedLoss.apply(  # type: ignore[no-untyped-call]
        rows, weight, gold, smoothing, dtype
    )
    return sums


class _ChunkedLoss(torch.autograd.Function):
    """Computes the gradients in the forward pass, while a chunk's logits exist."""

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
        mean_row = weight.detach().mean(dim=0, dtype=torch.float32)  # state @ it = mean logit
        grad_states = torch.empty_like(states) if need_grad else None
        grad_weight: Tensor | None = None
        sums = torch.zeros(2, device=states.device)
        # One memory for all chunks: allocating pages of this size costs more than the arithmetic.
        most, pieces = min(CHUNK, len(labels) + -len(labels) % GRAIN), len(weight)
        product = weight.new_empty((most, pieces), dtype=dtype)
        block = min(BLOCK, most) if weight.is_cpu else most
        room = weight.new_empty((block, pieces), dtype=torch.float32)
        for start in range(0, len(labels), CHUNK):
            gold = labels[start : start + CHUNK, None]
            # Rows of zeros receive no gradient and contribute none to the weight's.
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
        # Smoothing subtracts this from the gradient of each row of the weight, (N,).
        of_all = smoothing / pieces * states.detach().sum(dim=0, dtype=torch.float32)
        ctx.save_for_backward(grad_states, grad_weight, of_all)
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        grad_states, grad_weight, of_all = ctx.saved_tensors
        scale = gradients[0][0]
        # (grad_weight - of_all) * scale, in one pass and in place. torch then refuses a second
        # backward pass.
        torch.addcmul(of_all * -scale, grad_weight, scale, out=grad_weight)
        return grad_states * scale, grad_weight, None, None, None


def _sums(
    logits: Tensor, mean: Tensor, gold: Tensor, smoothing: float, room: Tensor, need_grad: bool
) -> Tensor:
    """The two sums of `translation_loss` over logits (P, V) with their means (P,), gold (P, 1).

    With `need_grad`, the logits are overwritten by their gradient without its constant part,
    -smoothing / V. `room` (b, V) is working memory for b positions at a time.
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
    """log(sum(exp(logits))) from logits and softmax (P, V) and their entries at the label (P,).

    It is logit - log(probability) of any piece whose probability did not underflow: the label's,
    or else the likeliest piece's. A GPU always uses the likeliest, since asking whether a
    probability underflowed would make the program wait for it.
    """
    if not likelihood.is_cpu or float(likelihood.min()) < UNDERFLOW:
        return logits.amax(dim=-1).float() - probs.amax(dim=-1).log()
    return of_gold - likelihood.log()
