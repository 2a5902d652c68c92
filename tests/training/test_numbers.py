"""Losses that are not finite, and batches that do not fit into memory."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nmt.config import Config
from nmt.data.batch import Batch
from nmt.data.batching import plan_batches
from nmt.data.encoded import Prepared
from nmt.errors import UserError
from nmt.models import build_model
from nmt.training.checkpoint import find_checkpoint, load_run, load_training
from nmt.training.launch import train
from nmt.training.recovery import largest_batch
from nmt.training.update import Updater
from nmt.training.validation import Validator

MakeConfig = Callable[..., Config]
V = 300


def updater(config: Config) -> Updater:
    torch.manual_seed(1)
    return Updater(build_model(config.model, V, V), config.training)


def tokens(rows: int) -> Batch:
    drawn = torch.randint(4, V, (2, rows, 7), generator=torch.Generator().manual_seed(2))
    return Batch(*drawn)


def state(made: Updater) -> list[Tensor]:
    values = [value for memory in made.optimizer.saved().values() for value in memory.values()]
    return [value.clone() for value in [*made.model.state_dict().values(), *values]]


def spoil(made: Updater, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """The next losses, or the next gradients alone, are not finite."""
    loss = made.loss
    if how == "loss":
        monkeypatch.setattr(made, "loss", lambda batch: loss(batch) * math.inf)
        return
    weight = made.model.output.weight
    hook = weight.register_hook(lambda gradient: gradient * math.nan)
    monkeypatch.setattr(made, "loss", loss)
    monkeypatch.setattr(made, "spoilt", hook, raising=False)


@pytest.mark.parametrize("model", ["transformer", "rnn"])
@pytest.mark.parametrize("how", ["loss", "gradient"])
def test_what_is_not_finite_changes_nothing(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, model: str, how: str
) -> None:
    made = updater(make_config(model))
    made.update([tokens(3)], rate=1e-2)
    before = state(made)
    with monkeypatch.context() as patch:
        spoil(made, patch, how)
        update = made.update([tokens(5)], rate=1e-2)
        assert not torch.cat([update.sums, update.gradient_norm[None]]).isfinite().all()
        if how == "gradient":
            made.spoilt.remove()  # type: ignore[attr-defined]
    assert all(map(torch.equal, state(made), before))
    made.update([tokens(3)], rate=1e-2)
    assert not all(map(torch.equal, state(made), before)), "and then it goes on"
    assert all(value.isfinite().all() for value in state(made))


class Bad:
    """Makes the losses of some updates of a run infinite, by their number."""

    def __init__(self, *bad: int) -> None:
        self.bad, self.made = bad, 0
        self.update, self.loss = Updater.update, Updater.loss

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Updater, "update", lambda *arguments: self._update(*arguments))
        monkeypatch.setattr(Updater, "loss", lambda *arguments: self._loss(*arguments))

    def _update(self, *arguments: Any) -> Any:
        self.made += 1
        return self.update(*arguments)

    def _loss(self, made: Updater, batch: Batch) -> Tensor:
        is_bad = self.made in self.bad and torch.is_grad_enabled()
        return self.loss(made, batch) * (math.nan if is_bad else 1.0)


def records(run: str | Path) -> list[dict[str, Any]]:
    lines = map(json.loads, Path(run, "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["kind"] == "train"]


def test_a_bad_batch_is_skipped_counted_and_named(
    make_config: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
    prepared: Prepared,
    caplog: pytest.LogCaptureFixture,
) -> None:
    Bad(3).install(monkeypatch)
    with caplog.at_level(logging.WARNING):
        run = train(make_config(log_every=4)).run
    first, second = records(run)
    assert (first["skipped"], second["skipped"]) == (1, 0)
    assert math.isfinite(first["nll"]) and math.isfinite(second["nll"])
    told = next(text for text in caplog.messages if "not finite" in text)
    rows = plan_batches(prepared.source_lengths, prepared.target_lengths, 200, 1, 0)[2]
    assert "not finite): batch 2 of epoch 0: training pairs " in told
    assert f" {', '.join(map(str, rows[:10]))} and {len(rows) - 10} more" in told
    weights = load_run(run, checkpoint="last", device="cpu").model.state_dict()
    assert all(value.isfinite().all() for value in weights.values())


def test_a_window_without_a_finite_loss_is_null(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    Bad(3).install(monkeypatch)
    run = train(make_config()).run
    assert [record["nll"] is None for record in records(run)].count(True) == 1
    assert records(run)[2]["nll"] is None and records(run)[2]["skipped"] == 1


@pytest.mark.parametrize("first", [2, 6])
def test_too_many_go_back_with_half_the_rate(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """To the start, or to the checkpoint of step 4."""
    Bad(*range(first, first + 2)).install(monkeypatch)
    run = Path(train(make_config(max_skipped=2, schedule="constant", warmup_steps=0)).run)
    assert [record["step"] for record in records(run)] == list(range(1, 9)), "no step twice"
    rates = [record["learning_rate"] for record in records(run)]
    back = 0 if first == 2 else 4
    assert rates == [1e-3] * back + [5e-4] * (8 - back)
    assert load_training(find_checkpoint(run, "last"))["progress"]["rate_scale"] == 0.5


def test_a_second_time_it_says_what_to_try(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    Bad(*range(6, 100)).install(monkeypatch)
    with pytest.raises(UserError) as caught:
        train(make_config(name="bad", max_skipped=2))
    assert str(caught.value) == (
        "no finite loss in 2 updates up to step 6, also with the learning rate times 0.5: try a "
        "lower training.learning_rate, a longer training.warmup, a lower training.clip or "
        "training.precision=fp32"
    )
    found = load_run(Path(make_config().runs, "bad"), checkpoint="last", device="cpu")
    assert all(value.isfinite().all() for value in found.model.state_dict().values())


def test_the_largest_batch_comes_first_and_leaves_no_trace(
    make_config: MakeConfig, prepared: Prepared
) -> None:
    made = updater(make_config())
    made.update([tokens(3)], rate=1e-2)
    before, random = state(made), torch.get_rng_state()
    made.rehearse(tokens(9))
    assert all(map(torch.equal, state(made), before))
    assert torch.equal(torch.get_rng_state(), random)
    assert all(each.grad is None for each in made.model.parameters())


@pytest.mark.parametrize("batch_tokens", [5, 200, 3000, 10**6])
def test_none_is_larger_than_the_largest(prepared: Prepared, batch_tokens: int) -> None:
    source, target = prepared.source_lengths, prepared.target_lengths
    largest = largest_batch(prepared, batch_tokens)
    size = largest.source.numel() * largest.target.size(1)
    for rows in plan_batches(source, target, batch_tokens, 1, 0):
        assert len(rows) * int(source[rows].max()) * int(target[rows].max() + 1) <= size
    assert np.prod(largest.source.shape) <= max(batch_tokens, source.max())


def test_a_validation_has_no_larger_batches_than_training(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, prepared: Prepared
) -> None:
    config = make_config(batch_tokens=60)
    vocabularies = (prepared.tokenizers.source.size, prepared.tokenizers.target.size)
    made = Updater(build_model(config.model, *vocabularies), config.training)
    loss, seen = made.loss, list[Batch]()
    monkeypatch.setattr(made, "loss", lambda batch: seen.append(batch) or loss(batch))
    Validator(config, prepared, made).losses()
    assert sum(len(batch.source) for batch in seen) == len(prepared.validation.source)
    sizes = [max(batch.source.numel(), batch.labels.numel()) for batch in seen]
    assert 40 < max(sizes) <= 60


class Small:
    """A device with memory for so many rows: more of them fail, in the backward pass too."""

    def __init__(self, made: Updater, rows: int) -> None:
        self.rows, self.loss, self.seen = rows, made.loss, list[int]()

    def __call__(self, batch: Batch) -> Tensor:
        self.seen.append(len(batch.source))
        found = self.loss(batch)
        if len(batch.source) > self.rows:
            found.register_hook(self._fail)
        return found

    def _fail(self, gradient: Tensor) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize("model", ["transformer", "rnn"])
def test_what_does_not_fit_is_split(
    make_config: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    model: str,
) -> None:
    config = make_config(model)
    config.model.dropout = config.model.attention.dropout = 0.0
    whole, parts = updater(config), updater(config)
    small = Small(parts, rows=3)
    monkeypatch.setattr(parts, "loss", small)
    batches = [tokens(2), tokens(9)]
    with caplog.at_level(logging.WARNING):
        one, two = (made.update(batches, rate=1e-3) for made in (whole, parts))
    assert small.seen[-6:] == [1, 1, 3, 2, 2, 2], "all of the 2 and the 9 pairs"
    torch.testing.assert_close(one.sums, two.sums)
    torch.testing.assert_close(one.gradient_norm, two.gradient_norm)
    assert one[3:] == two[3:]
    assert "not enough memory on cpu for a batch of 9 pairs: splitting it" in caplog.text


def test_one_pair_that_does_not_fit(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = updater(make_config())
    monkeypatch.setattr(made, "loss", Small(made, rows=0))
    with pytest.raises(UserError, match="not enough memory on cpu for one sentence pair; "):
        made.update([tokens(4)], rate=1e-3)
