"""The chunked loss is torch's cross-entropy, in value and gradient.

B batch, T target length, N width, V vocabulary.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.config import PAD
from nmt.training import loss
from nmt.training.loss import translation_loss

B, T, N, V = 3, 7, 6, 11
close = torch.testing.assert_close


@pytest.fixture(params=[1, 5, 1024])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "CHUNK", request.param)


class Case:
    """States, labels with padding, and a projection."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        self.states = (torch.randn(B, T, N) * 2).requires_grad_()
        self.labels = torch.randint(1, V, (B, T))
        self.labels[1, 3:], self.labels[2, 1:] = PAD, PAD
        self.output = nn.Linear(N, V, bias=False)
        nn.init.normal_(self.output.weight)

    def found(self, smoothing: float, dtype: torch.dtype = torch.float32) -> Tensor:
        options = {"smoothing": smoothing, "dtype": dtype}
        return translation_loss(self.states, self.labels, self.output, **options)

    def expected(self, smoothing: float) -> Tensor:
        return F.cross_entropy(
            self.output(self.states).flatten(0, 1),
            self.labels.flatten(),
            label_smoothing=smoothing,
            ignore_index=PAD,
            reduction="sum",
        )

    def gradients(self, value: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(value, [self.states, self.output.weight], retain_graph=True)


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_equal_to_torchs_own(smoothing: float) -> None:
    case = Case()
    found = case.found(smoothing)
    assert found.shape == (2,) and found.dtype == torch.float32
    close(found[0], case.expected(smoothing))
    close(found[1], case.expected(0.0))
    close(case.gradients(found[0]), case.gradients(case.expected(smoothing)))


@pytest.mark.usefixtures("chunk")
def test_the_gradient_of_a_mean() -> None:
    case = Case()
    count = (case.labels != PAD).sum()
    mine = case.gradients(case.found(0.1)[0] / count)
    close(mine, case.gradients(case.expected(0.1) / count))


def test_the_way_back_is_gone_only_once() -> None:
    case = Case()
    value = case.found(0.1)[0]
    case.gradients(value)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        case.gradients(value)


def test_padding_has_no_gradient() -> None:
    case = Case()
    states, _ = case.gradients(case.found(0.1)[0])
    assert (states[case.labels == PAD] == 0).all()
    assert (states[case.labels != PAD] != 0).any(dim=-1).all()


@pytest.mark.usefixtures("chunk")
def test_a_weight_tied_with_an_embedding_gets_both_gradients() -> None:
    case = Case()
    embedding = nn.Embedding(V, N)
    case.output.weight = embedding.weight
    tokens = torch.randint(1, V, (B, T))
    both = []
    for kind in (case.found, case.expected):
        case.states = embedding(tokens).tanh()
        value = kind(0.1)
        total = value[0] if value.dim() else value
        both.append(torch.autograd.grad(total, embedding.weight)[0])
    close(*both)


def test_extreme_logits_stay_finite() -> None:
    case = Case()
    case.states.data.mul_(1000)
    found = case.found(0.1)
    close(found[0], case.expected(0.1))
    close(case.gradients(found[0]), case.gradients(case.expected(0.1)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gap", [60.0, 72.0, 95.0, 200.0])
def test_a_label_that_is_thought_impossible(gap: float) -> None:
    """Some probabilities lose digits in float32, some vanish."""
    case = Case()
    case.output = nn.Linear(N, V, bias=False)
    nn.init.zeros_(case.output.weight)
    case.output.weight.data[0, 0] = gap
    case.states.data[..., 0] = torch.linspace(0.9, 1.1, B * T).view(B, T)
    found = case.found(0.1)
    close(found[0], case.expected(0.1))
    close(found[1], case.expected(0.0))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients(mode: type[torch.no_grad], monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case()
    expected = case.found(0.0).detach()
    made: list[Tensor] = []
    zeros_like = torch.zeros_like

    def counted(like: Tensor, **options: torch.dtype) -> Tensor:
        made.append(like)
        return zeros_like(like, **options)

    monkeypatch.setattr(torch, "zeros_like", counted)
    with mode():
        found = case.found(0.0)
    assert torch.equal(found, expected) and not found.requires_grad
    assert not made, "it made a gradient that nobody asked for"


def test_bfloat16_is_close() -> None:
    case = Case()
    found = case.found(0.1, torch.bfloat16)
    assert found.dtype == torch.float32
    close(found[0], case.expected(0.1), rtol=0.02, atol=0)
    exact = case.gradients(case.expected(0.1))
    for mine, theirs in zip(case.gradients(found[0]), exact, strict=True):
        assert mine.dtype == torch.float32
        assert (mine - theirs).norm() < 0.03 * theirs.norm()


def test_bfloat16_states() -> None:
    case = Case()
    exact = case.gradients(case.expected(0.1))
    case.states = case.states.detach().bfloat16().requires_grad_()
    mine = case.gradients(case.found(0.1, torch.bfloat16)[0])
    assert mine[0].dtype == torch.bfloat16
    for found, expected in zip(mine, exact, strict=True):
        assert (found.float() - expected).norm() < 0.03 * expected.norm()


def test_the_logits_of_all_positions_never_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "CHUNK", 7)
    case = Case()
    positions = int((case.labels != PAD).sum())
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            if isinstance(result, Tensor) and result.shape[-1:] == (V,):
                largest = max(largest, result.numel() // V)
            return result

    with Watch():
        case.found(0.1)
    assert 0 < largest <= 7 < positions


@pytest.mark.parametrize("chunk", [3, loss.GRAIN, 1024])
def test_any_number_of_labels_makes_products_of_few_sizes(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "CHUNK", chunk)
    sizes = set()
    mm = torch.mm

    def counted(left: Tensor, right: Tensor, *, out: Tensor) -> Tensor:
        sizes.add(len(left))
        return mm(left, right, out=out)

    monkeypatch.setattr(torch, "mm", counted)
    case = Case()
    for count in range(1, 2 * loss.GRAIN, 9):
        case.states = torch.randn(1, count, N, requires_grad=True)
        case.labels = torch.randint(1, V, (1, count))
        found = case.found(0.1)
        close(found[0], case.expected(0.1))
        close(case.gradients(found[0]), case.gradients(case.expected(0.1)), rtol=1e-4, atol=1e-5)
    assert sizes <= {3, loss.GRAIN, 2 * loss.GRAIN}
