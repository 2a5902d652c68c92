"""SIGTERM, Ctrl-C and budgets: a run that is stopped is saved, and goes on as if it never was."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.config import Config
from nmt.evaluation.report import evaluate
from nmt.training.checkpoint import find_checkpoint, load_run, load_training
from nmt.training.launch import train
from nmt.training.signals import Stopped, asked_to_stop
from nmt.training.update import Updater

MakeConfig = Callable[..., Config]


def weights(run: str | Path) -> dict[str, torch.Tensor]:
    return load_run(run, checkpoint="last", device="cpu").model.state_dict()


def resumed(config: Config, run: Path) -> str:
    config.resume = str(run)
    return train(config).run


@pytest.mark.parametrize("received", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("place", ["update", "validation"])
def test_the_step_is_finished_and_saved(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, received: signal.Signals, place: str
) -> None:
    """Steps 4 and 8 have validations: the signal comes in update 3, or in the first of them."""
    knobs = {"log_every": 3, "average": 2}
    whole = train(make_config(**knobs)).run
    calls = itertools.count(1)
    update = Updater.update

    def updating(self: Updater, *arguments: Any) -> Any:
        if next(calls) == 3:
            os.kill(os.getpid(), received)
        return update(self, *arguments)

    def evaluating(*arguments: Any, **options: Any) -> Any:
        os.kill(os.getpid(), received)
        return evaluate(*arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(Stopped) as caught:
        if place == "update":
            patch.setattr(Updater, "update", updating)
        else:
            patch.setattr("nmt.training.validation.evaluate", evaluating)
        train(make_config(name="stopped", **knobs))
    assert caught.value.code == 128 + received
    run = Path(whole).with_name("stopped")
    assert find_checkpoint(run, "last").name == ("00000003" if place == "update" else "00000004")
    resumed(make_config(name="stopped", **knobs), run)
    mine, theirs = weights(run), weights(whole)
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    states = [load_training(find_checkpoint(Path(each), "last")) for each in (run, whole)]
    clocks = ("seconds", "update_seconds")
    counted = [
        {key: value for key, value in state["progress"].items() if key not in clocks}
        for state in states
    ]
    assert counted[0] == counted[1], "patience, averages and all"
    lines = [Path(each, "metrics.jsonl").read_text().splitlines() for each in (run, whole)]
    assert len(lines[0]) == len(lines[1])
    same = [[line.partition(', "source_tokens')[0] for line in each] for each in lines]
    assert same[0] == same[1]


STUBBORN = """
import signal, time
from nmt.training.signals import asked_to_stop
with asked_to_stop() as stop:
    print("ready", flush=True)
    while stop.received is None:
        time.sleep(0.01)
    print("asked", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("received", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(received: signal.Signals) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", STUBBORN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        for word in (b"ready\n", b"asked\n"):
            assert process.stdout.readline() == word
            process.send_signal(received)
        began = time.monotonic()
        assert process.wait() == -received
        assert time.monotonic() - began < 10


def test_handlers_are_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with asked_to_stop() as stop:
        assert stop.received is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_budget_counts_across_resumes(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look at the clock is ten seconds after the last one."""
    ticks = itertools.count(step=10)
    monkeypatch.setattr("nmt.training.trainer.time.perf_counter", lambda: float(next(ticks)))
    knobs = {"max_steps": None, "validate_every": 1000}
    first = train(make_config(max_minutes=2.0, **knobs))
    config = make_config(max_minutes=4.0, **knobs)
    config.resume = first.run
    second = train(config)
    assert 120 <= first.seconds < 240 <= second.seconds <= 420
    assert first.steps < second.steps <= 2 * first.steps + 2


@pytest.mark.parametrize("jump", [-3e8, 3e8])
def test_a_clock_that_jumps_changes_nothing(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """The wall clock is set by ten years before a run goes on: budgets and curves do not mind."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = Path(train(make_config(max_minutes=60.0)).run)
    now = time.time
    monkeypatch.setattr("time.time", lambda: now() + jump)
    config = make_config(max_steps=12, max_minutes=60.0)
    config.resume = str(run)
    assert train(config).steps == 12
    board = EventAccumulator(str(run / "tensorboard")).Reload()
    assert [event.step for event in board.Scalars("train/nll")] == list(range(1, 13))
