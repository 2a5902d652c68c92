"""Sentence pairs from files, as a stream: text, TSV, CSV, Anki, JSON, Parquet, TMX; packed or not.

A mistake in a file raises a `UserError` with the file, the line and what was expected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from nmt.data.archives import Member, members
from nmt.data.files import PACKED, File, plain_suffix, read_lines
from nmt.data.readers.json_rows import read_json, read_json_lines, row_pair
from nmt.data.readers.pairs import Languages, Pair, Reading, listed, log, on_one_line, one_line
from nmt.data.readers.parquet_rows import read_parquet
from nmt.data.readers.sides import check_order, side_of
from nmt.data.readers.tables import read_csv, read_tsv, read_txt
from nmt.data.readers.tmx import read_tmx
from nmt.errors import UserError, require

__all__ = [
    "READERS",
    "Languages",
    "Pair",
    "check_order",
    "listed",
    "on_one_line",
    "one_line",
    "read_aligned",
    "read_pairs",
    "row_pair",
]

READERS: dict[str, Callable[[File, Reading], Iterator[Pair]]] = {
    ".tsv": read_tsv,
    ".csv": read_csv,
    ".txt": read_txt,
    ".jsonl": read_json_lines,
    ".json": read_json,
    ".parquet": read_parquet,
    ".tmx": read_tmx,
}


def read_pairs(
    paths: tuple[Path, ...],
    languages: Languages,
    counts: Counter[str],
    columns: tuple[str, ...] = (),
    note: Callable[[str], None] = log.info,
) -> Iterator[Pair]:
    """The pairs of two aligned text files, or of one file whose name tells the format.

    Rows that are not pairs are counted, as `read` and under a reason. `columns` names the columns
    of source and target in a table. `note` is called with remarks about a file.
    """
    files = files_in(paths[0], languages) if len(paths) == 1 else paths
    if len(files) == 2:
        return on_one_line(read_aligned(*files))
    (file,) = files
    reader = READERS.get(plain_suffix(file))
    if reader is None:
        raise UserError(
            f"{file} is not a supported corpus file; expected {', '.join(READERS)} or .zip "
            f"({', '.join(PACKED)} may follow), or two text files joined by a comma"
        )
    return on_one_line(reader(file, Reading(languages, counts, columns, note)))


def files_in(path: Path, languages: Languages) -> tuple[File, ...]:
    """The file itself, or what a zip archive holds: one corpus file, or two aligned texts."""
    if path.suffix.lower() != ".zip":
        return (path,)
    inside = members(path)
    if len(inside) == 1:
        return (inside[0],)
    sides = [[each for each in inside if _names_side(each, side, languages)] for side in (0, 1)]
    if list(map(len, sides)) == [1, 1]:
        return (sides[0][0], sides[1][0])
    corpora = [each for each in inside if plain_suffix(each) in READERS]
    require(
        len(corpora) == 1,
        f"{path} should hold one corpus file or two texts whose names end in "
        f".{languages.source} and .{languages.target} ({languages}), but holds "
        f"{listed(each.path for each in inside)}",
    )
    return (corpora[0],)


def _names_side(member: Member, side: int, languages: Languages) -> bool:
    """`Tatoeba.de-en.de` is the German side; so is `de.txt`."""
    name = member.name.lower()
    for suffix in (*PACKED, ".txt"):
        name = name.removesuffix(suffix)
    return side_of(name.rpartition(".")[2], languages) == side


def read_aligned(source: File, target: File) -> Iterator[Pair]:
    """Pairs each line of one file with the same line of the other."""
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


def uneven(source: File, target: File, source_lines: int, target_lines: int) -> None:
    longer = source if source_lines > target_lines else target
    first = min(source_lines, target_lines) + 1
    raise UserError(
        f"{source} has {source_lines} lines but {target} has {target_lines}: "
        f"line {first} of {longer} is the first without a partner"
    )
