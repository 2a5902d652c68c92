"""A linear layer with a ReLU behind it as one function, for training on a CPU.

Apart, the bias and the ReLU are passes of their own over the widest tensor of a layer; the
library's fused kernel has them in the product.

R rows, N inputs, M outputs of a linear layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.device import has_bf16_kernels
from nmt.models.layers import for_products

# oneDNN's product with all that goes with it, as torch's compiler calls it, where torch has it.
FUSED = getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def rectified(layer: nn.Module, x: Tensor) -> Tensor:
    """max(0, layer(x)) of a linear layer: x (..., N) -> (..., M)"""
    if isinstance(layer, nn.Linear) and trains_on_cpu(x):
        out: Tensor = _Rectified.apply(  # type: ignore[no-untyped-call]
            for_products(x), layer.weight, layer.bias
        )
        return out
    return F.relu(layer(x), inplace=not torch.is_grad_enabled())


def trains_on_cpu(x: Tensor) -> bool:
    return x.is_cpu and torch.is_grad_enabled()


class _Rectified(torch.autograd.Function):
    """In the type of `x`, gradients of weight and bias in that of the weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rows, table = x.flatten(0, -2), weight.to(x.dtype)  # (..., N) -> (R, N)
        out = _fused(rows, table, None if bias is None else bias.to(x.dtype))
        ctx.save_for_backward(rows, table, out)
        ctx.exact = weight.dtype
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, table, out = ctx.saved_tensors
        grad = torch.ops.aten.threshold_backward(gradients[0].flatten(0, -2), out, 0)  # (R, M)
        need_rows, need_weight, need_bias = ctx.needs_input_grad
        return (
            (grad @ table).view(*gradients[0].shape[:-1], -1) if need_rows else None,
            (grad.t() @ rows).to(ctx.exact) if need_weight else None,
            # Summed in float32 whatever it is; asked for that type, it would be converted first.
            grad.sum(0).to(ctx.exact) if need_bias else None,
        )


def _fused(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x (R, N), weight (M, N), bias (M,) -> (R, M)"""
    # For float32 torch has a faster library.
    if FUSED is not None and x.dtype == torch.bfloat16 and has_bf16_kernels():
        fused: Tensor = FUSED(x, weight, bias, "relu", [], "")
        return fused
    return F.linear(x, weight, bias).relu_()
