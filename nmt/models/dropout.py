"""Dropout whose random numbers cost little on a CPU (Srivastava et al. 2014)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

GENERATOR = np.random.SFC64()  # its state is set before each use


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
        if not x.is_cpu:
            return F.dropout(x, self.share)
        out: Tensor = _ByteDropout.apply(x, self.share)  # type: ignore[no-untyped-call]
        return out

    def added(self, x: Tensor, to_drop: Tensor) -> Tensor:
        """x + dropout(to_drop), of one shape, in one pass on a CPU."""
        if not self.training or self.share == 0.0 or not x.is_cpu:
            total: Tensor = x + self(to_drop)
            return total
        out: Tensor = _ByteDropoutAdded.apply(x, to_drop, self.share)  # type: ignore[no-untyped-call]
        return out

    def extra_repr(self) -> str:
        return f"share={self.share}"


class _ByteDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, share: float) -> Tensor:
        mask = _scaled_mask(x, share)
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        return gradients[0] * mask, None


class _ByteDropoutAdded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, to_drop: Tensor, share: float) -> Tensor:
        mask = _scaled_mask(to_drop, share)
        ctx.save_for_backward(mask)
        return torch.addcmul(x, to_drop, mask)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (mask,) = ctx.saved_tensors
        return gradients[0], (gradients[0] * mask).to(mask.dtype), None


def _scaled_mask(like: Tensor, share: float) -> Tensor:
    mask, scale = keep_mask(like, share)
    return mask.mul_(scale)


def keep_mask(like: Tensor, share: float) -> tuple[Tensor, float]:
    """1 for each element that is kept, else 0, in the shape and type of `like`, and what to scale
    it up by.

    No booleans: to make and to convert them takes a CPU ten times as long as this comparison.
    """
    dropped = round(share * 256)
    mask = _random_bytes(like).to(like.dtype)
    return torch.ge(mask, dropped, out=mask), 256 / (256 - dropped)


def _random_bytes(like: Tensor) -> Tensor:
    """Uniform uint8 of the same shape: eight of them from each 64-bit draw.

    NumPy's generator takes half the time of torch's; each time its whole state is a draw from
    torch's, whose seed and state so tell all.
    """
    drawn = torch.randint(2**63 - 1, (4,)).numpy().view(np.uint64)
    GENERATOR.state = {
        "bit_generator": "SFC64",
        "state": {"state": drawn},
        "has_uint32": 0,
        "uinteger": 0,
    }
    words = GENERATOR.random_raw(like.numel() // 8 + 1)
    return torch.from_numpy(words).view(torch.uint8)[: like.numel()].view(like.shape)
