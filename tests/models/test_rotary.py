"""Rotary positions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nmt.models.attention import rotate

close = torch.testing.assert_close


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(3)


@pytest.mark.parametrize("width", [2, 6, 16])
def test_rotary_scores_depend_on_the_distance_alone(width: int) -> None:
    query, key = torch.randn(2, 1, 1, 1, width, dtype=torch.float64)

    def at(position: int) -> Tensor:
        return torch.tensor([position])

    def product(i: int, j: int) -> Tensor:
        return (rotate(query, at(i)) * rotate(key, at(j))).sum()

    close(product(9, 4), product(105, 100), rtol=1e-4, atol=1e-5)
    close(product(4, 9), product(100, 105), rtol=1e-4, atol=1e-5)
    assert not torch.isclose(product(9, 4), product(9, 6), rtol=1e-3)
    close(rotate(query, at(0)), query)
    close(rotate(query, at(77)).norm(), query.norm(), rtol=1e-5, atol=1e-6)


def test_rotary_step_by_step_is_all_at_once() -> None:
    x = torch.randn(3, 2, 7, 4)  # 7 tokens
    places = torch.arange(7)
    steps = [rotate(x[:, :, i : i + 1], places[i : i + 1]) for i in range(7)]
    close(torch.cat(steps, dim=2), rotate(x, places))
