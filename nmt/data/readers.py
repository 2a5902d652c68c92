"""Sentence pairs from files, as a stream: text, TSV, JSON lines, Parquet, TMX; .gz and .xz too.

A file that is not what it should be is a `UserError` with the file, the line and what was expected.
"""

from __future__ import annotations

import json
import reprlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from os.path import isfile
from pathlib import Path
from typing import Any, NamedTuple

from nmt.data.files import byte_blocks, read_lines
from nmt.data.tmx import read_tmx
from nmt.errors import UserError, require

Pair = tuple[str, str]  # source, target

ROWS = 1024  # of a Parquet file that are in memory at a time


# Texts may hold line breaks in JSON, Parquet and TMX, and other programs break lines at more than
# \n. JSON can hold a half of a surrogate pair, which UTF-8 cannot.
ONE_LINE: dict[int, str] = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029], " "),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
}


class Languages(NamedTuple):
    """The codes by which a file tells its two sides apart, such as `en` and `de`."""

    source: str
    target: str


def read_pairs(
    paths: tuple[Path, ...], languages: Languages, counts: Counter[str]
) -> Iterator[Pair]:
    """The pairs of two aligned text files, or of one file whose name says its format.

    What a file holds that is no pair is counted, as `read` and under the reason.
    """
    if len(paths) == 2:
        return on_one_line(read_aligned(*paths))
    (path,) = paths
    match plain_suffix(path):
        case ".tsv":
            return on_one_line(read_tsv(path))
        case ".jsonl" | ".json":
            return on_one_line(read_json_lines(path, languages))
        case ".parquet":
            return on_one_line(read_parquet(path, languages))
        case ".tmx":
            return on_one_line(tmx_pairs(path, languages, counts))
    raise UserError(
        f"{path} is no corpus this program reads: it should be .tsv, .jsonl, .parquet or .tmx "
        "(.gz or .xz may follow), or two text files joined by a comma"
    )


def on_one_line(pairs: Iterable[Pair]) -> Iterator[Pair]:
    return ((one_line(source), one_line(target)) for source, target in pairs)


def one_line(text: str) -> str:
    """`text` with a space for each control character and line separator: one line, wherever it is
    written; and with U+FFFD for what UTF-8 cannot hold. Its length stays."""
    return text if text.isprintable() else text.translate(ONE_LINE)


def plain_suffix(path: Path) -> str:
    """`.tsv` of both `a.tsv` and `a.tsv.gz`."""
    return (path.with_suffix("") if path.suffix in (".gz", ".xz") else path).suffix.lower()


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
            row = json.loads(line, object_pairs_hook=unique_keys)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{place} is not JSON that can be read: {error}") from error
        yield row_pair(row, languages, place)


def unique_keys(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two texts under one key, one would be lost."""
    row = dict(items)
    if len(row) < len(items):
        raise ValueError("an object has the same key twice")
    return row


def row_pair(row: Any, languages: Languages, place: str) -> Pair:
    """The pair of {"en": ..., "de": ...} or {"translation": {"en": ..., "de": ...}}."""
    require(isinstance(row, dict), f"{place} is not an object with the keys {_keys(languages)}")
    inner = row["translation"] if isinstance(row.get("translation"), dict) else row
    texts = [inner.get(language) for language in languages]
    for language, text in zip(languages, texts, strict=True):
        if not isinstance(text, str):
            given = f"{language!r} is of type {type(text).__name__}"
            keys = f"its keys are {listed(inner)}"
            raise UserError(
                f"{place} should have text under the keys {_keys(languages)} (data.source_language "
                f"and data.target_language), but {given if language in inner else keys}"
            )
    return texts[0], texts[1]


def _keys(languages: Languages) -> str:
    return " and ".join(map(repr, languages))


def listed(names: Iterable[str]) -> str:
    """The first few, each cut to a readable length."""
    return reprlib.repr(list(names))[1:-1] or "none"


def read_parquet(path: Path, languages: Languages) -> Iterator[Pair]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    require(isfile(path), f"there is no file {path}")
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            columns = pair_columns(file.schema_arrow.names, languages, path)
            batches = file.iter_batches(ROWS, columns=columns)
            rows = chain.from_iterable(batch.to_pylist() for batch in batches)
            for number, row in enumerate(rows, start=1):
                yield row_pair(row, languages, f"{path} row {number}")
            declared = file.metadata.num_rows
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path} is damaged or not a Parquet file: {reason}") from error
    require(number == declared, f"{path} is damaged: it has {number} of {declared} rows")


def pair_columns(names: list[str], languages: Languages, path: Path) -> list[str]:
    """The columns that `row_pair` looks at."""
    require(
        "translation" in names or set(languages) <= set(names),
        f"{path} should have the columns {_keys(languages)} (data.source_language and "
        f"data.target_language) or 'translation', but has {listed(names)}",
    )
    return [name for name in ("translation", *languages) if name in names]


def tmx_pairs(path: Path, languages: Languages, counts: Counter[str]) -> Iterator[Pair]:
    """Units that lack one of the languages are counted under `language`."""
    for source, target in read_tmx(byte_blocks(path), *languages, str(path)):
        if source is None or target is None:
            counts["read"] += 1
            counts["language"] += 1
        else:
            yield source, target
