"""How fast a config trains on this machine, where the time goes, and what the machine could do."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from nmt.allocator import keep_freed_memory
from nmt.config import Config
from nmt.data.batching import BatchStream
from nmt.data.encoded import prepare
from nmt.device import start_torch
from nmt.models import build_model
from nmt.models.linear import FUSED
from nmt.models.seq2seq import count_parameters
from nmt.screen import activity
from nmt.training.update import Updater

WARM_UP = 5  # steps before the clock starts
COUNTED = 3  # steps whose floating-point operations are counted


class TrainingSpeed(NamedTuple):
    """Tokens are real ones: neither padding nor BOS."""

    source_tokens_per_second: float
    target_tokens_per_second: float
    step_seconds: float  # median
    padding: float  # share of the batches, both sides
    peak_memory_mb: float
    prepare_seconds: float  # reading, cleaning and encoding, or finding it in the cache
    first_step_seconds: float  # from the start of the program to the end of the first step
    breakdown: dict[str, float]  # shares of a step: data, forward, loss, backward, optimizer, other
    flop_per_target_token: float  # of matrix products, forward and backward
    flop_per_second: float
    machine_flop_per_second: float  # of a large matrix product in the same precision
    flop_utilisation: float  # the one as a share of the other
    steps: int
    parameters: int
    device: str
    threads: int
    precision: str


class Step(NamedTuple):
    seconds: float
    waited: float  # of them, for data
    source_tokens: int
    target_tokens: int
    padded_tokens: int  # of both sides


class Stopwatch:
    """Seconds by name. It waits for a GPU, so a step that it times is a little slower."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        began = now(self.device)
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + now(self.device) - began


def benchmark_training(config: Config, *, steps: int, began: float) -> TrainingSpeed:
    """Trains for `steps` steps in steady state; nothing is saved.

    `began` is `time.perf_counter()` at the start of the program.
    """
    device = start_torch(config.training)
    preparing = time.perf_counter()
    prepared = prepare(config.data, config.training.seed)
    prepare_seconds = time.perf_counter() - preparing
    keep_freed_memory()
    sizes = prepared.tokenizers.source.size, prepared.tokenizers.target.size
    updater = Updater(build_model(config.model, *sizes).to(device), config.training)
    with BatchStream(prepared, config.training.batch_tokens, config.training.seed) as stream:
        next(timed(updater, stream))
        first_step_seconds = now(device) - began
        take(updater, stream, WARM_UP)
        with activity("timing steps", steps) as bar:
            taken = take(updater, stream, steps, bar.advance)
        peak = peak_memory_mb(device)
        shares = breakdown(updater, stream, max(COUNTED, steps // 4))
        flop = flop_per_token(updater, stream)
    rate = matmul_rate(device, updater.dtype)
    seconds = sum(step.seconds for step in taken)
    source, target, padded = (sum(column) for column in list(zip(*taken, strict=True))[2:])
    achieved = flop * target / seconds
    return TrainingSpeed(
        source_tokens_per_second=source / seconds,
        target_tokens_per_second=target / seconds,
        step_seconds=statistics.median(step.seconds for step in taken),
        padding=1 - (source + target) / padded,
        peak_memory_mb=peak,
        prepare_seconds=prepare_seconds,
        first_step_seconds=first_step_seconds,
        breakdown=shares,
        flop_per_target_token=flop,
        flop_per_second=achieved,
        machine_flop_per_second=rate,
        flop_utilisation=achieved / rate,
        steps=steps,
        parameters=count_parameters(updater.model),
        device=str(device),
        threads=torch.get_num_threads(),
        precision="bf16" if updater.dtype == torch.bfloat16 else "fp32",
    )


def timed(updater: Updater, stream: BatchStream) -> Iterator[Step]:
    """Steps of the optimizer, each made when it is asked for."""
    rate, device = updater.config.learning_rate, updater.model.device
    while True:
        began, waited = now(device), stream.waited
        batches = [planned.batch for planned in islice(stream, updater.config.accumulate)]
        update = updater.update(batches, rate)
        seconds = now(device) - began
        # BOS is read by the decoder but is none of the real tokens.
        padded = sum(batch.source.numel() + batch.labels.numel() for batch in batches)
        tokens = update.source_tokens, update.target_tokens, padded
        yield Step(seconds, stream.waited - waited, *tokens)


def take(
    updater: Updater,
    stream: BatchStream,
    steps: int,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Step]:
    taken = []
    for step in islice(timed(updater, stream), steps):
        taken.append(step)
        progress(1)
    return taken


def breakdown(updater: Updater, stream: BatchStream, steps: int) -> dict[str, float]:
    """The share of each part of a step."""
    stopwatch = Stopwatch(updater.model.device)
    before, updater.phase = updater.phase, stopwatch
    taken = take(updater, stream, steps)
    updater.phase = before
    seconds = {"data": sum(step.waited for step in taken), **stopwatch.seconds}
    whole = sum(step.seconds for step in taken)
    seconds["other"] = whole - sum(seconds.values())
    return {name: part / whole for name, part in seconds.items()}


def flop_per_token(updater: Updater, stream: BatchStream) -> float:
    """Floating-point operations of the matrix products of a step, for each real target token.

    Counted as they are called, those on padding included; the products inside cuDNN's recurrent
    layers are not seen.
    """
    kernels = {} if FUSED is None else {FUSED: fused_flop}
    with FlopCounterMode(display=False, custom_mapping=kernels) as counter:
        taken = take(updater, stream, COUNTED)
    return float(counter.get_total_flops()) / sum(step.target_tokens for step in taken)


def fused_flop(x: torch.Size, weight: torch.Size, *_: object, **__: object) -> int:
    """Of the product of x (R, N) and weight (M, N), which torch's counter does not know."""
    return 2 * x.numel() * weight[0]


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a large matrix product: the median over a second."""
    size = 8192 if device.type == "cuda" else 2048
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(left)
    seconds: list[float] = []
    while sum(seconds) < 1.0 or len(seconds) < 3:
        began = now(device)
        torch.mm(left, right.T, out=out)  # as a linear layer has it
        seconds.append(now(device) - began)
    return float(2 * size**3) / statistics.median(seconds)


def peak_memory_mb(device: torch.device) -> float:
    """The most that the process, or the GPU where one is used, has held so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes there
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def now(device: torch.device) -> float:
    """Seconds on a clock, once a GPU has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
