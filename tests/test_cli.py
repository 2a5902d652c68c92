"""How a script ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nmt.cli import guarded
from nmt.config import UserError


def mistaken() -> None:
    raise UserError("model.width must be even, but is 3")


def interrupted() -> None:
    raise KeyboardInterrupt


def test_a_users_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NMT_DEBUG", raising=False)
    assert guarded(mistaken) == 2
    assert capsys.readouterr().err == "error: model.width must be even, but is 3\n"


def test_debugging_shows_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NMT_DEBUG", "1")
    with pytest.raises(UserError):
        guarded(mistaken)


def test_the_other_ways_to_end() -> None:
    assert guarded(lambda: None) == 0
    assert guarded(lambda: 3) == 3
    assert guarded(interrupted) == 130


def test_a_reader_that_goes_away_is_no_error() -> None:
    program = (
        "from nmt.cli import guarded\n"
        "def main():\n"
        "    for line in range(100_000): print('line', line)\n"
        "raise SystemExit(guarded(main))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 141
        assert process.stderr.read() == b""
