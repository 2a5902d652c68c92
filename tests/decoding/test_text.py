"""Lines in, lines out; the search itself is tested beside this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import pytest

from nmt.config import EOS, DecodingConfig
from nmt.decoding import Hypothesis
from nmt.decoding.text import translate_lines
from nmt.models.seq2seq import Seq2Seq

Progress = Callable[[int], None] | None


def encode(text: str) -> list[int]:
    return [*(ord(letter) for letter in text), EOS]


def decode(ids: Sequence[int]) -> str:
    return "".join(map(chr, ids))


@pytest.fixture(autouse=True)
def reversing_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that gives each sentence backwards, and refuses to be asked for nothing."""

    def search(
        model: Seq2Seq, sources: Sequence[Sequence[int]], config: DecodingConfig, progress: Progress
    ) -> list[list[Hypothesis]]:
        assert all(len(ids) > 1 for ids in sources)
        if progress is not None:
            progress(len(sources))
        return [[Hypothesis(list(reversed(ids[:-1])), 0.0, 0.0)] for ids in sources]

    monkeypatch.setattr("nmt.decoding.text.translate_ids", search)


def backwards(lines: Sequence[str], progress: Progress = None) -> list[str]:
    model, config = cast(Seq2Seq, None), DecodingConfig()
    return translate_lines(model, lines, config, encode=encode, decode=decode, progress=progress)


def test_blank_lines_are_restored_in_their_places() -> None:
    assert backwards(["", "ab", "  \t", "c d", "\u2028", ""]) == ["", "ba", "", "d c", "", ""]


def test_nothing_in_nothing_out() -> None:
    assert backwards([]) == []
    assert backwards(["", " "]) == ["", ""]


def test_progress_adds_up_to_all_lines() -> None:
    told: list[int] = []
    backwards(["", "ab", " ", "cd", "e"], told.append)
    assert sum(told) == 5
