"""What a person sees on a terminal: one live bar below the log, and nothing broken by it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from terminal import ROOT, check_bars, watch

PROGRAM = """
import logging, sys, time, warnings
from nmt.screen import activity, start_logging
start_logging(); start_logging()
log = logging.getLogger("nmt.test")
with activity("outer [/x]", 4) as outer:
    for number in range(4):
        log.info("line %d [/etc/hosts] [b] %s", number, "long " * 30)
        outer.advance()
        time.sleep(0.15)
        if number == 1:
            log.warning("something \\u0926 odd")
            warnings.warn("from a library")
        with activity("inner") as inner:
            inner.advance(1000)
            print("to standard error", file=sys.stderr)
            time.sleep(0.15)
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


def test_a_bar_becomes_lines_in_a_file() -> None:
    program = (
        "from nmt.screen import activity, start_logging\nstart_logging()\n"
        "with activity('encoding', 4, quiet=0) as bar:\n  for _ in range(4): bar.advance()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"\d\d:\d\d:\d\d 1/4  encoding\n", ran.stderr)
