"""Where a model runs, and in which precision."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nmt.device import (
    autocast,
    has_int8_kernels,
    pick_device,
    pick_dtype,
    pick_precision,
    send,
)
from nmt.errors import UserError

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two of them."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)


def test_a_gpu_copies_from_pinned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []

    def noted(name: str) -> Callable[..., Tensor]:
        def call(x: Tensor, *arguments: object, **options: object) -> Tensor:
            done.append((name, *arguments, options))
            return x

        return call

    for name in ("pin_memory", "to"):
        monkeypatch.setattr(Tensor, name, noted(name))
    send(torch.zeros(2), GPU)
    assert done == [("pin_memory", {}), ("to", GPU, {"non_blocking": True})]
    done.clear()
    send(torch.zeros(2), CPU)
    assert done == [("to", CPU, {"non_blocking": True})]


@pytest.mark.usefixtures("gpus")
def test_with_gpus() -> None:
    assert pick_device("auto").type == "cuda"
    assert pick_device("cpu") == CPU
    assert pick_device("cuda") == GPU
    assert pick_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(UserError) as caught:
        pick_device("cuda:2")
    expected = "device cuda:2: this machine has only 2 CUDA GPUs"
    assert str(caught.value) == expected


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu() -> None:
    assert pick_device("auto") == pick_device("cpu") == CPU
    with pytest.raises(UserError, match="device cuda: this machine has no CUDA GPU"):
        pick_device("cuda")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cpu0", "tpu:1"])
def test_a_device_that_does_not_exist(name: str) -> None:
    with pytest.raises(UserError) as caught:
        pick_device(name)
    assert str(caught.value) == f"device must be auto, cpu, cuda or cuda:N, but is {name!r}"


@pytest.mark.parametrize("name", ["meta", "mps", "xla"])
def test_a_device_we_do_not_run_on(name: str) -> None:
    with pytest.raises(UserError, match="device must be auto, cpu, cuda or cuda:N"):
        pick_device(name)


def test_precision_as_asked() -> None:
    assert pick_dtype("fp32", CPU) == pick_dtype("fp32", GPU) == torch.float32
    assert pick_dtype("bf16", CPU) == pick_dtype("bf16", GPU) == torch.bfloat16


@pytest.mark.parametrize(("capability", "dtype"), [((7, 5), "float32"), ((8, 0), "bfloat16")])
def test_automatic_precision_of_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: str
) -> None:
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
    assert pick_dtype("auto", GPU) == getattr(torch, dtype)


@pytest.mark.parametrize("amx", [False, True])
def test_automatic_precision_of_a_cpu(monkeypatch: pytest.MonkeyPatch, amx: bool) -> None:
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: amx, raising=False)
    assert pick_dtype("auto", CPU) == (torch.bfloat16 if amx else torch.float32)


@pytest.mark.parametrize("has_kernels", [False, True])
def test_slow_bf16_is_told(
    has_kernels: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("nmt.device.has_bf16_kernels", lambda: has_kernels)
    for name, device in (("bf16", GPU), ("fp32", CPU), ("int8", CPU)):
        assert pick_precision(name, device) == name
    assert not caplog.messages
    assert pick_precision("bf16", CPU) == "bf16"
    assert len(caplog.messages) == (not has_kernels)
    assert all("no bf16 instructions" in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("avx2", "vnni", "has"), [(True, False, False), (True, True, True), (False, False, True)]
)
def test_kernels_for_integers(
    avx2: bool, vnni: bool, has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx2_supported", lambda: avx2, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: vnni, raising=False)
    monkeypatch.setattr("nmt.device._sums_int8_exactly", lambda: True)
    assert has_int8_kernels() == has


def test_a_torch_that_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert pick_dtype("auto", CPU) == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_products_are_made_in_the_precision(dtype: torch.dtype) -> None:
    x = torch.randn(3, 3)
    with autocast(CPU, dtype):
        product = x @ x
        total = torch.softmax(product, dim=-1, dtype=torch.float32)
    assert product.dtype == dtype and total.dtype == torch.float32
    assert (x @ x).dtype == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_computes_what_a_cpu_computes() -> None:
    from nmt.config import AttentionConfig, RNNConfig, TransformerConfig
    from nmt.models import build_model

    source = torch.tensor([[5, 6, 7, 3], [8, 3, 0, 0]])
    target = torch.tensor([[2, 9, 10], [2, 11, 12]])
    attention = AttentionConfig(heads=2)
    for config in (
        TransformerConfig(width=16, feedforward=32, attention=attention),
        RNNConfig(width=16, embedding=8, encoder_width=8),
    ):
        model = build_model(config, 20, 20).eval()
        expected = model(source, target).states
        found = model.cuda()(source.cuda(), target.cuda()).states
        torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-3)
