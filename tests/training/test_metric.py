"""Which checkpoint is the best: by training.metric, whatever happened to the run before."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lives import resumed

from nmt.compose import load_config
from nmt.config import Config
from nmt.errors import UserError
from nmt.training.checkpoint import (
    TRAINING,
    checkpoints,
    find_checkpoint,
    load_training,
    merit_of,
    point,
)
from nmt.training.files import CHECKSUMS, checksums
from nmt.training.launch import train
from nmt.training.progress import Progress
from nmt.training.validation import Validation, Validator

MakeConfig = Callable[..., Config]


def scripted(monkeypatch: pytest.MonkeyPatch, *figures: dict[str, float]) -> None:
    """Validations that give these figures, one after the other."""
    validate, waiting = Validator.__call__, list(figures)

    def told(self: Validator, *arguments: Any) -> Validation:
        found = validate(self, *arguments)
        return found._replace(metrics={**found.metrics, **waiting.pop(0)})

    monkeypatch.setattr(Validator, "__call__", told)


RISING = [
    {"bleu": 0.0, "chrf": 10.0, "nll": 3.0},
    {"bleu": 0.0, "chrf": 30.0, "nll": 1.0},
    {"bleu": 0.0, "chrf": 20.0, "nll": 2.0},
]


def best(run: str | Path) -> int:
    return int(find_checkpoint(Path(run), "best").name)


@pytest.mark.parametrize(("metric", "expected"), [("chrf", 4), ("nll", 4), ("bleu", 6)])
def test_the_metric_selects_and_of_equal_ones_the_later(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, metric: str, expected: int
) -> None:
    """A BLEU of 0 at each validation, as for lines of three words, keeps the last one."""
    scripted(monkeypatch, *RISING)
    run = train(make_config(metric=metric, max_steps=6, validate_every=2, average=1)).run
    assert best(run) == expected
    progress = load_training(find_checkpoint(Path(run), "last"))["progress"]
    assert progress["since_best"] == {"chrf": 1, "nll": 1, "bleu": 2}[metric]


def test_patience_ends_a_run_whose_metric_stays_the_same() -> None:
    progress = Progress()
    for step in range(1, 5):
        progress.step = step
        progress.validated({"bleu": 0.0}, 0.0, remembered=3)
        assert progress.is_best and progress.since_best == step - 1


def test_no_number_is_worse_than_any() -> None:
    progress = Progress(step=1)
    progress.validated({}, -math.inf, remembered=3)
    assert progress.is_best, "something must be the best"
    progress.step = 2
    assert not progress.is_best, "these weights were not validated"
    progress.validated({}, -1e9, remembered=3)
    assert progress.is_best and progress.since_best == 0


def test_another_metric_chooses_anew_among_the_checkpoints(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scripted(monkeypatch, *RISING, {"bleu": 0.0, "chrf": 25.0, "nll": 0.5})
    knobs = {"max_steps": 6, "validate_every": 2, "average": 1}
    run = Path(train(make_config(metric="bleu", **knobs)).run)
    assert best(run) == 6
    with caplog.at_level(logging.INFO, logger="nmt"):
        resumed(run, metric="chrf")
    assert best(run) == 4
    assert "training.metric: 'bleu' -> 'chrf'" in caplog.text
    resumed(run, max_steps=8)
    assert best(run) == 4
    resumed(run, metric="nll")
    assert best(run) == 8


def as_before(run: Path) -> None:
    """Makes a run what the program wrote when BLEU alone chose."""
    for folder in checkpoints(run):
        state = load_training(folder)
        progress = state["progress"]
        scores = progress.pop("scores")
        del progress["best_step"]
        progress |= {"bleu": scores["bleu"], "best_bleu": progress.pop("best")}
        del state["config"]["training"]["metric"], state["config"]["evaluation"]
        torch.save(state, folder / TRAINING)
        files = {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix}
        files.pop(CHECKSUMS)
        (folder / CHECKSUMS).write_bytes(checksums(files))
    file = run / "config.yaml"
    config = yaml.safe_load(file.read_text())
    del config["training"]["metric"], config["evaluation"]
    file.write_text(yaml.safe_dump(config))


@pytest.mark.parametrize("lost", [False, True])
def test_a_run_from_before_goes_on_by_bleu(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    figures = [{"bleu": bleu, "chrf": 50 - bleu} for bleu in (1.0, 3.0, 2.0, 2.5, 3.0)]
    scripted(monkeypatch, *figures)
    knobs = {"max_steps": 6, "validate_every": 2, "average": 1}
    run = Path(train(make_config(metric="bleu", **knobs)).run)
    as_before(run)
    assert load_config(run / "config.yaml").training.metric == "bleu"
    if lost:
        (run / "checkpoints" / "best").unlink()
    resumed(run, max_steps=8)
    assert best(run) == 4
    last = Progress.restored(load_training(find_checkpoint(run, "last"))["progress"])
    assert (last.best, last.since_best, last.scores["bleu"]) == (3.0, 2, 2.5)
    resumed(run, max_steps=10)
    assert best(run) == 10


def test_a_run_from_before_that_is_to_go_on_by_chrf(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checkpoints have none: the best of them stays so until the next validation."""
    scripted(monkeypatch, *({"bleu": bleu, "chrf": 9.0} for bleu in (1.0, 3.0, 2.0, 0.0)))
    knobs = {"max_steps": 6, "validate_every": 2, "average": 1}
    run = Path(train(make_config(metric="bleu", **knobs)).run)
    as_before(run)
    resumed(run, metric="chrf")
    assert best(run) == 4
    assert merit_of(find_checkpoint(run, "best"), "chrf") == -math.inf
    resumed(run, max_steps=8)
    assert best(run) == 8


def test_a_death_between_a_checkpoint_and_its_pointer(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last validation equalled the best, which nobody could point to any more."""
    scripted(monkeypatch, *({"chrf": value} for value in (1.0, 5.0, 5.0)))
    knobs = {"max_steps": 6, "validate_every": 2, "average": 1}
    run = Path(train(make_config(**knobs)).run)
    point(run, "best", run / "checkpoints" / "00000004")
    resumed(run)
    assert best(run) == 6


def test_how_scores_are_computed_stays_as_it_was(make_config: MakeConfig) -> None:
    config = make_config()
    run = train(config).run
    other = dataclasses.replace(config, resume=run)
    other.evaluation = dataclasses.replace(config.evaluation, lowercase=True)
    with pytest.raises(UserError, match="cannot change evaluation.lowercase from False"):
        train(other)


def test_the_log_says_once_how_scores_are_computed(
    make_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="nmt"):
        train(make_config(validate_every=2))
    told = [record.getMessage() for record in caplog.records if "nrefs" in record.getMessage()]
    assert len(told) == 1 and "|tok:13a|" in told[0] and "nc:6" in told[0]


@pytest.mark.parametrize("damaged", [{"scores": [1.0]}, {"scores": {"bleu": "1"}}, {"best": "x"}])
def test_progress_that_this_program_does_not_write(damaged: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="is no number"):
        Progress.restored(damaged)
