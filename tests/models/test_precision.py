"""Models in bf16 and in 8-bit integers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Protocol, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.config import BOS, EOS, PAD, DecodingConfig
from nmt.decoding import translate_ids
from nmt.device import has_int8_kernels
from nmt.errors import UserError
from nmt.models import precision
from nmt.models.precision import Int8Linear, in_precision
from nmt.models.seq2seq import Seq2Seq

SOURCES = [[5, 6, 7, 8, 9, 10, EOS], [11, 5, EOS], [EOS]]
SOURCE = torch.tensor([[5, 6, 7, 8, EOS], [11, 5, EOS, PAD, PAD]])
TARGET = torch.tensor([[BOS, 9, 8, 7, EOS], [BOS, 15, EOS, PAD, PAD]])
KINDS: list[tuple[str, dict[str, Any]]] = [
    ("transformer", {"norm": "pre"}),
    ("transformer", {"norm": "post", "positions": "rotary", "tied_embeddings": "all"}),
    ("transformer", {"score": "additive"}),
    ("rnn", {"cell": "gru", "score": "additive"}),
    ("rnn", {"cell": "lstm", "score": "scaled_dot"}),
]
every = pytest.mark.parametrize(
    ("name", "knobs"), KINDS, ids=["-".join((name, *knobs.values())) for name, knobs in KINDS]
)
both = pytest.mark.parametrize("precision", ["bf16", "int8"])


class Build(Protocol):
    def __call__(self, name: str, **knobs: Any) -> Seq2Seq: ...


def linear(inputs: int = 24, outputs: int = 40, *, bias: bool = True) -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(inputs, outputs, bias=bias).requires_grad_(False)


@pytest.mark.parametrize("bias", [True, False])
def test_an_int8_layer_is_close_to_the_layer(bias: bool) -> None:
    exact = linear(bias=bias)
    x = torch.randn(3, 5, 24)
    found, expected = Int8Linear(exact)(x), exact(x)
    assert found.shape == expected.shape and found.dtype == torch.float32
    # Each factor is off by at most half of 1/127 of the largest of its row.
    error = (found - expected).abs() / (x.norm(dim=-1, keepdim=True) * exact.weight.norm(dim=1))
    assert error.max() < 0.02
    assert (found - expected).norm() < 0.01 * expected.norm()


def test_a_row_is_the_same_in_any_company() -> None:
    layer, x = Int8Linear(linear()), torch.randn(50, 24)
    x[7] *= 1000
    together = layer(x)
    assert torch.equal(layer(x.flip(0)).flip(0), together)
    for size in (1, 3, 17):
        assert torch.equal(torch.cat([layer(part) for part in x.split(size)]), together)


@pytest.mark.skipif(not has_int8_kernels(), reason="this CPU has no exact products of int8")
@pytest.mark.parametrize("inputs", [24, 1040, 2048])
def test_without_kernels_for_integers(inputs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same to the last bit, with the largest sums that can be of up to 1,040 inputs."""
    exact = linear(inputs)
    exact.weight[0] = 1
    x = torch.randn(20, inputs)
    if inputs <= 1040:
        x[3] = 1
    layers = []
    for has_kernels in (True, False):
        monkeypatch.setattr(precision, "has_int8_kernels", lambda has=has_kernels: has)
        layers.append(Int8Linear(exact))
    assert [layer.weight.dtype for layer in layers] == [torch.int8, torch.float32]
    assert torch.equal(layers[0](x), layers[1](x))


