"""Reports of a run in training: TensorBoard, metrics.jsonl, pictures, samples and the terminal.

Only this file depends on TensorBoard.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from torch.utils.tensorboard import SummaryWriter

from nmt.attention_map import AttentionMap, save_png
from nmt.commands import curves_command, translate_command
from nmt.evaluation.metrics import NAMES
from nmt.screen import Activity, activity, clock, print_table
from nmt.training.files import may_write, write_whole

log = logging.getLogger(__name__)

FIRST_LINE = 5.0  # seconds of training before the first line of progress without a terminal


class Summary(NamedTuple):
    """The results of a run, as in its summary.json."""

    run: str
    split: str
    bleu: float | None  # None if the evaluation failed
    chrf: float | None
    aer: float | None  # of the selected head, if true alignments are known
    best_head: str | None
    head_selected_on: str | None  # the split whose alignments selected the head
    signature: str  # of BLEU
    chrf_signature: str
    metric: str  # the metric that selected the checkpoint
    checkpoint: str  # the checkpoint that was evaluated
    example: str | None  # a sentence to try
    parameters: int
    steps: int
    seconds: float  # of the training loop, validations included
    target_tokens_per_second: float  # of the updates


class Examples(NamedTuple):
    """The fixed sentences that each validation reports."""

    sources: list[str]
    references: list[str]
    outputs: list[str]
    maps: list[AttentionMap]


class Report:
    """Everything that a run writes besides its checkpoints; a context manager."""

    def __init__(self, run: Path, step: int = 0) -> None:
        """Continues after `step` and removes reports of later steps by an interrupted process."""
        self.run = run
        self._board = open_board(run / "tensorboard", step)
        cut_metrics(run / "metrics.jsonl", step)
        self._metrics = (run / "metrics.jsonl").open("a", encoding="utf-8")
        self._bar = Activity(None, "training")  # shows nothing outside a `with`
        self._latest = ""
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._bar = self._open.enter_context(activity("first step", quiet=FIRST_LINE))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()
        with may_write("tensorboard/"):
            self._board.close()
        with may_write("metrics.jsonl"):
            self._metrics.close()

    def log(self, step: int, values: Mapping[str, float], *, kind: str) -> None:
        """One line of metrics.jsonl and a point in each TensorBoard curve, called `kind/name`.

        In metrics.jsonl, values that are not finite are null, because JSON has no word for them.
        """
        shown = {name: value if math.isfinite(value) else None for name, value in values.items()}
        record = {"step": step, "kind": kind, **shown}
        with may_write("metrics.jsonl"):
            self._metrics.write(json.dumps(record) + "\n")
            self._metrics.flush()
        with may_write("tensorboard/"):
            for name, value in values.items():
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def flush(self) -> None:
        """Returns when all reports are on the disk."""
        with may_write("tensorboard/"):
            self._board.flush()
        with may_write("metrics.jsonl"):
            self._metrics.flush()
            os.fsync(self._metrics.fileno())

    def advance(self, step: int, share: float, seconds: float) -> None:
        """Moves the progress bar to a step. `share` of the run is done and took `seconds` so far.

        It is called after every step, so it must not wait for the device.
        """
        left = seconds / share - seconds if 0 < share < 1 else None
        self._bar.move(share, f"step {step:,}{self._latest}", left)

    def tell(self, nll: float, tokens_per_second: float) -> None:
        """Sets the figures of the latest steps that the progress bar shows."""
        self._latest = f"  nll {nll:.3f}  {tokens_per_second:,.0f} tokens/s"

    def examples(self, step: int, examples: Examples) -> None:
        """Writes translations of the fixed sentences to samples/ and pictures of their attention to
        attention/, and both to TensorBoard."""
        if not examples.sources:
            return
        blocks = [
            f"source:    {source}\nreference: {reference}\nmodel:     {output}\n"
            for source, reference, output in zip(*examples[:3], strict=True)
        ]
        preformatted = ["    " + line for line in "\n".join(blocks).splitlines()]
        folder = self.run / "samples"
        with may_write("samples/"):
            folder.mkdir(exist_ok=True)
            (folder / f"{step:08d}.txt").write_text("\n".join(blocks), encoding="utf-8")
            self._board.add_text("samples", "\n".join(preformatted), step)
        try:
            self._draw(step, examples.maps)
        except Exception as error:  # such as a damaged font: training matters more than a picture
            log.warning("cannot draw attention/ at step %d: %s; training continues", step, error)

    def _draw(self, step: int, maps: Sequence[AttentionMap]) -> None:
        for number, attention in enumerate(maps, start=1):
            tag = f"attention/sentence-{number}"
            pixels = save_png(attention, self.run / tag / f"{step:08d}.png", f"step {step}")
            self._board.add_image(tag, pixels, step, dataformats="HWC")


def open_board(folder: Path, step: int) -> SummaryWriter:
    """A TensorBoard writer that replaces everything after `step`."""
    # TensorBoard reads the files in the order of their names, which begin with the time. If the
    # clock was set back, or is in the same second, the old files get earlier names.
    files = sorted(folder.glob("events.out.tfevents.*"))
    now = int(time.time())
    if files and files[-1].name.split(".")[3] >= f"{now:010d}":
        for back, file in enumerate(reversed(files), start=1):
            rest = file.name.split(".", 4)[4]
            file.rename(folder / f"events.out.tfevents.{max(now - back, 0):010d}.{rest}")
    return SummaryWriter(str(folder), purge_step=step + 1 if files else None)


def cut_metrics(file: Path, step: int) -> None:
    """Removes the lines of later steps, and damaged lines such as an incomplete one at the end."""
    if not file.is_file():
        return
    lines = file.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if line.endswith(b"\n") and 0 <= step_of(line) <= step]
    if kept != lines:
        write_whole(file, b"".join(kept))


def step_of(line: bytes) -> int:
    """The step of a line of metrics.jsonl; -1 if the line is damaged."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return -1


def print_summary(summary: Summary) -> None:
    """Prints the table at the end of a run: results, places of files, and commands to try next."""
    from rich.table import Table

    table = Table(
        title=f"{summary.run}: {summary.split} set", show_header=False, title_justify="left"
    )
    table.add_column()
    table.add_column(overflow="fold")
    if summary.bleu is not None and summary.chrf is not None:
        table.add_row("BLEU", f"{summary.bleu:.2f}  ({summary.signature})")
        table.add_row("chrF", f"{summary.chrf:.2f}  ({summary.chrf_signature})")
    if summary.aer is not None:
        head = f"{summary.best_head}; selected on the {summary.head_selected_on} set"
        if summary.head_selected_on == summary.split:
            head += " itself, which flatters it"
        table.add_row("AER", f"{summary.aer:.3f}  ({head})")
    table.add_row("training", f"{clock(summary.seconds)}, {summary.steps:,} steps")
    table.add_row("speed", f"{summary.target_tokens_per_second:,.0f} target tokens/s")
    table.add_row("parameters", f"{summary.parameters:,}")
    weights = f"{summary.run}/checkpoints/{summary.checkpoint}"
    metric = NAMES.get(summary.metric, summary.metric)
    table.add_row("weights", f"{weights}  (best {metric} on the validation set)")
    table.add_row("attention", f"{summary.run}/attention/")
    # Below the table, because a narrow table would break the commands.
    translate = translate_command(summary.run, summary.example)
    print_table(table, f"curves:     {curves_command(summary.run)}", f"translate:  {translate}")
