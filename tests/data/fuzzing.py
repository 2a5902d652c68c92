"""What hostile files are made of, and what reading any of them must give."""

from __future__ import annotations

import csv
import html
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as parquet
from hypothesis import strategies as st

from nmt.config import DataConfig
from nmt.data.cleaning import REASONS, clean
from nmt.data.corpus import Corpus, Reader, Split
from nmt.data.readers import Languages, Pair, one_line
from nmt.errors import UserError

EN_DE = Languages("en", "de")
NOTHING = Split([], [], None)
NASTY = "\x00\t\n\x0b\x0c\r\x1c\x85\u2028\u2029\ufeff\u200b\u202e\ud800\udfff\ufffe\U0001f600 ,"


def counted(train: Reader) -> tuple[list[Pair], Counter[str]]:
    """What is read, each text on one line; the counts of what is read, kept and dropped add up."""
    read: list[Pair] = []
    skipped: Counter[str] = Counter()

    def stream(_: Counter[str]) -> Iterator[Pair]:
        for pair in train(skipped):
            read.append(pair)
            yield pair

    counts: Counter[str] = Counter()
    kept = list(clean(Corpus(stream, NOTHING, NOTHING, ""), DataConfig(), counts))
    counts += skipped
    assert counts["read"] == len(read) + skipped["read"]
    assert counts["read"] == len(kept) + sum(counts[reason] for reason in REASONS)
    for text in (text for pair in read for text in pair):
        assert len(text.splitlines()) <= 1
        assert text.encode("utf-8").decode("utf-8") == text
    return read, counts


def complaint(error: UserError, paths: list[Path]) -> str:
    """One sentence that names one of the files."""
    message = str(error)
    assert len(message.splitlines()) == 1 and len(message) < 1000
    assert any(str(path) in message for path in paths)
    return message


# --- Texts, and the formats they are written in ---


def texts(without: str = "", surrogates: bool = False) -> st.SearchStrategy[str]:
    characters = st.characters(exclude_categories=() if surrogates else ("Cs",)) | st.sampled_from(
        [c for c in NASTY if surrogates or not "\ud800" <= c <= "\udfff"]
    )
    return st.text(characters.filter(lambda c: c not in without), max_size=20)


def is_xml(character: str) -> bool:
    return character in "\t\n" or (character >= " " and character not in "\ufffe\uffff")


class Format(NamedTuple):
    texts: st.SearchStrategy[str]  # what it can hold
    write: Callable[[list[Pair]], list[bytes]]  # a file, or two
    count: Callable[[bytes], int] | None  # the pairs in a file; None: only the reader knows
    given: Callable[[str], str] = one_line  # what is read of a text


def tsv(pairs: list[Pair]) -> list[bytes]:
    return ["".join(f"{a}\t{b}\n" for a, b in pairs).encode()]


def csv_file(pairs: list[Pair]) -> list[bytes]:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=";", quoting=csv.QUOTE_ALL).writerows(pairs)
    return [file.getvalue().encode("utf-8-sig")]


def anki(pairs: list[Pair]) -> list[bytes]:
    file = io.StringIO(newline="")
    escaped = [tuple(map(html.escape, pair)) for pair in pairs]
    csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(escaped)
    return [b"#separator:tab\n#html:true\n" + file.getvalue().encode()]


def json_list(pairs: list[Pair]) -> list[bytes]:
    return [json.dumps([dict(zip(EN_DE, pair, strict=True)) for pair in pairs], indent=2).encode()]


def zipped(pairs: list[Pair]) -> list[bytes]:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for language, content in zip(EN_DE, aligned(pairs), strict=True):
            archive.writestr(f"folder/Corpus.de-en.{language}", content)
        archive.writestr("README", "not a corpus")
    return [file.getvalue()]


def aligned(pairs: list[Pair]) -> list[bytes]:
    return ["".join(f"{pair[side]}\n" for pair in pairs).encode() for side in (0, 1)]


def json_lines(pairs: list[Pair]) -> list[bytes]:
    return ["\n".join(json.dumps(dict(zip(EN_DE, pair, strict=True))) for pair in pairs).encode()]


def tmx(pairs: list[Pair]) -> list[bytes]:
    def variant(language: str, text: str) -> str:
        return f'<tuv xml:lang="{language}"><seg>{escape(text)}</seg></tuv>'

    units = "\n".join(f"<tu>{variant('en', a)}{variant('de-AT', b)}</tu>" for a, b in pairs)
    return [f"<tmx><header/><body>\n{units}</body></tmx>".encode()]


def parquet_file(pairs: list[Pair]) -> list[bytes]:
    rows = [{"translation": dict(zip(EN_DE, pair, strict=True))} for pair in pairs]
    struct = pa.struct([("en", pa.string()), ("de", pa.string())])
    return [parquet_bytes(pa.Table.from_pylist(rows, pa.schema([("translation", struct)])))]


