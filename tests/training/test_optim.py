"""The learning rate over the steps, and which parameters decay."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from nmt.config import TrainingConfig, TransformerConfig
from nmt.models import build_model
from nmt.training.optim import build_optimizer, learning_rate

SCHEDULES = ("inverse_sqrt", "cosine", "constant")


def rate(step: int, progress: float = 0.0, **knobs: Any) -> float:
    return learning_rate(TrainingConfig(learning_rate=0.5, **knobs), step, progress)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warm_up_is_a_straight_line_to_the_peak(schedule: str) -> None:
    for step in (1, 7, 50, 100):
        found = rate(step, warmup_steps=100, schedule=schedule)
        assert found == pytest.approx(0.5 * step / 100)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup_steps", [0, 1])
def test_without_warm_up_the_first_rate_is_the_peak(schedule: str, warmup_steps: int) -> None:
    assert rate(1, warmup_steps=warmup_steps, schedule=schedule) == 0.5


def test_inverse_square_root() -> None:
    knobs = {"warmup_steps": 100, "schedule": "inverse_sqrt"}
    assert max(rate(step, **knobs) for step in range(1, 1000)) == rate(100, **knobs) == 0.5
    assert rate(400, **knobs) == pytest.approx(0.25)
    assert rate(2000, **knobs) / rate(8000, **knobs) == pytest.approx(2.0)


def test_cosine_falls_to_zero_at_the_limit() -> None:
    knobs = {"warmup_steps": 10, "schedule": "cosine"}
    rates = [rate(1000, share / 10, **knobs) for share in range(11)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 0.5 and rates[5] == pytest.approx(0.25)
    assert rates[10] == pytest.approx(0, abs=1e-12)
    assert rate(1000, 1.5, **knobs) == pytest.approx(0, abs=1e-12)


def test_constant_is_constant() -> None:
    assert {
        rate(step, step / 1000, warmup_steps=10, schedule="constant") for step in (10, 900)
    } == {0.5}


@pytest.mark.parametrize(
    ("optimizer", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_vectors_do_not_decay(optimizer: str, kind: type[torch.optim.Optimizer]) -> None:
    model = build_model(TransformerConfig(width=8, feedforward=8), 20, 20)
    config = TrainingConfig(optimizer=optimizer, weight_decay=0.1, beta1=0.8, beta2=0.95)
    found = build_optimizer(model, config)
    assert type(found) is kind
    assert all(group["betas"] == (0.8, 0.95) for group in found.param_groups)
    decay = {id(p): group["weight_decay"] for group in found.param_groups for p in group["params"]}
    assert len(decay) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        expected = 0.0 if name.endswith("bias") or "norm" in name else 0.1
        assert decay[id(parameter)] == expected, name


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_an_update_follows_the_formula(optimizer: str) -> None:
    """The first step of Adam is the rate times the sign; AdamW shrinks the weight besides."""
    model = torch.nn.Linear(3, 2)
    before = model.weight.detach().clone()
    config = TrainingConfig(optimizer=optimizer, learning_rate=0.01, weight_decay=0.0)
    if optimizer == "adamw":
        config.weight_decay = 0.5
    stepper = build_optimizer(model, config)
    model.weight.grad, model.bias.grad = torch.randn(2, 3), torch.randn(2)
    stepper.step()
    shrunk = before * (1 - 0.01 * config.weight_decay)
    torch.testing.assert_close(model.weight.data, shrunk - 0.01 * model.weight.grad.sign())
    assert math.isclose(stepper.param_groups[0]["lr"], 0.01)
