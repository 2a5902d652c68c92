"""The device of a model, and the precision of its matrix products there."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from nmt.config import TrainingConfig
from nmt.errors import UserError, require

log = logging.getLogger(__name__)


def start_torch(config: TrainingConfig) -> torch.device:
    """Sets the seed and the threads of a training run, and picks its device."""
    device = pick_device(config.device)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    return device


def pick_device(name: str) -> torch.device:
    """The device of this name; `auto` is a GPU if there is one, or else the CPU.

    Raises `UserError` if the machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    message = f"device must be auto, cpu, cuda or cuda:N, but is {name!r}"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(message) from error
    require(device.type in ("cpu", "cuda"), message)
    if device.type == "cuda":
        count = torch.cuda.device_count()
        number = f"only {count} CUDA GPU{'s' * (count > 1)}" if count else "no CUDA GPU"
        require((device.index or 0) < count, f"device {name}: this machine has {number}")
    return device


def pick_precision(precision: str, device: torch.device) -> str:
    """`precision` itself; for `auto`, bf16 if the hardware multiplies it faster than fp32."""
    if precision == "auto":
        return "bf16" if _fast_bf16(device) else "fp32"
    if precision == "bf16" and device.type == "cpu" and not has_bf16_kernels():
        log.warning("this CPU has no bf16 instructions; fp32 would be several times faster")
    return precision


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The type of the matrix products for `training.precision`."""
    picked = pick_precision(precision, device)
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[picked]


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[None]:
    """Computes matrix products in `dtype`.

    Weights, gradients of weights, softmax, loss and optimizer stay float32. In bf16, most of what
    passes between products is rounded to bf16 as well: residual sums, inputs and outputs of
    normalisations, and the states of recurrent cells (a GRU encoder's stay float32 on a CPU).
    """
    context: AbstractContextManager[None] = torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16
    )
    return context


def send(x: Tensor, device: torch.device) -> Tensor:
    """Copies `x` to the device without waiting for a GPU.

    A copy from memory that is not pinned would wait until the GPU has finished all its work.
    """
    if device.type == "cuda" and not x.is_cuda:
        x = x.pin_memory()
    return x.to(device, non_blocking=True)


def bound_kernel_cache() -> None:
    """Limits how many compiled kernels a CPU keeps; to be called before the first matrix product.

    Translating computes bf16 products of ever new shapes. By default, a thousand of their kernels
    are kept twice: by oneDNN, and by ideep, the layer between oneDNN and torch.
    """
    for variable in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(variable, "64")


def has_bf16_kernels() -> bool:
    """Whether oneDNN, which multiplies matrices for torch on CPUs, supports bf16 on this one."""
    check = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return check is not None and bool(check())


def has_int8_kernels() -> bool:
    """Whether torch multiplies 8-bit integers fast and exactly on this CPU.

    An x86 CPU needs VNNI for both. oneDNN's sums saturate without it, also where a CPU has it but
    ONEDNN_MAX_CPU_ISA forbids its use.
    """
    fast = _cpu_has("vnni") or not _cpu_has("avx2")
    return fast and _sums_int8_exactly()


def _sums_int8_exactly() -> bool:
    largest = torch.full((16, 64), 127, dtype=torch.int8)
    return bool((torch._int_mm(largest, largest.t()) == 127 * 127 * 64).all())


def _cpu_has(name: str) -> bool:
    """Asks a private function of torch; if this version does not have it, the answer is no."""
    return bool(getattr(torch.cpu, f"_is_{name}_supported", lambda: False)())


def _fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return _cpu_has("amx_tile") or _cpu_has("avx512_bf16")
