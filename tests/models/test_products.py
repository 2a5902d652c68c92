"""Attention by products in one function is the formula written out, forwards and backwards.

B batch, Q queries, K keys, H heads, D width of a head, E width of a value.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from nmt.models.products import GRAIN, attend

B, H, D, E, SCALE = 2, 3, 4, 5, 0.3
close = torch.testing.assert_close


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(3)


def inputs(queries: int, keys: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Query, key and value as heads lie in a joined width."""
    sizes = ((queries, D), (keys, D), (keys, E))
    return [
        torch.randn(B, length, H, width, dtype=dtype).transpose(1, 2).requires_grad_()
        for length, width in sizes
    ]


def plain(query: Tensor, key: Tensor, value: Tensor, seen: Tensor | None) -> Tensor:
    scores = SCALE * query @ key.mT
    if seen is not None:
        scores = scores.masked_fill(~seen, -math.inf)
    return scores.softmax(-1) @ value


def masks(queries: int, keys: int) -> dict[str, Tensor | None]:
    padding = torch.arange(keys) < torch.tensor([keys, (keys + 1) // 2])[:, None, None, None]
    causal = torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)
    return {"none": None, "padding": padding, "causal": causal, "both": padding & causal}


@pytest.mark.parametrize("mask", masks(1, 1))
@pytest.mark.parametrize(("queries", "keys"), [(7, 7), (GRAIN, GRAIN), (3, GRAIN + 1), (9, 20)])
def test_value_and_gradients_are_those_of_the_formula(mask: str, queries: int, keys: int) -> None:
    given, seen = inputs(queries, keys), masks(queries, keys)[mask]
    found = attend(*given, seen, scale=SCALE, dropout=0.0)
    expected = plain(*given, seen)
    close(found, expected)
    upstream = torch.randn_like(expected)
    mine = torch.autograd.grad(found, given, upstream)
    close(mine, torch.autograd.grad(expected, given, upstream))


def test_bfloat16_is_close() -> None:
    exact = inputs(6, 11)
    given = [part.detach().bfloat16().requires_grad_() for part in exact]
    found, expected = attend(*given, None, scale=SCALE, dropout=0.0), plain(*exact, None)
    close(found.double(), expected, rtol=0, atol=0.03)
    mine = torch.autograd.grad(found.sum(), given)
    for one, other in zip(mine, torch.autograd.grad(expected.sum(), exact), strict=True):
        assert one.dtype == torch.bfloat16
        assert (one.double() - other).norm() < 0.03 * other.norm() + 0.01


def test_dropout_leaves_out_weights_and_keeps_the_mean() -> None:
    query, key, _ = inputs(40, 30)
    value = torch.eye(30, dtype=torch.float64).expand(B, H, 30, 30)  # the context is the weights
    weights = plain(query, key, value, None)
    found = attend(query, key, value, None, scale=SCALE, dropout=0.25)
    kept = found != 0
    assert 0.7 < kept.double().mean() < 0.8
    close(found[kept], (weights / 0.75)[kept])


def test_the_gradient_goes_through_the_weights_that_were_kept() -> None:
    given = inputs(5, 9)

    def dropped(*parts: Tensor) -> Tensor:
        torch.manual_seed(4)
        return attend(*parts, None, scale=SCALE, dropout=0.5)

    assert torch.equal(dropped(*given), dropped(*given))
    assert torch.autograd.gradcheck(dropped, given)


def test_lengths_share_the_shapes_of_their_products() -> None:
    shapes = set()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if func is torch.ops.aten.baddbmm.default:
                shapes.add(tuple(tuple(part.shape) for part in args[1:]))
            return func(*args, **(kwargs or {}))

    for length in range(GRAIN + 1, 2 * GRAIN + 1):
        with Watch():
            found = attend(*inputs(length, length), None, scale=SCALE, dropout=0.0)
            found.sum().backward()
    assert 0 < len(shapes) <= 6
