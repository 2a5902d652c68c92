"""The learning rate over the steps, and which parameters decay."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
import torch
from torch import nn

from nmt.config import TrainingConfig, TransformerConfig
from nmt.errors import UserError
from nmt.models import build_model
from nmt.training.optim import Adam, learning_rate

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


GO = torch.tensor(0.0)


def library(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """As torch builds it, where biases and gains do not decay."""
    kinds: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        kinds[name.endswith("bias") or "norm" in name].append(parameter)
    groups = [
        {"params": kinds[False], "weight_decay": config.weight_decay},
        {"params": kinds[True], "weight_decay": 0.0},
    ]
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    betas = (config.beta1, config.beta2)
    return kind(groups, lr=config.learning_rate, betas=betas, eps=1e-9)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_it_goes_as_the_library_does(optimizer: str) -> None:
    config = TrainingConfig(optimizer=optimizer, weight_decay=0.1, beta1=0.8, beta2=0.95)
    models = [build_model(TransformerConfig(width=8, feedforward=8), 20, 20) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    ours, theirs = Adam(models[0], config), library(models[1], config)
    for step in range(5):
        rate = 0.1 / (step + 1)
        for one, two in zip(*(model.parameters() for model in models), strict=True):
            one.grad = torch.randn_like(one)
            two.grad = one.grad / 4
        ours.step(rate, skip=GO, divisor=torch.tensor(4.0))
        for group in theirs.param_groups:
            group["lr"] = rate
        theirs.step()
    for one, two in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(one, two)


def test_a_step_that_is_skipped_changes_nothing() -> None:
    model = nn.Linear(3, 2)
    made = Adam(model, TrainingConfig())
    for skipped in (False, True, False):
        model.weight.grad, model.bias.grad = torch.randn(2, 3), torch.randn(2)
        before = [x.clone() for x in (*model.parameters(), *chain(*made.memory))]
        made.step(0.1, skip=torch.tensor(float(skipped)))
        after = [*model.parameters(), *chain(*made.memory)]
        assert [torch.equal(*pair) for pair in zip(before, after, strict=True)] == [skipped] * 8


def test_it_goes_on_from_what_was_saved() -> None:
    models = [nn.Linear(3, 2) for _ in range(2)]
    made = [Adam(model, TrainingConfig()) for model in models]
    for step in range(2):
        models[0].load_state_dict(models[1].state_dict())
        for model in models[step:]:
            model.weight.grad, model.bias.grad = torch.ones(2, 3), torch.ones(2)
        for each in made[step:]:
            each.step(0.1, skip=GO)
        made[0].load(made[1].saved())
        assert all(map(torch.equal, chain(*made[0].memory), chain(*made[1].memory)))


@pytest.mark.parametrize("spoilt", ["missing", "more", "shape", "type", "name"])
def test_what_does_not_fit_is_not_taken_over(spoilt: str) -> None:
    made = Adam(nn.Linear(3, 2), TrainingConfig())
    saved = made.saved()
    match spoilt:
        case "missing":
            del saved[1]
        case "more":
            saved[2] = saved[1]
        case "shape":
            saved[0]["exp_avg"] = torch.zeros(3, 2)
        case "type":
            saved[0]["exp_avg"] = torch.zeros(2, 3, dtype=torch.float64)
        case "name":
            saved[0]["average"] = saved[0].pop("exp_avg")
    with pytest.raises(ValueError, match="the optimizer's memory"):
        made.load(saved)


def test_a_gpu_that_has_not_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(like: torch.Tensor) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "zeros_like", fail)
    with pytest.raises(UserError, match="not the memory for the optimizer: a smaller model"):
        Adam(nn.Linear(3, 2), TrainingConfig())
