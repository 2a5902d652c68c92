"""The command line of scripts/benchmark.py."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

Script = Callable[..., subprocess.CompletedProcess[str]]


def test_a_table_and_json(script: Script, settings: list[str]) -> None:
    ran = script("benchmark", "train", *settings, "--steps", "3", "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    keys = ("source_tokens_per_second", "target_tokens_per_second", "padding", "peak_memory_mb")
    assert all(found[key] > 0 for key in (*keys, "first_step_seconds", "flop_utilisation"))
    shown = script("benchmark", "train", *settings, "--steps", "3")
    assert shown.returncode == 0, shown.stderr
    assert "tokens a second" in shown.stdout and "GFLOP/s" in shown.stdout


def test_mistakes_are_one_sentence(script: Script) -> None:
    cases = {
        ("train", "--steps", "0"): "error: --steps must be at least 1, but is 0",
        ("train", "training.batch_token=1"): "did you mean 'training.batch_tokens'?",
        ("train", "model=rnm"): "there is no model=rnm",
    }
    for arguments, told in cases.items():
        ran = script("benchmark", *arguments)
        assert ran.returncode == 2
        assert told in ran.stderr and len(ran.stderr.splitlines()) == 1
