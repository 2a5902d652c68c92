"""Hostile files: a reader gives all that is in them, or says in one sentence why it does not.

NMT_EXAMPLES=10000 searches longer.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections import Counter
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from fuzzing import (
    DOCUMENTS,
    EN_DE,
    FORMATS,
    JSON,
    JSON_LINES,
    TABLES,
    complaint,
    count_lines,
    counted,
    damaged,
)
from hypothesis import given
from hypothesis import strategies as st

from nmt.data.files import byte_blocks, read_lines
from nmt.data.readers import Pair, read_pairs
from nmt.errors import UserError

PACK = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": partial(pa.compress, codec="zstd", asbytes=True),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def pairs_of(paths: list[Path]) -> tuple[list[Pair], Counter[str]]:
    return counted(partial(read_pairs, tuple(paths), EN_DE))


def write(folder: Path, suffix: str, contents: list[bytes]) -> list[Path]:
    paths = [folder / f"{number}{suffix}" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


@pytest.mark.parametrize("suffix", FORMATS)
@given(data=st.data())
def test_every_pair_is_read(folder: Path, suffix: str, data: st.DataObject) -> None:
    kind = FORMATS[suffix]
    pairs = data.draw(st.lists(st.tuples(kind.texts, kind.texts), max_size=8))
    packed = data.draw(st.sampled_from(["", *([] if suffix in (".parquet", ".zip") else PACK)]))
    contents = [PACK.get(packed, bytes)(content) for content in kind.write(pairs)]
    paths = write(folder, suffix + packed, contents)
    if suffix == ".tmx" and not pairs:
        return
    assert pairs_of(paths)[0] == [tuple(map(kind.given, pair)) for pair in pairs]


def check(folder: Path, suffix: str, contents: list[bytes]) -> None:
    paths = write(folder, suffix, contents)
    try:
        counts = pairs_of(paths)[1]
    except UserError as error:
        complaint(error, paths)
    else:
        count = FORMATS[suffix].count
        if count is not None and not counts["damaged"]:
            assert [counts["read"]] * len(paths) == list(map(count, contents))


@pytest.mark.parametrize("suffix", FORMATS)
@given(data=st.data())
def test_a_damaged_file(folder: Path, suffix: str, data: st.DataObject) -> None:
    kind = FORMATS[suffix]
    pairs = data.draw(st.lists(st.tuples(kind.texts, kind.texts), min_size=1, max_size=4))
    check(folder, suffix, [data.draw(damaged(content)) for content in kind.write(pairs)])


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
@given(content=JSON_LINES)
def test_any_json(folder: Path, suffix: str, content: bytes) -> None:
    check(folder, suffix, [content])


@given(st.lists(JSON, max_size=4))
def test_any_json_list(folder: Path, values: list[str]) -> None:
    check(folder, ".json", [f"[{', '.join(values)}]".encode()])


@given(DOCUMENTS)
def test_any_tmx(folder: Path, content: bytes) -> None:
    check(folder, ".tmx", [content])


@given(TABLES.flatmap(damaged))
def test_any_parquet(folder: Path, content: bytes) -> None:
    check(folder, ".parquet", [content])


@st.composite
def archive(draw: st.DrawFn, suffix: str) -> tuple[bytes, bytes]:
    """An archive of several members or streams, and its contents."""
    pack = PACK[suffix]
    parts = draw(st.lists(st.binary(max_size=40) | st.just(b"0" * 200_000), min_size=1, max_size=3))
    padding = b"" if suffix == ".zst" else b"\x00" * 4 * draw(st.integers(0, 2))
    return padding.join(map(pack, parts)) + padding, b"".join(parts)


@pytest.mark.parametrize("suffix", PACK)
@given(data=st.data())
def test_an_archive(folder: Path, suffix: str, data: st.DataObject) -> None:
    packed, whole = data.draw(archive(suffix))
    path = folder / f"a{suffix}"
    path.write_bytes(packed)
    assert b"".join(byte_blocks(path)) == whole
    path.write_bytes(data.draw(damaged(packed)))
    try:
        lines = list(read_lines(path))
    except UserError as error:
        complaint(error, [path])
    else:
        assert len(lines) == count_lines(b"".join(byte_blocks(path)))
