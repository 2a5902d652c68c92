"""Commands to paste: a shell gives back what went in, and no corpus runs anything."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from nmt.commands import (
    curves_command,
    evaluate_command,
    is_harmless,
    pick_example,
    resume_command,
    translate_command,
)

HOSTILE = [
    "runs/it's here",
    'runs/"quoted" $(touch pwned) `touch pwned`',
    "runs/back\\slash\\",
    'runs/\\" both',
    "runs/日本 ü=1,{2}",
    "runs/[x] & ; | > y",
    "runs/new\nline",
]


def words_of(command: str) -> list[str]:
    """As a shell splits it."""
    script = f"set -- {command}; printf '%s\\0' \"$@\""
    ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    return ran.stdout.split("\0")[:-1]


@pytest.mark.parametrize("run", ["runs/plain-1", *HOSTILE])
def test_a_shell_gives_back_the_run(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words_of(translate_command(run, "A dog.")) == [
        "python",
        "scripts/translate.py",
        run,
        "A dog.",
    ]
    assert words_of(evaluate_command(run))[-1] == run
    assert words_of(curves_command(run))[-1] == run
    assert words_of(translate_command(run, None))[-1] == run
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("run", ["runs/plain-1", *(run for run in HOSTILE if "\n" not in run)])
def test_hydra_gives_back_the_run(run: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    override = shlex.split(resume_command(run))[-1]
    assert OverridesParser.create().parse_override(override).value() == run


@pytest.mark.parametrize(
    "sentence",
    [
        "A dog runs.",
        "Ein Mädchen läuft (schnell).",
        "我喜欢吃苹果，你呢？",
        "मैं घर जा रहा हूँ।",
        "¿Qué hora es?",
    ],
)
def test_a_plain_sentence_is_an_example(sentence: str) -> None:
    assert is_harmless(sentence)


@pytest.mark.parametrize(
    "sentence",
    ["", " ", "-rf x", "`date`", "$HOME", 'a "b"', "it's", "a\nb", "a\x1b[2Jb", "x" * 200, "a\\",
     "[b]x", "a & b", "~/x", "a ", "\u202eabc", "!x", "a!b"],
)  # fmt: skip
def test_other_sentences_are_not(sentence: str) -> None:
    assert not is_harmless(sentence)
    assert pick_example([sentence, "A dog."]) == "A dog."
    assert pick_example([sentence]) is None
