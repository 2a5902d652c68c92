"""Zip archives as OPUS packs them, and JSON that is a list."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from nmt.data.readers import Languages, Pair, read_aligned, read_pairs
from nmt.errors import UserError

FI_ET = Languages("fi", "et")
PAIRS = [("koira", "koer"), ("kissa", "kass")]
SIDES = ["koira\nkissa\n", "koer\nkass\n"]


def read(path: Path, languages: Languages = FI_ET) -> list[Pair]:
    return list(read_pairs((path,), languages, Counter()))


def pack(path: Path, **files: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


class TestZip:
    @pytest.mark.parametrize(
        "names",
        [
            ("OpenSubtitles.et-fi.fi", "OpenSubtitles.et-fi.et"),
            ("deep/fi.txt", "deep/et.txt"),
            ("Finnish.txt", "Estonian.txt"),
        ],
    )
    def test_two_texts(self, tmp_path, names):
        files = dict(zip(names, SIDES, strict=True))
        beside = {"README": "x", "LICENSE": "y", "a.et-fi.ids": "z", "__MACOSX/._et.txt": "w"}
        path = pack(tmp_path / "a.zip", **beside, **files)
        assert read(path) == PAIRS
        assert read(path, Languages("et", "fi")) == [(b, a) for a, b in PAIRS]

    @pytest.mark.parametrize(
        "name, content",
        [
            ("a.tsv", "koira\tkoer\nkissa\tkass\n"),
            ("a.csv", "koira;koer\nkissa;kass\n"),
            ("a/b.json", json.dumps([dict(zip(FI_ET, pair, strict=True)) for pair in PAIRS])),
        ],
    )
    def test_one_corpus(self, tmp_path, name, content):
        assert read(pack(tmp_path / "a.zip", **{name: content, "README.md": "x"})) == PAIRS

    def test_one_side_of_an_evaluation(self, tmp_path):
        paths = [pack(tmp_path / f"{number}.zip", text=side) for number, side in enumerate(SIDES)]
        assert list(read_aligned(*paths)) == PAIRS

    def test_which_one_is_not_clear(self, tmp_path):
        path = pack(tmp_path / "a.zip", **{"a.tsv": "x", "b.tsv": "y"})
        with pytest.raises(UserError, match=r"should hold one corpus file .*\.fi and \.et"):
            read(path)
        with pytest.raises(UserError, match="should hold one corpus file"):
            read(pack(tmp_path / "b.zip"))

    def test_no_archive_or_a_cut_one(self, tmp_path):
        path = pack(tmp_path / "a.zip", **{"a.tsv": "koira\tkoer\n" * 9999})
        whole = path.read_bytes()
        for content in (b"", b"a\tb\n", whole[:-30], whole[: len(whole) // 2]):
            path.write_bytes(content)
            with pytest.raises(UserError, match="damaged, cut off or not a .zip file"):
                read(path)
        with pytest.raises(UserError, match="there is no file"):
            read(tmp_path / "none.zip")

    def test_an_unusual_way_of_packing(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as archive:
            archive.writestr("a.tsv", "a\tb\n")
        with pytest.raises(UserError, match="a.zip: a.tsv is packed in an unusual way"):
            read(tmp_path / "a.zip")

    def test_a_bomb_stays_small(self, tmp_path):
        path = pack(tmp_path / "a.zip", **{"a.tsv": "\0" * (1 << 28)})
        assert path.stat().st_size < 1 << 19
        tracemalloc.start()
        with pytest.raises(UserError, match="a.zip: a.tsv line 1 is longer than 16 MB"):
            read(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1 << 27


class TestJsonLists:
    ROWS = [dict(zip(FI_ET, pair, strict=True)) for pair in PAIRS]

    @pytest.mark.parametrize("indent", [None, 0, 4])
    @pytest.mark.parametrize("nested", [False, True])
    def test_lists(self, tmp_path, indent, nested):
        rows = [{"translation": row} for row in self.ROWS] if nested else self.ROWS
        (tmp_path / "a.json").write_text(json.dumps(rows, indent=indent))
        assert read(tmp_path / "a.json") == PAIRS

    def test_objects_one_after_the_other(self, tmp_path):
        text = "\n".join(json.dumps(row, indent=2) for row in self.ROWS)
        (tmp_path / "a.json").write_text(text)
        assert read(tmp_path / "a.json") == PAIRS

    def test_more_than_is_read_at_a_time(self, tmp_path, monkeypatch):
        monkeypatch.setattr("nmt.data.readers.json_rows.CHUNK", 10)
        rows = [{"fi": f"a {n}", "et": "b " * n} for n in range(60)]
        (tmp_path / "a.json").write_text(json.dumps(rows, indent=1))
        assert len(read(tmp_path / "a.json")) == 60

    @pytest.mark.parametrize(
        "text, message",
        [
            (
                '[\n{"fi": "a", "et": "b"},\n{"fi": "a" "et": "b"}]',
                "line 3 is not valid JSON: .*mn 12",
            ),
            ('[{"fi": "a", "et": "b"}', "ends within its list"),
            ('[{"fi": "a", "et": "b"}\n{"fi": "a", "et": "b"}]', "line 2 has no comma between"),
            ('[{"fi": "a", "et": "b"}] x', "line 1 has text after the ] that"),
            ('[{"fi": "a"}]', "line 1 should have text under the keys 'fi' and 'et'"),
            ('[["a", "b"]]', "line 1 is not an object"),
            ("[" * 5000, "line 1 is not valid JSON"),
            ('{"fi": "a", "fi": "b", "et": "c"}', "the same key twice"),
        ],
    )
    def test_mistakes(self, tmp_path, text, message):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(UserError, match=message):
            read(tmp_path / "a.json")
