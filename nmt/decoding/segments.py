"""Cutting a text into parts that are short enough for a model."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Protocol

from nmt.decoding.sentences import sentence_ends

# Punctuation within a sentence; a comma or colon without a space may stand in a number or a time.
CLAUSE = re.compile(r"[,;:]['\"”’)\]]*\s+|[，；：、،؛၊፣፤፥፦…—]+[”’」』）]*\s*|\s[–-]\s+")
SPACE = re.compile(r"\s+")
LEADING_VOWEL = re.compile("[เ-ไເ-ໄ]\\Z")  # Thai and Lao write these before their consonant
LEAST = 1 / 3  # share of the room that a part up to such punctuation must fill


class Pieces(Protocol):
    """The part of a tokenizer that cutting needs."""

    def encode(self, text: str) -> list[int]:
        """The ids, EOS last."""
        ...

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The characters of each id."""
        ...


def cut(text: str, most: int, pieces: Pieces, language: str = "") -> list[str]:
    """Cuts a text into parts of at most `most` pieces each, or of one character.

    A part ends after a sentence if possible, otherwise after punctuation, between two words or
    between two pieces, but never within what a reader sees as one character.
    """
    if len(text) < 2 or _count(text, pieces) <= most:
        return [text]
    places = Places(text, pieces, language)
    parts, begin = [], 0
    while begin < len(text):
        end = _next_cut(places, begin, most)
        parts.append(text[begin:end].strip())
        begin = end
    return [part for part in parts if part] or [text]


class Places:
    """The places where a text may be cut: offsets in rising order."""

    def __init__(self, text: str, pieces: Pieces, language: str) -> None:
        self.text, self.pieces, self.language = text, pieces, language
        self.begins = [begin for begin, _ in pieces.spans(text)[:-1]]  # of each piece

    def reach(self, begin: int, room: int) -> int:
        """The offset behind the last of `room` pieces from `begin` on."""
        after = bisect_left(self.begins, begin) + room
        return self.begins[after] if after < len(self.begins) else len(self.text)

    @cached_property
    def sentences(self) -> list[int]:
        return sentence_ends(self.text, self.language)

    @cached_property
    def clauses(self) -> list[int]:
        return [match.end() for match in CLAUSE.finditer(self.text)]

    @cached_property
    def words(self) -> list[int]:
        return [match.end() for match in SPACE.finditer(self.text)]

    @cached_property
    def characters(self) -> list[int]:
        """As a reader counts them: with their marks, conjuncts and joined emoji."""
        import regex

        ends = [match.end() for match in regex.finditer(r"\X", self.text)]
        return [end for end in ends if not LEADING_VOWEL.search(self.text[end - 1 : end])]

    @cached_property
    def between_pieces(self) -> list[int]:
        return sorted({*self.characters}.intersection(self.begins))

    def ranked(self) -> Iterator[tuple[list[int], float]]:
        """The best places first, with the share of the room that a part must fill."""
        yield self.sentences, 0
        yield self.clauses, LEAST
        yield self.words, 0
        yield self.between_pieces, 0
        yield self.characters, 0


def _next_cut(places: Places, begin: int, most: int) -> int:
    """The end of the part that begins at `begin`."""
    room = most
    while True:
        end = _best_cut(places, begin, room)
        # A part encoded alone may have more pieces than it has within the text.
        excess = _count(places.text[begin:end].strip(), places.pieces) - most
        if excess <= 0 or room == 1:
            return end
        room = max(1, room - excess)


def _best_cut(places: Places, begin: int, room: int) -> int:
    reach = places.reach(begin, room)
    if reach == len(places.text):
        return reach
    for offsets, share in places.ranked():
        least = begin if share == 0 else max(begin, places.reach(begin, int(room * share)) - 1)
        end = _last(offsets, least, reach)
        if end is not None:
            return end
    # One character has more pieces than there is room for.
    after = bisect_right(places.characters, begin)
    return places.characters[after] if after < len(places.characters) else len(places.text)


def _last(offsets: Sequence[int], least: int, most: int) -> int | None:
    """The last of the offsets above `least` and up to `most`."""
    place = bisect_right(offsets, most) - 1
    return offsets[place] if place >= 0 and offsets[place] > least else None


def _count(text: str, pieces: Pieces) -> int:
    return len(pieces.encode(text)) - 1
