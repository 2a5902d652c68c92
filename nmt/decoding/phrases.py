"""Words and phrases that a text must not have, or must have, as it is spelt piece by piece.

V vocabulary.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmt.config import EOS
from nmt.decoding.spelling import Spelling, begins_word, contains, in_word, one_line
from nmt.decoding.strategies import BLOCKED

NO_CHARACTER = "\ufffd"  # what bytes that are none are decoded to
NO_BYTE = b"\xff"  # begins no character
Distances = NDArray[np.int16]


class Progress(NamedTuple):
    """All of a text that bears on what may follow."""

    # The longest end of it that may be the beginning of a phrase, after one character that stands
    # for the kind of the one before.
    end: str
    pending: bytes  # of a character that is not complete
    unmet: frozenset[str]  # required and not yet there


class Phrases:
    """The forbidden and the required."""

    def __init__(
        self, spelling: Spelling, forbidden: Sequence[str], required: Sequence[str]
    ) -> None:
        self.spelling = spelling
        self.forbidden = forbidden
        self.required = required
        self.start = Progress(" ", b"", frozenset(required))
        self.follow = lru_cache(maxsize=65536)(self._follow)
        self.distances = lru_cache(maxsize=64)(self._distances)
        self._strange = _strangers((*forbidden, *required))

    def progress(self, tokens: Sequence[int]) -> Progress:
        at = self.start
        for token in tokens:
            at = self.follow(at, token) or at
        return at

    def _follow(self, at: Progress, token: int) -> Progress | None:
        """After one more piece; None where the text then has a forbidden phrase."""
        if token not in self.spelling.bytes:
            broken = NO_CHARACTER if at.pending else ""
            return self._read(at, broken + self.spelling.text(token), b"")
        decoder = getincrementaldecoder("utf-8")("replace")
        more = decoder.decode(at.pending + self.spelling.spelt[token])
        return self._read(at, more, decoder.getstate()[0])

    def _read(self, at: Progress, more: str, pending: bytes) -> Progress | None:
        text = one_line(at.end + more)
        if any(contains(text, phrase, ended=False) for phrase in self.forbidden):
            return None
        unmet = (phrase for phrase in at.unmet if not contains(text, phrase, ended=False))
        return Progress(self._bearing(text), pending, frozenset(unmet))

    def _bearing(self, text: str) -> str:
        """What of a text bears on phrases to come."""
        ends = (at for at in range(1, len(text)) if begins_word(text, at))
        begun = (at for at in ends if any(self._begun(text[at:])))
        at = next(begun, len(text))
        return _kind(text[at - 1]) + text[at:]

    def _begun(self, text: str) -> Iterator[str]:
        """The phrases that begin so."""
        return (each for each in (*self.forbidden, *self.required) if each.startswith(text))

    def may_end(self, at: Progress) -> bool:
        """Whether the text so far meets all."""
        return not self.lacking(at) and not any(
            contains(_closed(at), phrase, ended=True) for phrase in self.forbidden
        )

    def lacking(self, at: Progress) -> int:
        """How many pieces, at the least, are still to come for the required phrases, if no phrase
        shares a word with another and each stands after a space."""
        pieces = [self._pieces_of(phrase, at) for phrase in at.unmet]
        # Only one phrase can come next and need no space before it.
        saved = max((anew - next_ for anew, next_ in pieces), default=0)
        return int(min(BLOCKED - 1, sum(anew for anew, _ in pieces) - saved))

    def _pieces_of(self, phrase: str, at: Progress) -> tuple[float, float]:
        """How many the phrase takes after other words, and if it comes next."""
        if contains(_closed(at), phrase, ended=True):
            return 0, 0
        fewest = self.spelling.fewest
        plain, spaced = (fewest(text.encode()) for text in (phrase, f" {phrase}"))
        anew = spaced if in_word(phrase[0]) else min(plain, spaced)
        rests = [rest.encode() for rest in self._rests(phrase, at.end)]
        begun = rests if at.pending else [rest for rest in rests if rest != phrase.encode()]
        skip = len(at.pending)
        going_on = [fewest(r[skip:]) for r in begun if r.startswith(at.pending)]
        if min(going_on, default=inf) < inf:
            return min(going_on), min(going_on)
        return anew, anew if at.pending or not rests else min(anew, plain)

    def _rests(self, phrase: str, end: str) -> Iterator[str]:
        """What of the phrase follows an `end`, as far as it stands in that already."""
        for at in range(1, len(end)):
            if begins_word(end, at) and phrase.startswith(end[at:]):
                yield phrase[len(end) - at :]
        if begins_word(end[-1] + phrase, 1):
            yield phrase

    def _distances(self, at: Progress) -> Distances:
        """What each piece leaves lacking, BLOCKED where it may not come: (V,)"""
        # Another piece than a byte ends a character that is not complete.
        whole = self._read(at, NO_CHARACTER, b"") if at.pending else at
        near = set(self.spelling.bytes) if at.pending else set()
        if whole is None:
            distances = np.full(len(self.spelling.spelt), BLOCKED, dtype=np.int16)
        else:
            distances = self._of_strangers(whole)
            near |= self._near(whole)
        for token in near:
            distances[token] = self._distance(self.follow(at, token))
        distances[EOS] = 0 if self.may_end(at) else BLOCKED
        return distances

    def _distance(self, at: Progress | None) -> int:
        return BLOCKED if at is None else self.lacking(at)

    def _near(self, at: Progress) -> set[int]:
        """The pieces that may begin, continue or end a phrase, by their characters."""
        space = " " if at.end.endswith(" ") else ""  # where another changes no text
        found: set[int] = set()
        for phrase in {*self.forbidden, *at.unmet}:
            for rest in filter(None, self._rests(phrase, at.end)):
                for text in {rest, space + rest}:
                    found |= self.spelling.whole.meeting(text.encode())
            found |= self.spelling.inner.meeting(phrase.encode())
        return found

    def _of_strangers(self, at: Progress) -> Distances:
        """What pieces leave lacking that have nothing of a phrase: only `Spelling.kinds` counts."""
        texts = (first + last for first in self._strange for last in self._strange)
        kinds = [self._distance(self._read(at, text, b"")) for text in texts]
        kinds.append(self._distance(at._replace(pending=NO_BYTE)))
        distances: Distances = np.array(kinds, dtype=np.int16)[self.spelling.kinds]
        return distances


def _strangers(phrases: Sequence[str]) -> tuple[str, str]:
    """A character of no word and one of words, neither of which is in a phrase."""
    used = set().union(*phrases)
    # Arrows, and the letters of Canadian syllabics.
    arrows, letters = map(chr, range(0x2190, 0x2200)), map(chr, range(0x1401, 0x166D))
    return next(c for c in arrows if c not in used), next(c for c in letters if c not in used)


def _closed(at: Progress) -> str:
    """The end of the text if no more comes."""
    return at.end + NO_CHARACTER if at.pending else at.end


def _kind(character: str) -> str:
    """One that stands for all that are like it."""
    if character.isspace():
        return " "
    return "a" if in_word(character) else "."
