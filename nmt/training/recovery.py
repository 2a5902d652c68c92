"""Lack of memory and non-finite numbers: the largest batch, and messages about bad batches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nmt.config import TrainingConfig
from nmt.data.batch import Batch, collate
from nmt.data.batching import Position, plan_batches
from nmt.data.encoded import Prepared
from nmt.data.ids import Ids
from nmt.training.progress import Progress, Update

SLOWER = 0.5  # factor on the learning rate after a return to the last checkpoint
SHOWN = 10  # rows of a batch that a message names


class Diverged(Exception):
    """Too many updates had a non-finite loss or gradient."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(f"no finite loss in {progress.skipped} updates up to step {progress.step}")
        self.progress = progress

    @property
    def advice(self) -> str:
        """What to try if a return to the last checkpoint has not helped."""
        return (
            f"{self}, also with the learning rate times {self.progress.rate_scale:g}: try a lower "
            "training.learning_rate, a longer training.warmup, a lower training.clip or "
            "training.precision=fp32"
        )


def largest_batch(prepared: Prepared, batch_tokens: int) -> Batch:
    """About as large as any in training: as many of the longest pairs as fit into a batch."""
    source, target = prepared.source_lengths, prepared.target_lengths + 1  # BOS
    fits = batch_tokens // int(np.maximum(source, target).max())
    rows = max(1, min(len(source), fits))
    return batch_of(prepared, np.argpartition(source.astype(np.int64) * target, -rows)[-rows:])


def batch_of(prepared: Prepared, rows: NDArray[np.int64]) -> Batch:
    return collate(*(Ids(prepared.train, side).take(rows) for side in ("source", "target")))


def describe(update: Update, prepared: Prepared, config: TrainingConfig) -> str:
    """The batches of an update, by the rows of their pairs among the training pairs."""
    rows = np.concatenate([rows_of(Position(*each), prepared, config) for each in update.batches])
    first = prepared.tokenizers.source.decode(
        Ids(prepared.train, "source").take(rows[:1])[0].tolist()
    )
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    named = ", ".join(str(row) for row in rows[:SHOWN])
    places = ", ".join(f"batch {index} of epoch {epoch}" for epoch, index in update.batches)
    return f"{places}: training pairs {named}{more}, the first of them {first[:60]!r}"


def rows_of(position: Position, prepared: Prepared, config: TrainingConfig) -> NDArray[np.int64]:
    lengths = prepared.source_lengths, prepared.target_lengths
    return plan_batches(*lengths, config.batch_tokens, config.seed, position.epoch)[position.index]
