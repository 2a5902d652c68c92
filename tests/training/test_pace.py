"""A run with a limit in minutes: its rates follow the step, and reach zero when the time ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lives import resumed, same, weights

from nmt.config import Config
from nmt.data.batch import Batch
from nmt.data.encoded import Prepared
from nmt.errors import UserError
from nmt.training.checkpoint import (
    checkpoints,
    create_run,
    find_checkpoint,
    load_run,
    load_training,
)
from nmt.training.launch import train
from nmt.training.pace import Pace
from nmt.training.progress import Progress, Update
from nmt.training.report import Examples, Report
from nmt.training.resume import fresh_state, state_at
from nmt.training.signals import Stop
from nmt.training.trainer import Trainer
from nmt.training.update import Updater
from nmt.training.validation import Validation, Validator

MakeConfig = Callable[..., Config]
SAVING = 0.1  # seconds
LIMITS: dict[str, Any] = {"max_steps": None, "max_minutes": 2.0, "schedule": "auto"}
QUICK: dict[str, Any] = {"samples": 0, "validation_limit": 2}
OPEN: dict[str, Any] = {"warmup_steps": None, "validate_every": None, "log_every": 1000}


class Killed(Exception):
    pass


class Machine:
    """A clock that stands still but for updates and validations, which take what a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.update_seconds: Callable[[int, float], float] = lambda step, now: 0.25
        self.validation_seconds = 2.0
        self.rates: dict[int, float] = {}  # by the step of their update
        self.kill_at = 10**9
        monkeypatch.setattr("nmt.training.trainer.time.perf_counter", self._read)

    def _read(self) -> float:
        return self.now

    def spend(self, step: int, rate: float) -> None:
        if step == self.kill_at:
            raise Killed
        self.rates[step] = rate
        self.now += self.update_seconds(step, self.now)

    @property
    def curve(self) -> list[float]:
        return [self.rates[step] for step in sorted(self.rates)]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.fixture
