"""What a run tells while it trains: TensorBoard, metrics.jsonl, pictures, samples, the screen.

The only file that knows TensorBoard.
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
    bleu: float | None  # None where the evaluation failed
    chrf: float | None
    aer: float | None  # of the selected head, where the true alignment is known
    best_head: str | None
    head_selected_on: str | None  # the split whose alignments selected the head
    signature: str  # of BLEU
    chrf_signature: str
    metric: str  # that selected the checkpoint
    checkpoint: str  # whose weights these are
    example: str | None  # a sentence to try
    parameters: int
    steps: int
    seconds: float  # of training, validations included
    target_tokens_per_second: float  # of the updates


class Examples(NamedTuple):
    """The fixed sentences that each validation shows."""

    sources: list[str]
    references: list[str]
    outputs: list[str]
    maps: list[AttentionMap]


class Report:
    """Everything a run writes besides its checkpoints; use it in a `with`."""

    def __init__(self, run: Path, step: int = 0) -> None:
        """Goes on after `step`: what a process that died had told of later ones is taken back."""
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

        What is not finite is null there: JSON has no word for it.
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
        """Returns once all that was told is on the disk."""
        with may_write("tensorboard/"):
            self._board.flush()
        with may_write("metrics.jsonl"):
            self._metrics.flush()
            os.fsync(self._metrics.fileno())

    def advance(self, step: int, share: float, seconds: float) -> None:
        """Moves the progress bar to a step, at a share of the run, which took `seconds` so far.

        Called after every step: nothing here waits for the device.
        """
        left = seconds / share - seconds if 0 < share < 1 else None
        self._bar.move(share, f"step {step:,}{self._latest}", left)

    def tell(self, nll: float, tokens_per_second: float) -> None:
        """What the progress bar says of the latest steps from now on."""
        self._latest = f"  nll {nll:.3f}  {tokens_per_second:,.0f} tokens/s"

    def examples(self, step: int, examples: Examples) -> None:
        """The fixed sentences: translations in samples/, pictures of where the model looks in
        attention/, both in TensorBoard."""
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
        except Exception as error:  # a damaged font, say: training matters more than a picture
            log.warning("cannot draw attention/ at step %d: %s; training continues", step, error)

    def _draw(self, step: int, maps: Sequence[AttentionMap]) -> None:
        for number, attention in enumerate(maps, start=1):
            tag = f"attention/sentence-{number}"
            pixels = save_png(attention, self.run / tag / f"{step:08d}.png", f"step {step}")
            self._board.add_image(tag, pixels, step, dataformats="HWC")


def open_board(folder: Path, step: int) -> SummaryWriter:
    """A TensorBoard writer that takes the place of whatever there is beyond `step`."""
    # The files are read in the order of their names, which begin with the time: where the clock
    # was set back, or stands in the same second, those there get names that come before.
    files = sorted(folder.glob("events.out.tfevents.*"))
    now = int(time.time())
    if files and files[-1].name.split(".")[3] >= f"{now:010d}":
        for back, file in enumerate(reversed(files), start=1):
            rest = file.name.split(".", 4)[4]
            file.rename(folder / f"events.out.tfevents.{max(now - back, 0):010d}.{rest}")
    return SummaryWriter(str(folder), purge_step=step + 1 if files else None)


def cut_metrics(file: Path, step: int) -> None:
    """Removes the lines of later steps, and what cannot be read, such as half a line at the end."""
    if not file.is_file():
        return
    lines = file.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if line.endswith(b"\n") and 0 <= step_of(line) <= step]
    if kept != lines:
        write_whole(file, b"".join(kept))


def step_of(line: bytes) -> int:
    """Of a line of metrics.jsonl; -1 where it is damaged."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return -1


def print_summary(summary: Summary) -> None:
    """The table that a run ends with: the results, where things are, what to type next."""
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
    # Below the table, where a narrow terminal doesn't break a command in two.
    translate = translate_command(summary.run, summary.example)
    print_table(table, f"curves:     {curves_command(summary.run)}", f"translate:  {translate}")
