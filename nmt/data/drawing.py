"""Drawing pairs for a missing validation or test set, and for a limit on the training pairs.

Pairs are drawn by a hash of their text. So the same ones are drawn on every machine and in any
order of the corpus, and a smaller draw is part of a larger one. Each draw reads the corpus once.
"""

from __future__ import annotations

import heapq
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import NamedTuple

import numpy as np

from nmt.config import DataConfig
from nmt.data.cleaning import describe
from nmt.data.keys import folded, pair_digest, rank
from nmt.data.lengths import Check
from nmt.data.readers import Pair
from nmt.data.splits import Split
from nmt.errors import require

log = logging.getLogger(__name__)


class Row(NamedTuple):
    number: int  # of the pair among all pairs of its file, from 0
    pair: Pair


Rows = Callable[[Counter[str]], Iterator[Row]]  # as `Reader`, with the numbers
Held = dict[str, list[Row]]  # by the name of the split


@dataclass
class Candidate:
    """A source sentence that may be held out, with one of its pairs."""

    rank: int
    digest: int
    row: Row
    is_leak: bool  # it is in the existing validation or test set (only one may be missing)
    times: int = 1  # how often the corpus has the source sentence

    @property
    def order(self) -> tuple[bool, int, int]:
        """Sentences that occur once come first, because training loses all pairs of a sentence."""
        return self.is_leak, self.times, self.rank

    def meet(self, other: Candidate) -> None:
        """Counts another pair of the same source; the one with the smaller digest stays."""
        self.times += 1
        if other.digest < self.digest:
            self.row, self.digest = other.row, other.digest


