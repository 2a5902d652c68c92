"""Lines in parts: what is cut, and what becomes of the parts' translations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.config import EOS
from nmt.decoding.constraints import Demands
from nmt.decoding.parts import demands_on, in_lines, join, parts_of
from nmt.decoding.text import NOTHING, Candidate


def encode(text: str) -> list[int]:
    """A piece for each letter, as a tokenizer joins a space to what follows it."""
    return [*(ord(letter) for letter in "".join(text.split())), EOS]


@given(st.lists(st.lists(st.text(" aB.", max_size=30), min_size=1), max_size=3), st.integers(1, 9))
def test_only_what_is_too_long_is_cut(lines: list[list[str]], most: int) -> None:
    found = parts_of(lines, most, encode)
    assert len(found) == len(lines)
    for texts, parts in zip(lines, found, strict=True):
        assert all(len(encode(part)) - 1 <= most for part in parts)
        assert "".join("".join(parts).split()) == "".join("".join(texts).split())
        if all(len(encode(text)) - 1 <= most for text in texts):
            assert parts == texts


def test_scores_are_added_and_texts_joined() -> None:
    first = [Candidate("a", -1.0, -2.0, [5]), Candidate("b", -3.0, -4.0, [6])]
    last = [Candidate("c", -0.5, -0.25, [7, 8])]
    found = join(["x", " ", "y"], [first, [NOTHING], last])
    assert found.parts == [("x", "a"), (" ", ""), ("y", "c")]
    assert found.hypotheses == [
        Candidate("a c", -1.5, -2.25, [5, 7, 8]),
        Candidate("b c", -3.5, -4.25, [6, 7, 8]),
    ]


@pytest.mark.parametrize("lines", [[["x"]], [["x", "y", "z"], ["u"]]])
def test_only_the_first_part_heeds_more_than_what_is_forbidden(lines: list[list[str]]) -> None:
    demands = Demands("Ein", forbidden=("Hund",), required=("es",))
    later = Demands(forbidden=("Hund",))
    expected = [[demands, *[later] * (len(parts) - 1)] for parts in lines]
    assert demands_on(demands, lines) == [each for parts in expected for each in parts]


@given(st.lists(st.integers(0, 9)), st.integers(0, 30))
def test_progress_ends_with_every_line(batches: list[int], lines: int) -> None:
    told: list[int] = []
    batches.append(lines)  # as many parts as lines, at least
    tell = in_lines(told.append, lines, sum(batches))
    for batch in batches:
        tell(batch)
    assert sum(told) == lines and min(told) >= 0
