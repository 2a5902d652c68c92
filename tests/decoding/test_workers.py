"""Work side by side: who does it, with how many threads, and what happens when it fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import sleep

import pytest
import torch

from nmt.config import DecodingConfig
from nmt.decoding.translate import WORTHWHILE, batches, workers_for
from nmt.decoding.workers import side_by_side


@pytest.fixture(autouse=True)
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_each_worker_has_its_share_of_the_threads() -> None:
    meeting = threading.Barrier(2, timeout=60)

    def work(task: int) -> tuple[int, int]:
        meeting.wait()  # two at a time, or never
        return torch.get_num_threads(), threading.get_ident()

    found = dict(side_by_side(work, range(6), 2))
    assert sorted(found) == list(range(6))
    assert {threads for threads, _ in found.values()} == {2}
    assert len({ident for _, ident in found.values()}) == 2
    assert torch.get_num_threads() == 4


@pytest.mark.parametrize(("tasks", "workers"), [(1, 2), (0, 2), (3, 1)])
def test_what_one_can_do_is_done_here_in_order(tasks: int, workers: int) -> None:
    found = list(side_by_side(lambda _: threading.get_ident(), range(tasks), workers))
    assert found == [(task, threading.get_ident()) for task in range(tasks)]


def test_one_that_fails_ends_it_all() -> None:
    done = []

    def work(task: int) -> None:
        if task == 0:
            raise ValueError("no")
        sleep(0.005)
        done.append(task)

    with pytest.raises(ValueError, match="no"):
        list(side_by_side(work, range(1000), 2))
    assert len(done) < 500, "what had not begun was left"
    assert torch.get_num_threads() == 4


def test_threads_to_come_start_as_before() -> None:
    list(side_by_side(lambda task: task, range(4), 2))
    seen = list[int]()
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert seen == [4]


@pytest.mark.parametrize("workers", [2, 3, 5])
@pytest.mark.parametrize("bound", [20, 64, 10**4])
def test_each_worker_has_as_many_batches(bound: int, workers: int) -> None:
    sources = [[4] * (1 + index % 7) for index in range(40)]
    found = list(batches(sources, bound, workers))
    assert len(found) % workers == 0
    assert sorted(index for batch in found for index in batch) == list(range(40))
    sizes = [len(batch) * max(len(sources[index]) for index in batch) for batch in found]
    assert max(sizes) <= bound
    assert len(found) - len(list(batches(sources, bound))) < workers
    assert max(sizes) < 2 * sum(map(len, sources)) / len(found) + 7, "none has most of it all"


@pytest.mark.parametrize(
    ("tokens", "bound", "device", "asked", "expected"),
    [
        (10**6, 16384, "cpu", None, 2),
        (10**6, 16384, "cpu", 1, 1),
        (10**6, 16384, "cpu", 4, 3),  # so many threads
        (10**6, 16384, "cuda", 4, 1),
        (10**6, 2 * WORTHWHILE - 1, "cpu", None, 1),
        (10**6, 2 * WORTHWHILE, "cpu", 4, 2),
        (2 * WORTHWHILE - 1, 16384, "cpu", None, 1),
        (2 * WORTHWHILE, 16384, "cpu", None, 2),
        (0, 16384, "cpu", None, 1),
    ],
)
def test_workers_where_they_are_worth_it(
    tokens: int, bound: int, device: str, asked: int | None, expected: int
) -> None:
    torch.set_num_threads(3)
    config = DecodingConfig(batch_tokens=bound, workers=asked)
    assert workers_for(tokens, config, torch.device(device)) == expected
