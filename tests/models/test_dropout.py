"""Dropout by bytes: how much, how scaled, and the same backward as forward."""

from __future__ import annotations

import pytest
import torch

from nmt.models.dropout import Dropout

SHARES = (0.1, 0.25, 0.5, 0.9)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(3)


@pytest.mark.parametrize("share", SHARES)
def test_the_share_is_dropped_and_the_mean_kept(share: float) -> None:
    count = 200_000
    dropped = Dropout(share)(torch.ones(count // 4, 4))
    zeros = (dropped == 0).double().mean().item()
    spread = (share * (1 - share) / count) ** 0.5
    assert abs(zeros - share) < 1 / 512 + 5 * spread
    assert abs(dropped.double().mean().item() - 1) < 5 * spread / (1 - share)
    assert len(dropped.unique()) == 2


@pytest.mark.parametrize("share", [1e-4, 0.001, 0.999, 0.9999])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_share_near_0_or_1_is_dropped_exactly(share: float, dtype: torch.dtype) -> None:
    count = 400_000
    dropped = Dropout(share)(torch.ones(count, dtype=dtype)).double()
    zeros = (dropped == 0).double().mean().item()
    assert dropped.isfinite().all() and 0 < zeros < 1
    assert abs(zeros - share) < 5 * (share * (1 - share) / count) ** 0.5
    assert dropped.max().item() == pytest.approx(1 / (1 - share), rel=2**-8)


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_bfloat16_does_not_round_the_scale(share: float) -> None:
    x = torch.rand(1_000_000).add(1).bfloat16().requires_grad_()
    found = Dropout(share)(x)
    found.backward(x.detach())
    added = Dropout(share).added(torch.zeros_like(x), x)
    scale = 256 / (256 - round(share * 256))
    for scaled in (found, x.grad, added):
        kept = scaled != 0
        ratio = scaled[kept].double().sum() / x[kept].double().sum()
        assert ratio.item() == pytest.approx(scale, rel=1e-4)


def test_each_place_of_a_mask_is_dropped_equally_often() -> None:
    """Also the bytes with the highest bits of the generator's first words."""
    draws, rate = 10_000, 26 / 256
    dropout, ones = Dropout(0.1), torch.ones(64)
    dropped = torch.stack([dropout(ones) == 0 for _ in range(draws)])
    error = (dropped.double().mean(0) - rate) / (rate * (1 - rate) / draws) ** 0.5
    assert error.abs().max() < 4.5


def test_neighbours_are_dropped_independently() -> None:
    kept = Dropout(0.5)(torch.ones(80_000)).bool()
    for distance in range(1, 10):
        both = (kept[distance:] & kept[:-distance]).double().mean().item()
        assert abs(both - 0.25) < 0.01


@pytest.mark.parametrize("size", [(1,), (7,), (8,), (3, 5, 3), (0, 4)])
def test_any_shape(size: tuple[int, ...]) -> None:
    x = torch.full(size, 2.0)
    found = Dropout(0.5)(x)
    assert found.shape == x.shape
    assert ((found == 0) | (found == 4)).all()
    assert (x == 2).all(), "the input is as it was"


def test_the_gradient_goes_where_the_value_went() -> None:
    x = torch.rand(40, 5).add(1).requires_grad_()
    found = Dropout(0.25)(x)
    found.backward(torch.full_like(found, 3.0))
    scale = (found / x).detach()
    kept = scale > 0
    assert kept.any() and not kept.all()
    torch.testing.assert_close(scale[kept], torch.full_like(scale[kept], 4 / 3))
    torch.testing.assert_close(x.grad, 3 * scale)


def test_the_gradient_of_a_view() -> None:
    x = torch.randn(4, 6, requires_grad=True)
    found = Dropout(0.5)(x.T)
    found.sum().backward()
    torch.testing.assert_close(x.grad.T, (found / x.T).detach())


def test_reproducible_from_the_seed_and_else_another_each_time() -> None:
    x, layer = torch.ones(1000), Dropout(0.3)
    torch.manual_seed(5)
    first, second = layer(x), layer(x)
    torch.manual_seed(5)
    assert torch.equal(layer(x), first) and torch.equal(layer(x), second)
    assert not torch.equal(first, second)


def test_nothing_happens_in_evaluation_or_without_a_share() -> None:
    x = torch.randn(9)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0).train()(x), x)


def test_bfloat16_stays_bfloat16() -> None:
    x = torch.ones(1000, dtype=torch.bfloat16, requires_grad=True)
    found = Dropout(0.5)(x)
    found.sum().backward()
    assert found.dtype == x.grad.dtype == torch.bfloat16
    assert set(found.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_added_is_the_sum_with_what_is_dropped(dtype: torch.dtype) -> None:
    x, to_drop = (torch.randn(40, 6, dtype=dtype, requires_grad=True) for _ in range(2))
    dropout = Dropout(0.25)
    torch.manual_seed(5)
    found = dropout.added(x, to_drop)
    torch.manual_seed(5)
    expected = x + dropout(to_drop)
    assert found.dtype == dtype
    # bf16 is rounded once in place of twice.
    torch.testing.assert_close(found, expected, rtol=torch.finfo(dtype).eps, atol=1e-2)
    grad = torch.randn_like(found)
    learnt = [x, to_drop]
    torch.testing.assert_close(
        torch.autograd.grad(found, learnt, grad), torch.autograd.grad(expected, learnt, grad)
    )
    assert (dropout.eval().added(x, to_drop) == x + to_drop).all()


def test_second_derivatives_are_right() -> None:
    x, y = (torch.randn(3, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))

    def dropped(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(5)
        layer = Dropout(0.4)
        return layer(x * y) ** 2 + layer.added(x, y**3)

    assert torch.autograd.gradgradcheck(dropped, (x, y))


def test_added_to_what_is_more_exact() -> None:
    """As behind a normalisation in mixed precision."""
    x = torch.randn(8, 4, requires_grad=True)
    to_drop = torch.randn(8, 4, dtype=torch.bfloat16, requires_grad=True)
    found = Dropout(0.5).added(x, to_drop)
    assert found.dtype == torch.float32
    of_x, of_dropped = torch.autograd.grad(found.sum(), [x, to_drop])
    assert of_x.dtype == torch.float32 and of_dropped.dtype == torch.bfloat16


def test_the_seed_says_what_is_dropped_and_no_draw_is_the_one_before() -> None:
    dropout, ones = Dropout(0.5), torch.ones(64)
    torch.manual_seed(7)
    first, second = dropout(ones), dropout(ones)
    state = torch.get_rng_state()
    third = dropout(ones)
    assert not torch.equal(first, second) and not torch.equal(second, third)
    torch.manual_seed(7)
    assert torch.equal(dropout(ones), first)
    torch.set_rng_state(state)
    assert torch.equal(dropout(ones), third)
