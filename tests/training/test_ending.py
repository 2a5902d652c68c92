"""After the last checkpoint: whatever fails then is one warning, and the run is whole."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lives import resumed

from nmt.config import Config
from nmt.screen import UserError
from nmt.training.checkpoint import load_run
from nmt.training.ending import saved_anyway
from nmt.training.launch import train
from nmt.training.report import Summary, print_summary

MakeConfig = Callable[..., Config]

FAILURES = {
    "nmt.training.ending.build_lexicon": "the lexicon",
    "nmt.training.ending.evaluate": "the evaluation on the test set",
    "nmt.training.ending.save_aligner": "alignment.json",
    "nmt.training.ending.average_weights": "averaging",
    "nmt.training.ending.write_whole": "summary.json",
    "nmt.training.report.save_png": "attention/",
}
ERRORS = [RuntimeError("it broke"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x/y")]


@pytest.mark.parametrize("place", FAILURES)
def test_a_failure_is_a_warning(
    place: str, run: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    error = ERRORS[len(place) % 2]

    def failing(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(place, failing)
    (run / "summary.json").unlink()
    resumed(run, max_steps=10, average=2, validate_every=5)
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    told = [text for text in told if not re.search("length limit|looks like", text)]
    assert len(told) == 1, told
    assert FAILURES[place] in told[0]
    assert ("No space left on device" if isinstance(error, OSError) else "it broke") in told[0]
    if "report" not in place:
        assert f"{'evaluate.py ' if 'evaluate' in place else 'train.py resume='}{run}" in told[0]
    load_run(run, device="cpu")
    assert (run / "summary.json").exists() == ("write_whole" not in place)


def test_without_scores_there_is_a_summary_of_the_rest(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nmt.training.ending.evaluate", lambda *_, **__: 1 / 0)
    summary = train(make_config(max_steps=4))
    print_summary(summary)
    shown = capsys.readouterr().out
    assert "BLEU" not in shown and "4 steps" in shown and "scripts/translate.py" in shown
    assert json.loads((Path(summary.run) / "summary.json").read_text())["steps"] == 4


def test_ctrl_c_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "nmt")
    with pytest.raises(KeyboardInterrupt), saved_anyway("summary.json", redo="train.py resume=x"):
        raise KeyboardInterrupt
    assert "before summary.json; the weights are saved; continue with: train.py" in caplog.text


HOSTILE = "runs/[/etc/hosts] [b]x[/b] :smile: 日本 `id`"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_the_table_shows_what_it_is_given(
    run: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = json.loads((run / "summary.json").read_text())
    summary = Summary(**values)._replace(run=HOSTILE, example="A dog.")
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", output)
    print_summary(summary)
    output.seek(0)
    shown = output.read()
    name = HOSTILE if encoding == "utf-8" else HOSTILE.encode("ascii", "backslashreplace").decode()
    assert name in shown and f"translate:  python scripts/translate.py '{name}' 'A dog.'\n" in shown


def test_a_full_standard_output_is_named() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    from rich.table import Table

    from nmt.screen import print_table

    before, sys.stdout = sys.stdout, Full()
    try:
        with pytest.raises(UserError, match="standard output cannot be written: No space left"):
            print_table(Table("x"))
    finally:
        sys.stdout = before
