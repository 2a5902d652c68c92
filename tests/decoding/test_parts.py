"""Lines in parts: what is cut, and what becomes of the parts' translations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.config import EOS
from nmt.decoding.constraints import Demands
from nmt.decoding.parts import Splitting, demands_on, in_lines, join, parts_of
from nmt.decoding.text import NOTHING, Candidate


class Letters:
    """A piece for each letter, as a tokenizer joins a space to what follows it."""

    def encode(self, text: str) -> list[int]:
        return [*(ord(letter) for letter in "".join(text.split())), EOS]

    def spans(self, text: str) -> list[tuple[int, int]]:
        there = [(at, at + 1) for at, letter in enumerate(text) if not letter.isspace()]
        return [*there, (len(text), len(text))]


@given(st.lists(st.text(" aB.", max_size=30), max_size=3), st.integers(1, 9), st.booleans())
def test_only_what_is_too_long_is_cut(lines: list[str], most: int, by_sentence: bool) -> None:
    encode = Letters().encode
    found = parts_of(lines, Letters(), Splitting(most, by_sentence, "en"))
    assert len(found) == len(lines)
    for line, parts in zip(lines, found, strict=True):
        assert all(len(encode(part)) - 1 <= most for part in parts)
        assert encode("".join(parts)) == encode(line)
        if len(encode(line)) - 1 <= most and not by_sentence:
            assert parts == [line]


def test_sentences_are_parts_where_lines_are_split() -> None:
    text = "He runs. She swims today. Why?"
    assert parts_of([text, "One."], Letters(), Splitting(99, True, "en")) == [
        ["He runs.", "She swims today.", "Why?"],
        ["One."],
    ]
    assert parts_of([text], Letters(), Splitting(99)) == [[text]]
    shorter = parts_of([text], Letters(), Splitting(8, True))
    assert shorter == [["He runs.", "She swims", "today.", "Why?"]]


def test_scores_are_added_and_texts_joined() -> None:
    first = [Candidate("a", -1.0, -2.0, [5]), Candidate("b", -3.0, -4.0, [6])]
    last = [Candidate("c", -0.5, -0.25, [7, 8])]
    found = join(["x", " ", "y"], [first, [NOTHING], last])
    assert found.parts == [("x", "a"), (" ", ""), ("y", "c")]
    assert found.hypotheses == [
        Candidate("a c", -1.5, -2.25, [5, 7, 8]),
        Candidate("b c", -3.5, -4.25, [6, 7, 8]),
    ]
    chinese = [first[0]._replace(text="好。")], [last[0]._replace(text="是。")]
    (joined,) = join(["x", "y"], chinese, "zh").hypotheses
    assert joined.text == "好。是。" and not joined.cut
    assert join(["x", "y"], [first[:1], [last[0]._replace(cut=True)]]).cut


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
