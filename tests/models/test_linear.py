"""A fused linear layer with its ReLU is torch's, in value and gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nmt.models import linear
from nmt.models.linear import rectified

close = torch.testing.assert_close
BF16 = torch.autocast("cpu", torch.bfloat16)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(3)


def gradients(out: Tensor, *of: Tensor) -> tuple[Tensor, ...]:
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
    return torch.autograd.grad((out * weights).sum(), of)


@pytest.mark.parametrize("shape", [(5, 6), (2, 3, 6), (1, 6)])
@pytest.mark.parametrize("bias", [True, False])
def test_equal_to_torchs_own(shape: tuple[int, ...], bias: bool) -> None:
    layer = nn.Linear(6, 4, bias=bias).double()
    x = torch.randn(shape, dtype=torch.double, requires_grad=True)
    found, expected = rectified(layer, x), layer(x).relu()
    close(found, expected)
    learnt = [x, *layer.parameters()]
    close(gradients(found, *learnt), gradients(expected, *learnt))
    with torch.no_grad():
        close(rectified(layer, x), expected)


@pytest.mark.parametrize("has_kernel", [True, False])
def test_mixed_precision(has_kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_kernel:
        monkeypatch.setattr(linear, "has_bf16_kernels", lambda: False)
    layer = nn.Linear(64, 48)
    nn.init.normal_(layer.bias)
    x = torch.randn(32, 64, requires_grad=True)
    with BF16:
        found, expected = rectified(layer, x), layer(x).relu()
    assert found.dtype == torch.bfloat16
    assert (found - expected).norm() < 0.01 * expected.norm()
    learnt = [x, *layer.parameters()]
    pairs = zip(gradients(found, *learnt), gradients(expected, *learnt), strict=True)
    for mine, theirs in pairs:
        assert mine.dtype == torch.float32
        assert (mine - theirs).norm() < 0.02 * theirs.norm()


def test_a_view_and_a_frozen_weight() -> None:
    layer = nn.Linear(6, 4)
    layer.weight.requires_grad_(False)
    x = torch.randn(3, 6, 2, requires_grad=True)
    found, expected = rectified(layer, x.mT).mT, layer(x.mT).relu().mT
    close(found, expected)
    learnt = [x, layer.bias]
    close(gradients(found, *learnt), gradients(expected, *learnt))
