"""A terminal to watch a program on: a pseudo-terminal and a model of its screen."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import termios
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyte

ROOT = Path(__file__).parents[2]
BAR = re.compile("^[^+|]*([━╸╺]{6}|-{6})")  # tables of ASCII have + and |
LINES = 200


class Seen(NamedTuple):
    """What stood on a terminal, each time that the program paused, and at its end."""

    status: int
    frames: list[list[str]]
    written: str

    @property
    def last(self) -> list[str]:
        return self.frames[-1]


def watch(command: Sequence[str], *, columns: int = 100, **settings: str) -> Seen:
    """Runs a command on a pseudo-terminal of its own."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (LINES, columns))
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=slave, stdout=slave, stderr=slave, env=environment | settings
    )
    os.close(slave)
    screen, written, frames = pyte.Screen(columns, LINES), b"", []
    stream = pyte.ByteStream(screen)
    while True:
        if not select.select([master], [], [], 0.02)[0]:
            frames.append([line.rstrip() for line in screen.display])
            continue
        try:
            block = os.read(master, 1 << 16)
        except OSError:  # on Linux the end of a terminal is an error
            break
        if not block:
            break
        stream.feed(block)
        written += block
    os.close(master)
    frames.append([line.rstrip() for line in screen.display])
    return Seen(process.wait(), frames, written.decode(errors="replace"))


def check_bars(seen: Seen) -> set[str]:
    """At most one bar at a time, alone on its line, and none at the end; the first words of all."""
    words = set()
    for frame in seen.frames:
        bars = [line for line in frame if BAR.search(line)]
        assert len(bars) <= 1, "\n".join(frame)
        for bar in bars:
            assert not re.match(r"\d\d:\d\d:\d\d", bar), bar
            words.add(bar.split(maxsplit=1)[0])
            following = frame[frame.index(bar) + 1 :]
            assert not any(following), "\n".join(frame)
    assert not any(BAR.search(line) for line in seen.last), "\n".join(seen.last)
    return words
