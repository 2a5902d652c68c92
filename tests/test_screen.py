"""What a person sees on a terminal: one live bar below the log, and nothing broken by it."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyte
import pytest

ROOT = Path(__file__).parents[1]
BAR = re.compile("[━╸╺]{6}|-{6}")
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


PROGRAM = """
import logging, sys, time, warnings
from nmt.screen import activity, start_logging
start_logging(); start_logging()
log = logging.getLogger("nmt.test")
with activity("outer [/x]", 4) as outer:
    for number in range(4):
        log.info("line %d [/etc/hosts] [b] %s", number, "long " * 30)
        outer.advance()
        time.sleep(0.3)
        if number == 1:
            log.warning("something \\u0926 odd")
            warnings.warn("from a library")
        with activity("inner") as inner:
            inner.advance(1000)
            print("to standard error", file=sys.stderr)
            time.sleep(0.3)
print("done")
"""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("columns", [100, 44])
def test_log_lines_stand_above_the_bar(encoding: str, columns: int) -> None:
    seen = watch(
        [sys.executable, "-c", PROGRAM], columns=columns, PYTHONIOENCODING=f"{encoding}:strict"
    )
    assert seen.status == 0 and "Traceback" not in seen.written
    assert {"outer", "inner"} <= check_bars(seen)
    text = "\n".join(seen.last)
    assert all(f"line {number} [/etc/hosts] [b]" in text for number in range(4))
    assert "warning: something" in text and "from a library" in text
    assert text.count("to standard error") == 4 and seen.last[-1] == "" and "done" in seen.last
    shown, hidden = (seen.written.partition("line 1")[0].rfind(f"\x1b[?25{end}") for end in "hl")
    assert shown > hidden, "the cursor stays visible, should the program be killed"


def test_nothing_is_shown_unless_an_entry_point_asks() -> None:
    program = "from nmt.screen import activity\nwith activity('x', 3) as bar: bar.advance()"
    assert watch([sys.executable, "-c", program]).written == ""


def test_a_bar_becomes_lines_in_a_file(tmp_path: Path) -> None:
    program = (
        "from nmt.screen import activity, start_logging\nstart_logging()\n"
        "with activity('encoding', 4, quiet=0) as bar:\n  for _ in range(4): bar.advance()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"\d\d:\d\d:\d\d 1/4  encoding\n", ran.stderr)
