"""What the benchmark says of a training of a tiny model."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

import pytest
import torch

from nmt.config import Config
from nmt.data.batch import Batch
from nmt.training.benchmark import Stopwatch, TrainingSpeed, benchmark_training, matmul_rate
from nmt.training.progress import Update
from nmt.training.update import Updater

MakeConfig = Callable[..., Config]


def speed(config: Config, steps: int = 4) -> TrainingSpeed:
    return benchmark_training(config, steps=steps, began=time.perf_counter())


@pytest.mark.parametrize("model", ["transformer", "rnn"])
def test_its_figures_agree_with_each_other(make_config: MakeConfig, model: str) -> None:
    found = speed(make_config(model))
    assert found.steps == 4 and found.precision == "fp32" and found.device == "cpu"
    assert 0 <= found.padding < 0.5
    assert 0 < found.prepare_seconds < found.first_step_seconds
    # A source side has as many pieces as its target, turned round, but for the EOS of both.
    ratio = found.source_tokens_per_second / found.target_tokens_per_second
    assert ratio == pytest.approx(1, abs=0.2)
    rate = found.flop_per_target_token * found.target_tokens_per_second
    assert found.flop_per_second == pytest.approx(rate)
    assert found.flop_utilisation == pytest.approx(rate / found.machine_flop_per_second)


def test_its_parts_are_all_of_a_step(make_config: MakeConfig) -> None:
    parts = speed(make_config()).breakdown
    assert list(parts) == ["data", "forward", "loss", "backward", "optimizer", "other"]
    assert sum(parts.values()) == pytest.approx(1)
    assert all(0 <= part < 1 for part in parts.values())


def test_products_are_counted_forward_and_backward(make_config: MakeConfig) -> None:
    """The vocabulary layer alone has three products, of 2 * N * V operations a token."""
    config = make_config()
    small = speed(config).flop_per_target_token
    config.model = dataclasses.replace(config.model, width=32)
    large = speed(config).flop_per_target_token
    vocabulary = 340
    assert small > 3 * 2 * 16 * vocabulary
    assert large - small > 3 * 2 * 16 * vocabulary


def test_fused_products_are_counted_as_plain_ones(make_config: MakeConfig) -> None:
    fp32, bf16 = (speed(make_config(precision=name)) for name in ("fp32", "bf16"))
    assert bf16.precision == "bf16"
    assert bf16.flop_per_target_token == pytest.approx(fp32.flop_per_target_token, rel=0.01)


def test_it_trains_as_configured(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def update(self: Updater, batches: Sequence[Batch], rate: float) -> Update:
        taken.append(len(batches))
        return whole(self, batches, rate)

    whole = Updater.update
    monkeypatch.setattr(Updater, "update", update)
    speed(make_config(accumulate=3))
    assert set(taken) == {3}


def test_a_stopwatch_adds_up() -> None:
    stopwatch = Stopwatch(torch.device("cpu"))
    for _ in range(3):
        with stopwatch("nap"):
            time.sleep(0.01)
    assert list(stopwatch.seconds) == ["nap"]
    assert stopwatch.seconds["nap"] >= 0.03


def test_the_rate_of_the_machine() -> None:
    assert matmul_rate(torch.device("cpu"), torch.float32) > 1e8
