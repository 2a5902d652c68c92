"""Hand-written gradients refuse second derivatives, which they would get wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nmt.models.linear import rectified
from nmt.models.products import attend
from nmt.models.scores import Additive
from nmt.training.loss import translation_loss

LAYER = nn.Linear(4, 4).double()
ENERGY = Additive(1, 4).double()
LABELS = torch.tensor([[3, 2, 1]])


def loss(x: Tensor) -> Tensor:
    return translation_loss(x[0], LABELS, LAYER, smoothing=0.1, dtype=torch.float64)[0]


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "_Attend": lambda x: attend(x, x, x, None, scale=1.0, dropout=0.0),
    "_Additive": lambda x: ENERGY(x, x),
    "_Rectified": lambda x: rectified(LAYER, x),
    "_ChunkedLoss": loss,
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("power", [1, 2])
def test_a_second_derivative_is_refused(name: str, power: int) -> None:
    x = torch.randn(1, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    value = (FUNCTIONS[name](x) ** power).sum() + (x**3).sum()
    torch.autograd.grad(value, x, retain_graph=True)
    value = (FUNCTIONS[name](x) ** power).sum() + (x**3).sum()
    with pytest.raises(RuntimeError, match=f"{name} has no second derivative: create_graph=True"):
        torch.autograd.grad(value, x, create_graph=True)