def idle(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine that only spends time: nothing is learnt, and a validation is worth nothing."""

    def update(self: Updater, batches: Sequence[Batch], rate: float) -> Update:
        machine.spend(len(machine.rates) + 1, rate)
        return Update(
            torch.ones(2), torch.ones(()), rate, 1, 1, sum(len(b.source) for b in batches)
        )

    def validate(self: Validator, *_: object) -> Validation:
        machine.now += machine.validation_seconds
        return Validation({"nll": 1.0, "bleu": 1.0, "chrf": 1.0}, Examples([], [], [], []))

    def save(*_: object, **__: object) -> None:
        machine.now += SAVING

    monkeypatch.setattr(Updater, "update", update)
    monkeypatch.setattr(Updater, "rehearse", lambda *_: None)
    monkeypatch.setattr(Validator, "__call__", validate)
    monkeypatch.setattr(Trainer, "_save", save)
    return machine


def steps_made(config: Config, prepared: Prepared) -> Progress:
    run = create_run(config, prepared.tokenizers)
    state = fresh_state(config, prepared, torch.device("cpu"))
    with Report(run) as report:
        Trainer(config, run, prepared, state=state, report=report).train(Stop())
    return state.progress


SPEEDS: dict[str, Callable[[int, float], float]] = {
    "fast": lambda step, now: 0.12,
    "slow": lambda step, now: 2.5,
    "slow-start": lambda step, now: 2.0 if step == 1 else 0.4 if step < 16 else 0.2,
    "slower": lambda step, now: 0.2 + 0.4 * now / 120,
    "faster": lambda step, now: 0.6 - 0.4 * now / 120,
    "busy-at-times": lambda step, now: 0.9 if now % 40 > 30 else 0.2,
    "busy-at-the-end": lambda step, now: 0.2 if now < 90 else 0.6,
    "uneven": lambda step, now: 0.2 + 0.3 * (step * 7919 % 97) / 97,
}


@pytest.mark.parametrize(
    ("speed", "validate_every"),
    [*((speed, None) for speed in SPEEDS), ("slower", 10_000), ("busy-at-the-end", 10_000)],
)
def test_the_rate_rises_and_falls_once_and_ends_at_zero(
    make_config: MakeConfig,
    prepared: Prepared,
    idle: Machine,
    speed: str,
    validate_every: int | None,
) -> None:
    idle.update_seconds = SPEEDS[speed]
    knobs = LIMITS | OPEN | {"validate_every": validate_every, "learning_rate": 1.0}
    progress = steps_made(make_config(**knobs), prepared)
    curve, steps = idle.curve, progress.step
    assert 120 <= progress.seconds - idle.validation_seconds <= 126
    top = curve.index(max(curve))
    assert curve[top] > 0.9 and 0.03 < (top + 1) / steps < 0.3
    assert curve[: top + 1] == sorted(curve[: top + 1]), "the warm-up never falls"
    assert curve[top:] == sorted(curve[top:], reverse=True), "the decay never rises"
    jumps = [abs(one - two) for one, two in zip(curve, curve[1:], strict=False)]
    assert max(jumps) < 20 / steps, "no jumps, as a straight warm-up of a tenth rises 10 / steps"
    assert curve[-1] < 0.03
    assert sum(rate < 1e-3 for rate in curve[top:]) < 0.2 * steps, "no time is wasted at zero"


@pytest.mark.parametrize(("seconds", "validation", "least"), [(0.25, 0.5, 8), (2.5, 15.0, 2)])
def test_it_is_validated_a_few_times_without_wasting_the_time(
    make_config: MakeConfig,
    prepared: Prepared,
    idle: Machine,
    seconds: float,
    validation: float,
    least: int,
) -> None:
    idle.update_seconds, idle.validation_seconds = lambda *_: seconds, validation
    progress = steps_made(make_config(**LIMITS, **OPEN, keep=99), prepared)
    made = progress.validations
    assert made[-1] == progress.step and least <= len(made) <= 13
    assert progress.step * seconds > 120 * 0.7


def test_a_run_that_is_killed_takes_the_same_rates(
    make_config: MakeConfig, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the next checkpoint, though the machine that resumes it is three times as slow."""
    timed(machine, monkeypatch)
    machine.validation_seconds = 0.25  # as exact as the other times are
    knobs = LIMITS | OPEN | QUICK | {"log_every": 1, "keep": 99, "max_minutes": 0.5}
    config = make_config(name="whole", **knobs)
    config.model.dropout = 0.2
    whole = Path(train(config).run)
    expected = dict(machine.rates)
    steps = [int(folder.name) for folder in checkpoints(whole)]
    assert len(steps) >= 8
    config.name = "killed"
    machine.kill_at = steps[4] - 1
    with pytest.raises(Killed):
        train(config)
    killed = whole.with_name("killed")
    assert int(find_checkpoint(killed, "last").name) == steps[3]
    machine.kill_at, machine.update_seconds = steps[4] + 6, lambda *_: 0.75
    machine.rates.clear()
    with pytest.raises(Killed):
        resumed(killed)
    again = range(steps[3] + 1, steps[4] + 1)
    assert {step: machine.rates[step] for step in again} == {step: expected[step] for step in again}
    assert same(stored(killed, steps[4]), stored(whole, steps[4]))
    assert machine.rates[steps[4] + 5] < expected[steps[4] + 5], "a plan for the slower machine"


def timed(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Updates and validations are made, and take what the machine says."""
    update, validate = Updater.update, Validator.__call__

    def slow_update(self: Updater, batches: Sequence[Batch], rate: float) -> Update:
        made = update(self, batches, rate)
        machine.spend(int(self.optimizer.memory[0].step), rate)
        return made

    def slow_validation(self: Validator, *arguments: Any) -> Validation:
        machine.now += machine.validation_seconds
        return validate(self, *arguments)

    monkeypatch.setattr(Updater, "update", slow_update)
    monkeypatch.setattr(Validator, "__call__", slow_validation)


def stored(run: Path, step: int) -> dict[str, torch.Tensor]:
    return load_run(run, checkpoint=str(step), device="cpu").model.state_dict()


def test_steps_and_a_resumed_rest_under_two_limits(make_config: MakeConfig) -> None:
    """Where the steps end the run, the minutes do not matter."""
    knobs = {"max_minutes": 600.0, "schedule": "cosine", "warmup_steps": None, "warmup": 0.3}
    knobs |= QUICK
    whole = Path(train(make_config(name="whole", max_steps=12, **knobs)).run)
    config = make_config(name="parts", max_steps=12, **knobs)
    config.training.patience, config.training.validate_every = 1, 4  # ends it early
    parts = Path(train(config).run)
    assert int(find_checkpoint(parts, "last").name) < 12
    resumed(parts, patience=None)
    assert same(weights(parts), weights(whole))


def test_more_minutes_continue_where_a_longer_run_would_be(
    make_config: MakeConfig, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed(machine, monkeypatch)
    knobs = LIMITS | OPEN | QUICK | {"max_minutes": 0.5, "learning_rate": 1e-3}
    run = Path(train(make_config(**knobs)).run)
    first = len(machine.rates)
    assert machine.curve[-1] < 3e-5
    resumed(run, max_minutes=1.0)
    more = machine.curve[first:]
    assert more[0] == pytest.approx(5e-4, rel=0.15), "half of a cosine"
    assert more == sorted(more, reverse=True) and more[-1] < 3e-5
    assert len(more) == pytest.approx(first, rel=0.3)


def test_a_run_saved_without_a_pace_continues_by_its_clock(
    make_config: MakeConfig, machine: Machine, monkeypatch: pytest.MonkeyPatch, prepared: Prepared
) -> None:
    """As the checkpoints of earlier versions are."""
    timed(machine, monkeypatch)
    config = make_config(**LIMITS | OPEN | QUICK | {"max_minutes": 0.5})
    run = Path(train(config).run)
    middle = checkpoints(run)[-2]
    saved = load_training(middle)
    del saved["pace"]
    monkeypatch.setattr("nmt.training.resume.load_training", lambda _: saved)
    state = state_at(middle, config, run, prepared, torch.device("cpu"))
    state.pace.aim(state.progress, config.training, 1e9)
    seconds = saved["progress"]["seconds"]
    assert state.pace.position == pytest.approx(seconds / 30)
    left = (30 - seconds) / 0.25
    assert state.pace.at(state.progress.step + round(left)) == pytest.approx(1.0, abs=0.1)


def test_going_back_leaves_less_time(make_config: MakeConfig) -> None:
    """From the position of the checkpoint, to its end in the time that is left."""
    config = make_config(**LIMITS, **OPEN).training
    progress = Progress(step=100, seconds=30.0, update_seconds=30.0, validations=[100])
    pace = Pace()
    pace.aim(Progress(), config, 1e9)
    pace.plan(progress, config, 1e9)
    before = pace.at(100)
    progress.seconds = 75.0  # those of the steps that were lost
    pace.forget_plan(100)
    pace.aim(progress, config, 1e9)
    assert pace.at(100) == before
    assert pace.at(100 + 150) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "pace",
    [
        {"gain": "fast"},
        {"gain": float("nan")},
        {"gain": float("inf")},
        {"gain": -1.0},
        {"step": 1.5},
        {"validate_every": True},
        {"speed": 1.0},
        [1],
    ],
    ids=str,
)
def test_a_pace_that_no_run_has_saved(
    make_config: MakeConfig,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepared: Prepared,
    pace: Any,
) -> None:
    last = find_checkpoint(run, "last")
    saved = load_training(last) | {"pace": pace}
    monkeypatch.setattr("nmt.training.resume.load_training", lambda _: saved)
    with pytest.raises(UserError, match="is damaged"):
        state_at(last, make_config(), run, prepared, torch.device("cpu"))


def test_the_log_says_how_many_steps_fit(
    make_config: MakeConfig, prepared: Prepared, idle: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        steps_made(make_config(**LIMITS, **{**OPEN, "warmup_steps": 400}), prepared)
    told = [message for message in caplog.messages if "fit into 2 minutes" in message]
    assert len(told) == 1 and 400 < int(told[0].split()[1]) <= 480
    (warned,) = (message for message in caplog.messages if "warmup_steps=400 is long" in message)
    assert "training.warmup_steps=null" in warned


def test_a_run_of_few_steps_is_told_how_to_get_more(
    make_config: MakeConfig, prepared: Prepared, idle: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    idle.update_seconds = lambda *_: 2.0
    steps_made(make_config(**LIMITS, **OPEN, batch_tokens=4096), prepared)
    (warned,) = (
        message for message in caplog.messages if "of training.batch_tokens=4096" in message
    )
    assert "training.batch_tokens=512" in warned and "model=transformer_tiny" in warned


def test_a_run_of_few_steps_by_its_own_limit_is_told_nothing(
    make_config: MakeConfig, prepared: Prepared, idle: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        steps_made(make_config(**LIMITS | OPEN | {"batch_tokens": 4096, "max_steps": 8}), prepared)
    assert not any("training.batch_tokens=4096" in message for message in caplog.messages)
    assert [text for text in caplog.messages if text.startswith("all 8 steps fit into 2 minutes")]