def hold_out(
    rows: Rows, missing: list[str], config: DataConfig, check: Check, name: str
) -> tuple[Rows, Held]:
    """Takes pairs out of the training data for the missing splits; returns the rest and those.

    Each split gets `data.hold_out` pairs, but at most a tenth of the corpus. `check` tells which
    pairs are unfit, and `name` names the corpus in messages.
    """
    if not missing:
        return rows, {}
    if config.hold_out_from == "end":
        return hold_out_end(rows, missing, config.hold_out, name)
    candidates, counts = draw_candidates(rows, 10 * config.hold_out, config.draw, check)
    total = f"{counts['read']:,}"
    require(bool(candidates), f"{name}: no training pair is left: {describe(counts)}")
    size = min(config.hold_out, len(candidates) // 10)
    require(
        size > 0,
        f"{name}: {total} sentence pairs are too few to hold out a tenth of them for "
        f"{' and '.join(missing)}: {len(candidates)} different source sentences are clean, and at "
        "least 10 are needed",
    )
    # Alternating, so that with a larger `hold_out` no validation pair becomes a test pair.
    chosen = candidates[: size * len(missing)]
    held = {
        split: [candidate.row for candidate in chosen[index :: len(missing)]]
        for index, split in enumerate(missing)
    }
    log.info("%s, drawn from the %s pairs of %s", told(held), total, name)
    taken = {folded(candidate.row.pair[0]): candidate.row.number for candidate in chosen}
    return without(rows, taken), held


def told(held: Held) -> str:
    """`held out 1,000 pairs for validation and 1,000 for test`."""
    (first, some), *others = held.items()
    rest = "".join(f" and {len(rows):,} for {split}" for split, rows in others)
    return f"held out {len(some):,} pairs for {first}{rest}"


def draw_candidates(
    rows: Rows, most: int, seed: int, check: Check
) -> tuple[list[Candidate], Counter[str]]:
    """At most `most` source sentences, those of lowest rank, and the counts of unfit pairs."""
    found: dict[int, Candidate] = {}
    highest: list[int] = []  # a heap of the negative ranks in `found`
    counts: Counter[str] = Counter()
    for row in rows(counts):
        counts["read"] += 1
        place = rank(folded(row.pair[0]), "hold_out", seed)
        if len(found) == most and place > -highest[0]:
            continue
        reason = check(row.pair)
        if reason not in (None, "leak"):
            counts[str(reason)] += 1
            continue
        candidate = Candidate(place, pair_digest(row.pair), row, is_leak=reason is not None)
        if place in found:
            found[place].meet(candidate)
            continue
        found[place] = candidate
        heapq.heappush(highest, -place)
        if len(found) > most:
            del found[-heapq.heappop(highest)]
    return sorted(found.values(), key=lambda candidate: candidate.order), counts


def without(rows: Rows, taken: dict[str, int]) -> Rows:
    """The rows that are not held out. Other pairs of a source that is held out count as leaks.

    `taken` maps the sources that are held out, folded, to the numbers of their rows.
    """

    def read(counts: Counter[str]) -> Iterator[Row]:
        for row in rows(counts):
            number = taken.get(folded(row.pair[0]))
            if number is None:
                yield row
            elif number != row.number:
                counts["read"] += 1
                counts["leak"] += 1

    return read


def hold_out_end(rows: Rows, missing: list[str], size: int, name: str) -> tuple[Rows, Held]:
    """Holds out the last pairs without any check; those of the test set come last."""
    last: deque[Row] = deque(maxlen=size * len(missing))
    total = 0
    for row in rows(Counter()):
        last.append(row)
        total += 1
    size = min(size, total // 10)
    require(
        size > 0,
        f"{name}: {total} sentence pairs are too few to hold out a tenth of them for "
        f"{' and '.join(missing)}; at least 10 are needed",
    )
    rest = total - size * len(missing)
    ending = list(last)[-size * len(missing) :]
    held = {split: ending[index * size : (index + 1) * size] for index, split in enumerate(missing)}
    log.info("%s, the last of %s", told(held), name)
    return (lambda counts: islice(rows(counts), rest)), held


def limited(rows: Rows, config: DataConfig, check: Check) -> Rows:
    """At most `data.limit` of the pairs that pass `check`, in their order, and some others.

    The corpus is read once for the draw, at the first call that reads it.
    """
    limit = config.limit
    if limit is None:
        return rows
    if config.rules == 1:
        return lambda counts: islice(rows(counts), limit)

    @cache
    def bound() -> int | None:
        fit = (row.pair for row in rows(Counter()) if check(row.pair) is None)
        ranks = (limit_rank(pair, config.draw) for pair in fit)
        end = first_beyond(ranks, limit, distinct=config.deduplicate)
        if end is not None:
            log.info("training pairs: %s, drawn from all (data.limit)", f"{limit:,}")
        return end

    def read(counts: Counter[str]) -> Iterator[Row]:
        end = bound()
        for row in rows(counts):
            if end is None or limit_rank(row.pair, config.draw) < end:
                yield row

    return read


def limit_rank(pair: Pair, seed: int) -> int:
    return rank(str(pair_digest(pair)), "limit", seed)


def first_beyond(ranks: Iterable[int], limit: int, *, distinct: bool) -> int | None:
    """The lowest rank below which at most `limit` lie, in memory of twice their size, or None."""
    lowest = np.empty(0, np.uint64)
    ranks = iter(ranks)
    while more := list(islice(ranks, max(limit, 1 << 16))):
        lowest = np.concatenate([lowest, np.array(more, np.uint64)])
        lowest = (np.unique(lowest) if distinct else np.sort(lowest))[: limit + 1]
    return int(lowest[limit]) if len(lowest) > limit else None


def draw(split: Split, limit: int | None, config: DataConfig) -> Split:
    """At most `limit` pairs of a split, in their order."""
    if limit is None or limit >= len(split.source):
        return split
    chosen = list(range(limit))
    if config.rules != 1:
        order = [rank(str(pair_digest(pair)), "validation", config.draw) for pair in split.pairs]
        chosen = sorted(np.argsort(np.array(order, np.uint64), kind="stable")[:limit].tolist())
    alignments = split.alignments and [split.alignments[row] for row in chosen]
    return Split(
        [split.source[row] for row in chosen], [split.target[row] for row in chosen], alignments
    )