def test_kernels_whose_sums_saturate_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """As oneDNN's do without VNNI, which ONEDNN_MAX_CPU_ISA may hide on a CPU that has it."""

    def saturating(left: Tensor, right: Tensor) -> Tensor:
        """Sums of two products, the left factor moved to 0..255, in 16 bits."""
        lefts, rights = (left.int() + 128).unflatten(1, (-1, 2)), right.int().unflatten(0, (-1, 2))
        pairs = torch.einsum("rnp,npm->rnm", lefts, rights).clamp(-(2**15), 2**15 - 1)
        return pairs.sum(1) - 128 * right.int().sum(0)

    ones = torch.ones(3, 4, dtype=torch.int8)
    assert (saturating(ones, ones.t()) == 4).all()
    monkeypatch.setattr(torch, "_int_mm", saturating)
    assert not has_int8_kernels()
    assert Int8Linear(linear()).weight.dtype == torch.float32


def test_rows_of_zeros_and_no_rows() -> None:
    exact = linear()
    layer = Int8Linear(exact)
    assert torch.equal(layer(torch.zeros(2, 24)), exact.bias.expand(2, -1))
    assert layer(torch.empty(0, 24)).shape == (0, 40)
    assert layer(torch.empty(2, 0, 24)).shape == (2, 0, 40)


def test_what_is_no_number_stays_visible() -> None:
    x = torch.ones(2, 24)
    x[0, 3] = torch.nan
    found = Int8Linear(linear())(x)
    assert found[0].isnan().all() and found[1].isfinite().all()


@every
@both
def test_the_original_is_untouched(
    build: Build, name: str, knobs: dict[str, Any], precision: str
) -> None:
    model = build(name, **knobs).float()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    classes = [type(module) for module in model.modules()]
    other = in_precision(model, precision)
    assert other is not model and other.training == model.training
    assert [type(module) for module in model.modules()] == classes
    for key, value in model.state_dict().items():
        assert value.dtype == torch.float32 and torch.equal(value, before[key])


def test_fp32_is_the_model_itself(build: Build) -> None:
    model = build("rnn")
    assert in_precision(model, "fp32") is model


@every
@both
def test_log_probabilities_are_close(
    build: Build, name: str, knobs: dict[str, Any], precision: str
) -> None:
    model = build(name, **knobs).float().requires_grad_(False)
    exact = model.token_log_probs(SOURCE, TARGET)
    found = in_precision(model, precision).token_log_probs(SOURCE, TARGET)
    assert found.dtype == torch.float32
    assert not torch.equal(found, exact)
    torch.testing.assert_close(found, exact, atol=0.15, rtol=0.05)


@every
@both
def test_every_model_translates(
    build: Build, name: str, knobs: dict[str, Any], precision: str
) -> None:
    model = in_precision(build(name, **knobs).float(), precision)
    for config in (DecodingConfig(beam_size=1), DecodingConfig(), DecodingConfig(beam_size=12)):
        for source, (best,) in zip(SOURCES, translate_ids(model, SOURCES, config), strict=True):
            target = torch.tensor([[BOS, *best.tokens, EOS]])
            with torch.no_grad():
                total = model.token_log_probs(torch.tensor([source]), target).sum().item()
            assert best.log_prob == pytest.approx(total, rel=0.05, abs=0.1)


@every
def test_bf16_mixes_no_types(
    build: Build, name: str, knobs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a CPU puts up with and a GPU does not: gains and masks of another type."""
    model = in_precision(build(name, **knobs).float(), "bf16")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    fused = F.scaled_dot_product_attention

    def strict(query: Tensor, *rest: Tensor, attn_mask: Tensor | None, **knobs: Any) -> Tensor:
        assert attn_mask is None or attn_mask.dtype in (torch.bool, query.dtype)
        return fused(query, *rest, attn_mask=attn_mask, **knobs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", strict)
    translate_ids(model, SOURCES, DecodingConfig(beam_size=12))


def test_int8_is_refused_on_a_gpu() -> None:
    model = cast(Seq2Seq, SimpleNamespace(device=torch.device("cuda", 0)))
    with pytest.raises(UserError) as caught:
        in_precision(model, "int8")
    assert str(caught.value) == (
        "decoding.precision=int8 is for CPUs, but the model is on cuda:0; use bf16 there"
    )
