"""Standard input, output and error that are closed, full or read by nobody: never a traceback."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest
from terminal import check_bars, watch

ROOT = Path(__file__).parents[2]
Ran = subprocess.CompletedProcess[str]


class Script(Protocol):
    def __call__(self, name: str, *arguments: str | Path, stdin: str = "") -> Ran: ...


def shell(command: str, **settings: str) -> Ran:
    """A command line of a shell; `python` in it is this Python."""
    command = command.replace("python", sys.executable, 1)
    environment = {key: value for key, value in os.environ.items() if key != "NMT_DEBUG"}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["sh", "-c", command], cwd=ROOT, env=environment | settings, capture_output=True, text=True
    )


GUARDED = shlex.quote(
    "import sys\n"
    "from nmt.cli import guarded, require_input, require_output\n"
    "from nmt.errors import UserError\n"
    "from nmt.screen import activity, start_logging\n"
    "def main():\n"
    "    start_logging()\n"
    "    if 'in' in sys.argv: require_input(); print(len(sys.stdin.read()))\n"
    "    if 'out' in sys.argv: require_output()\n"
    "    if 'mistake' in sys.argv: raise UserError('a mistake')\n"
    "    if 'missing' in sys.argv: open('/no/such/file')\n"
    "    handle = open('/dev/null'); assert handle.fileno() > 2\n"
    "    import logging; logging.getLogger('nmt').warning('a warning')\n"
    "    print('word ' * 10_000)\n"
    "raise SystemExit(guarded(main))\n"
)


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (">&-", 0, "warning: a warning"),
        ("out >&-", 2, "error: standard output is closed"),
        ("in <&-", 2, "error: standard input is closed"),
        ("2>&-", 0, None),
        ("<&- >&- 2>&-", 0, None),
        ("mistake 2>&-", 2, None),
        ("mistake >&-", 2, "error: a mistake"),
        ("missing", 2, "error: /no/such/file: No such file or directory"),
        ("mistake 2>/dev/full", 2, None),
        (">/dev/full", 2, "error: reading or writing failed: No space left on device"),
    ],
)
def test_streams_that_are_closed_or_full(arguments: str, status: int, told: str | None) -> None:
    ran = shell(f"python -c {GUARDED} {arguments}")
    assert ran.returncode == status, ran.stderr
    assert "Traceback" not in ran.stderr and "Exception" not in ran.stderr
    assert told in ran.stderr if told is not None else ran.stderr == ""


@pytest.mark.parametrize("closed", [">&-", "<&-", ">/dev/full"])
def test_translate_with_a_stream_less(closed: str, untrained_run: Path) -> None:
    pipe = "echo dog | " if "full" in closed else ""
    ran = shell(f"{pipe}python scripts/translate.py {untrained_run} {closed} --device cpu")
    assert ran.returncode == 2 and ran.stdout == ""
    assert ran.stderr.startswith("error: standard ") and ran.stderr.count("\n") == 1


def test_a_finished_run_once_more_with_no_streams_at_all(
    trained: tuple[Path, Ran], tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained[0], tmp_path / "run"))
    (run / "summary.json").unlink()
    ran = shell(f"python scripts/train.py resume={run} <&- >&- 2>&-")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert json.loads((run / "summary.json").read_text())["steps"] == 20


def test_a_training_on_a_terminal(settings: list[str], tmp_path: Path) -> None:
    """With sentences of which each would break a table, a shell or a terminal; and its table once
    more where only ASCII can be shown."""
    texts = ["Open [/etc/hosts] now", "[b]x[/b] `touch pwned`", "$(touch pwned) $x_1^{", "-rf 中 ☃"]
    test, run = tmp_path / "test.tsv", tmp_path / "[b]run"
    test.write_text("".join(f"{text}\t{text}\n" for text in texts), encoding="utf-8")
    command = [sys.executable, "scripts/train.py", *settings[1:], "model=transformer_tiny"]
    changed = [f"data.test={test}", 'name="[b]run"', f"runs={tmp_path}", "model.attention.heads=2"]
    seen = watch([*command, *changed], PYTHONIOENCODING="utf-8")
    words = check_bars(seen)
    again = watch([*command[:2], f'resume="{run}"'], PYTHONIOENCODING="ascii")
    words |= check_bars(again)
    assert {"step", "validating", "translating"} & words
    for each in (seen, again):
        text = "\n".join(each.last)
        assert each.status == 0 and "Traceback" not in text, text
        assert "BLEU" in text and "chrF" in text
        assert f"translate:  python scripts/translate.py '{run}'" in text.replace("\n", "")
    assert "step 20 (" in "\n".join(seen.last)
    shown = "".join("".join(again.last).split())  # without the line breaks
    assert "".join(f"{run} has already finished training".split()) in shown
