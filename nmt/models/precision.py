"""A trained model in a number format that translates faster: bf16 or 8-bit integers.

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
    """The model itself for fp32, a copy of type bf16, or a copy whose linear layers multiply int8.

    Softmax and log-probabilities are computed in float32 in each. In bf16 they are computed from
    rounded numbers: logits and the scores of dot products keep 8 significant bits, steps of 1/16
    between 8 and 16. The log-probability of a translation therefore differs between bf16 and fp32,
    on Multi30k by up to 0.2; BLEU was the same there. In int8, everything except the integer
    products is float32. Raises `UserError` for int8 on a GPU.
    """
    if precision == "fp32":
        return model
    require(
        precision != "int8" or model.device.type == "cpu",
        f"decoding.precision=int8 is for CPUs, but the model is on {model.device}; use bf16 there",
    )
    model = copy.deepcopy(model)
    if precision == "bf16":
        # Normalisations too: a GPU cannot normalise bf16 with float32 gains.
        return model.bfloat16()
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                setattr(module, name, Int8Linear(child))
    return model


class Int8Linear(nn.Module):
    """A linear layer that multiplies 8-bit integers (Jacob et al. 2018, section 2).

    Each output of the weight and each row of the input has a scale of its own. Sums of integers are
    exact, so the result of a row does not depend on the rows around it. A CPU without kernels for
    8-bit integers keeps them in float32, which is ten times as fast there and exact while sums stay
    below 2^24, as all sums over up to 1,040 inputs do.
    """

    weight: Tensor  # (M, N) int8, or the same integers in float32
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
        """x (..., N) -> (..., M) float32."""
        rows, scale = _quantize(x.flatten(0, -2))
        if self.weight.dtype == torch.int8:
            out = torch._int_mm(rows.to(torch.int8), self.weight.t()).float()  # (R, M)
        else:
            out = rows @ self.weight.t()
        out = torch.addcmul(self.bias, out.mul_(scale), self.scale, out=out)
        return out.view(*x.shape[:-1], self.out_features)


def _quantize(x: Tensor) -> tuple[Tensor, Tensor]:
    """(R, N) -> integers from -127 to 127, stored as float32, and the scale (R, 1) of each row."""
    scale = x.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
    return (x / scale).round_(), scale
