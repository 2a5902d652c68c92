"""What the optimizer does to parameters, and which of them decay."""

from __future__ import annotations

from itertools import chain

import pytest
import torch
from torch import nn

from nmt.config import TrainingConfig, TransformerConfig
from nmt.errors import UserError
from nmt.models import build_model
from nmt.training.optim import Adam

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
    with pytest.raises(ValueError, match="the optimizer state"):
        made.load(saved)


def test_a_gpu_that_has_not_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(like: torch.Tensor) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "zeros_like", fail)
    with pytest.raises(
        UserError, match="not enough GPU memory for the optimizer; use a smaller model"
    ):
        Adam(nn.Linear(3, 2), TrainingConfig())
