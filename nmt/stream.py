"""Lines from files, pipes and terminals in bounded memory; output that appears when complete."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from select import select
from typing import BinaryIO

from nmt.errors import UserError, require

log = logging.getLogger(__name__)

WINDOW = 1 << 18  # bytes read together if available: some thousand lines
LONGEST = 1 << 24  # bytes of a line; a longer one is not text
PROMPT = "> "


def count_lines(path: Path) -> int | None:
    """None for a pipe such as <(zcat a.en.gz), which can be read only once."""
    if path.exists() and not path.is_file():
        return None
    lines, last = 0, b"\n"
    with path.open("rb") as stream:
        while chunk := stream.read(WINDOW):
            lines += chunk.count(b"\n")
            last = chunk[-1:]
    return lines + (last != b"\n")


def windows(stream: FileIO) -> Iterator[list[bytes]]:
    r"""Lines, as many at a time as are ready. Only \n ends a line, and it is removed."""
    rest, number = b"", 0
    while chunk := read_window(stream):
        *lines, rest = (rest + chunk).split(b"\n")
        number += len(lines)
        if lines:
            yield lines
        require(
            len(rest) <= LONGEST,
            f"line {number + 1} is longer than {LONGEST >> 20} MB",
        )
    if rest:
        yield [rest]


def read_window(stream: FileIO) -> bytes:
    """Waits for bytes and reads those that are ready, up to about `WINDOW`; empty at the end."""
    chunk = window = stream.read(WINDOW) or b""
    while chunk and len(window) < WINDOW and select([stream], [], [], 0)[0]:
        chunk = stream.read(WINDOW - len(window)) or b""
        window += chunk
    return window


def typed() -> Iterator[list[bytes]]:
    """The lines of a person at a terminal, one at a time, until Ctrl-D."""
    with suppress(ImportError):
        import readline  # noqa: F401  (arrow keys in `input`)
    # Bytes that are not UTF-8 are passed on, so that `decoded` can report them.
    sys.stdin.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    prompt = PROMPT if sys.stdout.isatty() else ""  # otherwise it would be among the translations
    while True:
        try:
            line = input(prompt)
        except EOFError:
            print(file=sys.stderr)  # puts the next prompt of the shell on its own line
            return
        yield [line.encode(sys.stdin.encoding, "surrogateescape")]


def decoded(raw: Iterable[list[bytes]], place: str, errors: str) -> Iterator[list[str]]:
    """The text of windows of bytes.

    If `errors` is strict, bytes that are not UTF-8 raise a `UserError` that names `place` and the
    line, after the lines before it.
    """
    number = 0
    for lines in raw:
        texts = []
        for line in lines:
            number += 1
            try:
                texts.append(line.decode("utf-8", errors))
            except UnicodeDecodeError as error:
                yield texts
                raise UserError(
                    f"{place} {number} is not UTF-8 (byte 0x{line[error.start]:02x} at position "
                    f"{error.start + 1}): convert it to UTF-8, or pass --errors replace"
                ) from error
        yield texts


@contextmanager
def output_to(path: Path | None, option: str = "--output") -> Iterator[BinaryIO]:
    """Standard output, or a file that gets its final name when it is complete."""
    if path is None:
        yield sys.stdout.buffer
        return
    device = path.exists() and not path.is_file()  # such as /dev/null: nothing to rename
    final = path if device else path.resolve()
    part = path if device else final.with_name(final.name + ".part")
    try:
        stream = part.open("wb")
    except OSError as error:
        raise UserError(f"{option} {path} cannot be written: {error.strerror}") from error
    try:
        with stream:
            yield stream
    except BaseException:
        if not device:
            keep_or_drop(part)
        raise
    if not device:
        part.replace(final)


def keep_or_drop(part: Path) -> None:
    """Keeps the beginning of an interrupted output, but removes an empty file."""
    if part.stat().st_size:
        log.warning("the translations so far are in %s", part)
    else:
        part.unlink()
