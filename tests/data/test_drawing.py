"""Held-out pairs and limits are drawn by content."""

from __future__ import annotations

import logging
import random
from collections import Counter
from pathlib import Path

import pytest

from nmt.config import DataConfig
from nmt.data.cleaning import clean
from nmt.data.corpus import load_corpus, read_split
from nmt.data.drawing import draw, first_beyond
from nmt.data.splits import split_of

Pairs = list[tuple[str, str]]


WORDS = ("ab", "cd", "ef", "gh", "ij", "kl", "mn", "op")


def sentence(number: int, length: int) -> str:
    rng = random.Random(number)
    return " ".join(rng.choice(WORDS) for _ in range(length))


SORTED = [
    (f"{n} {sentence(n, 3 + n // 20)}", f"{n} {sentence(-n, 3 + n // 20)}") for n in range(400)
]


@pytest.fixture
def config(tmp_path: Path):
    def make(train: Pairs, **knobs: object) -> DataConfig:
        text = "".join(f"{source}\t{target}\n" for source, target in train)
        (tmp_path / "train.tsv").write_text(text, encoding="utf-8")
        return DataConfig(source="files", path=str(tmp_path), train="train.tsv", **knobs)

    return make


def parts(config: DataConfig) -> list[Pairs]:
    corpus = load_corpus(config)
    cleaned = list(clean(corpus, config, Counter()))
    return [cleaned, corpus.validation.pairs, corpus.test.pairs]


def mean_length(pairs: Pairs) -> float:
    return sum(len(source.split()) for source, _ in pairs) / len(pairs)


def test_every_part_is_like_the_corpus(config, caplog):
    caplog.set_level(logging.INFO)
    train, validation, test = parts(config(SORTED, hold_out=40))
    assert sorted(train + validation + test) == sorted(SORTED)
    assert len(validation) == len(test) == 40
    lengths = [mean_length(part) for part in (train, validation, test)]
    assert max(lengths) - min(lengths) < 2.5, "at the end of the file they are twice as long"
    assert (
        "held out 40 pairs for validation and 40 for test, drawn from the 400 pairs" in caplog.text
    )


def test_the_draw_depends_on_the_contents_alone(config):
    def held(pairs: Pairs, **knobs: object) -> list[set[tuple[str, str]]]:
        return [set(part) for part in parts(config(pairs, hold_out=20, **knobs))[1:]]

    first = held(SORTED)
    assert first == held(SORTED[::-1]) == held(SORTED * 2)
    assert first == [
        set(read_split(config(SORTED, hold_out=20), name).pairs) for name in ("validation", "test")
    ]
    other = held(SORTED, draw=2)
    assert len(first[0] & other[0]) < 10 and len(first[1] & other[1]) < 10
    smaller = parts(config(SORTED, hold_out=10))[1:]
    assert [set(part) < whole for part, whole in zip(smaller, first, strict=True)] == [True, True]
    # Not only on this machine: Python's own hashes differ from process to process.
    fixed = parts(config(SORTED, hold_out=3))[1]
    assert sorted(int(source.split()[0]) for source, _ in fixed) == [37, 314, 355]


def test_what_is_not_clean_is_never_held_out(config):
    dirt = [("", ""), ("x", ""), ("", "y"), ("w " * 300, "w " * 300), ("x", "y " * 100)]
    noisy = [*SORTED, *[pair for n in range(80) for pair in dirt]]
    train, validation, test = parts(config(noisy, hold_out=40))
    assert sorted(train + validation + test) == sorted(SORTED)
    assert len(validation) == len(test) == 40


def test_a_held_out_source_is_no_training_pair(config):
    """Nor are its duplicates, up to case and spaces."""
    more = [(f" {source.upper()}", target) for source, target in SORTED]
    other = [(source, f"{target} too") for source, target in SORTED]
    train, validation, test = parts(config(SORTED + more + other, hold_out=40))
    held = {source.strip().lower() for source, _ in validation + test}
    assert len(held) == 80
    assert {source.strip().lower() for source, _ in train}.isdisjoint(held)
    assert len(train) == 3 * 320


def test_what_is_said_often_stays_in_training(config):
    """Of a source that the corpus has many times, all pairs would be lost."""
    greetings = [("Yes.", "Ja."), ("Yes.", "Doch."), ("Thank you.", "Danke.")] * 40
    train, validation, test = parts(config(SORTED + greetings, hold_out=40))
    assert {pair for pair in train if pair in greetings} == set(greetings)
    assert set(validation + test) <= set(SORTED)


def test_short_sides_in_common_are_no_leak(config, tmp_path):
    held = [("Yes.", "Ja."), (SORTED[300][0], "etwas anderes")]
    for name in ("validation", "test"):
        (tmp_path / f"{name}.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in held))
    train = [("yes.", "ja."), ("Yes.", "Doch."), ("So.", "Ja."), SORTED[300], SORTED[2]]
    knobs = config(train, validation="validation.tsv", test="test.tsv")
    assert parts(knobs)[0] == [("Yes.", "Doch."), ("So.", "Ja."), SORTED[2]]


@pytest.mark.parametrize("limit", [1, 30, 299])
def test_a_limit_draws_clean_pairs_of_all_lengths(config, limit):
    noisy = [pair for one in SORTED for pair in (one, ("", "x"), one)]
    train, validation, test = parts(config(noisy, hold_out=40, limit=limit))
    assert len(train) == limit == len(set(train))
    assert set(train) <= set(SORTED) - set(validation) - set(test)
    if limit == 30:
        assert abs(mean_length(train) - mean_length(SORTED)) < 4
        more = parts(config(noisy, hold_out=40, limit=60))[0]
        assert set(train) < set(more), "a smaller limit is a part of a larger one"


def test_the_first_of_a_ranking():
    ranks = [5, 3, 9, 3, 7]
    assert first_beyond(ranks, 2, distinct=True) == 7
    assert first_beyond(ranks, 2, distinct=False) == 5
    assert first_beyond(ranks, 1, distinct=False) == 3, "at most one, as both have the same rank"
    assert first_beyond(ranks, 4, distinct=True) is None


def test_a_part_of_a_split_is_drawn_with_its_alignments():
    alignments = [[(n, n)] for n in range(400)]
    split = split_of(SORTED, alignments)
    some = draw(split, 50, DataConfig())
    numbers = [SORTED.index(pair) for pair in some.pairs]
    assert some.alignments == [alignments[number] for number in numbers]
    assert numbers == sorted(numbers) != list(range(50)) and len(numbers) == 50
    assert abs(mean_length(some.pairs) - mean_length(SORTED)) < 3
    assert draw(split, 400, DataConfig()) == draw(split, None, DataConfig()) == split
    assert draw(split, 50, DataConfig(rules=1)).pairs == SORTED[:50]
    assert draw(split, 50, DataConfig(draw=2)) != some


def test_a_large_share_that_is_dropped_is_warned_of(make_config, pairs, caplog):
    from nmt.data.encoded import prepare

    mostly = [*pairs[:100], *[("one validation", "eine Validierung")] * 40]
    prepare(make_config(mostly), seed=1)
    assert caplog.messages == [
        "29% of the training pairs are also in validation or test (data.drop_leaks)",
    ]
