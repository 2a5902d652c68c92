"""A corpus as text: what its parts are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from nmt.data.readers import Pair

Reader = Callable[[Counter[str]], Iterator[Pair]]
Alignment = list[tuple[int, int]]  # source word, target word


class Split(NamedTuple):
    """Sentence N of one side translates sentence N of the other."""

    source: list[str]
    target: list[str]
    alignments: list[Alignment] | None  # by the words of `word_spans`, where they are known

    @property
    def pairs(self) -> list[Pair]:
        return list(zip(self.source, self.target, strict=True))


class Corpus(NamedTuple):
    """`fingerprint` stands for all contents.

    `train` starts from the beginning at each call. It counts what is no pair, as `read` and under
    the reason.
    """

    train: Reader
    validation: Split
    test: Split
    fingerprint: str


def split_of(pairs: Iterable[Pair], alignments: list[Alignment] | None = None) -> Split:
    pairs = list(pairs)
    return Split([source for source, _ in pairs], [target for _, target in pairs], alignments)
