"""Train, evaluate, translate, resume: the real command lines, one after the other."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Protocol

import pytest

Ran = subprocess.CompletedProcess[str]


class Script(Protocol):
    def __call__(self, name: str, *arguments: str | Path, stdin: str = "") -> Ran: ...


@pytest.fixture(scope="module")
def run(trained: tuple[Path, Ran]) -> Path:
    return trained[0]


def summary_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    return found


def lines_of(ran: Ran) -> list[str]:
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith("\n")
    return ran.stdout[:-1].split("\n")


def test_a_run_holds_all_that_is_promised(run: Path) -> None:
    files = ["config.yaml", "tokenizer.model", "metrics.jsonl", "summary.json"]
    folders = ["tensorboard", "attention/sentence-1", "samples", "checkpoints/00000020"]
    assert all((run / name).is_file() for name in files)
    assert all((run / name).is_dir() and any((run / name).iterdir()) for name in folders)
    summary = summary_of(run)
    promised = {"bleu", "chrf", "aer", "split", "signature", "seconds"}
    assert promised | {"target_tokens_per_second", "parameters"} <= set(summary)
    assert summary["split"] == "test" and summary["aer"] is None
    assert "version:" in summary["signature"] and summary["steps"] == 20


def test_it_tells_what_came_out_and_what_to_type_next(trained: tuple[Path, Ran]) -> None:
    run, ran = trained
    summary = summary_of(run)
    assert str(run) in ran.stdout and f"{summary['bleu']:.2f}" in ran.stdout
    assert "scripts/translate.py" in ran.stdout
    assert "step 20" in ran.stderr and "Traceback" not in ran.stderr


def test_evaluate_gives_the_bleu_of_the_summary(run: Path, script: Script) -> None:
    found = json.loads(script("evaluate", run, "--json").stdout)
    summary = summary_of(run)
    assert round(found["bleu"], 2) == summary["bleu"]
    assert round(found["chrf"], 2) == summary["chrf"]
    assert found["signatures"]["bleu"] == summary["signature"]
    assert found["split"] == "test" and found["sentences"] == 20 and found["aer"] is None
    assert found["ter"] > 0


def test_evaluate_gives_the_bleu_of_the_log(run: Path, script: Script) -> None:
    arguments = ("--split", "validation", "--checkpoint", "last", "--beam-size", "1", "--json")
    found = json.loads(script("evaluate", run, *arguments).stdout)
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    *_, logged = (line for line in lines if line["kind"] == "validation")
    assert (found["bleu"], found["chrf"]) == (logged["bleu"], logged["chrf"])


def test_translate_gives_a_line_for_each_line(run: Path, script: Script, tmp_path: Path) -> None:
    sentences = ["A dog sees.", "", 'Green cat, "and" a=b {c: d} [tree].', "  ", "Straße 🐕"]
    text = "".join(f"{sentence}\n" for sentence in sentences)
    piped = lines_of(script("translate", run, stdin=text))
    assert len(piped) == 5 and [bool(line) for line in piped] == [True, False, True, False, True]
    given, made = tmp_path / "in.txt", tmp_path / "out.txt"
    given.write_text(text, encoding="utf-8")
    assert script("translate", run, "--input", given, "--output", made).stdout == ""
    assert made.read_text(encoding="utf-8").split("\n") == [*piped, ""]
    picture = tmp_path / "map.png"
    assert lines_of(script("translate", run, *sentences, "--attention", picture)) == piped
    for number in (1, 3, 5):
        assert (tmp_path / f"map-{number}.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_goes_on_where_it_ended(run: Path, script: Script, tmp_path: Path) -> None:
    """On a copy elsewhere: a run is movable."""
    copy = tmp_path / "moved run"
    subprocess.run(["cp", "-r", run, copy], check=True)
    ran = script("train", f"resume={copy}", "training.max_steps=24")
    assert ran.returncode == 0, ran.stderr
    assert summary_of(copy)["steps"] == 24
    steps = [json.loads(line)["step"] for line in (copy / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps) and steps[-1] == 24
    assert summary_of(run)["steps"] == 20, "the one it was copied from is as it was"


def test_many_runs_of_one_command(script: Script, settings: list[str], tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    changed = ("training.max_steps=2", f"runs={runs}", "training.samples=0")
    models = "model=rnn_tiny,transformer_tiny"
    ran = script("train", "-m", *settings[1:], *changed, models, "model.attention.heads=2")
    assert ran.returncode == 0, ran.stderr
    made = sorted(path.name for path in runs.iterdir() if path.is_dir())
    assert made == ["files-rnn", "files-transformer"]
    for name in made:
        assert summary_of(runs / name)["steps"] == 2
    assert lines_of(script("translate", runs / "files-rnn", "A dog sees.", "", "A cat."))[1] == ""
