"""Sentence pairs, and the arguments of every reader."""

from __future__ import annotations

import logging
import reprlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

log = logging.getLogger(__name__)

Pair = tuple[str, str]  # source, target

# Texts may hold line breaks in JSON, Parquet and TMX, and other programs break lines at more than
# \n. JSON can hold a half of a surrogate pair, which UTF-8 cannot.
ONE_LINE: dict[int, str] = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029], " "),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
}


class Languages(NamedTuple):
    """The codes by which a file tells its two sides apart, such as `en` and `de`."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"data.source_language={self.source} and data.target_language={self.target}"


class Reading(NamedTuple):
    """How to read a file. Rows that are not pairs are counted, as `read` and under a reason."""

    languages: Languages
    counts: Counter[str]
    columns: tuple[
        str, ...
    ] = ()  # of source and target: names, or numbers from 1; empty: automatic
    note: Callable[[str], None] = log.info  # called with remarks about the file

    def drop(self, reason: str) -> None:
        self.counts["read"] += 1
        self.counts[reason] += 1


def on_one_line(pairs: Iterable[Pair]) -> Iterator[Pair]:
    return ((one_line(source), one_line(target)) for source, target in pairs)


def one_line(text: str) -> str:
    """Replaces control characters and line separators by spaces, and characters that UTF-8 cannot
    hold by U+FFFD. The length does not change."""
    return text if text.isprintable() else text.translate(ONE_LINE)


def listed(names: Iterable[str]) -> str:
    """The first few, each cut to a readable length."""
    return reprlib.repr(list(names))[1:-1] or "none"
