"""Translation memories with damage in some units, and with markup between words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from nmt.data import files
from nmt.data.readers import Languages, Pair, read_pairs
from nmt.errors import UserError

EN_PL = Languages("en", "pl")


def unit(number: int | str, target: str = "") -> str:
    return (
        f'<tu>\n<tuv xml:lang="en"><seg>dog {number}</seg></tuv>'
        f'<tuv xml:lang="pl-PL"><seg>{target or f"pies {number}"}</seg></tuv></tu>\n'
    )


def document(*units: str, encoding: str = "UTF-8") -> str:
    head = f'<?xml version="1.0" encoding="{encoding}"?>\n<tmx version="1.4"><header/><body>\n'
    return f"{head}{''.join(units)}</body></tmx>\n"


def read(path: Path, content: str | bytes, counts: Counter[str] | None = None) -> list[Pair]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_pairs((path,), EN_PL, Counter() if counts is None else counts))


def intact(*numbers: int) -> list[Pair]:
    return [(f"dog {n}", f"pies {n}") for n in numbers]


DAMAGED = {
    "control character": unit(1).replace("dog", "d\x1fog"),
    "number of one": unit(1).replace("dog", "dog&#x1F;"),
    "number of another": unit(1).replace("dog", "dog&#0;"),
    "entity": unit(1).replace("dog", "dog&nbsp;"),
    "ampersand": unit(1).replace("dog", "cat & dog"),
    "less than": unit(1).replace("dog", "a < b"),
    "order": unit(1).replace("</seg></tuv><tuv", "</tuv></seg><tuv"),
    "not closed": unit(1).replace("</seg>", ""),
    "unit not closed": unit(1).replace("</tu>", ""),
    "unit closed twice": unit(1).replace("</tu>", "</tuv></tu>"),
    "attribute twice": unit(1).replace("<tu>", '<tu a="1" a="2">'),
    "no language": unit(1).replace(' xml:lang="en"', ""),
    "segment in segment": unit(1).replace("dog", "<seg>dog</seg>"),
    "second segment": unit(1).replace("</seg>", "</seg><seg>x</seg>"),
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("block", [1 << 16, 7])
def test_a_damaged_unit_is_skipped_and_counted(tmp_path, monkeypatch, damaged, block):
    monkeypatch.setattr(files, "BLOCK", block)
    counts: Counter[str] = Counter()
    text = document(unit(0), damaged, unit(2), unit(3), damaged, unit(4))
    assert read(tmp_path / "a.tmx", text, counts) == intact(0, 2, 3, 4)
    assert counts == {"read": 2, "damaged": 2}


def test_bytes_that_are_not_utf8(tmp_path):
    text = document(unit(0), unit("Ä"), unit(2)).encode().replace("Ä".encode(), b"\xc4")
    assert read(tmp_path / "a.tmx", text) == intact(0, 2)


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-2"])
def test_damage_in_other_encodings(tmp_path, encoding):
    bad = unit(1).replace("dog", "d\x01og")
    text = document(unit(0), bad, unit(2, "żółw"), encoding=encoding).encode(encoding)
    assert read(tmp_path / "a.tmx", text) == [*intact(0), ("dog 2", "żółw")]


def test_a_file_that_says_utf16_and_is_utf8(tmp_path):
    text = document(unit(0), unit(1, "żółw"), encoding="UTF-16").encode()
    assert read(tmp_path / "a.tmx", text) == [*intact(0), ("dog 1", "żółw")]


def test_names_with_a_prefix(tmp_path):
    bad = unit(1).replace("dog", "d\x01og")
    text = document(unit(0), bad, unit(2))
    for name in ("tmx", "body", "tu", "tuv", "seg"):
        text = text.replace(f"<{name}>", f"<t:{name}>").replace(f"<{name} ", f"<t:{name} ")
        text = text.replace(f"</{name}>", f"</t:{name}>")
    text = text.replace("<t:tmx ", '<t:tmx xmlns:t="urn:x" ')
    assert read(tmp_path / "a.tmx", text) == intact(0, 2)


def test_the_first_damage_is_told_with_its_line(tmp_path):
    path = tmp_path / "a.tmx"
    path.write_text(document(unit(0), unit(1).replace("dog", "dog&#1;"), unit(2)))
    notes: list[str] = []
    list(read_pairs((path,), EN_PL, Counter(), note=notes.append))
    (note,) = notes
    assert "units skipped: 1 damaged, the first at line 6, which has a control character" in note


@pytest.mark.parametrize(
    "content, message",
    [
        (document(unit(0), unit(1))[:-40], "a.tmx ends before the TMX does: it is cut off"),
        (document(unit(0), "<tu>\x01"), "has no intact|cut off"),
        ("<html><body><p>x</p></body></html>", "a.tmx line 1 is not the beginning of a TMX file"),
        ("not a TMX", "a.tmx line 1 is not TMX that can be read"),
        ("", "a.tmx is no TMX"),
        (document(unit(0)) + document(unit(1)), "line 6 has more after the end of the TMX"),
        (document(unit(1).replace("dog", "&#1;")), "has no intact unit in both .* 1 damaged"),
    ],
)
def test_what_is_refused(tmp_path, content, message):
    if content == document(unit(0), "<tu>\x01"):
        assert read(tmp_path / "a.tmx", content) == intact(0)
        return
    with pytest.raises(UserError, match=message):
        read(tmp_path / "a.tmx", content)


MARKUP = {
    "one<ph>&lt;br/></ph>two": "one two",
    "one<ph>&lt;BR CLEAR='all'></ph>two": "one two",
    "one<ph x='1' type='lb'/>two": "one two",
    "one<x ctype='lb' id='2'/>two": "one two",
    "one<it pos='begin'>&lt;p></it>two": "one two",
    "one<bpt i='1'>&lt;/li>&lt;li></bpt>two": "one two",
    "one<ut>\\line </ut>two": "one two",
    "one<ph>\\n</ph>two": "one two",
    "one<ph>\n</ph>two": "one two",
    "one<ph>&amp;lt;br&amp;gt;</ph>two": "one two",
    "one<br/>two": "one two",
    "one<ph x='1'/>two": "one two",
    "one<ph>%s</ph>two": "one two",
    "un<bpt i='1'>&lt;b></bpt>seen<ept i='1'>&lt;/b></ept>.": "unseen.",
    "un<ph>&lt;i&gt;</ph>seen<ph>&lt;/i&gt;</ph>": "unseen",
    "un<hi>seen</hi>": "unseen",
    "long<ph>&amp;shy;</ph>word": "longword",
    "end<ph x='1'/>.": "end.",
    "(<ph x='1'/>one)": "(one)",
    "第一<ph x='1'/>行": "第一行",
    "第一行<ph>&lt;br/></ph>第二行": "第一行 第二行",
    "один<ph x='1'/>два": "один два",
}


@pytest.mark.parametrize("segment, expected", MARKUP.items(), ids=map(str, range(len(MARKUP))))
def test_markup_neither_glues_nor_splits_words(tmp_path, segment, expected):
    assert read(tmp_path / "a.tmx", document(unit(0, segment))) == [("dog 0", expected)]
