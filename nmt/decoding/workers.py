"""Work done side by side on a CPU: the small operations of one search leave threads idle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

import torch

Task = TypeVar("Task")
Found = TypeVar("Found")


def side_by_side(
    work: Callable[[Task], Found], tasks: Sequence[Task], workers: int
) -> Iterator[tuple[Task, Found]]:
    """Each task and what `work` finds of it, in the order in which they are done.

    Each of the `workers` has its share of torch's threads. The first exception ends it all.
    """
    workers = min(workers, len(tasks))
    if workers <= 1:
        for task in tasks:
            yield task, work(task)
        return
    threads = torch.get_num_threads()
    share = max(1, threads // workers)
    # A thread's own number of threads; but it is also what threads to come start with.
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(share,))
    try:
        doing = {pool.submit(work, task): task for task in tasks}
        for done in as_completed(doing):
            yield doing[done], done.result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
