"""Words in every script: what alignments count, and where no piece of a vocabulary may cross."""

from __future__ import annotations

from collections.abc import Iterable

import regex

Span = tuple[int, int]  # characters of a text: begin, end

# Soft hyphen, ZWNJ, ZWJ and word joiner are invisible and belong to the word they stand in.
_INVISIBLE = r"\u00ad\u200c\u200d\u2060"
_PART = rf"[\p{{L}}\p{{N}}\p{{M}}][\p{{L}}\p{{N}}\p{{M}}{_INVISIBLE}]*"
# Between the parts of a word: hyphens, apostrophes, a Catalan dot, Hebrew geresh and gershayim.
_INNER = r"[-\u2010\u2011'’·׳״]"
# Any other visible character is a word of its own, with the marks upon it; an emoji may take
# several code points (\X: a grapheme cluster). Underscores and format characters are no words.
WORD = regex.compile(rf"{_PART}(?:{_INNER}{_PART})*|(?=[^\w\s\p{{Cf}}])\X")
LETTERS = regex.compile(rf"\p{{L}}[\p{{L}}\p{{M}}{_INVISIBLE}]*")
# Scripts without spaces between words. LB=SA: those of South East Asia, such as Thai and Khmer.
_UNSPACED = r"[\p{Line_Break=SA}\p{Han}\p{Hiragana}\p{Katakana}]"
# A place within or beside such a script, but not between a letter and its mark.
UNSPACED = regex.compile(_UNSPACED)
_BORDER = regex.compile(rf"(?:(?<={_UNSPACED})|(?={_UNSPACED}))(?!\p{{M}})")

# SentencePiece learns no piece across two scripts, and most punctuation is of a script of its own
# (Common). These are the other seams: between two marks or digits, and beside the marks and digits
# that share the script of the letters around them (Burmese ။, Hebrew ־, Devanagari ४).
_ALONE = r"[\p{P}\p{S}\p{Nd}]"
_NATIVE = rf"(?![\p{{Common}}\p{{Inherited}}]){_ALONE}"
SEAM = regex.compile(rf"(?<={_ALONE})(?={_ALONE})|(?<={_NATIVE})(?=\S)|(?<=\S)(?={_NATIVE})")


def word_spans(text: str) -> list[Span]:
    """The characters of each word; the rule the demo corpus' alignments are counted by."""
    return [match.span() for match in WORD.finditer(text)]


def unit_spans(text: str, pieces: Iterable[Span]) -> list[Span]:
    """The words of a text; the pieces within them, in scripts without spaces between words."""
    borders = {begin for begin, _ in pieces if _BORDER.match(text, begin)}
    if not borders:
        return word_spans(text)
    spans: list[Span] = []
    for begin, end in word_spans(text):
        cuts = [place for place in sorted(borders) if begin < place < end]
        spans += zip([begin, *cuts], [*cuts, end], strict=True)
    return spans
