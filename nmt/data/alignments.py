"""True word alignments of a split, in Pharaoh format: `0-0 1-2`, one line per pair.

A file is called `train.align`, or `train.en-de.align` to say that its links are from English to
German. Links in the opposite direction to the config are reversed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from nmt.data.files import read_lines
from nmt.data.readers import Languages, Pair
from nmt.data.splits import Alignment
from nmt.data.tokenizer import word_spans
from nmt.errors import UserError, require

log = logging.getLogger(__name__)


def alignment_file(folder: Path, name: str, sides: Languages) -> Path | None:
    """The file of alignments of the split `name`, preferably one that names its direction."""
    source, target = sides
    names = (f"{name}.{source}-{target}.align", f"{name}.{target}-{source}.align", f"{name}.align")
    return next((path for path in map(folder.joinpath, names) if path.is_file()), None)


def alignments_of(
    path: Path, rows: list[int], pairs: list[Pair], sides: Languages, *, is_whole: bool
) -> list[Alignment]:
    """The alignments of the pairs in these rows of a file, from source to target.

    `is_whole` means that these are all its rows.
    """
    wanted = dict.fromkeys(rows, Alignment())
    total = 0
    for row, links in enumerate(read_alignments(path)):
        total += 1
        if row in wanted:
            wanted[row] = links
    last = max(rows, default=-1)
    require(
        total == len(rows) if is_whole else total > last,
        f"{path} has {total} lines for {len(rows) if is_whole else last + 1} sentence pairs",
    )
    found = [wanted[row] for row in rows]
    return [turned(links) for links in found] if runs_back(path, found, pairs, sides) else found


def read_alignments(path: Path) -> Iterator[Alignment]:
    for number, line in enumerate(read_lines(path), start=1):
        try:
            links = [link.split("-") for link in line.split()]
            yield [(int(source), int(target)) for source, target in links]
        except ValueError as error:
            raise UserError(
                f"{path} line {number} is not an alignment such as '0-0 1-2'"
            ) from error


def turned(links: Alignment) -> Alignment:
    return sorted((target, source) for source, target in links)


def runs_back(path: Path, found: list[Alignment], pairs: list[Pair], sides: Languages) -> bool:
    """Whether the links go from target to source, by the name of the file or by the links.

    A file that does not name its direction has that of the config, unless the other fits better.
    """
    source, target = sides
    if path.name.endswith(f".{source}-{target}.align"):
        return False
    if path.name.endswith(f".{target}-{source}.align"):
        return True
    lengths = [(len(word_spans(one)), len(word_spans(other))) for one, other in pairs]
    straight = misfits(found, lengths)
    back = straight and misfits(map(turned, found), lengths)
    if back < straight:
        log.info("%s: reversing its links, which go from %s to %s", path, target, source)
    return back < straight


def misfits(found: Iterable[Alignment], lengths: list[tuple[int, int]]) -> int:
    """The number of pairs with a link to a word that does not exist."""
    return sum(
        any(source >= most[0] or target >= most[1] for source, target in links)
        for links, most in zip(found, lengths, strict=True)
    )
