"""Unicode normalisation: one spelling of each text, whether an accent is a character of its own
(NFD, as macOS and some corpora write it) or part of its letter (NFC).
"""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

import regex

# No canonical composition crosses the border of two of these (\X: a grapheme cluster).
CLUSTER = regex.compile(r"\s|\X")


def normalized(text: str) -> str:
    """The text in NFC. No character is lost: `²`, `…` and `，` stay as they are."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def encodable(text: str) -> str:
    """`text`, with `?` for halves of surrogate pairs, which JSON can hold and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def single_spaced(text: str) -> str:
    """One space for white space of any kind and length (U+00A0, U+202F, U+3000), none at the
    ends."""
    return " ".join(text.split())


class Traced(NamedTuple):
    """A text made of another one, whose characters know where they come from."""

    text: str
    places: list[tuple[int, int]]  # of each character: begin and end in the original text

    def origin(self, begin: int, end: int) -> tuple[int, int]:
        """The characters of the original text that became `text[begin:end]`, at least one."""
        return self.places[begin][0], self.places[end - 1][1]


def as_is(text: str) -> Traced:
    return Traced(text, [(at, at + 1) for at in range(len(text))])


def traced(text: str) -> Traced:
    """`normalized`, cluster by cluster."""
    whole = normalized(text)
    if whole == text:
        return as_is(text)
    places: list[tuple[int, int]] = []
    for cluster in CLUSTER.finditer(text):
        begin, end = cluster.span()
        part = normalized(cluster[0])
        if part == cluster[0]:
            places += [(at, at + 1) for at in range(begin, end)]
        else:
            places += [(begin, end)] * len(part)
    return Traced(whole, places)


def spaced(found: Traced) -> Traced:
    """A space for each character of white space, so that nothing moves."""
    text = "".join(" " if letter.isspace() else letter for letter in found.text)
    return found._replace(text=text)
