"""A guard against becoming slow. Ratios hold on a busy machine, times do not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ATTEMPTS = 3  # as other work on the machine may fall on one side of a comparison


@pytest.mark.slow
@pytest.mark.parametrize(("name", "at_least"), [("transformer", 1.5), ("rnn", 1.2)])
def test_a_step_is_faster_than_a_plain_one(name: str, at_least: float) -> None:
    for attempt in range(ATTEMPTS):
        ratio = measure(name)
        print(f"{name}, attempt {attempt + 1}: {ratio:.2f} times as fast")
        if ratio >= at_least:
            return
    raise AssertionError(f"in none of {ATTEMPTS} attempts {at_least} times as fast")


def measure(name: str) -> float:
    """In a process of its own: where other tests have set the allocator, the plain step gains."""
    program = [sys.executable, Path(__file__).with_name("against_plain_torch.py"), name]
    environment = os.environ | {"LD_PRELOAD": ""}
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)
