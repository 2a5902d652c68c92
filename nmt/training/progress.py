"""The progress of a run, and the figures between two log lines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from nmt.config import TrainingConfig
from nmt.data.batching import Position


@dataclass
class Progress:
    """The progress of a run, stored in each checkpoint."""

    step: int = 0  # updates made
    epoch: int = 0  # of the next batch
    index: int = 0  # of the next batch within its epoch
    pairs: int = 0  # learnt from so far
    seconds: float = 0.0  # of the training loop, validations included
    update_seconds: float = 0.0  # of updates alone
    target_tokens: int = 0  # learnt from, EOS included
    scores: dict[str, float] = field(default_factory=dict)  # of the last validation, by metric
    best: float = -math.inf  # merit of the best validation by training.metric; higher is better
    best_step: int = 0  # of that validation, or of the last that equalled it
    since_best: int = 0  # validations without improvement
    skipped: int = 0  # updates with a non-finite loss or gradient since the last validation
    rate_scale: float = 1.0  # factor on the learning rate; lower after a return to a checkpoint
    validations: list[int] = field(default_factory=list)  # the steps of the last ones

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> Self:
        """The progress in a checkpoint. In those of earlier versions, BLEU is the only metric.

        Raises `TypeError` for a value of the wrong type.
        """
        values = dict(saved)
        if "bleu" in values:
            values["scores"] = {"bleu": values.pop("bleu")}
            values["best"] = values.pop("best_bleu", -math.inf)
        progress = cls(**values)
        progress.check()
        return progress

    def check(self) -> None:
        """Raises `TypeError` for a value of the wrong type."""
        for entry in fields(self):
            value = getattr(self, entry.name)
            numbers = value if entry.name == "validations" else [value]
            if entry.name == "scores":
                numbers = list(value.values()) if isinstance(value, dict) else None
            if not isinstance(numbers, list) or not all(type(n) in (int, float) for n in numbers):
                raise TypeError(f"{entry.name} is no number")

    def add(self, update: Update, following: Position, seconds: float) -> None:
        """Counts an update; `following` is the batch after its last one."""
        self.epoch, self.index = following.epoch, following.index
        self.step += 1
        self.pairs += update.pairs
        self.target_tokens += update.target_tokens
        self.update_seconds += seconds
        self.seconds += seconds

    def validated(self, scores: Mapping[str, float], merit: float, *, remembered: int) -> None:
        """Counts a validation at this step; `merit` belongs to the metric that selects the best.

        With an equal merit the new model is the best, since it has learnt more. That does not count
        as an improvement, so that patience runs out even if a metric stays at 0.
        """
        self.since_best = 0 if merit > self.best else self.since_best + 1
        if merit >= self.best:
            self.best, self.best_step = merit, self.step
        self.skipped = 0
        self.scores = dict(scores)
        self.validations = [*self.validations, self.step][-remembered:]

    @property
    def is_best(self) -> bool:
        """Whether the current model is the best so far."""
        return self.best_step == self.step and self.validations[-1:] == [self.step]

    def share(self, config: TrainingConfig, corpus_pairs: int) -> float:
        """The share of the nearest limit that is used up: at 1 the run is over."""
        used = (
            (self.step, config.max_steps),
            (self.pairs / corpus_pairs, config.max_epochs),
            (self.seconds / 60, config.max_minutes),
        )
        return min(1.0, max((amount / limit for amount, limit in used if limit), default=0.0))

    def out_of_patience(self, config: TrainingConfig) -> bool:
        return config.patience is not None and self.since_best >= config.patience


class Update(NamedTuple):
    """One step of the optimizer. Its tensors may still be pending on the device."""

    sums: Tensor  # (2,) smoothed loss and negative log-likelihood, in nats
    gradient_norm: Tensor  # ()
    learning_rate: float
    source_tokens: int
    target_tokens: int
    pairs: int
    batches: tuple[tuple[int, int], ...] = ()  # epoch, and place in it, of each


@dataclass
class Window:
    """The updates since the last log line."""

    updates: list[Update] = field(default_factory=list)
    seconds: float = 0.0
    waited: float = 0.0  # seconds for batches

    def add(self, update: Update, seconds: float, waited: float) -> None:
        self.updates.append(update)
        self.seconds += seconds
        self.waited += waited

    def figures(self) -> tuple[dict[str, float], list[Update]]:
        """The figures to log, and the updates that were skipped because they were not finite.

        Only here, the training loop waits for the device.
        """
        sums = torch.stack([update.sums for update in self.updates])
        norms = torch.stack([update.gradient_norm for update in self.updates])
        read = torch.cat([sums, norms[:, None]], dim=1).tolist()
        made, skipped = [], []
        for update, row in zip(self.updates, read, strict=True):
            if all(map(math.isfinite, row)):
                made.append((update.target_tokens, *row))
            else:
                skipped.append(update)
        tokens, loss, likelihood, norm = (sum(row[i] for row in made) for i in range(4))
        metrics = {
            **losses(loss, likelihood, tokens),
            "learning_rate": self.updates[-1].learning_rate,
            "gradient_norm": mean(norm, len(made)),
            "skipped": len(skipped),
            "source_tokens_per_second": sum(u.source_tokens for u in self.updates) / self.seconds,
            "target_tokens_per_second": sum(u.target_tokens for u in self.updates) / self.seconds,
            "waiting_for_data": self.waited / self.seconds,
        }
        return metrics, skipped


def losses(smoothed: float, likelihood: float, tokens: float) -> dict[str, float]:
    """The losses to log, from sums over tokens, with the same names in training and validation.

    Training minimises the loss with label smoothing; the negative log-likelihood (nll) has none.
    """
    nll = mean(likelihood, tokens)
    return {"smoothed_loss": mean(smoothed, tokens), "nll": nll, "perplexity": perplexity(nll)}


def mean(total: float, count: float) -> float:
    return total / count if count else math.nan


def perplexity(nats_per_token: float) -> float:
    """Per piece; inf where it is too large for a float."""
    return math.inf if nats_per_token >= 700 else math.exp(nats_per_token)
