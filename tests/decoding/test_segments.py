"""Cutting texts: nothing is lost, nothing is too long, the cut is at the best place there is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.decoding.segments import cut, split_sentences


def pieces(text: str) -> int:
    """Of a tokenizer whose pieces have two letters and do not cross spaces."""
    return sum(-(-len(word) // 2) for word in text.split())


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It rains. A dog runs!  Why? No.", ["It rains.", "A dog runs!", "Why?", "No."]),
        ("He said: “Go.” Élan won.", ["He said: “Go.”", "Élan won."]),
        ("He left... but came back at 3.5 p.m. today", None),
        ("One. 2 dogs.", None),
        ("No end", None),
        ("", None),
        ("Ends. ", ["Ends."]),
        ("¿Qué? ¡No!", ["¿Qué?", "¡No!"]),
    ],
)
def test_sentences(text: str, sentences: list[str] | None) -> None:
    assert split_sentences(text) == (sentences or [text])


def test_the_cut_is_at_a_sentence_then_at_a_word_then_anywhere() -> None:
    assert cut("ab cd. Ef gh. Ij", 5, pieces) == ["ab cd.", "Ef gh. Ij"]
    assert cut("ab cd ef gh ij", 2, pieces) == ["ab cd", "ef gh", "ij"]
    assert cut("abcdefgh", 2, pieces) == ["abcd", "efgh"]
    assert cut("Ab. Cd ef gh. Ij", 3, pieces) == ["Ab.", "Cd ef", "gh. Ij"]
    assert cut(" short,  as it is ", 99, pieces) == [" short,  as it is "]


@given(st.text(st.sampled_from("aB. !?\t\u2028é🐕"), max_size=60), st.integers(1, 9))
def test_no_letter_is_lost_and_no_part_too_long(text: str, most: int) -> None:
    parts = cut(text, most, pieces)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(pieces(part) <= most or len(part) == 1 for part in parts)
    assert parts == [text] or all(part.strip() for part in parts)


@given(st.text(max_size=40), st.integers(1, 9))
def test_any_text_can_be_cut(text: str, most: int) -> None:
    assert "".join("".join(cut(text, most, pieces)).split()) == "".join(text.split())


def test_a_long_text_takes_time_in_proportion() -> None:
    asked = 0

    def counting(text: str) -> int:
        nonlocal asked
        asked += len(text)
        return pieces(text)

    for text in ("word " * 10_000, "Word. " * 10_000, "w" * 50_000):
        asked = 0
        assert len(cut(text, 100, counting)) > 100
        assert asked < 20 * len(text)
