"""A linear layer followed by a ReLU, as one function for training on a CPU.

As separate operations, the bias and the ReLU each make a pass over the widest tensor of a layer.
oneDNN's fused kernel applies them while it computes the product.

R rows, N inputs, M outputs of a linear layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.device import has_bf16_kernels
from nmt.models.gradient import once_differentiable
from nmt.models.layers import for_products

# oneDNN's fused product, which torch's compiler uses; None if this torch has no such operation.
FUSED = getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def rectified(layer: nn.Module, x: Tensor) -> Tensor:
    """max(0, layer(x)) for a linear layer: x (..., N) -> (..., M)."""
    if isinstance(layer, nn.Linear) and trains_on_cpu(x):
        out: Tensor = _Rectified.apply(  # type: ignore[no-untyped-call]
            for_products(x), layer.weight, layer.bias
        )
        return out
    return F.relu(layer(x), inplace=not torch.is_grad_enabled())


def trains_on_cpu(x: Tensor) -> bool:
    return x.is_cpu and torch.is_grad_enabled()


class _Rectified(torch.autograd.Function):
    """Computes in the type of `x`; the gradients of weight and bias have the type of the weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rows, table = x.flatten(0, -2), weight.to(x.dtype)  # (..., N) -> (R, N)
        out = _fused(rows, table, None if bias is None else bias.to(x.dtype))
        ctx.save_for_backward(rows, table, out)
        ctx.exact = weight.dtype
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, table, out = ctx.saved_tensors
        grad = torch.ops.aten.threshold_backward(gradients[0].flatten(0, -2), out, 0)  # (R, M)
        need_rows, need_weight, need_bias = ctx.needs_input_grad
        return (
            (grad @ table).view(*gradients[0].shape[:-1], -1) if need_rows else None,
            (grad.t() @ rows).to(ctx.exact) if need_weight else None,
            # torch sums bf16 in float32 anyway; with dtype=float32 it would convert a copy first.
            grad.sum(0).to(ctx.exact) if need_bias else None,
        )


def _fused(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x (R, N), weight (M, N), bias (M,) -> (R, M)"""
    # For float32, torch uses a faster library than oneDNN.
    if FUSED is not None and x.dtype == torch.bfloat16 and has_bf16_kernels():
        fused: Tensor = FUSED(x, weight, bias, "relu", [], "")
        return fused
    return F.linear(x, weight, bias).relu_()
