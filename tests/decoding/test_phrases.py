"""How far a text is from having all the phrases that are required of it."""

from __future__ import annotations

import random
from functools import cache
from itertools import product

import pytest

from nmt.decoding.constraints import Demands
from nmt.decoding.phrases import Phrases, Progress
from nmt.decoding.spelling import Spelling
from nmt.decoding.strategies import BLOCKED

SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]
PIECES = [*SPECIAL, "\u2581", "\u2581ab", "a", "b", "."]
LONGEST = 5


def test_a_beginning_that_no_pieces_can_end_is_no_progress() -> None:
    spelling = Spelling([*SPECIAL, "\u2581", "\u2581ab", "a", "."])
    phrases = Phrases(spelling, (), ("ab",))
    assert phrases.lacking(phrases.progress([6])) == phrases.lacking(phrases.start) == 1
    assert phrases.lacking(phrases.progress([6, 5])) == 0


@pytest.mark.parametrize(
    "required", [("a",), ("ab",), ("a b",), ("a", "b"), ("ab", "b"), ("a b", "ab")]
)
def test_words_lack_the_fewest_pieces_that_complete_them(required: tuple[str, ...]) -> None:
    phrases = Phrases(Spelling(PIECES), (), required)

    @cache
    def fewest(tokens: tuple[int, ...]) -> float:
        """By trying all."""
        text = " ".join("".join(PIECES[t] for t in tokens).replace("\u2581", " ").split())
        words = text.replace(".", " . ").split()
        if all(f" {phrase} " in f" {' '.join(words)} " for phrase in required):
            return 0
        if len(tokens) == LONGEST:
            return float("inf")
        return 1 + min(fewest((*tokens, token)) for token in range(len(SPECIAL), len(PIECES)))

    compared = 0
    for length in range(3):
        for tokens in product(range(len(SPECIAL), len(PIECES)), repeat=length):
            if fewest(tokens) < float("inf"):
                assert phrases.lacking(phrases.progress(tokens)) == fewest(tokens)
                compared += 1
    assert compared > 5


def test_what_pieces_leave_lacking_is_looked_up_as_it_is_followed() -> None:
    """Only few pieces are followed one by one: those that have something of a phrase."""
    generator = random.Random(1)
    letters = ["a", "b", "ä", ".", "-", " ", "1"]
    texts = {"".join(generator.choices(letters, k=generator.randint(1, 4))) for _ in range(300)}
    pieces = [*SPECIAL, *sorted(text.replace(" ", "\u2581") for text in texts)]
    pieces += ["<0x20>", "<0x62>", "<0xC3>", "<0xA4>"]
    spelling = Spelling(pieces)
    for _ in range(40):
        some = tuple("".join(generator.choices(letters, k=3)).strip() or "a" for _ in range(4))
        _, forbidden, required = Demands("", some[:1], some[1:]).tidy()
        phrases = Phrases(spelling, forbidden, required)
        at: Progress | None = phrases.start
        while at is not None and generator.random() < 0.8:
            followed = [phrases.follow(at, token) for token in range(4, len(pieces))]
            expected = [BLOCKED if each is None else phrases.lacking(each) for each in followed]
            assert phrases.distances(at)[4:].tolist() == expected
            at = generator.choice(followed)
