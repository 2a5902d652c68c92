"""Lines in, lines out: how translate.py reads, writes and fails."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from io import FileIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nmt.config import Config
from nmt.decoding.parts import Translation
from nmt.decoding.text import Candidate
from nmt.errors import UserError
from nmt.stream import windows

SCRIPT = Path(__file__).parents[2] / "scripts" / "translate.py"
TEXT = "A dog 🐕 runs.\n\nlong\u2028line\x85\x0b\x0c\x1c one\n\ttab\t\r\n \nlast, without an end"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("translate_script", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Shouter:
    """Stands for a Translator: fast, and anybody can tell what it should have said."""

    config = Config()

    @classmethod
    def load(cls, runs: list[Path], **options: Any) -> Shouter:
        return cls()

    def n_best(self, sentences: Sequence[str], n_best: int, **options: Any) -> list[Translation]:
        texts = [sentence.strip().upper() for sentence in sentences]
        parts = [sentence.split("|") for sentence in sentences]
        return [
            Translation([Candidate(text, 0.0, 0.0, [])], [(part, part.upper()) for part in some])
            for text, some in zip(texts, parts, strict=True)
        ]

    def attention(self, sentence: str, translation: str) -> tuple[str, str]:
        return sentence, translation


Run = Callable[..., None]


@pytest.fixture
def run(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Run:
    def main(*arguments: str | Path) -> None:
        monkeypatch.setattr(sys, "argv", ["translate.py", "RUN", *map(str, arguments)])
        script.main()

    monkeypatch.setattr("nmt.translator.Translator", Shouter)
    return main


@pytest.mark.parametrize("window", [1, 7, 1 << 18])
def test_only_a_newline_ends_a_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, window: int
) -> None:
    monkeypatch.setattr("nmt.stream.WINDOW", window)
    given, made = tmp_path / "in", tmp_path / "out"
    given.write_bytes(TEXT.encode())
    run("--input", given, "--output", made)
    expected = [line.strip().upper() for line in TEXT.split("\n")]
    assert made.read_bytes().decode().split("\n") == [*expected, ""]


def test_nothing_in_nothing_out(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").touch()
    run("--input", tmp_path / "in", "--output", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b""


def test_what_is_there_is_translated_before_more_comes() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"one\ntwo\nthr")
    lines = windows(FileIO(reading))
    assert next(lines) == [b"one", b"two"]
    os.write(writing, b"ee")
    os.close(writing)
    assert list(lines) == [[b"three"]]


def test_a_pipe_is_read_once(run: Run, tmp_path: Path) -> None:
    pipe, made = tmp_path / "pipe", tmp_path / "out"
    os.mkfifo(pipe)
    with subprocess.Popen(["sh", "-c", f"printf 'one\ntwo' > {pipe}"]):
        run("--input", pipe, "--output", made)
    assert made.read_text() == "ONE\nTWO\n"


def test_sentences_of_the_command_line(run: Run, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    run("--beam-size", "3", "a, b=c 'd'", "", "two\nlines", "--", "-x")
    assert capfdbinary.readouterr().out == b"A, B=C 'D'\n\nTWO\nLINES\n-X\n"


def test_bytes_that_are_not_utf8(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given, made = tmp_path / "in", tmp_path / "out"
    given.write_bytes(b"one\ntwo\nthr\xffee\nfour\n")
    made.write_text("before")
    with pytest.raises(UserError, match=r"in, line 3 is not UTF-8 \(byte 0xff at position 4\)"):
        run("--input", given, "--output", made)
    assert made.read_text() == "before"
    assert (tmp_path / "out.part").read_text() == "ONE\nTWO\n"
    assert "out.part" in caplog.text
    run("--input", given, "--output", made, "--errors", "replace")
    assert made.read_text() == "ONE\nTWO\nTHR\ufffdEE\nFOUR\n"
    assert not (tmp_path / "out.part").exists()


def test_input_may_be_output(run: Run, tmp_path: Path) -> None:
    text, link = tmp_path / "text", tmp_path / "link"
    text.write_text("one\ntwo\n")
    link.symlink_to(text)
    run("--input", text, "--output", link)
    assert link.is_symlink() and text.read_text() == "ONE\nTWO\n"


def test_a_device_is_written_and_not_replaced(run: Run) -> None:
    run("one", "--output", "/dev/null")
    assert Path("/dev/null").is_char_device()


def test_a_failure_before_the_first_line_leaves_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(runs: list[Path], **options: Any) -> None:
        raise UserError("there is no run directory")

    monkeypatch.setattr(Shouter, "load", missing)
    with pytest.raises(UserError):
        run("one", "--output", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one", "--input", "in"], "give either sentences or --input FILE, not both"),
        (["--input", "missing"], "--input missing cannot be read: No such file or directory"),
        (["--input", "/"], "--input / cannot be read: Is a directory"),
        (["one", "--output", "no/where"], "--output no/where cannot be written: No such file"),
        (["one", "--attention", "map.pdf"], "--attention must name a .png file, but is map.pdf"),
        (["one", "--alignments", "no/where"], "--alignments no/where cannot be written: No such"),
        (["one", "--score", "a.de"], "--score FILE needs --input FILE"),
        (["one", "--attention-matrix"], "--attention-matrix needs --json"),
        (["one", "--sample", "--mbr"], "--sample and --mbr exclude each other"),
        (["one", "--temperature", "2"], "--temperature needs --sample or --mbr"),
        (["one", "--sample", "--utility", "bleu"], "--utility needs --mbr"),
        (["one", "--mbr", "--beam-size", "2"], "--beam-size needs beam search"),
    ],
)
def test_mistakes_are_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        run(*arguments)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[str, str]]]:
    """What was drawn, by the file's name."""
    found: dict[str, list[tuple[str, str]]] = {}

    def save(attention: list[tuple[str, str]], path: Path) -> None:
        found[path.name] = attention

    monkeypatch.setattr("nmt.attention_map.save_png", save)
    return found


