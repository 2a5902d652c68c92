"""The additive score is its formula, forward and backward, without keeping what is large.

B batch, Q queries, K keys, H heads, D width of a head.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from nmt.models import scores
from nmt.models.scores import Additive

B, H, K, D = 5, 2, 6, 8
close = torch.testing.assert_close


def inputs(queries: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    sizes = (B, queries, H * D), (B, K, H * D)
    made = [torch.randn(size, generator=generator).to(dtype) for size in sizes]
    # As attention makes them: split into heads, and so not contiguous.
    split = [each.view(*each.shape[:2], H, D).transpose(1, 2) for each in made]
    return split[0].requires_grad_(), split[1].requires_grad_()


def formula(score: Additive, query: Tensor, key: Tensor) -> Tensor:
    mixed = torch.tanh(query.double().unsqueeze(3) + key.double().unsqueeze(2))
    return torch.einsum("bhqkd,hd->bhqk", mixed, score.energy.double())


@pytest.mark.parametrize("block", [1, 2 * H * K * D, 1 << 17])
@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_additive_is_its_formula_forward_and_backward(
    monkeypatch: pytest.MonkeyPatch, block: int, queries: int, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(scores, "_block", lambda device: block)
    score = Additive(H, D)
    query, key = inputs(queries, dtype)
    found, expected = score(query, key), formula(score, query, key)
    assert found.dtype == torch.float32
    close(found.double(), expected, rtol=1e-5, atol=1e-5)
    gradient = torch.randn_like(expected)
    wanted = (query, key, score.energy)
    mine = torch.autograd.grad(found, wanted, gradient.float())
    theirs = torch.autograd.grad(expected, wanted, gradient)
    assert [each.dtype for each in mine] == [dtype, dtype, torch.float32]
    rough = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-2, "atol": 1e-2}
    for one, other in zip(mine, theirs, strict=True):
        close(one.double(), other.double(), **rough)


def test_additive_in_double_is_exact() -> None:
    score = Additive(H, D).double()
    query, key = inputs(2, torch.float64)
    assert torch.autograd.gradcheck(score, (query, key))


def test_additive_keeps_nothing_of_the_size_of_all_pairs() -> None:
    query, key = inputs(3, torch.float32)
    kept: list[int] = []
    with saved_tensors_hooks(lambda each: kept.append(each.numel()), lambda _: None):
        Additive(H, D)(query, key)
    assert kept and max(kept) == key.numel()


def test_additive_is_the_same_under_autocast() -> None:
    score = Additive(H, D)
    query, key = inputs(3, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = score(query, key)
    assert torch.equal(found, score(query, key))
