"""Files made to do harm, or damaged: read right or refused in one sentence, in bounded memory."""

from __future__ import annotations

import gzip
import json
import lzma
import re
import tracemalloc
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from nmt.data.files import LONGEST, byte_blocks, read_lines
from nmt.data.readers import Languages, Pair, read_pairs
from nmt.errors import UserError

EN_DE = Languages("en", "de")
PACK = {".gz": gzip.compress, ".xz": lzma.compress}
FULL = '<tu><tuv xml:lang="en"><seg>a</seg></tuv><tuv xml:lang="de"><seg>b</seg></tuv></tu>'
HALF = '<tu><tuv xml:lang="en"><seg>a</seg></tuv></tu>'


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path, counts: Counter[str] | None = None) -> list[Pair]:
    return list(read_pairs((path,), EN_DE, Counter() if counts is None else counts))


def complaint(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1 and str(path) in message
    return message


def document(*units: str, head: str = "") -> str:
    return f"{head}<tmx><body>\n{''.join(units)}</body></tmx>"


def variant(language: str, segment: str) -> str:
    return f'<tuv xml:lang="{language}"><seg>{segment}</seg></tuv>'


class TestArchives:
    @pytest.mark.parametrize("suffix", PACK)
    def test_several_members_and_zeros_between_them(self, tmp_path, suffix):
        parts = [PACK[suffix](f"a{n}\tb\n".encode() * 5000) for n in range(3)]
        path = write(tmp_path / f"a.tsv{suffix}", bytes(8).join(parts) + bytes(70_000))
        assert read(path) == [(f"a{n}", "b") for n in range(3) for _ in range(5000)]

    @pytest.mark.parametrize("suffix", PACK)
    def test_what_follows_and_is_no_archive(self, tmp_path, suffix):
        path = write(tmp_path / f"a.tsv{suffix}", PACK[suffix](b"a\tb\n") + b"garbage")
        assert "is damaged, cut off or not a" in complaint(path)

    @pytest.mark.parametrize("suffix", PACK)
    @pytest.mark.parametrize("name", ["a.tsv", "a.jsonl", "a.tmx"])
    def test_a_bomb_of_one_line(self, tmp_path, suffix, name):
        """A gigabyte of one line, and of one tag, from a file a thousandth of its size."""
        head, byte = (b"<tmx ", b"z") if name == "a.tmx" else (b"", b"\0")
        whole = PACK[suffix](head) + PACK[suffix](byte * (1 << 20)) * 1000
        path = write(tmp_path / f"{name}{suffix}", whole)
        tracemalloc.start()
        message = complaint(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert "line 1 " in message and "longer than 16 MB" in message
        assert peak < 5 * LONGEST

    def test_xz_that_asks_for_much_memory(self, tmp_path, monkeypatch):
        path = write(tmp_path / "a.tsv.xz", lzma.compress(b"a\tb\n", preset=9))
        assert read(path) == [("a", "b")]
        monkeypatch.setattr("nmt.data.files.XZ_MEMORY", 1 << 24)
        assert "needs more than 16 MB of memory" in complaint(path)

    def test_lines_across_blocks(self, tmp_path, monkeypatch):
        monkeypatch.setattr("nmt.data.files.BLOCK", 3)
        lines = ["", "a", "ab", "abc", "", "abcdefgh", "ä\r "]
        assert list(read_lines(write(tmp_path / "a", "\n".join(lines)))) == lines
        assert list(byte_blocks(tmp_path / "a"))[:2] == [b"\na\n", b"ab\n"]

    def test_the_longest_line(self, tmp_path, monkeypatch):
        monkeypatch.setattr("nmt.data.files.LONGEST", 100)
        monkeypatch.setattr("nmt.data.files.BLOCK", 10)
        longest = "\n" + "x" * 98 + "\tb"
        assert read(write(tmp_path / "a.tsv", "a\tb" + longest)) == [("a", "b"), ("x" * 98, "b")]
        assert "line 2 is longer" in complaint(write(tmp_path / "b.tsv", f"a\tb{longest}bbbb"))


class TestTexts:
    EXPECTED = {
        "a\nb\r\nc": "a b  c",
        "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\th": "a b c d e f g h",
        "a\x00b\x7f": "a b ",
        "\ud83d x \udfff": "\ufffd x \ufffd",
        "\ud83d\ude00": "\U0001f600",
        "\u200bא\u202e\u00a0\ufeff\U0001f600": "\u200bא\u202e\u00a0\ufeff\U0001f600",
    }

    @pytest.mark.parametrize("text, expected", EXPECTED.items(), ids=range(len(EXPECTED)))
    def test_json_lines(self, tmp_path, text, expected):
        path = write(tmp_path / "a.jsonl", json.dumps({"en": text, "de": "b"}))
        assert read(path) == [(expected, "b")]

    def test_text(self, tmp_path):
        for side in EN_DE:
            (tmp_path / f"a.{side}").write_bytes(b"a\x0cb\xe2\x80\xa8c\x00\rd\r\n\n")
        pairs = list(read_pairs((tmp_path / "a.en", tmp_path / "a.de"), EN_DE, Counter()))
        assert pairs == [("a b c  d",) * 2, ("", "")]


BAD_JSON = {
    "deep": (
        "[" * 100_000,
        "is not valid JSON: it has a number with too many digits or too many",
    ),
    "deep objects": (
        '{"en":' * 100_000,
        "is not valid JSON: it has a number with too many digits or too many",
    ),
    "many digits": (
        '{"x": ' + "9" * 5000 + "}",
        "is not valid JSON: it has a number with too many digits or too many",
    ),
    "key twice": ('{"en": "a", "en": "c", "de": "b"}', "an object has the same key twice"),
    "number": ('{"en": "a", "de": NaN}', "'de' is a number"),
    "mark": (
        '\ufeff{"en": "a", "de": "b"}',
        "is not valid JSON: a quote, comma or bracket",
    ),
    "many keys": (json.dumps({"k" * 99 + str(n): "" for n in range(999)}), "but its keys are 'kk"),
}


@pytest.mark.parametrize("line, message", BAD_JSON.values(), ids=BAD_JSON)
def test_json_lines(tmp_path, line, message):
    told = complaint(write(tmp_path / "a.jsonl", '{"en": "a", "de": "b", "x": 1e999}\n' + line))
    assert "line 2 " in told and message in told and len(told) < 1000


BAD_TMX = {
    "laughs": (
        document(head='<!DOCTYPE tmx [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>\n'),
        "line 1 declares entities",
    ),
    "default attribute": (
        document(FULL, head='<!DOCTYPE tmx [<!ATTLIST tuv xml:lang CDATA "de">]>\n'),
        "line 1 declares entities or the like in its DOCTYPE",
    ),
    "entity of a file that is not read": (
        document(f"<tu>{variant('en', 'a&auml;')}</tu>", head='<!DOCTYPE tmx SYSTEM "x.dtd">\n'),
        "line 3, which has &auml; which XML does not know",
    ),
    "no language": (
        document("<tu><tuv><seg>a</seg></tuv></tu>"),
        "line 2, which has a <tuv> without xml",
    ),
    "segment in segment": (
        document(f"<tu>{variant('en', 'a<seg>b</seg>')}</tu>"),
        "line 2, which has a <seg> in <seg>, not in <tuv>",
    ),
    "two segments": (
        document(f"<tu>{variant('en', 'a</seg><seg>b')}</tu>"),
        "line 2, which has a second <seg> in one <tuv>",
    ),
    "deep": (document("<x>" * 5000), "line 2 has more than 100 elements in each other"),
    "unclosed": (document("<tu>"), "line 2, which has an element that is not closed"),
    "several bytes": (
        document(FULL, head="<?xml version='1.0' encoding='shift_jis'?>"),
        "is in an encoding that cannot be read (multi-byte encodings are not supported); save it",
    ),
    "no encoding": (
        document(FULL, head="<?xml version='1.0' encoding='none'?>"),
        "is in an encoding that cannot be read (unknown encoding: none)",
    ),
}


class TestTMX:
    @pytest.mark.parametrize("content, message", BAD_TMX.values(), ids=BAD_TMX)
    def test_refused(self, tmp_path, content, message):
        assert message in complaint(write(tmp_path / "a.tmx", content))

    def test_a_unit_that_lacks_a_language_is_counted(self, tmp_path):
        counts: Counter[str] = Counter()
        assert read(write(tmp_path / "a.tmx", document(HALF, FULL, HALF)), counts) == [("a", "b")]
        assert counts == {"read": 2, "language": 2}

    @pytest.mark.parametrize(
        "variants, expected",
        [
            ([("en", "a"), ("de", "b"), ("de", "c")], ("a", "b")),
            ([("en-US", "a"), ("en-GB", "b"), ("de", "c")], ("a", "c")),
            ([("en-US", "a"), ("EN", "b"), ("de_CH", "c")], ("b", "c")),
        ],
    )
    def test_of_several_texts_in_a_language_the_first(self, tmp_path, variants, expected):
        unit = "".join(variant(*each) for each in variants)
        assert read(write(tmp_path / "a.tmx", document(f"<tu>{unit}</tu>"))) == [expected]

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "iso-8859-1", "windows-1252"])
    def test_encodings(self, tmp_path, encoding):
        name = encoding.removesuffix("-sig")
        unit = f"<tu>{variant('en', 'a')}{variant('de', 'Äpfel &#x20AC;')}</tu>"
        text = document(unit, head=f"<?xml version='1.0' encoding='{name}'?>")
        assert read(write(tmp_path / "a.tmx", text.encode(encoding))) == [("a", "Äpfel €")]

    def test_namespaces_and_markup(self, tmp_path):
        segment = "a <bpt i='1'>&lt;b><sub>x</sub></bpt><hi>b</hi><!-- c --><![CDATA[<d>]]><ph/>"
        text = document(f"<tu>{variant('en', segment)}{variant('de', 'e')}</tu>")
        for content in (text, text.replace("<tmx", "<tmx xmlns='urn:tmx'")):
            assert read(write(tmp_path / "a.tmx", content)) == [("a b<d>", "e")]
        prefixed = re.sub("<(/?)(tmx|body|tu|tuv|seg)", r"<\1t:\2", text)
        prefixed = prefixed.replace("tmx>", "tmx xmlns:t='urn:tmx'>", 1)
        assert read(write(tmp_path / "a.tmx", prefixed)) == [("a b<d>", "e")]

    @pytest.mark.parametrize("before, message", [("", "a text"), ("<!--", "a tag or comment")])
    def test_huge_texts(self, tmp_path, before, message):
        text = "x" * (LONGEST + 70_000)
        path = write(tmp_path / "a.tmx", document(f"<tu>{variant('en', before + text)}</tu>"))
        assert f"line 2 has {message} that is longer than 16 MB" in complaint(path)


