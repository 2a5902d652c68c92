"""A linear layer as one function with its own gradient, for training on a CPU.

Written out for autograd, the bias and a ReLU are passes of their own over the outputs, and every
conversion of mixed precision is a step of its own. The library's fused kernel has them in the
product.

R rows, N inputs, M outputs of a linear layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models.layers import for_products

# oneDNN's product with all that goes with it, as torch's compiler calls it, where torch has it.
FUSED = getattr(torch.ops.mkldnn, "_linear_pointwise", None)


class Linear(nn.Linear):
    """`nn.Linear`, trained on a CPU by fused kernels."""

    def forward(self, x: Tensor) -> Tensor:
        """x (..., N) -> (..., M)"""
        return self._product(x) if trains_on_cpu(x) else super().forward(x)

    def rectified(self, x: Tensor) -> Tensor:
        """max(0, x W^T + b): x (..., N) -> (..., M)"""
        if trains_on_cpu(x):
            return self._product(x, relu=True)
        return F.relu(super().forward(x), inplace=not torch.is_grad_enabled())

    def _product(self, x: Tensor, *, relu: bool = False) -> Tensor:
        out: Tensor = _Product.apply(  # type: ignore[no-untyped-call]
            for_products(x), self.weight, self.bias, relu
        )
        return out


def trains_on_cpu(x: Tensor) -> bool:
    return not x.is_cuda and torch.is_grad_enabled()


class _Product(torch.autograd.Function):
    """In the type of `x`, gradients of weight and bias in that of the weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
        rows, table = x.flatten(0, -2), weight.to(x.dtype)  # (..., N) -> (R, N)
        out = _fused(rows, table, None if bias is None else bias.to(x.dtype), relu)
        ctx.save_for_backward(rows, table, out if relu else None)
        ctx.exact = weight.dtype
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, table, out = ctx.saved_tensors
        grad = gradients[0].flatten(0, -2)  # (R, M)
        if out is not None:
            grad = torch.ops.aten.threshold_backward(grad, out, 0)
        need_rows, need_weight, need_bias, _ = ctx.needs_input_grad
        return (
            (grad @ table).view(*gradients[0].shape[:-1], -1) if need_rows else None,
            (grad.t() @ rows).to(ctx.exact) if need_weight else None,
            # Summed in float32 whatever it is; asked for that type, it would be converted first.
            grad.sum(0).to(ctx.exact) if need_bias else None,
            None,
        )


def _fused(x: Tensor, weight: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
    """x (R, N), weight (M, N), bias (M,) -> (R, M)"""
    # For float32 torch has a faster library.
    if FUSED is not None and x.dtype == torch.bfloat16:
        fused: Tensor = FUSED(x, weight, bias, "relu" if relu else "none", [], "")
        return fused
    out = F.linear(x, weight, bias)
    return out.relu_() if relu else out
