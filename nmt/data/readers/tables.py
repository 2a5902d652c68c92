"""Tables of text: TSV, CSV and what Anki exports, as a stream."""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import NamedTuple, TypeVar

from nmt.data.files import File, is_utf_16, read_lines
from nmt.data.readers.columns import Columns, Row, choose_columns, has_header
from nmt.data.readers.pairs import Pair, Reading
from nmt.errors import UserError

SAMPLE_ROWS = 200  # rows for choosing the columns
SAMPLE_SIZE = 1 << 20  # characters
DELIMITERS = (",", ";", "\t", "|")
LONGEST_CELL = csv.field_size_limit()

Item = TypeVar("Item")
Numbered = tuple[int, Row]  # the line on which a row ends, its cells


class Rows(NamedTuple):
    """The rows of a file; a blank line is a row of at most one blank cell."""

    place: str
    rows: Iterator[Numbered]
    short: str  # what is wrong with a row of one cell


def read_tsv(file: File, reading: Reading) -> Iterator[Pair]:
    """One pair per line, with tabs between columns. Quotes are text, except in files from Excel."""
    return table_pairs(tab_rows(read_lines(file), file), reading)


def tab_rows(lines: Iterable[str], file: File) -> Rows:
    short = "no tab between source and target"
    if is_utf_16(file):
        head, rest = sample(iter(lines), len)
        lines = chain(head, rest)
        if excel_quotes(head):
            return Rows(str(file), quoted_rows(lines, file, "\t", 0), short)
    rows = ((number, line.split("\t")) for number, line in enumerate(lines, start=1))
    return Rows(str(file), rows, short)


def excel_quotes(lines: list[str]) -> bool:
    """Whether cells are in quotes where they have commas, quotes or line breaks, and no others."""
    cells = [cell for line in lines for cell in line.split("\t")]
    quoted = [cell for cell in cells if cell.startswith('"')]
    return bool(quoted) and all(
        re.fullmatch(r'"([^"]|"")*("|$)', cell) and re.search('[,"]|^[^"]*$', cell[1:-1])
        for cell in quoted
    )


def read_csv(file: File, reading: Reading) -> Iterator[Pair]:
    """Cells separated by commas, semicolons, tabs or bars, whichever the file uses.

    Cells in double quotes may hold separators and line breaks.
    """
    head, lines = sample(read_lines(file), len)
    said = re.fullmatch(r"sep=(.)", head[0], re.IGNORECASE) if head else None  # as Excel writes it
    delimiter = said[1] if said else find_delimiter(head)
    lines = chain(head, lines)
    skipped = len(list(islice(lines, 1 if said else 0)))
    rows = quoted_rows(lines, file, delimiter, skipped)
    return table_pairs(
        Rows(str(file), rows, f"no {delimiter!r} between source and target"), reading
    )


def find_delimiter(lines: list[str]) -> str:
    """The delimiter that divides most rows into the same number of cells, at least two."""

    def rows_alike(delimiter: str) -> tuple[int, int]:
        reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True)
        widths = []
        try:
            for row in reader:
                widths.append(len(row))
        except csv.Error as error:
            if "end of data" not in str(error):  # the last cell may go on after the sample
                return 0, 0
        widths = [width for width in widths if width > 1]
        usual = max(widths, key=widths.count, default=0)
        return widths.count(usual), -usual

    return max(DELIMITERS, key=rows_alike)


def quoted_rows(
    lines: Iterable[str], file: File, delimiter: str, skipped: int
) -> Iterator[Numbered]:
    # A \r within a line would be an error of the csv module.
    whole = (line.replace("\r", " ") + "\n" for line in lines)
    reader = csv.reader(whole, delimiter=delimiter, strict=True)
    while True:
        begin = skipped + reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise UserError(
                f"{file} line {begin} has a cell that begins with a quote and does not end with "
                f"one, or is longer than {LONGEST_CELL:,} characters; a quote within quotes is "
                "written twice"
            ) from error
        if row is None:
            return
        yield skipped + reader.line_num, row


