"""Token-bucket batches: sentences of like length together, so that little of a batch is padding.

B batch, S source length, T target length.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from nmt.data.batch import Batch, collate
from nmt.data.encoded import Prepared
from nmt.data.ids import Ids

log = logging.getLogger(__name__)

Lengths = NDArray[np.int32]  # (pairs,) in ids, with EOS and without BOS
Plan = list[NDArray[np.int64]]  # the rows of each batch

# Pairs are sorted by length within pools of this size, which are drawn again for each epoch. A pool
# is large enough for neighbours of similar length, and small enough to mix a large corpus.
POOL = 1 << 16
QUEUE = 4  # batches made ahead


def plan_batches(
    source_lengths: Lengths, target_lengths: Lengths, batch_tokens: int, seed: int, epoch: int
) -> Plan:
    """The batches of one epoch, in random order: each pair in exactly one of them.

    A batch has at most `batch_tokens` ids of either side, padding and BOS included; a pair that is
    longer makes a batch of its own. The same for the same seed and epoch.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(source_lengths))
    targets = target_lengths + 1  # BOS
    longest = np.maximum(source_lengths, targets)
    plan: Plan = []
    for start in range(0, len(order), POOL):
        pool = order[start : start + POOL]
        pool = pool[snake(source_lengths[pool], targets[pool], rng)]
        plan += [pool[begin:end] for begin, end in cuts(longest[pool], batch_tokens)]
    return [plan[index] for index in rng.permutation(len(plan))]


def snake(
    source_lengths: Lengths, target_lengths: Lengths, rng: np.random.Generator
) -> NDArray[np.int64]:
    """An order by the longer side, in which the difference of the sides rises and falls in turn,
    so that neighbours are alike on both. Ties stay as they came: at random."""
    longest = np.maximum(source_lengths, target_lengths)
    rising = (longest + rng.integers(2)) % 2 == 0
    difference = source_lengths - target_lengths
    return np.lexsort((np.where(rising, difference, -difference), longest))


def cuts(lengths: Lengths, batch_tokens: int) -> Iterator[tuple[int, int]]:
    """Begin and end of runs of which rows times the longest is at most `batch_tokens`."""
    begin = 0
    while begin < len(lengths):
        most = max(1, batch_tokens // int(lengths[begin]))
        longest = np.maximum.accumulate(lengths[begin : begin + most])
        fits = longest * np.arange(1, len(longest) + 1) <= batch_tokens
        end = begin + max(1, int(np.count_nonzero(fits)))
        if end < len(lengths):
            end = begin + rounded(end - begin)
        yield begin, end
        begin = end


def rounded(count: int) -> int:
    """Down to one of few sizes, at most a fifth less: kernels are made anew for each shape of a
    matrix product, which takes a millisecond and memory."""
    step = 1 << max(0, count.bit_length() - 3)
    return count // step * step


class Padding(NamedTuple):
    """How much of the batches is padding, as shares of the padded sizes."""

    source: float
    target: float
    both: float


def padding_share(plan: Plan, source_lengths: Lengths, target_lengths: Lengths) -> Padding:
    sides = (source_lengths, target_lengths + 1)  # BOS
    real = [int(lengths.sum()) for lengths in sides]
    padded = [sum(len(rows) * int(lengths[rows].max()) for rows in plan) for lengths in sides]
    source, target = (1 - part / whole for part, whole in zip(real, padded, strict=True))
    return Padding(source, target, 1 - sum(real) / sum(padded))


@dataclass(frozen=True, order=True)
class Position:
    """A batch in the endless row of epochs."""

    epoch: int = 0
    index: int = 0

    @property
    def next(self) -> Position:
        """Where to start to go on after this batch."""
        return Position(self.epoch, self.index + 1)


START = Position()


class Planned(NamedTuple):
    position: Position
    batch: Batch


class BatchStream:
    """The batches of epoch after epoch, without end, made ahead by a thread.

    Iterates over `(position, batch)`; one that starts at `position.next` goes on as this one
    would have. `waited` is the seconds that the consumer waited for batches so far. Close it, or
    use it in a `with`, to end its thread.
    """

    def __init__(
        self, prepared: Prepared, batch_tokens: int, seed: int, start: Position = START
    ) -> None:
        self.waited = 0.0
        self._queue: queue.Queue[Planned | BaseException] = queue.Queue(QUEUE)
        self._stop = threading.Event()
        batches = make_batches(prepared, batch_tokens, seed, start)
        self._thread = threading.Thread(target=self._produce, args=(batches,), daemon=True)
        self._thread.start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Planned:
        if self._stop.is_set():
            raise StopIteration
        begin = time.perf_counter()
        item = self._queue.get()
        self.waited += time.perf_counter() - begin
        if isinstance(item, BaseException):
            self.close()
            raise item
        return item

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _produce(self, batches: Iterator[Planned]) -> None:
        try:
            for planned in batches:
                if not self._put(planned):
                    return
        except BaseException as error:
            self._put(error)

    def _put(self, item: Planned | BaseException) -> bool:
        """False where nobody will take it."""
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False


def make_batches(
    prepared: Prepared, batch_tokens: int, seed: int, start: Position
) -> Iterator[Planned]:
    """What a `BatchStream` gives, made where it is asked for."""
    lengths = prepared.source_lengths, prepared.target_lengths
    sources, targets = Ids(prepared.train, "source"), Ids(prepared.train, "target")
    epoch, first = start.epoch, start.index
    while True:
        plan = plan_batches(*lengths, batch_tokens, seed, epoch)
        log_plan(epoch, plan, padding_share(plan, *lengths))
        for index, rows in islice(enumerate(plan), first, None):
            batch = collate(sources.take(rows), targets.take(rows))
            yield Planned(Position(epoch, index), batch)
        epoch, first = epoch + 1, 0


def log_plan(epoch: int, plan: Plan, padding: Padding) -> None:
    log.debug(
        "epoch %d: %d batches, %.1f%% padding (source %.1f%%, target %.1f%%)",
        epoch,
        len(plan),
        *(100 * share for share in (padding.both, padding.source, padding.target)),
    )
