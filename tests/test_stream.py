"""Lines in bounded memory: as they come from files, pipes and a person at a terminal."""

from __future__ import annotations

import os
import threading
from io import FileIO
from pathlib import Path

import pytest

from nmt.errors import UserError
from nmt.stream import count_lines, windows


def test_a_fast_pipe_gives_windows_and_not_single_lines() -> None:
    reading, writing = os.pipe()
    lines = [b"line %d" % row for row in range(50_000)]

    def feed() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(b"\n".join(lines))

    thread = threading.Thread(target=feed)
    thread.start()
    found = list(windows(FileIO(reading)))
    thread.join()
    assert [line for window in found for line in window] == lines
    assert len(found) < 200


def test_windows_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt.stream.WINDOW", 100)
    path = tmp_path / "text"
    path.write_bytes(b"123456789\n" * 1000)
    found = list(windows(FileIO(path)))
    assert {len(window) for window in found} == {10} and len(found) == 100


def test_an_endless_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt.stream.WINDOW", 100)
    monkeypatch.setattr("nmt.stream.LONGEST", 1000)
    path = tmp_path / "zeros"
    path.write_bytes(b"one\n" + bytes(5000))
    lines = windows(FileIO(path))
    assert next(lines) == [b"one"]
    with pytest.raises(UserError, match="line 2 is longer than"):
        next(lines)


@pytest.mark.parametrize("text", [b"", b"\n", b"a", b"a\n", b"a\nb", b"\n\n"])
def test_lines_are_counted_as_they_are_read(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "text"
    path.write_bytes(text)
    assert count_lines(path) == sum(map(len, windows(FileIO(path))))
