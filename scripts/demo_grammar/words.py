"""Words that remember what they translate: sentences as text, alignments as pairs of indices."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

# The counting rule of the alignments, also stated in data/demo/README.md.
WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*|[^\w\s]")

# What a word expresses: a node of the tree and the node's part ("finite", "determiner", ...).
# Nodes hash by identity, so two mentions of one noun are two different links.
Link = tuple[object, str]


class Word(NamedTuple):
    """A word or a punctuation mark; words of two languages that share a link are aligned."""

    text: str
    links: tuple[Link, ...] = ()
    lemma: str = ""


def spell(text: str, *links: Link, lemma: str = "") -> list[Word]:
    """Every word of ``text``, all with the same links."""
    return [Word(part, links, lemma or text) for part in text.split()]


def sentence(words: Sequence[Word], mark: Word) -> list[Word]:
    """Capital at the start, one comma where two clauses end, none before the final ``mark``."""
    tidy: list[Word] = []
    for word in [*words, mark]:
        if tidy and tidy[-1].text == "," and not word.text[0].isalnum():
            previous = tidy.pop()
            if word.text == ",":
                word = word._replace(links=previous.links + word.links)
        tidy.append(word)
    first = tidy[0]
    return [first._replace(text=first.text[0].upper() + first.text[1:]), *tidy[1:]]


def to_text(words: Iterable[Word]) -> str:
    """Detokenised text: punctuation attached to the word before it."""
    return "".join(
        word.text if not word.text[0].isalnum() else f" {word.text}" for word in words
    ).strip()


def align(source: Sequence[Word], target: Sequence[Word]) -> list[tuple[int, int]]:
    """Pairs of indices of the words that share a link, sorted."""
    where: dict[Link, list[int]] = {}
    for j, word in enumerate(target):
        for link in word.links:
            where.setdefault(link, []).append(j)
    return sorted(
        {(i, j) for i, word in enumerate(source) for k in word.links for j in where.get(k, ())}
    )
