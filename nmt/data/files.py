"""The bytes and lines of files, compressed or in a zip archive too, in bounded memory."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO, cast

from nmt.data.archives import BAD_ZIP, Member, members, open_member
from nmt.errors import UserError, require

BLOCK = 1 << 16
# The longest line or tag in bytes, and TMX segment in characters. Longer ones come from damaged or
# hostile files, such as ten gigabytes of zeros in a small archive.
LONGEST = 1 << 24
LONGEST_TOLD = f"longer than {LONGEST >> 20} MB"
# Unpacking .xz takes as much memory as the file asks for. Files from `xz -9` need less than this.
XZ_MEMORY = 1 << 28
PACKED = (".gz", ".xz", ".bz2", ".zst")
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
UTF_32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
TO_UTF_8 = "save it as UTF-8, as editors and spreadsheets offer in 'Save as'"


File = Path | Member


def expanded(key: str, value: str) -> Path:
    """The path in the option `key`, with `~` replaced by the home directory."""
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise UserError(f"{key}: the home directory of {value!r} is not known") from error


def packed_suffix(file: File) -> str:
    """`.gz` of `a.tsv.gz`, nothing of `a.tsv`."""
    suffix = PurePosixPath(file.name).suffix.lower()
    return suffix if suffix in PACKED else ""


def plain_suffix(file: File) -> str:
    """`.tsv` of both `a.tsv` and `a.tsv.gz`."""
    name = file.name.lower().removesuffix(packed_suffix(file))
    return PurePosixPath(name).suffix


def read_lines(file: File) -> Iterator[str]:
    """The lines of a text file, broken at \\n alone, without their ends and without a BOM.

    It should be UTF-8, or UTF-16 with a BOM. Raises `UserError` for a line longer than `LONGEST`.
    """
    for number, raw in enumerate(byte_lines(file), start=1):
        try:
            yield raw.decode("utf-8").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{file} line {number} is not UTF-8 text (byte {error.start + 1} of the line is "
                f"0x{raw[error.start]:02x}); {TO_UTF_8}"
            ) from error


def byte_lines(file: File) -> Iterator[bytes]:
    number, rest = 0, b""
    for block in utf8_blocks(file):
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
        number += len(lines)
        if len(rest) > LONGEST:
            raise UserError(f"{file} line {number + 1} is {LONGEST_TOLD}")
    if rest:
        yield rest


def utf8_blocks(file: File) -> Iterator[bytes]:
    """The contents without a BOM, recoded to UTF-8 if the BOM is that of UTF-16 or UTF-32."""
    blocks = byte_blocks(file)
    first = b""
    for block in blocks:
        first += block
        if len(first) >= len(UTF_32[0]):
            break
    if first.startswith((*UTF_32, *UTF_16)):
        yield from recoded(chain([first], blocks), file)
        return
    yield first.removeprefix(codecs.BOM_UTF8)
    yield from blocks


def is_utf_16(file: File) -> bool:
    """Whether a file has a BOM of UTF-16, like the files that Excel calls Unicode text."""
    return next(byte_blocks(file), b"").startswith(UTF_16)


def recoded(blocks: Iterator[bytes], file: File) -> Iterator[bytes]:
    """Recodes UTF-16 or UTF-32 with a BOM to UTF-8."""
    first = next(blocks)
    name = "utf-32" if first.startswith(UTF_32) else "utf-16"
    decoder = codecs.getincrementaldecoder(name)()
    try:
        for block in chain([first], blocks):
            yield decoder.decode(block).encode("utf-8", "surrogatepass")
        yield decoder.decode(b"", True).encode("utf-8", "surrogatepass")
    except UnicodeError as error:
        raise UserError(
            f"{file} begins like {name.upper()} text but is damaged or cut off; {TO_UTF_8}"
        ) from error


def byte_blocks(file: File) -> Iterator[bytes]:
    """The contents of a file, unpacked if its name ends in one of `PACKED`, in blocks of any size.

    A zip archive stands for the one file in it.
    """
    if isinstance(file, Path) and file.suffix.lower() == ".zip":
        inside = members(file)
        require(len(inside) == 1, f"{file} should hold one file, but holds {len(inside)}")
        file = inside[0]
    suffix = packed_suffix(file)
    with open_bytes(file) as stream:
        try:
            yield from UNPACK.get(suffix, blocks_of)(stream)
        except MemoryLimit as error:
            raise UserError(
                f"{file} needs more than {XZ_MEMORY >> 20} MB of memory to unpack; compress it "
                "again with an ordinary level such as xz -6"
            ) from error
        except UNREADABLE as error:
            raise UserError(
                f"{file} is damaged, cut off or not a {suffix or '.zip'} file; get it again"
                if suffix or isinstance(file, Member)
                else f"{file} cannot be read: {getattr(error, 'strerror', None) or error}"
            ) from error


class MemoryLimit(Exception):
    """An .xz file asks for more than `XZ_MEMORY`."""


UNREADABLE = (*BAD_ZIP, lzma.LZMAError)


def open_bytes(file: File) -> IO[bytes]:
    try:
        if isinstance(file, Member):
            return open_member(file)
        return file.open("rb")
    except FileNotFoundError as error:
        raise UserError(f"there is no file {file}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{file} cannot be read: {reason}") from error


def blocks_of(stream: IO[bytes]) -> Iterator[bytes]:
    return iter(partial(stream.read, BLOCK), b"")


def unpacked_gz(stream: IO[bytes]) -> Iterator[bytes]:
    return blocks_of(cast(IO[bytes], gzip.open(stream)))


def unpacked_zst(stream: IO[bytes]) -> Iterator[bytes]:
    import pyarrow as pa

    with pa.CompressedInputStream(stream, "zstd") as unpacked:
        yield from blocks_of(unpacked)


def unpacked_xz(stream: IO[bytes]) -> Iterator[bytes]:
    new = partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
    try:
        yield from unpacked(stream, new)
    except lzma.LZMAError as error:
        raise (MemoryLimit if "limit" in str(error) else lzma.LZMAError) from error


def unpacked_bz2(stream: IO[bytes]) -> Iterator[bytes]:
    return unpacked(stream, bz2.BZ2Decompressor)


def unpacked(
    stream: IO[bytes], new: Callable[[], lzma.LZMADecompressor | bz2.BZ2Decompressor]
) -> Iterator[bytes]:
    """All the streams of an .xz or .bz2 file in turn, without the zeros between them.

    `lzma.open` would stop without an error at the first stream that it cannot read.
    """
    packed = stream.read(BLOCK)
    while packed:
        unpacker = new()
        while not unpacker.eof:
            if not packed and unpacker.needs_input:
                raise EOFError("its last stream is cut off")
            yield unpacker.decompress(packed, BLOCK)
            packed = stream.read(BLOCK) if unpacker.needs_input and not unpacker.eof else b""
        rest = (block.lstrip(b"\0") for block in chain([unpacker.unused_data], blocks_of(stream)))
        packed = next(filter(None, rest), b"")


UNPACK: dict[str, Callable[[IO[bytes]], Iterator[bytes]]] = {
    ".gz": unpacked_gz,
    ".xz": unpacked_xz,
    ".bz2": unpacked_bz2,
    ".zst": unpacked_zst,
}
