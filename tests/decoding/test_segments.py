"""Cutting texts: nothing is lost, nothing is too long, the cut is at the best place there is."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.config import EOS
from nmt.decoding.segments import cut


class Pieces:
    """A tokenizer whose pieces have at most `size` characters of a word."""

    def __init__(self, size: int = 2) -> None:
        self.pattern = re.compile(rf"\S{{1,{size}}}")
        self.read = 0

    def spans(self, text: str) -> list[tuple[int, int]]:
        return [*(match.span() for match in self.pattern.finditer(text)), (len(text), len(text))]

    def encode(self, text: str) -> list[int]:
        self.read += len(text)
        return [4] * (len(self.spans(text)) - 1) + [EOS]

    def count(self, text: str) -> int:
        return len(self.encode(text)) - 1


PIECES = Pieces()


def test_the_cut_is_at_a_sentence_then_at_a_word_then_anywhere() -> None:
    assert cut("ab cd. Ef gh. Ij", 5, PIECES) == ["ab cd.", "Ef gh. Ij"]
    assert cut("ab cd ef gh ij", 2, PIECES) == ["ab cd", "ef gh", "ij"]
    assert cut("abcdefgh", 2, PIECES) == ["abcd", "efgh"]
    assert cut("Ab. Cd ef gh. Ij", 3, PIECES) == ["Ab.", "Cd ef", "gh. Ij"]
    assert cut(" short,  as it is ", 99, PIECES) == [" short,  as it is "]


def test_within_a_sentence_the_cut_is_at_punctuation_that_is_not_too_early() -> None:
    assert cut("aa bb cc, dd ee ff gg", 6, PIECES) == ["aa bb cc,", "dd ee ff gg"]
    assert cut("a, bb cc dd ee ff gg", 6, PIECES) == ["a, bb cc dd ee ff", "gg"]
    assert cut("aa bb 1,5 cc dd ee", 5, PIECES) == ["aa bb 1,5 cc", "dd ee"]
    assert cut("今天天气很好，我们去公园", 5, Pieces(2), "zh") == ["今天天气很好，", "我们去公园"]
    assert cut("これはペンです、あれは本です", 5, Pieces(2), "ja") == [
        "これはペンです、",
        "あれは本です",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "क्षत्रियों" * 20,  # conjuncts and vowel signs
        "เด็กๆเล่นน้ำที่ริมแม่น้ำ" * 20,  # leading vowels and tone marks
        "e\u0301a\u0308" * 40,
        "👩‍👩‍👧🇩🇪👍🏽" * 20,
        "ក្រុមហ៊ុន" * 20,
    ],
)
def test_no_cut_is_within_a_character(text: str) -> None:
    for most in (7, 10):
        parts = cut(text, most, Pieces(3))
        assert "".join(parts) == text
        for part in parts:
            assert Pieces(3).count(part) <= most
            assert not unicodedata.combining(part[0]) and unicodedata.category(part[0])[0] != "M"
            assert part[0] != "\u200d" and not part.endswith(
                ("\u200d", "เ", "แ", "\u17d2", "\u094d")
            )
            assert part.count("🇩") == part.count("🇪")


@given(st.text(st.sampled_from("aB. !?,\t\u2028é🐕。，"), max_size=60), st.integers(1, 9))
def test_no_letter_is_lost_and_no_part_too_long(text: str, most: int) -> None:
    parts = cut(text, most, PIECES)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(PIECES.count(part) <= most or len(part) == 1 for part in parts)
    assert parts == [text] or all(part.strip() for part in parts)


@given(st.text(max_size=40), st.integers(1, 9))
def test_any_text_can_be_cut(text: str, most: int) -> None:
    assert "".join("".join(cut(text, most, PIECES)).split()) == "".join(text.split())


@pytest.mark.parametrize("text", ["word " * 10_000, "Word. " * 10_000, "w" * 50_000, "好" * 50_000])
def test_a_long_text_takes_time_in_proportion(text: str) -> None:
    pieces = Pieces()
    assert len(cut(text, 100, pieces)) > 100
    assert pieces.read < 20 * len(text)
