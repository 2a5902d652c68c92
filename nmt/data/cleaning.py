"""Which training pairs are dropped, and why."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import NamedTuple

from nmt.config import DataConfig
from nmt.data.keys import digest, folded, pair_digest
from nmt.data.lengths import FEW_WORDS, SAMPLE, Check, badly_sized, words
from nmt.data.readers import Pair
from nmt.data.splits import Corpus, Split

log = logging.getLogger(__name__)


class Reason(NamedTuple):
    words: str  # `647 duplicates`
    key: str = ""  # the option that decides it


# Why a pair is dropped; `pieces` is known after tokenization.
REASONS = {
    "damaged": Reason("damaged"),
    "language": Reason(
        "without text in both languages", "data.source_language and target_language"
    ),
    "empty": Reason("empty on one side or both"),
    "length": Reason("too short or too long", "data.min_length and data.max_length"),
    "ratio": Reason("of unequal length", "data.max_ratio"),
    "duplicate": Reason("duplicates"),
    "leak": Reason("also in validation or test", "data.drop_leaks"),
    "pieces": Reason("with too many pieces", "data.max_pieces"),
}
MANY = 0.2  # a larger share of pairs dropped for one reason is worth a warning


def clean(corpus: Corpus, config: DataConfig, counts: Counter[str]) -> Iterator[Pair]:
    """The training pairs that pass all checks.

    Counts `read`, and the reason for each pair that is dropped.
    """
    pairs = corpus.train(counts)
    first = list(islice(pairs, SAMPLE))
    held = corpus.validation, corpus.test
    checks = (badly_sized(config, first), leaked(held, config), repeated(config))
    for pair in chain(first, pairs):
        counts["read"] += 1
        reason = first_reason(pair, checks)
        if reason is None:
            yield pair
        else:
            counts[reason] += 1


def fit(pairs: Callable[[], Iterable[Pair]], held: Sequence[Split], config: DataConfig) -> Check:
    """The checks of `clean` that look at one pair alone, for drawing good pairs.

    The typical ratio of lengths is taken from `pairs`, at the first check.
    """
    checks: list[Check] = []

    def check(pair: Pair) -> str | None:
        if not checks:
            checks.extend((badly_sized(config, pairs()), leaked(held, config)))
        return first_reason(pair, checks)

    return check


def first_reason(pair: Pair, checks: Sequence[Check]) -> str | None:
    for check in checks:
        reason = check(pair)
        if reason is not None:
            return reason
    return None


def repeated(config: DataConfig) -> Check:
    """Drops repetitions of a pair; differences in spaces do not count."""
    seen: set[int] = set()
    key = folded_digest if config.rules == 1 else pair_digest

    def check(pair: Pair) -> str | None:
        number = key(pair)
        if number in seen:
            return "duplicate"
        seen.add(number)
        return None

    return check if config.deduplicate else keep


def leaked(held: Sequence[Split], config: DataConfig) -> Check:
    """Drops pairs that are in validation or test, or share a side of over a few words with them.

    Differences in case and spaces do not count. Short sides are not enough: "Yes." in the test set
    would drop all its translations.
    """
    pairs = {digests(pair) for split in held for pair in split.pairs}
    few = 0 if config.rules == 1 else FEW_WORDS
    sources = long_digests((text for split in held for text in split.source), few)
    targets = long_digests((text for split in held for text in split.target), few)

    def check(pair: Pair) -> str | None:
        source, target = sides = digests(pair)
        is_leak = source in sources or target in targets or sides in pairs
        return "leak" if is_leak else None

    return check if config.drop_leaks else keep


def keep(pair: Pair) -> str | None:
    return None


def digests(pair: Pair) -> tuple[int, int]:
    return digest(folded(pair[0])), digest(folded(pair[1]))


def long_digests(texts: Iterable[str], few: int) -> set[int]:
    return {digest(folded(text)) for text in texts if words(text) > few or few == 0}


def folded_digest(pair: Pair) -> int:
    return digest("\n".join(map(folded, pair)))


def describe(counts: Mapping[str, int]) -> str:
    """`980 of 1,000 training pairs kept; dropped 14 duplicates, 6 also in validation or test`."""
    dropped = [
        f"{counts[name]:,} {reason.words}" for name, reason in REASONS.items() if counts.get(name)
    ]
    kept = f"{counts.get('kept', 0):,} of {counts.get('read', 0):,} training pairs kept"
    return f"{kept}; dropped {', '.join(dropped) or 'none'}"


def warn_of_many(counts: Mapping[str, int]) -> None:
    """Warns of each reason that dropped a large share of the pairs."""
    for name, reason in REASONS.items():
        share = counts.get(name, 0) / max(1, counts.get("read", 0))
        if share > MANY and name != "duplicate":
            advice = f" ({reason.key})" if reason.key else ""
            log.warning("%.0f%% of the training pairs are %s%s", 100 * share, reason.words, advice)
