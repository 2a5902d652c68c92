"""Many runs of one command: each logs like a run of its own, and mistakes come to light first."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Protocol

import pytest

from nmt.errors import UserError
from nmt.sweep import plan_sweep

CONFIGS = Path(__file__).parents[2] / "configs"
Ran = subprocess.CompletedProcess[str]


class Script(Protocol):
    def __call__(self, name: str, *arguments: str | Path, stdin: str = "") -> Ran: ...


def test_each_run_logs_like_a_single_one(
    script: Script, settings: list[str], corpus: Path, tmp_path: Path
) -> None:
    """The second of three cannot be trained; the third is trained all the same."""
    ids = tmp_path / "missing"
    trains = f'data.train="{corpus}/train.en,{corpus}/train.de","{ids}.en,{ids}.de"'
    changed = ("training.max_steps=2", f"runs={tmp_path}", "training.samples=0", "model=rnn_tiny")
    given = [each for each in settings[1:] if not each.startswith(("data.train=", "training.max"))]
    given = [each for each in given if not each.startswith("training.samples")]
    ran = script("train", "-m", *given, *changed, trains, "training.seed=3,4")
    assert ran.returncode == 2 and "Traceback" not in ran.stderr
    lines = ran.stderr.splitlines()
    starts = [place for place, line in enumerate(lines) if " run " in line and " of 4: " in line]
    assert "run 1 of 4: " in lines[starts[0]] and "training.seed=3" in lines[starts[0]]
    assert "rnn_tiny" not in lines[starts[0]], "only what differs"
    assert ran.stderr.count("translating the test set") == 2
    assert ran.stderr.count("step 2 (") == 2
    errors = [line for line in lines if line.startswith("error: run ")]
    assert len(errors) == 2 and all(f"there is no file {ids}.en" in error for error in errors)
    assert "all 4 runs have ended; failed: run" in lines[-1]


def plan(*arguments: str) -> list[str]:
    return [str(job) for job in plan_sweep(CONFIGS, ["-m", *arguments])]


def test_runs_are_numbered_and_named_by_what_differs() -> None:
    assert plan("model=rnn_tiny,transformer_tiny", "training.seed=1") == [
        "run 1 of 2: model=rnn_tiny",
        "run 2 of 2: model=transformer_tiny",
    ]
    assert plan("training.seed=range(1,4)")[2] == "run 3 of 3: training.seed=3"
    assert plan("model=rnn") == ["run 1 of 1"]
    assert plan_sweep(CONFIGS, ["model=rnn"]) == []
    assert plan_sweep(CONFIGS, ["-m", "--cfg", "job", "model=rnn"]) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.attention.heads=4,3"], "run 2 of 2: model.attention.heads=3: model.width must be"),
        (["model=rnn,rnm"], "run 2 of 2: model=rnm: there is no model=rnm"),
        (["training.seed=1,2", "training.seed=x,y"], "run 1 of 2: training.seed=x: training.seed"),
        (
            ["name=one", "training.seed=1,2"],
            "run 2 of 2: training.seed=2: run 1 has the same name=one",
        ),
        (["name=old,new"], "run 1 of 2: name=old: the run directory "),
    ],
)
def test_a_mistake_in_any_run_comes_before_the_first(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    with pytest.raises(UserError) as caught:
        plan(*arguments, f"runs={tmp_path}")
    assert str(caught.value).startswith(message)
