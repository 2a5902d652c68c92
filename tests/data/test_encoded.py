from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.config import EOS, DataConfig, TokenizerConfig
from nmt.data.cleaning import REASONS, clean
from nmt.data.corpus import Corpus, Split
from nmt.data.encoded import Prepared, prepare
from nmt.data.ids import Ids
from nmt.errors import UserError

LONG = ("a held source of some more words", "ein gehaltenes Ziel mit noch einigen weiteren Wörtern")
HELD = Split(["A  held source", LONG[0]], ["ein gehaltenes Ziel", LONG[1]], None)
NOTHING = Split([], [], None)


def reasons(pairs: list[tuple[str, str]], **knobs: object) -> tuple[list[int], dict[str, int]]:
    """The numbers of the pairs that are kept, and the counts."""
    corpus = Corpus(lambda _: iter(pairs), HELD, NOTHING, "")
    counts: Counter[str] = Counter()
    kept = list(clean(corpus, DataConfig(**knobs), counts))
    return [pairs.index(pair) for pair in kept], dict(counts)


@pytest.mark.parametrize(
    "pair, knobs, reason",
    [
        (("a dog", "ein Hund"), {}, None),
        (("", "leer"), {}, "empty"),
        (("space", " \t\u00a0"), {}, "empty"),
        (("one", "eins"), {"min_length": 2}, "length"),
        (("w " * 200, "w " * 200), {}, None),
        (("w " * 201, "w " * 200), {}, "length"),
        (("Yes", "Ja das ist so"), {}, None),
        (("Hm", "das ist nun wirklich viel zu lang"), {}, "ratio"),
        (("a b", "das ist nun wirklich viel zu lang"), {}, None),
        (("this is a cat and a dog", "这是一只猫和一只狗"), {}, None),
        ((LONG[0].upper(), "etwas anderes"), {}, "leak"),
        (("something else", LONG[1].replace(" ", "  ")), {}, "leak"),
        (("a HELD source", "Ein gehaltenes  Ziel"), {}, "leak"),
        (("a held source", "etwas anderes"), {}, None),
        (("something else", "ein gehaltenes Ziel"), {}, None),
        (("ein gehaltenes Ziel", "A held source"), {}, None),
        ((LONG[0], "etwas anderes"), {"drop_leaks": False}, None),
        (("a HELD source", "etwas anderes"), {"rules": 1}, "leak"),
        (("something else", "Ein gehaltenes  Ziel"), {"rules": 1}, "leak"),
    ],
)
def test_why_a_pair_is_dropped(pair, knobs, reason):
    kept, counts = reasons([pair], **knobs)
    assert kept == ([] if reason else [0])
    assert counts == ({"read": 1, reason: 1} if reason else {"read": 1})


def test_the_first_of_duplicates_stays():
    pairs = [("a dog", "ein Hund"), ("A  dog", "ein hund"), ("a dog", "der Hund")]
    assert reasons(pairs, rules=1) == ([0, 2], {"read": 3, "duplicate": 1})
    assert reasons(pairs) == ([0, 1, 2], {"read": 3}), "US is not us"
    assert reasons([*pairs, (" a dog", "ein  Hund")]) == ([0, 1, 2], {"read": 4, "duplicate": 1})
    assert reasons(pairs * 2, deduplicate=False)[1] == {"read": 6}


WORDS = st.text("ab \t", max_size=12)


@given(st.lists(st.tuples(WORDS, WORDS), max_size=30))
def test_every_pair_is_kept_or_counted(pairs):
    kept, counts = reasons(pairs, min_length=2, max_length=4)
    assert counts.get("read", 0) == len(pairs)
    assert len(kept) + sum(counts.get(reason, 0) for reason in REASONS) == len(pairs)


def contents(prepared: Prepared) -> list[dict[str, list[int]]]:
    return prepared.train.to_pylist()


def test_ids_are_those_of_the_tokenizer(make_config, pairs):
    prepared = prepare(make_config(), seed=1)
    source, target = prepared.tokenizers
    expected = [{"source": source.encode(a), "target": target.encode(b)} for a, b in pairs]
    assert contents(prepared) == expected
    assert all(row["source"][-1] == row["target"][-1] == EOS for row in contents(prepared))
    assert prepared.source_lengths.tolist() == [len(row["source"]) for row in expected]
    assert prepared.target_lengths.tolist() == [len(row["target"]) for row in expected]
    assert prepared.test == Split(["one test", ""], ["ein Test", "leer"], None)


