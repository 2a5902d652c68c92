"""The training loop as a whole, on a corpus of 240 pairs and models of width 16."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.compose import load_config
from nmt.config import Config
from nmt.data.batching import plan_batches
from nmt.data.encoded import Prepared
from nmt.errors import UserError
from nmt.evaluation.metrics import Score, Scores
from nmt.evaluation.report import evaluate
from nmt.screen import Activity
from nmt.training.checkpoint import checkpoints, find_checkpoint, load_run, load_training
from nmt.training.launch import Summary, train
from nmt.training.progress import Progress
from nmt.training.report import Report
from nmt.training.validation import Validation, Validator

MakeConfig = Callable[..., Config]
Records = list[dict[str, Any]]
MODELS = ("transformer", "rnn")
# In the middle of an epoch of 11 batches, at its end, and in the middle of the next.
STOPS = (5, 11, 16)


def weights(run: str | Path, name: str = "last") -> dict[str, torch.Tensor]:
    return load_run(run, checkpoint=name, device="cpu").model.state_dict()


def records(run: str | Path, kind: str) -> Records:
    lines = Path(run, "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == kind]


def told(run: str | Path) -> list[tuple[Any, ...]]:
    """What of metrics.jsonl does not depend on the clock."""
    keys = ("step", "nll", "perplexity", "learning_rate", "gradient_norm", "epoch")
    trained = [tuple(record[key] for key in keys) for record in records(run, "train")]
    keys = ("step", "nll", "perplexity", "bleu", "chrf", "aer")
    every = [record for record in records(run, "validation") if record["step"] % 10 == 0]
    return trained + [tuple(record[key] for key in keys) for record in every]


def curve(run: str | Path, name: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(Path(run, "tensorboard"))).Reload()
    return [(event.step, event.value) for event in board.Scalars(name)]


def with_chrf(scores: Scores, value: float) -> Scores:
    return {**scores, "chrf": Score(value, "", True)}


def resumed(run: str | Path, **training: object) -> Summary:
    config = load_config(Path(run, "config.yaml"))
    config.training = dataclasses.replace(config.training, **training)
    config.resume = str(run)
    return train(config)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("model", MODELS)
def test_steps_are_steps_and_a_resumed_rest(
    make_config: MakeConfig, model: str, accumulate: int
) -> None:
    knobs = {"validate_every": 10, "keep": 9, "accumulate": accumulate}
    configs = [make_config(model, **knobs, max_steps=stop) for stop in (STOPS[-1], STOPS[0])]
    for config in configs:
        config.model.dropout = config.model.attention.dropout = 0.3
    whole, parts = (train(config).run for config in configs)
    for stop in STOPS[1:]:
        assert resumed(parts, max_steps=stop).steps == stop
    mine, theirs = weights(parts), weights(whole)
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    assert told(parts) == told(whole)
    states = [load_training(find_checkpoint(Path(run), "last")) for run in (parts, whole)]
    places = [(state["progress"]["epoch"], state["progress"]["index"]) for state in states]
    assert places[0] == places[1]
    assert torch.equal(states[0]["random"], states[1]["random"])
    for mine, theirs in zip(*(state["optimizer"].values() for state in states), strict=True):
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


class Killed(Exception):
    pass


@pytest.mark.parametrize("model", MODELS)
def test_a_killed_run_goes_on_from_its_last_checkpoint(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    # A log line tells of updates before and after the checkpoint.
    knobs = {"max_steps": 10, "log_every": 3, "average": 2}
    whole = train(make_config(model, **knobs)).run
    log = Report.log

    def failing(self: Report, step: int, *arguments: Any, **options: Any) -> None:
        log(self, step, *arguments, **options)
        if step == 6:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Report, "log", failing)
        train(make_config(model, name="killed", **knobs))
    killed = Path(whole).with_name("killed")
    assert find_checkpoint(killed, "last").name == "00000004"
    assert [record["step"] for record in records(killed, "train")] == [3, 6]
    resumed(killed)
    mine, theirs = weights(killed), weights(whole)
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    assert told(killed) == told(whole)
    assert curve(killed, "train/nll") == curve(whole, "train/nll")


def test_accumulation_reads_on_where_it_stopped(
    make_config: MakeConfig, prepared: Prepared
) -> None:
    run = train(make_config(accumulate=3, max_steps=4)).run
    progress = load_training(find_checkpoint(Path(run), "last"))["progress"]
    an_epoch = len(plan_batches(prepared.source_lengths, prepared.target_lengths, 200, 1, 0))
    assert an_epoch == 11
    assert progress["epoch"] * an_epoch + progress["index"] == 12


def test_ends_by_steps(make_config: MakeConfig) -> None:
    assert train(make_config(max_steps=3)).steps == 3


def test_ends_by_epochs(make_config: MakeConfig, prepared: Prepared) -> None:
    summary = train(make_config(max_steps=None, max_epochs=2, validate_every=100))
    progress = load_training(find_checkpoint(Path(summary.run), "last"))["progress"]
    assert progress["pairs"] == 2 * len(prepared.source_lengths)
    assert records(summary.run, "train")[-1]["epoch"] == 2.0


def test_ends_by_minutes(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock is ten seconds after the last one."""
    ticks = itertools.count(step=10)
    monkeypatch.setattr("nmt.training.trainer.time.perf_counter", lambda: float(next(ticks)))
    config = make_config(max_steps=None, max_minutes=2.0, validate_every=1000)
    summary = train(config)
    assert 0 < summary.steps <= 12
    assert 120 <= summary.seconds <= 300


