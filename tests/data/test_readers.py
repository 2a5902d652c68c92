from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections import Counter
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from nmt.data.files import read_lines
from nmt.data.readers import Languages, read_pairs
from nmt.errors import UserError

EN_DE = Languages("en", "de")
PACK = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": partial(pa.compress, codec="zstd", asbytes=True),
}
PAIRS = [("a dog", "ein Hund"), ("", "leer"), ("x\u2028y \x0c z", "ä\x85ö"), ("end", "Ende")]
READ = [*PAIRS[:2], ("x y   z", "ä ö"), PAIRS[-1]]  # each text is one line for any program


def write(path: Path, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(PACK.get(path.suffix, bytes)(data))
    return path


def tmx(*units: str, before: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{before}<tmx version="1.4"><header/><body>\n'
        + "\n".join(units)
        + "</body></tmx>"
    )


def unit(**sides: str) -> str:
    tuvs = (f'<tuv xml:lang="{code}"><seg>{text}</seg></tuv>' for code, text in sides.items())
    return f"<tu>{''.join(tuvs)}</tu>"


def read(*paths: Path) -> list[tuple[str, str]]:
    return list(read_pairs(paths, EN_DE, Counter()))


@pytest.mark.parametrize("packed", ["", ".gz", ".xz", ".bz2", ".zst"])
class TestFormats:
    def test_aligned_text(self, tmp_path, packed):
        sides = [
            write(tmp_path / f"a.{side}{packed}", "".join(f"{line}\n" for line in lines))
            for side, lines in zip(EN_DE, zip(*PAIRS, strict=True), strict=True)
        ]
        assert read(*sides) == READ

    def test_tsv(self, tmp_path, packed):
        lines = "".join(f"{source}\t{target}\tmore\n" for source, target in PAIRS)
        assert read(write(tmp_path / f"a.tsv{packed}", lines)) == READ

    @pytest.mark.parametrize("nested", [False, True])
    def test_json_lines(self, tmp_path, packed, nested):
        rows = [{"id": 1, "en": source, "de": target} for source, target in PAIRS]
        lines = [json.dumps({"translation": row} if nested else row) for row in rows]
        assert read(write(tmp_path / f"a.jsonl{packed}", "\n".join(lines) + "\n\n")) == READ

    def test_tmx(self, tmp_path, packed):
        text = tmx(
            unit(en="a &lt;dog&gt;", de="ein\n  Hund"),
            unit(en="no German", fr="pas"),
            '<tu><tuv lang="EN-us"><seg>two<ph>&lt;br/></ph> <hi>words</hi></seg></tuv>'
            '<tuv xml:lang="DE_AT"><seg>zwei Wörter</seg></tuv></tu>',
            before='<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n',
        )
        path = write(tmp_path / f"a.tmx{packed}", text)
        assert read(path) == [("a <dog>", "ein Hund"), ("two words", "zwei Wörter")]


@pytest.mark.parametrize("nested", [False, True])
def test_parquet(tmp_path, nested):
    import pyarrow.parquet as parquet

    rows = [{"en": source, "de": target} for source, target in PAIRS]
    table = pa.Table.from_pylist([{"translation": row} for row in rows] if nested else rows)
    parquet.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == READ


def test_lines_end_at_newlines_alone_and_have_no_byte_order_mark(tmp_path):
    path = write(tmp_path / "a", "\ufeffone\r\ntwo\u2028still\r two\n\n\ufefflast".encode())
    assert list(read_lines(path)) == ["one", "two\u2028still\r two", "", "\ufefflast"]


@pytest.mark.parametrize(
    "left, right, message",
    [
        (5, 3, "a.en has 5 lines but .*a.de has 3: line 4 of .*a.en is the first without"),
        (3, 4, "a.en has 3 lines but .*a.de has 4: line 4 of .*a.de is the first without"),
        (0, 2, "a.en has 0 lines but .*a.de has 2: line 1 of .*a.de is the first without"),
    ],
)
def test_files_of_different_lengths(tmp_path, left, right, message):
    sides = write(tmp_path / "a.en", "x\n" * left), write(tmp_path / "a.de", "x\n" * right)
    with pytest.raises(UserError, match=message):
        read(*sides)


BOMB = '<!DOCTYPE tmx [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n'
EXTERNAL = '<!DOCTYPE tmx [<!ENTITY e SYSTEM "file:///etc/passwd">]>\n'
BAD = {
    "utf8": ("a.tsv", b"a\tb\nc\t\xfc\n", "a.tsv line 2 is not UTF-8 text .*byte 3 .* 0xfc"),
    "utf16": ("a.tsv", "a\tb\n".encode("utf-16")[:-1], "a.tsv begins like UTF-16 text but is d"),
    "no tab": ("a.tsv", "a\tb\na b\n", "a.tsv line 2 has no tab"),
    "no json": ("a.jsonl", '{"en": "a", "de": "b"}\n{"en"\n', "a.jsonl line 2 is not valid JSON"),
    "no object": ("a.jsonl", '["a", "b"]\n', "a.jsonl line 1 is not an object with .*'en'"),
    "no key": ("a.jsonl", '{"en": "a", "fr": "b"}', "line 1 .* 'en' and 'de' .*are 'en', 'fr'"),
    "null": ("a.jsonl", '{"en": "a", "de": null}', "line 1 should .* 'de' is null"),
    "no languages": ("a.tmx", tmx(unit(en="a", fr="b")), "in both 'en' and 'de'; .* en, fr"),
    "no xml": (
        "a.tmx",
        "<tmx><body>\n<tu></body>",
        "a.tmx ends before the TMX does: it is cut off; .*line 2, which has an el",
    ),
    "cut xml": ("a.tmx", "<tmx><body><tu>", "a.tmx ends before the TMX does: it is cut off"),
    "bomb": ("a.tmx", tmx(unit(en="&b;", de="x"), before=BOMB), "a.tmx line 2 declares entities"),
    "external": ("a.tmx", tmx(unit(en="&e;", de="x"), before=EXTERNAL), "line 2 declares entities"),
    "no parquet": ("a.parquet", "PAR1", "a.parquet is damaged, cut off or not a Parquet"),
    "unknown": ("a.docx", "x", "a.docx is not a supported corpus file; expected .tsv"),
}


@pytest.mark.parametrize("name, content, message", BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_told_in_one_line(tmp_path, name, content, message):
    with pytest.raises(UserError, match=message) as caught:
        read(write(tmp_path / name, content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.tsv.gz", "a.tsv.xz", "a.tsv.bz2", "a.tsv.zst"])
@pytest.mark.parametrize("damage", ["cut", "plain"])
def test_a_damaged_archive(tmp_path, name, damage):
    whole = write(tmp_path / name, "".join(f"{n}\t{n * n}\n" for n in range(999))).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"a\tb\n")
    with pytest.raises(
        UserError, match=f"{name} is damaged, cut off or not a {Path(name).suffix} file"
    ):
        read(tmp_path / name)


def test_a_missing_file(tmp_path):
    for name in ("a.tsv", "a.tsv.gz", "a.tsv.xz", "a.parquet", "a.tmx"):
        with pytest.raises(UserError, match=f"there is no file .*{name}"):
            read(tmp_path / name)
