"""Sentence pairs from files, as a stream: text, TSV, JSON lines, Parquet, TMX; .gz and .xz too.

A file that is not what it should be is a `UserError` with the file, the line and what was expected.
"""

from __future__ import annotations

import gzip
import json
import lzma
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from nmt.config import UserError, require
from nmt.data.tmx import read_tmx

Pair = tuple[str, str]  # source, target


class Languages(NamedTuple):
    """The codes by which a file tells its two sides apart, such as `en` and `de`."""

    source: str
    target: str


def read_pairs(paths: tuple[Path, ...], languages: Languages) -> Iterator[Pair]:
    """The pairs of two aligned text files, or of one file whose name says its format."""
    if len(paths) == 2:
        return read_aligned(*paths)
    (path,) = paths
    match plain_suffix(path):
        case ".tsv":
            return read_tsv(path)
        case ".jsonl" | ".json":
            return read_json_lines(path, languages)
        case ".parquet":
            return read_parquet(path, languages)
        case ".tmx":
            return tmx_pairs(path, languages)
    raise UserError(
        f"{path} is no corpus this program reads: it should be .tsv, .jsonl, .parquet or .tmx "
        "(.gz or .xz may follow), or two text files joined by a comma"
    )


def plain_suffix(path: Path) -> str:
    """`.tsv` of both `a.tsv` and `a.tsv.gz`."""
    return (path.with_suffix("") if path.suffix in (".gz", ".xz") else path).suffix.lower()


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 text file, broken at \\n alone, without their ends and without a BOM."""
    for number, raw in enumerate(byte_lines(path), start=1):
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        try:
            yield raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{path} line {number} is not UTF-8 text (byte {error.start + 1} of the line is "
                f"0x{raw[error.start]:02x}); convert the file, for example with iconv"
            ) from error


def byte_lines(path: Path) -> Iterator[bytes]:
    with open_bytes(path) as stream:
        yield from unbroken(path, stream)


def byte_blocks(path: Path) -> Iterator[bytes]:
    with open_bytes(path) as stream:
        yield from unbroken(path, iter(lambda: stream.read(1 << 16), b""))


def open_bytes(path: Path) -> IO[bytes]:
    """The contents of a file, unpacked if its name ends in .gz or .xz."""
    try:
        if path.suffix == ".gz":
            return cast(IO[bytes], gzip.open(path))
        return lzma.open(path) if path.suffix == ".xz" else path.open("rb", buffering=1 << 16)
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error


def unbroken(path: Path, parts: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from parts
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        raise UserError(f"{path} is damaged or not a {path.suffix} file: {error}") from error


def read_aligned(source: Path, target: Path) -> Iterator[Pair]:
    """Line N of the one file with line N of the other."""
    sources, targets = read_lines(source), read_lines(target)
    pairs = 0
    for left in sources:
        right = next(targets, None)
        if right is None:
            uneven(source, target, pairs + 1 + count(sources), pairs)
        else:
            yield left, right
            pairs += 1
    surplus = count(targets)
    if surplus:
        uneven(source, target, pairs, pairs + surplus)


def count(items: Iterator[str]) -> int:
    return sum(1 for _ in items)


def uneven(source: Path, target: Path, source_lines: int, target_lines: int) -> None:
    longer = source if source_lines > target_lines else target
    first = min(source_lines, target_lines) + 1
    raise UserError(
        f"{source} has {source_lines} lines but {target} has {target_lines}: "
        f"line {first} of {longer} is the first without a partner"
    )


def read_tsv(path: Path) -> Iterator[Pair]:
    """Source TAB target; columns beyond the second are passed over."""
    for number, line in enumerate(read_lines(path), start=1):
        columns = line.split("\t")
        require(len(columns) > 1, f"{path} line {number} has no tab between source and target")
        yield columns[0], columns[1]


def read_json_lines(path: Path, languages: Languages) -> Iterator[Pair]:
    """One object a line; empty lines are passed over."""
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        place = f"{path} line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{place} is not JSON: {error}") from error
        yield row_pair(row, languages, place)


def row_pair(row: Any, languages: Languages, place: str) -> Pair:
    """The pair of {"en": ..., "de": ...} or {"translation": {"en": ..., "de": ...}}."""
    require(isinstance(row, dict), f"{place} is not an object with the keys {_keys(languages)}")
    inner = row["translation"] if isinstance(row.get("translation"), dict) else row
    texts = [inner.get(language) for language in languages]
    if not all(isinstance(text, str) for text in texts):
        keys = ", ".join(map(repr, inner)) or "none"
        raise UserError(
            f"{place} should have text under the keys {_keys(languages)} "
            f"(data.source_language and data.target_language), but its keys are {keys}"
        )
    return texts[0], texts[1]


def _keys(languages: Languages) -> str:
    return " and ".join(map(repr, languages))


def read_parquet(path: Path, languages: Languages) -> Iterator[Pair]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    require(path.is_file(), f"there is no file {path}")
    try:
        with parquet.ParquetFile(path) as file:
            rows = chain.from_iterable(batch.to_pylist() for batch in file.iter_batches())
            for number, row in enumerate(rows, start=1):
                yield row_pair(row, languages, f"{path} row {number}")
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path} is not a Parquet file: {error}") from error


def tmx_pairs(path: Path, languages: Languages) -> Iterator[Pair]:
    return read_tmx(byte_blocks(path), languages.source, languages.target, str(path))
