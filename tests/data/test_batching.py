from __future__ import annotations

from itertools import combinations, islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nmt.config import BOS, DataConfig
from nmt.data.batching import BatchStream, Position, padding_share, plan_batches, rounded
from nmt.data.encoded import prepare

LENGTHS = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=200)


def split(pairs) -> tuple[np.ndarray, np.ndarray]:
    source, target = np.array(pairs, dtype=np.int32).T
    return source, target


@given(pairs=LENGTHS, batch_tokens=st.integers(1, 300), seed=st.integers(0, 5))
def test_each_pair_once_and_no_batch_too_large(pairs, batch_tokens, seed):
    source, target = split(pairs)
    plan = plan_batches(source, target, batch_tokens, seed, epoch=0)
    assert sorted(np.concatenate(plan).tolist()) == list(range(len(pairs)))
    for rows in plan:
        size = len(rows) * max(source[rows].max(), target[rows].max() + 1)
        assert size <= batch_tokens or len(rows) == 1


def test_pools_change_nothing_about_that(monkeypatch):
    monkeypatch.setattr("nmt.data.batching.POOL", 16)
    test_each_pair_once_and_no_batch_too_large()


def test_seed_and_epoch_decide():
    source, target = np.random.default_rng(0).integers(5, 20, (2, 5000), dtype=np.int32)

    def plan(seed: int, epoch: int) -> list[tuple[int, ...]]:
        return [tuple(sorted(rows)) for rows in plan_batches(source, target, 800, seed, epoch)]

    assert plan(1, 0) == plan(1, 0)
    plans = [set(plan(*key)) for key in ((1, 0), (1, 1), (2, 0))]
    for one, other in combinations(plans, 2):
        assert len(one & other) < 0.1 * len(one)


def test_padding_is_what_the_batches_hold():
    source, target = np.array([3, 5, 2], np.int32), np.array([4, 4, 1], np.int32)
    share = padding_share([np.array([0, 1]), np.array([2])], source, target)
    assert share == pytest.approx((1 - 10 / 12, 0, 1 - 22 / 24))


def test_a_million_pairs_pad_little():
    rng = np.random.default_rng(0)
    source = rng.integers(3, 60, 1_000_000).astype(np.int32)
    target = (source * rng.uniform(0.7, 1.4, len(source))).astype(np.int32) + 1
    plan = plan_batches(source, target, 4096, seed=1, epoch=0)
    assert padding_share(plan, source, target).both < 0.03


@pytest.fixture
def prepared(make_config):
    return prepare(make_config(), seed=1)


def planned(prepared, count: int, **where):
    with BatchStream(prepared, 200, 1, **where) as stream:
        return list(islice(stream, count))


def same(ours, theirs) -> bool:
    return len(ours) == len(theirs) and all(
        place == other
        and torch.equal(batch.source, twin.source)
        and torch.equal(batch.target, twin.target)
        for (place, batch), (other, twin) in zip(ours, theirs, strict=True)
    )


def test_an_epoch_holds_every_sentence(prepared):
    size = len(plan_batches(prepared.source_lengths, prepared.target_lengths, 200, 1, 0))
    epoch = planned(prepared, size + 1)
    assert [(place.epoch, place.index) for place, _ in epoch] == [
        *((0, index) for index in range(size)),
        (1, 0),
    ]
    tokenizer = prepared.tokenizers.target
    found = sorted(
        tokenizer.decode(row) for _, batch in epoch[:-1] for row in batch.target.tolist()
    )
    rows = sorted(tokenizer.decode(row) for row in prepared.train["target"].to_pylist())
    assert found == rows
    assert all((batch.target[:, 0] == BOS).all() for _, batch in epoch)


def test_started_anywhere_it_goes_on_as_the_whole_would(prepared):
    whole = planned(prepared, 60)
    assert len({place.epoch for place, _ in whole}) > 1
    for start in range(0, 59, 3):
        rest = planned(prepared, 60 - start - 1, start=whole[start].position.next)
        assert same(rest, whole[start + 1 :])


def test_positions_are_ordered():
    assert Position(0, 9).next == Position(0, 10) < Position(1, 0)


def test_an_error_of_the_thread_reaches_the_consumer(prepared, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("no disk")

    monkeypatch.setattr("nmt.data.batching.collate", fail)
    with BatchStream(prepared, 200, 1) as stream, pytest.raises(RuntimeError, match="no disk"):
        next(stream)
    assert list(stream) == []


def test_closing_ends_the_thread_and_the_iteration(prepared):
    stream = BatchStream(prepared, 200, 1)
    next(stream)
    assert stream.waited > 0
    stream.close()
    stream.close()
    assert not stream._thread.is_alive()
    assert list(stream) == []


@pytest.mark.corpora
def test_padding_on_multi30k(corpora, tmp_path):
    path = str(corpora / "multi30k")
    config = DataConfig(name="multi30k", source="hub", path=path, cache=str(tmp_path))
    prepared = prepare(config, seed=1)
    lengths = prepared.source_lengths, prepared.target_lengths
    for epoch in range(3):
        assert padding_share(plan_batches(*lengths, 4096, 1, epoch), *lengths).both < 0.04
    counts = dict(prepared.counts)
    assert counts.pop("read") == 29_000 == sum(counts.values())


def test_batches_have_few_sizes() -> None:
    sizes = {count: rounded(count) for count in range(1, 1025)}
    assert all(0.8 * count <= size <= count for count, size in sizes.items())
    assert len(set(sizes.values())) < 40