def parquet_bytes(table: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(table, file, **options)
    return file.getvalue()


def count_lines(data: bytes) -> int:
    data = data.removeprefix(b"\xef\xbb\xbf")
    return data.count(b"\n") + (not data.endswith(b"\n") and data != b"")


def count_rows(data: bytes) -> int:
    return sum(1 for line in data.decode("utf-8-sig").split("\n") if line.strip())


def count_units(data: bytes) -> int:
    root = ElementTree.fromstring(data)
    return sum(1 for element in root.iter() if element.tag.split("}")[-1] == "tu")


FORMATS = {
    ".tsv": Format(texts(without="\t\n\r\ufeff"), tsv, count_lines),
    ".txt": Format(texts(without="\n\r\ufeff"), aligned, count_lines),
    ".csv": Format(texts(without="\r"), csv_file, None),
    ".anki.txt": Format(
        texts(without="\r"), anki, None, lambda text: one_line(" ".join(text.split()))
    ),
    ".json": Format(
        texts(surrogates=True),
        json_list,
        None,
        lambda text: one_line(json.loads(json.dumps(text))),
    ),
    ".zip": Format(texts(without="\n\r\ufeff"), zipped, None),
    ".jsonl": Format(
        texts(surrogates=True),
        json_lines,
        count_rows,
        # Two escaped halves of a surrogate pair, one after the other, are one character in JSON.
        lambda text: one_line(json.loads(json.dumps(text))),
    ),
    ".tmx": Format(
        texts().map(lambda text: "".join(filter(is_xml, text))),
        tmx,
        count_units,
        lambda text: one_line(" ".join(text.split())),
    ),
    ".parquet": Format(
        texts(), parquet_file, lambda data: parquet.read_metadata(io.BytesIO(data)).num_rows
    ),
}


# --- Damage, and whatever else may stand in a file ---

BYTES = [b"\n", b"\t", b"\xff", b"\xef\xbb\xbf", b"\r", b'"', b"\\ud800", b"\x00", b"<", b">", b"&"]


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """`content` with some parts cut out, doubled or put in."""
    for _ in range(draw(st.integers(0, 4))):
        start, stop = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        put = draw(
            st.sampled_from(BYTES) | st.binary(max_size=4) | st.just(content[start:stop] * 2)
        )
        if draw(st.booleans()):
            stop = min(stop, start + len(put))
        content = content[:start] + put + content[stop:]
    return content


KEYS = st.sampled_from(["en", "de", "translation", "x"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | texts(surrogates=True)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
ROWS = st.fixed_dictionaries({"en": texts(), "de": texts()}, optional={"x": VALUES})
JSON = st.one_of(
    (ROWS | VALUES | st.builds(dict, translation=ROWS)).map(json.dumps),
    st.sampled_from(
        ["", " ", "[" * 10_000, '{"en":' * 10_000, "9" * 5000, '{"en": "a", "en": ""}']
    ),
)
JSON_LINES = st.lists(JSON, max_size=4).map(lambda lines: "\n".join(lines).encode())

NAMES = ["tmx", "body", "tu", "tuv", "seg", "ph", "bpt", "sub", "hi", "prop", "t:tu"]
INLINE = st.sampled_from(
    [
        "a",
        " b\n",
        "&amp;",
        "&#x2028;",
        "&#0;",
        "&auml;",
        "<!-- - -->",
        "<![CDATA[<]]>",
        "<?p?>",
        "\x00",
    ]
)


def element(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    attributes = st.sampled_from(["", ' xml:lang="en"', ' lang="DE_at"', ' xmlns:t="t"'])
    content = st.lists(inner, max_size=3).map("".join)
    return st.builds("<{0}{1}>{2}</{0}>".format, st.sampled_from(NAMES), attributes, content)


SEGMENTS = st.recursive(INLINE, element, max_leaves=4)
VARIANTS = st.builds(
    "<tuv{}><seg>{}</seg></tuv>".format,
    st.sampled_from([' xml:lang="en"', ' lang="de"', ' xml:lang="de-CH"', ' xml:lang="fr"', ""]),
    SEGMENTS,
)
UNITS = st.lists(VARIANTS | SEGMENTS, max_size=4).map(lambda inner: f"<tu>{''.join(inner)}</tu>")
HEADS = st.sampled_from(
    [
        "",
        "<?xml version='1.0'?>",
        "<!DOCTYPE tmx SYSTEM 'x.dtd'>",
        "<!DOCTYPE tmx [<!ENTITY a 'b'>]>",
        *(f"<?xml version='1.0' encoding='{name}'?>" for name in ("utf-16", "big5", "koi8-r", "x")),
    ]
)
DOCUMENTS = st.builds(
    lambda head, units, encoding: (
        f"{head}<tmx xmlns:t='t'><body>{''.join(units)}</body></tmx>".encode(encoding)
    ),
    HEADS,
    st.lists(UNITS | SEGMENTS, max_size=4),
    st.sampled_from(["utf-8", "utf-16", "koi8-r"]),
)

COLUMNS = {
    "text": pa.array(["a", "b\n", "\x00"]),
    "null text": pa.array(["a", None, "c"]),
    "large": pa.array(["a", "b", "c"], pa.large_string()),
    "coded": pa.array(["a", "b", "a"]).dictionary_encode(),
    "bytes": pa.array([b"a", b"\xff", b""]),
    "numbers": pa.array([1, 2, 3]),
    "nothing": pa.nulls(3),
    "lists": pa.array([["a"], [], None]),
    "pairs": pa.array([{"en": "a", "de": "b"}] * 3),
    "half pairs": pa.array([{"en": "a"}, None, {"en": None}]),
    "no rows": pa.array([], pa.string()),
}


def table(names: dict[str, str], codec: str) -> bytes:
    """A Parquet file with these of the `COLUMNS`, each cut to the shortest."""
    arrays = {key: COLUMNS[name] for key, name in names.items()}
    rows = min(map(len, arrays.values()))
    columns = pa.table({key: array[:rows] for key, array in arrays.items()})
    return parquet_bytes(columns, compression=codec, row_group_size=2)


TABLES = st.builds(
    table,
    st.dictionaries(KEYS, st.sampled_from(sorted(COLUMNS)), min_size=1),
    st.sampled_from(["none", "snappy", "gzip", "zstd"]),
)
