"""A guard against becoming slow. Ratios hold on a busy machine, times do not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ATTEMPTS = 3  # as other work on the machine may fall on one side of a comparison


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "work", "at_least"),
    [("transformer", "words", 1.5), ("transformer", "sentences", 1.4), ("rnn", "words", 1.2)],
)
def test_a_step_is_faster_than_a_plain_one(name: str, work: str, at_least: float) -> None:
    for attempt in range(ATTEMPTS):
        ratio = measure(name, work)
        print(f"{name}, {work}, attempt {attempt + 1}: {ratio:.2f} times as fast")
        if ratio >= at_least:
            return
    raise AssertionError(f"in none of {ATTEMPTS} attempts {at_least} times as fast")


def measure(name: str, work: str) -> float:
    """In a process of its own: where other tests have set the allocator, the plain step gains."""
    program = [sys.executable, Path(__file__).with_name("against_plain_torch.py"), name, work]
    environment = os.environ | {"LD_PRELOAD": ""}
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)
