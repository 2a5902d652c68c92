"""The fused linear layer is torch's, in value and gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models import linear
from nmt.models.linear import Linear

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
@pytest.mark.parametrize("relu", [True, False])
def test_equal_to_torchs_own(shape: tuple[int, ...], bias: bool, relu: bool) -> None:
    layer = Linear(6, 4, bias=bias).double()
    x = torch.randn(shape, dtype=torch.double, requires_grad=True)
    found = layer.rectified(x) if relu else layer(x)
    expected = F.linear(x, layer.weight, layer.bias)
    expected = expected.relu() if relu else expected
    close(found, expected)
    learnt = [x, *layer.parameters()]
    close(gradients(found, *learnt), gradients(expected, *learnt))
    with torch.no_grad():
        close(layer.rectified(x) if relu else layer(x), expected)


@pytest.mark.parametrize("has_kernel", [True, False])
def test_mixed_precision(has_kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_kernel:
        monkeypatch.setattr(linear, "FUSED", None)
    layer = Linear(64, 48)
    nn.init.normal_(layer.bias)
    x = torch.randn(32, 64, requires_grad=True)
    with BF16:
        found = layer.rectified(x)
        expected = F.linear(x, layer.weight, layer.bias).relu()
    assert found.dtype == torch.bfloat16
    assert (found - expected).norm() < 0.01 * expected.norm()
    learnt = [x, *layer.parameters()]
    pairs = zip(gradients(found, *learnt), gradients(expected, *learnt), strict=True)
    for mine, theirs in pairs:
        assert mine.dtype == torch.float32
        assert (mine - theirs).norm() < 0.02 * theirs.norm()


def test_a_view_and_a_frozen_weight() -> None:
    layer = Linear(6, 4)
    layer.weight.requires_grad_(False)
    x = torch.randn(3, 6, 2, requires_grad=True)
    found, expected = (each(x.mT).mT for each in (layer, nn.Linear.forward.__get__(layer)))
    close(found, expected)
    learnt = [x, layer.bias]
    close(gradients(found, *learnt), gradients(expected, *learnt))


def test_its_weights_are_those_of_a_plain_layer() -> None:
    assert Linear(3, 2).state_dict().keys() == nn.Linear(3, 2).state_dict().keys()
