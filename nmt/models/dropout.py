"""Dropout whose random numbers cost little on a CPU (Srivastava et al. 2014)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Dropout(nn.Module):
    """Zeroes a share of the elements in training and scales up the others.

    torch's own dropout draws a float an element on one thread of the CPU, which took a third of
    a training step. One byte an element is enough: the share is rounded to a multiple of 1/256.
    Reproducible from `torch.manual_seed`.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.share == 0.0:
            return x
        if x.is_cuda:
            return F.dropout(x, self.share)
        out: Tensor = _ByteDropout.apply(x, self.share)  # type: ignore[no-untyped-call]
        return out

    def extra_repr(self) -> str:
        return f"share={self.share}"


class _ByteDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, share: float) -> Tensor:
        mask, scale = keep_mask(x, share)
        mask.mul_(scale)
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        return gradients[0] * mask, None


def keep_mask(like: Tensor, share: float) -> tuple[Tensor, float]:
    """1 for each element that is kept, else 0, in the shape and type of `like`, and what to scale
    it up by.

    No booleans: to make and to convert them takes a CPU ten times as long as this comparison.
    """
    dropped = round(share * 256)
    mask = _random_bytes(like).to(like.dtype)
    return torch.ge(mask, dropped, out=mask), 256 / (256 - dropped)


def _random_bytes(like: Tensor) -> Tensor:
    """Uniform uint8 of the same shape: eight of them from each 64-bit draw."""
    words = torch.empty(like.numel() // 8 + 1, dtype=torch.int64)
    words.random_(-(2**63), None)
    return words.view(torch.uint8)[: like.numel()].view(like.shape)
