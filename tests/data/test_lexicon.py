"""The lexicon against the same model in plain loops."""

from __future__ import annotations

from collections import Counter, defaultdict
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from nmt.config import CANDIDATES, EOS
from nmt.data import lexicon
from nmt.data.encoded import Prepared
from nmt.data.ids import Ids
from nmt.data.lexicon import build_lexicon, likeliest, read_links, sample, translation_table

SOURCES, TARGETS = 23, 19  # pieces of each vocabulary
Pairs = list[tuple[list[int], list[int]]]
Probabilities = dict[tuple[int, int], float]


class Sides(NamedTuple):
    source: SimpleNamespace
    target: SimpleNamespace


def prepared(pairs: Pairs, sizes: tuple[int, int] = (SOURCES, TARGETS)) -> Prepared:
    columns = zip(*pairs, strict=True)
    kind = pa.list_(pa.int32())
    table = pa.table(
        {name: pa.array(ids, kind) for name, ids in zip(("source", "target"), columns, strict=True)}
    )
    lengths = [Ids(table, name).lengths for name in ("source", "target")]
    tokenizers = Sides(*(SimpleNamespace(size=size) for size in sizes))
    nothing: tuple[None, ...] = (None, None)
    return Prepared(tokenizers, table, *lengths, *nothing, {})  # type: ignore[arg-type]


def corpus(count: int = 40) -> Pairs:
    rng = np.random.default_rng(1)

    def ids(size: int) -> list[int]:
        return [*rng.integers(4, size, rng.integers(1, 8)).tolist(), EOS]

    return [(ids(SOURCES), ids(TARGETS)) for _ in range(count)]


def plain(pairs: Pairs) -> Probabilities:
    """p(target | source) in loops."""
    table: Probabilities = defaultdict(lambda: 1.0)
    for _ in range(lexicon.ITERATIONS):
        counts: Probabilities = defaultdict(float)
        for source, target in pairs:
            for word in target[:-1]:
                total = sum(table[each, word] for each in source)
                for each in source:
                    counts[each, word] += table[each, word] / total
        totals: dict[int, float] = defaultdict(float)
        for (each, _), count in counts.items():
            totals[each] += count
        table = {key: count / totals[key[0]] for key, count in counts.items()}
    return table


def test_the_probabilities_are_those_of_loops() -> None:
    pairs = corpus()
    data = prepared(pairs)
    table = translation_table(read_links(data, np.arange(len(pairs))), TARGETS)
    keys = zip(table.source.tolist(), table.target.tolist(), strict=True)
    found = dict(zip(keys, table.probability.tolist(), strict=True))
    assert found == pytest.approx(plain(pairs), rel=1e-9)


def test_candidates_are_the_likeliest_first() -> None:
    pairs = corpus()
    expected = plain(pairs)
    found = build_lexicon(prepared(pairs), 1).candidates
    assert found.shape == (SOURCES, CANDIDATES) and found.dtype == np.int32
    for source, row in enumerate(found.tolist()):
        likely = {word: p for (each, word), p in expected.items() if each == source}
        named = row[: len(likely)]
        assert set(named) == set(likely), "each once"
        assert [likely[word] for word in named] == pytest.approx(
            sorted(likely.values(), reverse=True)
        )
        assert set(row[len(likely) :]) <= {EOS}


def test_no_more_candidates_than_are_kept() -> None:
    links = read_links(prepared([([5, EOS], [*range(4, 104), EOS])], (6, 104)), np.arange(1))
    assert sorted(likeliest(translation_table(links, 104), 6)[5].tolist()) == [*range(4, 68)]


def test_the_commonest_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicon, "FREQUENT", 5)
    pairs = corpus()
    times = Counter(word for _, target in pairs for word in target[:-1])
    found = build_lexicon(prepared(pairs), 1).frequent.tolist()
    assert len(set(found)) == 5
    assert [times[word] for word in found] == [count for _, count in times.most_common(5)]


def test_words_find_their_translations() -> None:
    rng = np.random.default_rng(1)
    drawn = [rng.integers(4, 19, rng.integers(2, 7)) for _ in range(200)]
    pairs: Pairs = [
        ([*ids.tolist(), EOS], [*rng.permutation(22 - ids).tolist(), EOS]) for ids in drawn
    ]
    found = build_lexicon(prepared(pairs), 1).candidates
    assert found[4:19, 0].tolist() == [22 - source for source in range(4, 19)]


def test_a_sample_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    links = np.random.default_rng(1).integers(1, 50, 1000)
    assert sample(links, 1).tolist() == list(range(1000))
    monkeypatch.setattr(lexicon, "LINKS", 5000)
    some = sample(links, 1)
    assert 4900 < links[some].sum() <= 5000 and (np.diff(some) > 0).all()
    assert sample(links, 1).tolist() == some.tolist() != sample(links, 2).tolist()


def test_where_nothing_is_linked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicon, "LINKS", 0)
    found = build_lexicon(prepared(corpus()), 1)
    assert (found.candidates == EOS).all() and len(found.frequent) == TARGETS
