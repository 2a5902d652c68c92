"""A trained model in the number format that translates soonest: bf16, or 8-bit integers.

R rows, N inputs, M outputs of a linear layer.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from nmt.device import has_int8_kernels
from nmt.errors import require
from nmt.models.seq2seq import Seq2Seq


def in_precision(model: Seq2Seq, precision: str) -> Seq2Seq:
    """The model itself for fp32; for bf16 a copy of that type; for int8 a copy whose linear layers
    multiply integers, all else being as it was.

    Scores, softmax and log-probabilities are float32 in each. Raises `UserError` for int8 on a GPU.
    """
    if precision == "fp32":
        return model
    require(
        precision != "int8" or model.device.type == "cpu",
        f"decoding.precision=int8 is for CPUs, but the model is on {model.device}; use bf16 there",
    )
    model = copy.deepcopy(model)
    if precision == "bf16":
        # Normalisations too: a GPU has none of bf16 with gains of float32.
        return model.bfloat16()
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                setattr(module, name, Int8Linear(child))
    return model


class Int8Linear(nn.Module):
    """A linear layer whose products are of 8-bit integers (Jacob et al. 2018, section 2), with a
    scale for each output of the weights and for each row of the input.

    Sums of integers are exact, so a row's result does not depend on the rows beside it. On a CPU
    that has no kernels for them they are kept in float32, which multiplies them ten times as fast,
    and exactly while sums stay below 2^24: of up to 1,040 inputs they all do.
    """

    weight: Tensor  # (M, N) int8 or, of the same integers, float32
    scale: Tensor  # (M,) float32
    bias: Tensor  # (M,) float32

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        whole = linear.weight.detach().float()
        weight, scale = _quantize(whole)
        bias = torch.zeros(len(whole)) if linear.bias is None else linear.bias.detach().float()
        self.register_buffer("weight", weight.to(torch.int8) if has_int8_kernels() else weight)
        self.register_buffer("scale", scale.squeeze(1))
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., N) -> (..., M) float32"""
        rows, scale = _quantize(x.flatten(0, -2))
        if self.weight.dtype == torch.int8:
            out = torch._int_mm(rows.to(torch.int8), self.weight.t()).float()  # (R, M)
        else:
            out = rows @ self.weight.t()
        out = torch.addcmul(self.bias, out.mul_(scale), self.scale, out=out)
        return out.view(*x.shape[:-1], self.out_features)


def _quantize(x: Tensor) -> tuple[Tensor, Tensor]:
    """(R, N) -> whole numbers from -127 to 127, as float32, and the scale (R, 1) of each row."""
    scale = x.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
    return (x / scale).round_(), scale
