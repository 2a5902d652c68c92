"""Which text the pieces of a vocabulary spell, and which pieces spell a text.

Texts are looked up as UTF-8, because a piece such as `<0xC3>` is one byte of a character.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import inf

import numpy as np
import regex

from nmt.config import BOS, EOS, PAD, UNK

BYTE = re.compile(r"<0x([0-9A-F]{2})>")
WORD_START = "\u2581"  # how SentencePiece writes a space
# LB=SA: the scripts of South East Asia, such as Thai, Lao, Khmer and Burmese.
UNSPACED = regex.compile(r"[\p{Line_Break=SA}\p{Han}\p{Hiragana}\p{Katakana}]")
INVISIBLE = "\u00ad\u200c\u200d\u2060"  # soft hyphen, ZWNJ, ZWJ, word joiner
UNKNOWN = " \u2047 "  # what it makes of the unknown piece


class Index:
    """Texts that stand for tokens, by how they begin."""

    def __init__(self, entries: Iterable[tuple[bytes, int]]) -> None:
        self.tokens: dict[bytes, list[int]] = {}
        for text, token in entries:
            self.tokens.setdefault(text, []).append(token)
        self._texts = sorted(self.tokens)
        self.longest = max(map(len, self._texts), default=0)

    def meeting(self, rest: bytes) -> set[int]:
        """The tokens of the texts that `rest` begins with, and of those that begin with it."""
        ends = range(1, min(len(rest), self.longest + 1))
        found = {token for end in ends for token in self.tokens.get(rest[:end], ())}
        return found.union(*(self.tokens[text] for text in self._beginning(rest)))

    def any_begins(self, text: bytes) -> bool:
        return bool(self._beginning(text))

    def _beginning(self, text: bytes) -> list[bytes]:
        begin = end = bisect_left(self._texts, text)
        while end < len(self._texts) and self._texts[end].startswith(text):
            end += 1
        return self._texts[begin:end]


class Spelling:
    """Of `pieces`, as SentencePiece writes them, in the order of their ids."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self.spelt = [_spelt(token, piece) for token, piece in enumerate(pieces)]
        self.bytes = frozenset(t for t, piece in enumerate(pieces) if BYTE.fullmatch(piece))
        self.whole = Index((spelt, token) for token, spelt in enumerate(self.spelt) if spelt)
        self.inner = Index(
            (text[at:].encode(), token)
            for token, text in ((t, self.text(t)) for t in range(len(pieces)))
            for at in range(1, len(text))
            if begins_word(text, at)
        )
        self.kinds = np.array([_kind(spelt) for spelt in self.spelt])  # (V,)
        self.fewest = lru_cache(maxsize=4096)(self._fewest)

    def text(self, token: int) -> str:
        """Of a byte that is no character by itself, nothing."""
        return self.spelt[token].decode(errors="ignore")

    def _fewest(self, text: bytes, *, whole: bool = True) -> float:
        """How many pieces spell the text at the least; infinite where none do. If not `whole`, the
        last may go on beyond it."""
        fewest = [inf] * len(text) + [0.0]  # from each place to the end
        for begin in reversed(range(len(text))):
            ends = range(begin + 1, min(len(text), begin + self.whole.longest) + 1)
            parts = (fewest[end] for end in ends if text[begin:end] in self.whole.tokens)
            fewest[begin] = 1 + min(parts, default=inf)
            if not whole and self.whole.any_begins(text[begin:]):
                fewest[begin] = 1
        return fewest[0]


def _kind(spelt: bytes) -> int:
    """2 for a text that begins within a word, plus 1 if it ends within one; 4 for the first byte of
    a character."""
    if len(spelt) == 1 and 0xC2 <= spelt[0] <= 0xF4:
        return 4
    text = spelt.decode(errors="replace")
    return 2 * in_word(text[0]) + in_word(text[-1]) if text else 0


def _spelt(token: int, piece: str) -> bytes:
    """The UTF-8 of a piece. White space is a space, as in the text that is handed out."""
    if token in (PAD, BOS, EOS):
        return b""
    if token == UNK:
        return UNKNOWN.encode()
    byte = BYTE.fullmatch(piece)
    spelt = bytes.fromhex(byte[1]) if byte else one_line(piece.replace(WORD_START, " ")).encode()
    return b" " if spelt.isspace() else spelt


@lru_cache(maxsize=4096)
def in_word(character: str) -> bool:
    """Letters, digits, the marks upon them and what is invisible within words.

    Not those of scripts without spaces between words, where a word may stand beside any other.
    """
    letter = unicodedata.category(character)[0] in "LNM" or character in INVISIBLE
    return letter and not UNSPACED.match(character)


def begins_word(text: str, at: int) -> bool:
    """Whether a word or phrase that stands there would stand as a whole, on its left."""
    return not text[at].isspace() and not (in_word(text[at]) and in_word(text[at - 1]))


def one_line(text: str) -> str:
    """White space of any length as one space."""
    return re.sub(r"\s+", " ", text)


def contains(text: str, phrase: str, *, ended: bool) -> bool:
    """Whether the phrase stands in the text as a whole: no word goes on beyond its ends. `text`
    begins with one more character, that before it; if not `ended`, what follows it is open."""
    at = text.find(phrase, 1)
    while at > 0:
        after = text[at + len(phrase) : at + len(phrase) + 1]
        whole = not in_word(phrase[-1]) or (not in_word(after) if after else ended)
        if whole and begins_word(text, at):
            return True
        at = text.find(phrase, at + 1)
    return False
