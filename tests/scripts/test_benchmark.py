"""The command line of scripts/benchmark.py."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]


def test_a_table_and_json(script: Script, settings: list[str]) -> None:
    ran = script("benchmark", "train", *settings, "--steps", "3", "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    keys = ("source_tokens_per_second", "target_tokens_per_second", "padding", "peak_memory_mb")
    assert all(found[key] > 0 for key in (*keys, "first_step_seconds", "flop_utilisation"))
    shown = script("benchmark", "train", *settings, "--steps", "3")
    assert shown.returncode == 0, shown.stderr
    assert "tokens per second" in shown.stdout and "GFLOP/s" in shown.stdout


def test_translating_is_timed_beside_the_other_engine(
    script: Script, trained: tuple[Path, subprocess.CompletedProcess[str]], corpus: Path
) -> None:
    pytest.importorskip("ctranslate2")
    run, _ = trained
    some = corpus / "some.en"
    some.write_text("".join((corpus / "train.en").read_text().splitlines(True)[:20]))
    quick = ("--rounds", "1", "--threads", "1", "--beam-size", "2", "--input", some)
    against = ("--against", "ctranslate2", "--precision", "fp32")
    ran = script("benchmark", "decode", run, *quick, *against, "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["beam_size"] == 2 and found["greedy"]["beam_size"] == 1
    keys = ("sentences_per_second", "target_tokens_per_second", "peak_memory_mb", "ratio")
    assert all(each[key] > 0 for key in keys for each in (found, found["greedy"]))
    assert [each["engine"] for each in found["all"]] == ["nmt", "nmt", "ctranslate2", "ctranslate2"]
    shown = script("benchmark", "decode", run, *quick, "--set", "decoding.shortlist=5")
    assert shown.returncode == 0, shown.stderr
    assert "sentences/s" in shown.stdout and "times as fast" not in shown.stdout
    assert "shortlist" in shown.stdout


def test_mistakes_are_one_sentence(script: Script) -> None:
    cases = {
        ("train", "--steps", "0"): "error: --steps must be at least 1, but is 0",
        ("train", "training.batch_token=1"): "did you mean 'training.batch_tokens'?",
        ("train", "model=rnm"): "there is no model=rnm",
        ("decode", "nowhere"): "nowhere",
        ("decode", "nowhere", "--rounds", "0"): "error: --rounds must be at least 1, but is 0",
    }
    for arguments, told in cases.items():
        ran = script("benchmark", *arguments)
        assert ran.returncode == 2
        assert told in ran.stderr and len(ran.stderr.splitlines()) == 1