def table_pairs(table: Rows, reading: Reading) -> Iterator[Pair]:
    """The cells of the two columns of each row; blank lines are counted as `empty`."""
    head, rest = sample(table.rows, lambda row: sum(map(len, row[1])))
    filled = [row for row in head if not is_blank(row[1])]
    for number, row in filled[:1]:
        check_width(row, 2, f"{table.place} line {number}", table.short)
    if not filled:
        columns = Columns(0, 1)
    else:
        columns = choose_columns([row for _, row in filled], reading, table.place)
        if columns.header or columns.why:
            why = f" ({columns.why})" if columns.why else ""
            reading.note(f"{table.place}: {columns}{why}")
    header = filled[0][0] if columns.header else None
    source, target, width = columns.source, columns.target, max(columns[:2]) + 1
    for number, row in chain(head, rest):
        if len(row) >= width and number != header:
            yield row[source], row[target]
        elif is_blank(row):
            reading.drop("empty")
        elif number != header:
            check_width(row, width, f"{table.place} line {number}", table.short)


def check_width(row: Row, width: int, place: str, short: str) -> None:
    if len(row) < 2:
        raise UserError(f"{place} has {short}")
    if len(row) < width:
        raise UserError(f"{place} has {len(row)} columns, but column {width} should be there")


def is_blank(row: Row) -> bool:
    return len(row) < 2 and not "".join(row).strip()


def sample(items: Iterator[Item], size: Callable[[Item], int]) -> tuple[list[Item], Iterator[Item]]:
    """The first items, up to the sample size, and the others."""
    head: list[Item] = []
    total = 0
    for item in items:
        head.append(item)
        total += size(item)
        if len(head) >= SAMPLE_ROWS or total > SAMPLE_SIZE:
            break
    return head, items


# --- Anki ---

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "space": " ", "pipe": "|", "colon": ":"}
BREAKS = re.compile(r"</?(br|div|p|li|ul|ol|tr|td|th|hr|h\d)\b[^<>]*>", re.IGNORECASE)
TAGS = re.compile(r"</?[a-zA-Z][^<>]*>|<!--.*?-->", re.DOTALL)
SOUND = re.compile(r"\[sound:[^\]]*\]")
CLOZE = re.compile(r"\{\{c\d+::(.*?)(::.*?)?\}\}")


def read_txt(file: File, reading: Reading) -> Iterator[Pair]:
    """A text file with tabs: what Anki exports, known by its first lines, or plain TSV."""
    lines = read_lines(file)
    first = next(lines, "")
    if not re.match(r"#(separator|html|columns|notetype|deck|tags|guid)\b.*:", first):
        return table_pairs(tab_rows(chain([first], lines) if first else lines, file), reading)
    return read_anki(first, lines, file, reading)


def read_anki(first: str, lines: Iterator[str], file: File, reading: Reading) -> Iterator[Pair]:
    """Notes that begin with lines such as `#separator:tab` and `#html:true`."""
    options: dict[str, str] = {}
    for count, line in enumerate(chain([first], lines), start=1):
        if not line.startswith("#") or ":" not in line:
            lines = chain([line], lines)
            count -= 1
            break
        key, _, value = line[1:].partition(":")
        options[key.strip().lower()] = value.strip() if key != "columns" else value
    separator = options.get("separator", "tab")
    delimiter = SEPARATORS.get(separator.lower(), separator if len(separator) == 1 else "\t")
    other = {int(value) for key, value in options.items() if "column" in key and value.isdecimal()}
    rows = quoted_rows(lines, file, delimiter, count)
    names = options.get("columns", "").split(delimiter)
    if has_header(names, reading):
        rows = chain([(0, names)], rows)
    elif not reading.columns:
        rows = ((number, without(row, other)) for number, row in rows)
    if options.get("html", "").lower() == "true":
        rows = ((number, [text_of_html(cell) for cell in row]) for number, row in rows)
    return table_pairs(Rows(str(file), rows, f"no {separator} between source and target"), reading)


def without(row: Row, columns: set[int]) -> Row:
    """A row without its deck, tags and the like; their columns are numbered from 1."""
    return [cell for number, cell in enumerate(row, start=1) if number not in columns]


def text_of_html(cell: str) -> str:
    text = SOUND.sub(" ", CLOZE.sub(r"\1", cell))
    text = html.unescape(TAGS.sub("", BREAKS.sub(" ", text)))
    return " ".join(text.split())
