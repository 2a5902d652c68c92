"""Lines in, lines out; the search itself is tested beside this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import pytest

from nmt.config import EOS, DecodingConfig
from nmt.decoding import Hypothesis
from nmt.decoding.text import NOTHING, Candidate, Codec, n_best_lines
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
        model: Seq2Seq,
        sources: Sequence[Sequence[int]],
        config: DecodingConfig,
        progress: Progress,
        *,
        n_best: int,
        constrain: None,
        shortlist: None,
    ) -> list[list[Hypothesis]]:
        assert all(len(ids) > 1 for ids in sources)
        if progress is not None:
            progress(len(sources))
        return [[Hypothesis(list(reversed(ids[:-1])), 0.0, 0.0)] for ids in sources]

    monkeypatch.setattr("nmt.decoding.text.translate_ids", search)


def backwards(lines: Sequence[str], progress: Progress = None) -> list[str]:
    model, config = cast(Seq2Seq, None), DecodingConfig()
    found = n_best_lines(model, lines, config, Codec(encode, decode), progress=progress)
    return [candidates[0].text for candidates in found]


def test_blank_lines_are_restored_in_their_places() -> None:
    assert backwards(["", "ab", "  \t", "c d", "\u2028", ""]) == ["", "ba", "", "d c", "", ""]


def test_nothing_in_nothing_out() -> None:
    assert backwards([]) == []
    assert backwards(["", " "]) == ["", ""]


def test_progress_adds_up_to_all_lines() -> None:
    told: list[int] = []
    backwards(["", "ab", " ", "cd", "e"], told.append)
    assert sum(told) == 5


def candidates_of(
    monkeypatch: pytest.MonkeyPatch,
    found: list[tuple[str, float]],
    n_best: int,
    config: DecodingConfig,
) -> list[list[Candidate]]:
    """Of a blank line and of another, for which the search finds these texts and probabilities."""
    asked: list[int] = []

    def search(
        *arguments: object, n_best: int, constrain: None, shortlist: None
    ) -> list[list[Hypothesis]]:
        asked.append(n_best)
        return [[Hypothesis([ord(letter) for letter in text], p, p) for text, p in found]]

    monkeypatch.setattr("nmt.decoding.text.translate_ids", search)
    made = n_best_lines(
        cast(Seq2Seq, None), [" ", "x"], config, Codec(encode, str_of), n_best=n_best
    )
    assert asked == [config.samples if config.strategy == "mbr" else n_best]
    return made


def str_of(ids: Sequence[int]) -> str:
    """Of a tokenizer that writes one text in several ways."""
    return decode(ids).replace("_", "")


def test_candidates_are_sorted_and_differ_in_text(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [("b", -3.0), ("a_", -2.0), ("a", -1.0), ("c", -4.0)]
    blank, made = candidates_of(monkeypatch, found, 4, DecodingConfig(strategy="sample"))
    assert blank == [NOTHING]
    assert [(each.text, each.score) for each in made] == [("a", -1.0), ("b", -3.0), ("c", -4.0)]
    assert made[0].tokens == [ord("a")]


@pytest.mark.parametrize("utility", ["chrf", "bleu"])
def test_mbr_takes_the_sample_most_like_the_others(
    monkeypatch: pytest.MonkeyPatch, utility: str
) -> None:
    samples = [("it rains", -0.1), ("a dog runs", -5.0), ("a dog ran", -6.0), ("a dog run_s", -4.0)]
    config = DecodingConfig(strategy="mbr", utility=utility)
    _, made = candidates_of(monkeypatch, samples, 2, config)
    assert [each.text for each in made] == ["a dog runs", "a dog ran"]
    assert made[0].log_prob == -4.0  # of the likeliest sample of that text
    assert 100 > made[0].score > made[1].score
