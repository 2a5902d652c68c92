"""Pairs from JSON, as a stream: one object per line, or a list of objects over several lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from nmt.data.files import LONGEST, LONGEST_TOLD, File, read_lines
from nmt.data.readers.pairs import Languages, Pair, Reading, listed
from nmt.data.readers.sides import pair_keys
from nmt.errors import UserError, require

KINDS = {type(None): "null", bool: "true or false", int: "a number", float: "a number"}
KINDS |= {list: "a list", dict: "an object", bytes: "bytes"}
SPACES = re.compile(r"[ \t\r\n]*")
CHUNK = 1 << 16  # characters; doubled while a value does not end in them


def read_json_lines(file: File, reading: Reading) -> Iterator[Pair]:
    """One object per line; empty lines are skipped."""
    for number, line in enumerate(read_lines(file), start=1):
        if not line.strip():
            continue
        place = f"{file} line {number}"
        try:
            row = json.loads(line, object_pairs_hook=unique_keys)
        except (ValueError, RecursionError) as error:
            raise UserError(no_json(place, error)) from error
        yield row_pair(row, reading.languages, place, reading.columns)


def read_json(file: File, reading: Reading) -> Iterator[Pair]:
    """A list of objects, or one object after the other, with line breaks anywhere.

    Only one object at a time is in memory.
    """
    for number, row in json_values(file):
        yield row_pair(row, reading.languages, f"{file} line {number}", reading.columns)


def json_values(file: File) -> Iterator[tuple[int, Any]]:
    """The values of a list, or consecutive values, with the lines on which they begin."""
    text = Buffer(file)
    is_list = text.next() == "["
    if is_list:
        text.take(1)
    between = False  # whether a comma must come before the next value
    while character := text.next():
        if is_list and character == "]":
            text.take(1)
            left = text.next()
            require(not left, f"{text.place()} has text after the ] that ends the list")
            return
        if is_list and between:
            require(character == ",", f"{text.place()} has no comma between two objects")
            text.take(1)
            text.next()
        yield text.line, text.value()
        between = True
    require(
        not is_list, f"{file} ends within its list: the ] is missing, so the file may be cut off"
    )


class Buffer:
    """The text of a file, as a stream: only the part that is not yet taken is in memory."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.lines = read_lines(file)
        self.text = ""
        self.start = 0  # of what is not yet taken
        self.line = 1  # on which that is
        self.decoder = json.JSONDecoder(object_pairs_hook=unique_keys)

    def place(self) -> str:
        return f"{self.file} line {self.line}"

    def fill(self, size: int) -> bool:
        """Reads until `size` characters are available. Returns whether any were read."""
        parts = [self.text[self.start :]]
        total = before = len(parts[0])
        while total < size and (line := next(self.lines, None)) is not None:
            parts.append(line + "\n")
            total += len(line) + 1
        self.text, self.start = "".join(parts), 0
        return total > before

    def take(self, size: int) -> None:
        self.line += self.text.count("\n", self.start, self.start + size)
        self.start += size

    def next(self) -> str:
        """Skips spaces and returns the next character without taking it; "" at the end."""
        while True:
            spaces = SPACES.match(self.text, self.start)
            self.take(len(spaces[0]) if spaces else 0)
            if self.start < len(self.text):
                return self.text[self.start]
            if not self.fill(CHUNK):
                return ""

    def value(self) -> Any:
        """Takes the value that begins here."""
        size = CHUNK
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.start)
            except (ValueError, RecursionError) as error:
                size = 2 * max(size, len(self.text) - self.start)
                require(size <= 2 * LONGEST, f"{self.place()} has an object {LONGEST_TOLD}")
                if not (self._may_go_on(error) and self.fill(size)):
                    raise UserError(self._wrong(error)) from error
            else:
                self.take(end - self.start)
                return value

    def _may_go_on(self, error: Exception) -> bool:
        """Whether only the end is missing. Strings and numbers do not extend over a line end."""
        return isinstance(error, json.JSONDecodeError) and not self.text[error.pos :].strip()

    def _wrong(self, error: Exception) -> str:
        if isinstance(error, json.JSONDecodeError):
            self.line += self.text.count("\n", self.start, error.pos)
        return no_json(self.place(), error)


class Repeated(ValueError):
    """An object has a key twice."""


def unique_keys(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object as a dict. Raises `Repeated`, because one of two equal keys would be lost."""
    row = dict(items)
    if len(row) < len(items):
        raise Repeated("an object has the same key twice")
    return row


def no_json(place: str, error: Exception) -> str:
    """What is wrong with a text that should be JSON, for people who do not write it by hand."""
    if isinstance(error, json.JSONDecodeError):
        why = f"a quote, comma or bracket is missing or out of place near column {error.colno}"
    elif isinstance(error, Repeated):
        why = str(error)
    else:
        why = "it has a number with too many digits or too many nested brackets"
    return f"{place} is not valid JSON: {why}"


def row_pair(row: Any, languages: Languages, place: str, columns: tuple[str, ...] = ()) -> Pair:
    """The pair of {"en": ..., "de": ...} or {"translation": {"en": ..., "de": ...}}.

    The keys may also be names such as `English`, `source` and `target`, or what data.columns says.
    """
    require(isinstance(row, dict), f"{place} is not an object with the keys {_keys(languages)}")
    inner = row["translation"] if isinstance(row.get("translation"), dict) else row
    keys = pair_keys(tuple(inner), languages, columns)
    wanted = keys or columns or languages
    texts = [inner.get(key) for key in wanted]
    for key, text in zip(wanted, texts, strict=True):
        if not isinstance(text, str):
            kind = KINDS.get(type(text), type(text).__name__)
            raise UserError(
                f"{place} should have text under the keys {_keys(wanted)} "
                f"({'data.columns' if columns else languages}), but "
                + (f"{key!r} is {kind}" if key in inner else f"its keys are {listed(inner)}")
            )
    return texts[0], texts[1]


def _keys(names: tuple[str, ...]) -> str:
    return " and ".join(map(repr, names))