def test_pictures_are_numbered_by_line(run: Run, drawn: dict[str, list[tuple[str, str]]]) -> None:
    run("one", "--attention", "map.png")
    assert drawn == {"map.png": [("one", "ONE")]}
    drawn.clear()
    run("one", "", "three", "--attention", "map.png")
    assert drawn == {"map-1.png": [("one", "ONE")], "map-3.png": [("three", "THREE")]}


def test_the_parts_that_were_translated_are_drawn(
    run: Run, drawn: dict[str, list[tuple[str, str]]], caplog: pytest.LogCaptureFixture
) -> None:
    run("one|two|  |three", "--attention", "map.png")
    assert drawn == {"map.png": [("one", "ONE"), ("two", "TWO"), ("three", "THREE")]}
    run("|".join(["word"] * 21), "--attention", "map.png")
    assert len(drawn["map.png"]) == 20 and "the first 20 parts of line 1" in caplog.text


def test_given_translations_are_scored_in_float32(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def load(runs: list[Path], *, overrides: Sequence[str], **options: Any) -> Shouter:
        asked[:] = overrides
        raise UserError("enough")

    monkeypatch.setattr(Shouter, "load", load)
    (tmp_path / "a").write_text("A dog.\n")
    scored = ("--input", tmp_path / "a", "--score", tmp_path / "a")
    for arguments, precision in ((scored, "fp32"), ((*scored, "--precision", "bf16"), "bf16")):
        with pytest.raises(UserError, match="enough"):
            run(*arguments)
        assert asked[0] == "decoding.precision=fp32" and asked[-1].endswith(precision)
    with pytest.raises(UserError, match="enough"):
        run("A dog.", "--no-split-sentences", "--no-repeat-ngram", "3")
    assert asked == ["decoding.no_repeat_ngram=3", "decoding.split_sentences=False"]


def test_fifty_pictures_are_enough(
    run: Run, drawn: dict[str, list[tuple[str, str]]], caplog: pytest.LogCaptureFixture
) -> None:
    run(*["word"] * 50, "--attention", "map.png")
    assert len(drawn) == 50 and not caplog.records
    with caplog.at_level(logging.WARNING):
        run(*["word"] * 51, "--attention", "map.png")
    assert len(drawn) == 50 and "the first 50 sentences" in caplog.text


def test_a_missing_run_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(tmp_path / "none"), "A dog."]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 2 and ran.stdout == ""
    assert ran.stderr.startswith("error: no such run directory")
    assert ran.stderr.count("\n") == 1
