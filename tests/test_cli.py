"""What the scripts share: the flags of the search, and how they end."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import fields

import pytest

from nmt.cli import KNOBS, add_search, check_search, guarded, search_overrides
from nmt.config import DecodingConfig
from nmt.errors import UserError


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


def test_what_a_terminal_cannot_show_is_escaped() -> None:
    program = (
        "from nmt.cli import guarded\n"
        "raise SystemExit(guarded(lambda: print('Tür \\u4e2d \\udc80')))\n"
    )
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True)
    assert (ran.returncode, ran.stdout) == (0, b"T\\xfcr \\u4e2d \\udc80\n"), ran.stderr


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


def searching(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    add_search(parser)
    return parser.parse_args(words)


def test_every_flag_of_the_search_is_a_key_of_the_config() -> None:
    assert set(KNOBS) <= {field.name for field in fields(DecodingConfig)}
    assert search_overrides(searching("--no-split-sentences")) == ["decoding.split_sentences=False"]
    words = [word for key in KNOBS for word in (f"--{key.replace('_', '-')}", "7")]
    assert search_overrides(searching(*words)) == [f"decoding.{key}=7" for key in KNOBS]
    assert search_overrides(searching("--mbr")) == ["decoding.strategy=mbr"]
    assert search_overrides(searching("--sample")) == ["decoding.strategy=sample"]
    assert search_overrides(searching()) == []


def test_no_flag_is_ignored() -> None:
    for words in (["--mbr", "--samples=4", "--seed=2"], ["--sample", "--top-k=4"], ["--groups=2"]):
        check_search(searching(*words))
    for words in (["--mbr", "--groups=2"], ["--sample", "--samples=4"], ["--top-k=4"]):
        with pytest.raises(UserError, match=words[-1].split("=")[0] + " needs "):
            check_search(searching(*words))
    check_search(searching("--top-k=4", "--set", "decoding.strategy=sample"))
