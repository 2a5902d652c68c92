"""Mistakes of the user, and checks whose messages name the key, the rule and the value."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

LONGEST_NAME = (
    200  # bytes; file systems allow 255, and temporary files have longer names than the run
)


class UserError(Exception):
    """A mistake of the user. Its message has one or two lines and is shown without a traceback: it
    says what is wrong, where, and what to do."""


def require(holds: bool, message: str) -> None:
    """Raises `UserError(message)` unless `holds`."""
    if not holds:
        raise UserError(message)


def one_of(key: str, value: str, choices: Sequence[str]) -> None:
    """Raises `UserError` with a suggestion unless `value` is one of `choices`."""
    if value not in choices:
        rule = f"{key} must be one of {', '.join(choices)}"
        raise UserError(f"{rule}, but is {value!r}{suggestion(value, choices)}")


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'width'?` if a known word is similar, otherwise an empty string."""
    near = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def printable(text: str) -> str:
    """The text, escaped if it would break a line or move the cursor."""
    return text if text.isprintable() else ascii(text)


def shortened(path: object) -> str:
    """A path for a message: on one line, and without the middle part if it is very long."""
    text = printable(str(path))
    return text if len(text) <= 2 * LONGEST_NAME else f"{text[:LONGEST_NAME]}...{text[-20:]}"


def reason(error: BaseException) -> str:
    """The message of the system, with the file if it names one: `/x/y: Permission denied`."""
    if not isinstance(error, OSError):
        return str(error) or type(error).__name__
    message = error.strerror or str(error) or type(error).__name__
    return f"{shortened(error.filename)}: {message}" if error.filename else message


P = ParamSpec("P")
R = TypeVar("R")


def reads_run(function: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Turns an `OSError` of a function that reads a run directory, its first argument, into a
    `UserError`."""

    @wraps(function)
    def reading(run: Any, /, *arguments: P.args, **options: P.kwargs) -> R:
        try:
            return function(run, *arguments, **options)
        except OSError as error:
            place = error.filename or run
            raise UserError(
                f"{shortened(place)} cannot be read: {error.strerror or error}"
            ) from error

    return reading


def at_least(key: str, value: float | None, least: float) -> None:
    """Raises `UserError` unless `value` is None or at least `least`."""
    if value is not None and not value >= least:
        raise UserError(f"{key} must be at least {least:g}, but is {value:g}")


def within(key: str, value: float | None, least: float, most: float) -> None:
    """Raises `UserError` unless `value` is None or least <= value <= most."""
    if value is not None and not least <= value <= most:
        raise UserError(f"{key} must be in [{least:g}, {most:g}], but is {value:g}")


def share(key: str, value: float) -> None:
    """Raises `UserError` unless 0 <= value < 1."""
    require(0.0 <= value < 1.0, f"{key} must be in [0, 1), but is {value:g}")


def folder_name(key: str, value: str) -> None:
    """Raises `UserError` unless `value` can name the folder of a run."""
    plain = value not in ("", ".", "..") and Path(value).name == value
    require(
        plain,
        f"{key} must be a plain folder name without slashes, but is {value!r}; "
        "runs=FOLDER says where runs are kept",
    )
    size = len(value.encode(errors="replace"))
    require(size <= LONGEST_NAME, f"{key} must have at most {LONGEST_NAME} bytes, but has {size}")
