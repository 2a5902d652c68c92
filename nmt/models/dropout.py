"""Dropout with cheap random numbers on a CPU (Srivastava et al. 2014)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

GENERATOR = np.random.SFC64()  # its state is set before each use


class Dropout(nn.Module):
    """Zeroes a share of the elements during training and scales up the others.

    torch's own dropout draws one float per element on a single thread of the CPU, which took a
    third of a training step. Here one random byte per element decides: on a CPU, the share is
    rounded to a multiple of 1/256, and the scale fits the rounded share, so the mean is kept.
    A share that would round to 0 or 1 is not rounded. `torch.manual_seed` makes it reproducible.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.share == 0.0:
            return x
        if not x.is_cpu:
            return F.dropout(x, self.share)
        out: Tensor = _Dropped.apply(x, self.share)  # type: ignore[no-untyped-call]
        return out

    def added(self, x: Tensor, to_drop: Tensor) -> Tensor:
        """x + dropout(to_drop), of one shape, in one pass on a CPU."""
        if not self.training or self.share == 0.0 or not x.is_cpu:
            total: Tensor = x + self(to_drop)
            return total
        out: Tensor = _DroppedAdded.apply(x, to_drop, self.share)  # type: ignore[no-untyped-call]
        return out

    def extra_repr(self) -> str:
        return f"share={self.share}"


class _Dropped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, share: float) -> Tensor:
        kept, ctx.scale = keep_mask(x, share)
        ctx.save_for_backward(kept)
        return _scaled(x, kept, ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (kept,) = ctx.saved_tensors
        return _scaled(gradients[0], kept, ctx.scale), None


class _DroppedAdded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, to_drop: Tensor, share: float) -> Tensor:
        kept, ctx.scale = keep_mask(to_drop, share)
        ctx.save_for_backward(kept)
        return torch.addcmul(x, to_drop, kept, value=ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (kept,) = ctx.saved_tensors
        return gradients[0], _scaled(gradients[0], kept, ctx.scale).to(kept.dtype), None


def _scaled(x: Tensor, kept: Tensor, scale: float) -> Tensor:
    """scale * x * kept in one pass.

    A mask that holds the scale would round it to the type of `x`: bf16 makes 1.109 of 1.113.
    """
    return torch.addcmul(x.new_zeros(()), x, kept, value=scale)


def keep_mask(like: Tensor, share: float) -> tuple[Tensor, float]:
    """1 for each element that is kept and 0 for the others, in the shape and type of `like`; and
    the factor that scales up what is kept.

    The mask is not boolean: a CPU takes ten times as long to make and convert booleans.
    """
    dropped = round(share * 256)
    if not 0 < dropped < 256:
        drawn = torch.rand(like.shape, dtype=torch.float64)
        return (drawn >= share).to(like.dtype), 1 / (1 - share)
    mask = _random_bytes(like).to(like.dtype)
    return torch.ge(mask, dropped, out=mask), 256 / (256 - dropped)


def _random_bytes(like: Tensor) -> Tensor:
    """Uniform uint8 in the shape of `like`, eight of them from each 64-bit draw.

    NumPy's generator takes half the time of torch's. Each call draws NumPy's whole state, four
    full 64-bit words, from torch's generator, whose seed and state therefore determine the bytes.
    """
    drawn = torch.empty(4, dtype=torch.int64).random_(-(2**63), None)
    GENERATOR.state = {
        "bit_generator": "SFC64",
        "state": {"state": drawn.numpy().view(np.uint64)},
        "has_uint32": 0,
        "uinteger": 0,
    }
    words = GENERATOR.random_raw(like.numel() // 8 + 1)
    return torch.from_numpy(words).view(torch.uint8)[: like.numel()].view(like.shape)