class TestParquet:
    def write(self, path: Path, **columns: object) -> Path:
        parquet.write_table(pa.table(columns), path)
        return path

    def test_wrong_columns(self, tmp_path):
        path = self.write(tmp_path / "a.parquet", en=["a"], fr=["b"])
        assert "should have the columns 'en' and 'de'" in complaint(path)
        assert complaint(path).endswith("but has 'en', 'fr'")

    @pytest.mark.parametrize(
        "column, kind",
        [([None], "null"), ([1], "a number"), ([["a"]], "a list"), ([b"a"], "bytes")],
    )
    def test_wrong_types(self, tmp_path, column, kind):
        path = self.write(tmp_path / "a.parquet", en=["a"], de=column)
        assert f"{path} row 1 should have text under" in complaint(path)
        assert complaint(path).endswith(f"'de' is {kind}")

    def test_text_that_is_not_utf8(self, tmp_path):
        text = pa.array([b"a", b"\xff"]).view(pa.binary()).cast(pa.string(), safe=False)
        path = self.write(tmp_path / "a.parquet", en=text, de=text)
        assert "is damaged, cut off or not a Parquet file" in complaint(path)

    def test_no_rows(self, tmp_path):
        nothing = pa.array([], pa.string())
        assert read(self.write(tmp_path / "a.parquet", en=nothing, de=nothing)) == []

    def test_rows_that_are_declared_and_not_there(self, tmp_path, monkeypatch):
        path = self.write(tmp_path / "a.parquet", en=["a", "b"], de=["c", "d"])
        monkeypatch.setattr(parquet.ParquetFile, "iter_batches", lambda *_, **__: iter(()))
        assert complaint(path).endswith("is damaged: it has 0 of the 2 rows it promises")