def test_ends_without_patience(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    chrf = iter([1.0, 3.0, 2.0, 3.0, 1.0, 0.0, 9.0])
    seen: list[float] = []

    def scored(*arguments: Any, **options: Any) -> Any:
        found = evaluate(*arguments, **options)
        seen.append(next(chrf))
        return found._replace(scores=with_chrf(found.scores, seen[-1]))

    monkeypatch.setattr("nmt.training.validation.evaluate", scored)
    run = Path(train(make_config(max_steps=None, patience=3, validate_every=2)).run)
    assert seen == [1.0, 3.0, 2.0, 3.0, 1.0], "equal is no improvement"
    assert find_checkpoint(run, "best").name == "00000008", "of equal ones the later"
    assert find_checkpoint(run, "last").name == "00000010"


def test_the_last_state_is_validated_and_saved(make_config: MakeConfig) -> None:
    run = train(make_config(max_steps=7, validate_every=3)).run
    assert [record["step"] for record in records(run, "validation")] == [3, 6, 7]
    assert find_checkpoint(Path(run), "last").name == "00000007"


@pytest.mark.parametrize(
    ("knobs", "steps"),
    [
        ({"max_steps": 8, "validate_every": 4}, [4, 8]),  # the last for two reasons
        ({"max_steps": 7, "validate_every": 3, "keep": 1}, [3, 6, 7]),
        ({"max_steps": None, "patience": 1, "validate_every": 2}, [2, 4]),
    ],
)
def test_a_due_validation_is_made_once(
    make_config: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
    knobs: dict[str, Any],
    steps: list[int],
) -> None:
    validate, made = Validator.__call__, list[int]()

    def counted(self: Validator, *arguments: Any) -> Validation:
        made.append(1)
        assert len(made) <= len(steps), "it would go on for ever"
        found = validate(self, *arguments)
        return found._replace(metrics={**found.metrics, "chrf": 0.0})

    monkeypatch.setattr(Validator, "__call__", counted)
    run = train(make_config(**knobs)).run
    resumed(run)
    assert [record["step"] for record in records(run, "validation")] == steps


def test_the_bar_moves_from_the_first_step(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before anything is logged, and with an estimate of the time that is left."""
    shown: list[tuple[str, float | None]] = []

    def move(self: Activity, share: float, description: str, left: float | None) -> None:
        shown.append((description, left))

    monkeypatch.setattr(Activity, "move", move)
    train(make_config(max_steps=6, log_every=5, validate_every=100))
    assert [told.split("  ")[0] for told, _ in shown[:4]] == [f"step {n}" for n in range(1, 5)]
    assert all(left is not None and left >= 0 for _, left in shown[:4])
    assert "nll" in shown[-1][0] and "tokens/s" in shown[-1][0]


def test_old_checkpoints_are_removed(make_config: MakeConfig) -> None:
    run = Path(train(make_config(max_steps=8, validate_every=1, keep=2)).run)
    found = {folder.name for folder in checkpoints(run)}
    assert found == {"00000007", "00000008", find_checkpoint(run, "best").name}


@pytest.mark.parametrize(("chrf", "best"), [(50.0, "averaged"), (0.0, "00000008")])
def test_the_average_is_best_only_where_it_is_better(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, chrf: float, best: str
) -> None:
    def scored(value: float) -> Any:
        def run(*arguments: Any, **options: Any) -> Any:
            found = evaluate(*arguments, **options)
            return found._replace(scores=with_chrf(found.scores, value))

        return run

    rising = itertools.count(1.0)
    monkeypatch.setattr(
        "nmt.training.validation.evaluate", lambda *a, **k: scored(next(rising))(*a, **k)
    )
    monkeypatch.setattr("nmt.training.validation.Validator.scores", lambda *_: {"chrf": chrf})
    run = Path(train(make_config(average=2)).run)
    assert find_checkpoint(run, "best").name == best
    before = weights(run, "best")
    resumed(run, max_steps=10)  # a validation with a chrF of 3
    if best == "averaged":
        after = weights(run, "best")
        assert all(torch.equal(after[key], before[key]) for key in before), "not the new average"
        assert find_checkpoint(run, "best").name == best, "3 is not better than the average's 50"
    else:
        assert find_checkpoint(run, "best").name == "00000010"


def test_bfloat16_learns_too(make_config: MakeConfig) -> None:
    run = train(make_config(precision="bf16", max_steps=12, learning_rate=0.01)).run
    losses = [record["nll"] for record in records(run, "train")]
    assert losses[-1] < losses[0] and all(map(math.isfinite, losses))
    assert all(value.dtype == torch.float32 for value in weights(run).values())


def test_a_resumed_run_that_is_over_only_sums_up(make_config: MakeConfig) -> None:
    run = train(make_config()).run
    before = told(run), weights(run)
    assert resumed(run).steps == 8
    assert told(run) == before[0]
    assert all(torch.equal(value, before[1][key]) for key, value in weights(run).items())


def test_progress_is_that_of_the_nearest_limit(make_config: MakeConfig) -> None:
    config = make_config(max_steps=100, max_epochs=10, max_minutes=2).training
    progress = Progress(step=10, pairs=300, seconds=60)
    assert progress.share(config, corpus_pairs=100) == 0.5
    assert progress.share(dataclasses.replace(config, max_minutes=None), 100) == 0.3
    only_patience = make_config(max_steps=None, patience=3).training
    assert Progress(step=10**6).share(only_patience, 1) == 0.0
    assert Progress(step=101).share(config, 100) == 1.0


def test_what_cannot_be_trained_leaves_no_run(make_config: MakeConfig, tmp_path: Path) -> None:
    two = make_config(name="two")
    two.data = dataclasses.replace(two.data, cache=str(tmp_path / "cache"))
    two.data.tokenizer = dataclasses.replace(two.data.tokenizer, joint=False, vocabulary=310)
    with pytest.raises(UserError, match="tied_embeddings=all needs one vocabulary for both"):
        train(two)
    empty = make_config(name="empty")
    for side in ("en", "de"):
        (tmp_path / f"blank.{side}").write_text("\n" * 40)
    files = f"{tmp_path}/blank.en,{tmp_path}/blank.de"
    cache = two.data.cache
    empty.data = dataclasses.replace(
        empty.data, source="files", path=None, train=files, cache=cache
    )
    with pytest.raises(UserError, match="no training pair is left: "):
        train(empty)
    assert not (tmp_path / "runs").exists()