def test_the_first_pairs_are_logged_from_the_cache_too(make_config, caplog):
    greek, russian = "ο σκύλος που βλέπει κάτω από το σπίτι", "собака которая видит под домом"
    pairs = [(f"{greek} {n}", f"{russian} {n}") for n in range(60)]
    config = make_config(pairs)
    with caplog.at_level(logging.INFO, logger="nmt"):
        tokenizers = prepare(config, seed=1).tokenizers
        first = [
            text for text in caplog.messages if text.startswith(("training pair", "the source"))
        ]
        assert len(first) == 4 and f"{greek} 0  ->  {russian} 0" in first[0]
        for known in (None, tokenizers):
            caplog.clear()
            prepare(config, 1, known)
            again = [text for text in caplog.messages if text in first]
            assert again == first and caplog.messages[-1].count("from the cache")


def test_read_is_kept_plus_dropped(make_config, pairs):
    bad = [
        ("", "x"),
        pairs[0],
        ("ONE test", "ein test"),
        ("x", "x " * 300),
        ("x", "eins zwei " * 10),
    ]
    long = [("Hund " * 30, "Katze " * 30)]
    prepared = prepare(make_config([*pairs, *bad, *long], max_pieces=25), seed=1)
    counts = dict(prepared.counts)
    assert counts.pop("read") == len(pairs) + 6 == sum(counts.values())
    assert counts["kept"] == prepared.train.num_rows == len(prepared.source_lengths)
    dropped = {"empty": 1, "duplicate": 1, "leak": 1, "length": 1, "ratio": 1}
    assert counts.items() >= dropped.items() and counts["pieces"] >= 1
    assert max(prepared.source_lengths.max(), prepared.target_lengths.max()) <= 26  # and EOS


def test_the_cache_gives_the_same(make_config, tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    fresh = prepare(make_config(), seed=1)
    assert "300 of 300 training pairs kept; dropped none; written to" in caplog.text
    caplog.clear()
    monkeypatch.setattr("nmt.data.encoded.clean", None)  # not called again
    again = prepare(make_config(), seed=1)
    assert caplog.text.count("from the cache") == 2
    given = prepare(make_config(), seed=9, tokenizers=fresh.tokenizers)
    for cached in (again, given):
        assert contents(cached) == contents(fresh)
        assert cached.counts == fresh.counts
        assert np.array_equal(cached.source_lengths, fresh.source_lengths)
        assert cached.tokenizers.source.model == fresh.tokenizers.source.model


@pytest.mark.parametrize(
    "knobs",
    [
        {"min_length": 3},
        {"max_pieces": 20},
        {"drop_leaks": False},
        {"tokenizer": TokenizerConfig(kind="bpe", vocabulary=330)},
        {"limit": 250},
    ],
    ids=lambda knobs: next(iter(knobs)),
)
def test_another_setting_is_another_corpus(make_config, tmp_path, knobs):
    prepare(make_config(), seed=1)
    before = set((tmp_path / "cache").glob("corpus-*"))
    prepare(make_config(**knobs), seed=1)
    assert len(set((tmp_path / "cache").glob("corpus-*")) - before) == 1


def test_what_fails_leaves_nothing_behind(make_config, tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nmt.data.encoded.encode_chunk", fail)
    with pytest.raises(KeyboardInterrupt):
        prepare(make_config(), seed=1)
    left = {path.name.partition("-")[0] for path in (tmp_path / "cache").iterdir()}
    assert left == {"look", "tokenizer"}


def test_nothing_left(make_config):
    with pytest.raises(
        UserError, match="no training pair is left: 0 of 1 .* kept; dropped 1 empty"
    ):
        prepare(make_config([("", "x")]), seed=1)


def test_a_cache_that_cannot_be_written(make_config, tmp_path: Path):
    (tmp_path / "file").touch()
    config = make_config()
    config.cache = str(tmp_path / "file" / "cache")
    with pytest.raises(UserError, match="data.cache: .*file is a file, not a folder"):
        prepare(config, seed=1)


def test_rows_are_taken_across_chunks(make_config, monkeypatch):
    monkeypatch.setattr("nmt.data.encoded.CHUNK", 7)
    prepared = prepare(make_config(), seed=1)
    rows = np.random.default_rng(1).permutation(300)
    taken = Ids(prepared.train, "target").take(rows)
    assert [ids.tolist() for ids in taken] == prepared.train["target"].take(rows).to_pylist()


def test_max_pieces_is_the_longest_that_stays(make_config):
    whole = prepare(make_config(), seed=1)
    longest = np.maximum(whole.source_lengths, whole.target_lengths) - 1  # EOS
    limit = int(np.median(longest))
    some = prepare(make_config(max_pieces=limit), seed=1, tokenizers=whole.tokenizers)
    assert len(some.train) == np.count_nonzero(longest <= limit) < len(whole.train)
