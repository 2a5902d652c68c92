"""Finding the columns of source and target by the header, the contents or data.columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from nmt.data.languages import find_language
from nmt.data.readers.pairs import Languages, Reading, listed
from nmt.data.readers.sides import (
    NO_SENTENCE,
    foreign_languages,
    header_mistake,
    is_heading,
    pair_keys,
    side_of,
    words_of,
)
from nmt.errors import UserError, require

Row = list[str]

# Numbers, dates, addresses, identifiers such as a1b2-c3, and the attributions of Tatoeba.
NUMBER = re.compile(r"[-+]?\d[\d.,:/\s-]*([eE][-+]?\d+)?%?")
ADDRESS = re.compile(r"\w+://\S*|www\.\S+|\S+@\S+\.\S+", re.ASCII)
IDENTIFIER = re.compile(r"(?=\S*\d)[\w.#:/-]+", re.ASCII)
ATTRIBUTION = re.compile(r"CC[ -]BY\b.*|.*tatoeba\.org.*", re.DOTALL)
NO_TEXT = (NUMBER, ADDRESS, IDENTIFIER, ATTRIBUTION)
MOST = 0.9  # share of the cells that decides what a column holds
FEW = 10  # with fewer rows, repeated values mean little


class Columns(NamedTuple):
    """Positions from 0 in each row; `header`: the first row is no pair; `why`: for the log."""

    source: int
    target: int
    header: bool = False
    why: str = ""

    def __str__(self) -> str:
        first = "; line 1 is a header" if self.header else ""
        return f"source: column {self.source + 1}, target: column {self.target + 1}{first}"


def choose_columns(rows: Sequence[Row], reading: Reading, place: str) -> Columns:
    """The columns for source and target of a table that begins with these rows.

    A header decides if there is one; otherwise columns of IDs, scores and so on are skipped.
    """
    header = has_header(rows[0], reading)
    if reading.columns:
        return told_columns(rows[0], reading, header, place)
    if header:
        return header_columns(rows, reading.languages, place)
    return text_columns(rows, place)


def has_header(row: Row, reading: Reading) -> bool:
    """Whether a first row is a header: its cells are headings that tell the sides apart."""
    names = [cell.strip() for cell in row if cell.strip()]
    if reading.columns and set(reading.columns) <= set(names):
        return True
    distinct = len({name.casefold() for name in names}) == len(names) > 1
    if not distinct or not all(is_heading(name, reading.languages) for name in names):
        return False
    sides = [side_of(name, reading.languages) for name in names]
    told = {side for side in sides if side is not None}
    spelt = {find_language(name) for name in names if len(name) > 2} - {None}
    # `German` and `Deutsch` are two names of one language, hence a pair.
    return (bool(told) and not (len(told) == 1 and None not in sides)) or len(spelt) > 1


def told_columns(row: Row, reading: Reading, header: bool, place: str) -> Columns:
    """The columns that data.columns names."""
    names = [cell.strip() for cell in row]
    places = []
    for column in reading.columns:
        if column in names:
            places.append(names.index(column))
        elif column.isdecimal() and int(column) > 0:
            places.append(int(column) - 1)
        else:
            raise UserError(
                f"data.columns names {column!r}, but {place} has no such column: its first line is "
                f"{listed(names)}; numbers count from 1"
            )
    return Columns(places[0], places[1], header, "data.columns")


def header_columns(rows: Sequence[Row], languages: Languages, place: str) -> Columns:
    names = [cell.strip() for cell in rows[0]]
    keys = pair_keys(tuple(names), languages)
    if keys is not None:
        return Columns(names.index(keys[0]), names.index(keys[1]), True)
    sides = [side_of(name, languages) for name in names]
    mistaken = foreign_languages(names, languages) or sides.count(0) > 1 or sides.count(1) > 1
    require(not mistaken, header_mistake(place, names, languages))
    texts = [n for n, name in enumerate(names) if not NO_SENTENCE & set(words_of(name))]
    known = next((n for n, side in enumerate(sides) if side is not None), texts[0])
    require(len(texts) == 2 and known in texts, header_mistake(place, names, languages))
    other = texts[1 - texts.index(known)]
    swapped = sides[known] == 1
    return Columns(*((other, known) if swapped else (known, other)), True)


def text_columns(rows: Sequence[Row], place: str) -> Columns:
    """The first two columns that hold text."""
    width = max(map(len, rows))
    if width <= 2:
        return Columns(0, 1)
    kept = [n for n in range(width) if is_text([row[n] for row in rows if n < len(row)])]
    if len(kept) < 2:
        raise UserError(
            f"{place} has {width} columns, but only {len(kept)} of them "
            f"hold{'s' * (len(kept) == 1)} text: choose the columns of source and target with "
            "data.columns, such as data.columns=[1,2]"
        )
    passed = [str(n + 1) for n in range(kept[1]) if n not in kept]
    why = f"passing over column{'s' * (len(passed) > 1)} {' and '.join(passed)}" if passed else ""
    if len(kept) > 2:
        others = " and ".join(str(n + 1) for n in kept[2:5])
        why = "; ".join(filter(None, [why, f"column {others} holds text too: see data.columns"]))
    return Columns(kept[0], kept[1], False, why)


def is_text(cells: Sequence[str]) -> bool:
    """Whether a column holds sentences, not numbers, IDs, addresses or one repeated label."""
    filled = [cell.strip() for cell in cells if cell.strip()]
    other = sum(any(kind.fullmatch(cell) for kind in NO_TEXT) for cell in filled)
    codes = sum(len(cell) <= 3 and find_language(cell) is not None for cell in filled)
    if not filled or max(other, codes) >= MOST * len(filled):
        return False
    return len(filled) < FEW or len(set(filled)) > max(1, len(filled) // 20)
