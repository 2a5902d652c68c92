"""A text cut into sentences, or into parts that are short enough for a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

# A sentence ends in one of these, perhaps in quotes, and white space; the next begins in a capital.
END = re.compile(r"[.!?][\"'’”“»)\]]*\s+(?=[\"'‘“„«(\[¿¡]*(\w))")

Split = Callable[[str], list[str]]


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, by a rule that knows no abbreviations: `.`, `!` or `?`, white space,
    a capital."""
    ends = [match.end() for match in END.finditer(text) if match[1].isupper()]
    return [text[begin:end].strip() for begin, end in zip([0, *ends], [*ends, None], strict=True)]


def halves(text: str) -> list[str]:
    return [text[: len(text) // 2], text[len(text) // 2 :]]


def cut(
    text: str,
    most: int,
    pieces: Callable[[str], int],
    splits: Sequence[Split] = (split_sentences, str.split, halves),
) -> list[str]:
    """Parts of a text of at most `most` pieces each, or of one letter.

    It is cut at the last end of a sentence that leaves no more, where there is none between two
    words, and only where a word alone is longer within it.
    """
    if len(text) < 2 or pieces(text) <= most:
        return [text]
    split, *finer = splits
    units = [part for unit in split(text) for part in cut(unit, most, pieces, finer or splits[-1:])]
    # Where there is nothing but white space, there are no words.
    return units if split is halves else list(pack(units, most, pieces)) or [text]


def pack(units: Sequence[str], most: int, pieces: Callable[[str], int]) -> Iterator[str]:
    """Neighbours joined by spaces, as many at a time as have at most `most` pieces together."""
    together: list[str] = []
    size = 0
    for unit in units:
        count = pieces(unit)
        if together and size + count > most:
            yield " ".join(together)
            together, size = [], 0
        together.append(unit)
        size += count
    if together:
        yield " ".join(together)
