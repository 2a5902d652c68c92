"""The display of a working program: log lines, and below them one live progress bar.

Both use one console on standard error, because two would overwrite each other's lines. Nothing is
shown before an entry point calls `start_logging`. If standard error is not a terminal, a log line
every `LINE_EVERY` seconds replaces the bar.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nmt.errors import UserError, reason

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.table import Table

log = logging.getLogger(__name__)

LINE_EVERY = 20.0  # seconds
DATES = "%H:%M:%S"
PLAIN = "%(asctime)s %(loud)s%(message)s"


class Activity:
    """A task that takes a while: a bar on a terminal, otherwise a log line now and then."""

    def __init__(
        self,
        screen: Screen | None,
        description: str,
        total: float | None = None,
        quiet: float = LINE_EVERY,  # seconds before the first line
    ) -> None:
        self.description = description
        self.total = total
        self.done = 0.0
        self._screen = screen
        self._task = None if screen is None else screen.add(self)
        self._began = time.monotonic()
        self._next_line = self._began + quiet

    def advance(self, count: int = 1) -> None:
        """Adds the work done since the last call."""
        self.done += count
        counted = f"{self.done:,.0f}"
        if self.total is None:
            self._show(counted, "")
            return
        left = (time.monotonic() - self._began) * (self.total / max(self.done, 1) - 1)
        self._show(f"{counted}/{self.total:,.0f}", f"{clock(left)} left" if left >= 1 else "")

    def move(self, share: float, description: str, left: float | None) -> None:
        """Moves to a share of the whole; `left` is in seconds; None: unknown."""
        self.done, self.total, self.description = share, 1.0, description
        self._show(f"{share:4.0%}", "" if left is None else f"{clock(left)} left")

    def _show(self, figures: str, left: str) -> None:
        if self._screen is None:
            return
        if self._screen.bar is not None:
            self._screen.draw(self, self._task, figures, left)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_EVERY
            log.info("%s", "  ".join(part for part in (figures, self.description, left) if part))

    def close(self) -> None:
        if self._screen is not None:
            self._screen.remove(self._task)


class Screen:
    """Standard error with at most one live bar, that of the innermost activity."""

    def __init__(self) -> None:
        live = sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
        self.bar = make_bar(console_on(sys.stderr)) if live else None
        self._open: list[TaskID] = []

    def add(self, activity: Activity) -> TaskID | None:
        if self.bar is None:
            return None
        for task in self._open:
            self.bar.update(task, visible=False)
        task = self.bar.add_task(activity.description, total=activity.total, figures="", left="")
        self._open.append(task)
        if len(self._open) == 1:
            self.bar.start()
            self.bar.console.show_cursor(True)  # a program that is killed must not leave it hidden
        return task

    def draw(self, activity: Activity, task: TaskID | None, figures: str, left: str) -> None:
        assert self.bar is not None and task is not None
        values: dict[str, Any] = {"description": activity.description, "figures": figures}
        self.bar.update(task, completed=activity.done, total=activity.total, left=left, **values)

    def remove(self, task: TaskID | None) -> None:
        if self.bar is None or task is None:
            return
        self._open.remove(task)
        if not self._open:
            self.bar.stop()
        self.bar.remove_task(task)
        if self._open:
            self.bar.update(self._open[-1], visible=True)


_screen: Screen | None = None


@contextmanager
def activity(
    description: str,
    total: float | None = None,
    *,
    shown: bool = True,
    quiet: float = LINE_EVERY,
) -> Iterator[Activity]:
    """Shows progress within the `with` block. A nested activity hides the outer one."""
    current = Activity(_screen if shown else None, description, total, quiet)
    try:
        yield current
    finally:
        current.close()


def start_logging(level: int = logging.INFO, plain: str = PLAIN) -> None:
    """Shows log records from `level` on, and activities, on standard error.

    `plain` is the format of log lines if standard error is not a terminal.
    """
    global _screen
    if _screen is not None:
        return
    _screen = Screen()
    if _screen.bar is None:
        handler: logging.Handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(plain, DATES))
    else:
        from rich.logging import RichHandler

        handler = RichHandler(
            console=_screen.bar.console,
            show_path=False,
            show_level=False,
            omit_repeated_times=False,
            log_time_format=DATES,
        )
        handler.setFormatter(logging.Formatter("%(loud)s%(message)s"))
    handler.addFilter(mark_loud)
    logging.getLogger("nmt").addHandler(handler)
    logging.getLogger("nmt").setLevel(level)


def mark_loud(record: logging.LogRecord) -> bool:
    """Sets the prefix of warnings and errors, such as `warning: `, in a log record."""
    record.loud = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
    return True


def print_table(table: Table, *lines: str) -> None:
    """Prints a table on standard output, and below it lines that are never wrapped.

    Characters that the terminal cannot show become escapes such as \\u4e2d.
    """
    escape_unprintable()
    with writing_output():
        console = console_on(sys.stdout)
        console.print(table)
        for line in lines:
            console.out(line, highlight=False)
        sys.stdout.flush()


def escape_unprintable() -> None:
    """Lets standard output write escapes for characters that its encoding lacks."""
    if getattr(sys.stdout, "errors", None) in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


@contextmanager
def writing_output(place: str = "standard output") -> Iterator[None]:
    """Turns an `OSError` into a `UserError`, except for a broken pipe, which the caller handles."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(f"{place} cannot be written: {reason(error)}") from error


def console_on(stream: Any) -> Console:
    """A rich console for a stream; 140 columns wide if that is not a terminal."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            """Rich would end the program with status 1 instead."""
            raise BrokenPipeError

    terminal = stream.isatty()
    return Plain(
        file=stream, force_terminal=terminal, width=None if terminal else 140, markup=False,
        emoji=False,
    )  # fmt: skip


def make_bar(console: Console) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    def text(template: str) -> TextColumn:
        column = Column(no_wrap=True, overflow="crop")
        return TextColumn(template, markup=False, table_column=column)

    return Progress(
        text("{task.description}"),
        BarColumn(bar_width=min(40, max(8, console.width - 64))),
        text("{task.fields[figures]}"),
        TimeElapsedColumn(),
        text("{task.fields[left]}"),
        console=console,
        transient=True,
        refresh_per_second=5,
        redirect_stdout=False,  # standard output may be a file
    )


def clock(seconds: float) -> str:
    """`75` -> `1:15`, `3700` -> `1:01:40`"""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
