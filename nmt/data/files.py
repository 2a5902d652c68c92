"""The bytes and lines of files, unpacked where their name ends in .gz or .xz, in bounded memory."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, cast

from nmt.errors import UserError

BLOCK = 1 << 16
# What is longer is no sentence, line of JSON or tag but a damaged or a hostile file, such as ten
# gigabytes of zeros in a small archive. Bytes of a line or a tag, characters of a TMX segment.
LONGEST = 1 << 24
LONGEST_TOLD = f"longer than {LONGEST >> 20} MB"
# Unpacking .xz takes as much memory as the file asks for; what `xz -9` writes asks for less.
XZ_MEMORY = 1 << 28


def expanded(key: str, value: str) -> Path:
    """The path that the option `key` names, `~` being a home directory."""
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise UserError(f"{key}: the home directory of {value!r} is not known") from error


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 text file, broken at \\n alone, without their ends and without a BOM.

    Raises `UserError` for a line longer than `LONGEST`.
    """
    for number, raw in enumerate(byte_lines(path), start=1):
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        try:
            yield raw.decode("utf-8").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{path} line {number} is not UTF-8 text (byte {error.start + 1} of the line is "
                f"0x{raw[error.start]:02x}); convert the file, for example with iconv"
            ) from error


def byte_lines(path: Path) -> Iterator[bytes]:
    number, rest = 0, b""
    for block in byte_blocks(path):
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
        number += len(lines)
        if len(rest) > LONGEST:
            raise UserError(f"{path} line {number + 1} is {LONGEST_TOLD}")
    if rest:
        yield rest


def byte_blocks(path: Path) -> Iterator[bytes]:
    """The contents of a file, unpacked if its name ends in .gz or .xz, in blocks of any size."""
    with open_bytes(path) as file:
        unpack = unpacked_xz if path.suffix == ".xz" else blocks_of
        try:
            yield from unpack(file)
        except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
            raise UserError(f"{path} is damaged or not a {path.suffix} file: {error}") from error


def open_bytes(path: Path) -> IO[bytes]:
    try:
        return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path} cannot be read: {reason}") from error


def blocks_of(file: IO[bytes]) -> Iterator[bytes]:
    return iter(partial(file.read, BLOCK), b"")


def unpacked_xz(file: IO[bytes]) -> Iterator[bytes]:
    """All the streams of an .xz file, one after the other, zeros between them passed over.

    `lzma.open` ends without a word at the first that it cannot read.
    """
    packed = file.read(BLOCK)
    while packed:
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
        while not stream.eof:
            if not packed and stream.needs_input:
                raise EOFError("its last stream is cut off")
            yield stream.decompress(packed, BLOCK)
            packed = file.read(BLOCK) if stream.needs_input and not stream.eof else b""
        rest = (block.lstrip(b"\0") for block in chain([stream.unused_data], blocks_of(file)))
        packed = next(filter(None, rest), b"")
