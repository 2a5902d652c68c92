"""Pictures in any script: with the fonts of this machine, and with none but matplotlib's."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import pytest

from nmt import fonts
from nmt.attention_map import AttentionMap, draw, save_png
from nmt.fonts import MISSING, fonts_for, shortened, width

TEXTS = {
    "Devanagari": "मैं घर जा रहा हूँ।",
    "CJK": "我喜欢，私はカタカナ。한국어",
    "Thai": "ภาษาไทยน้ำ",
    "Tamil": "தமிழ் மொழி",
    "Khmer": "ភាសាខ្មែរ",
    "Ethiopic": "አማርኛ",
}


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with matplotlib's own font alone."""
    monkeypatch.setattr(fonts, "candidates", lambda: ())
    monkeypatch.setattr(fonts, "_told", set())
    fonts.families_for.cache_clear()
    monkeypatch.setattr(fonts, "families_for", fonts.families_for.__wrapped__)


def heads(source: list[str], target: list[str]) -> AttentionMap:
    weights = np.full((1, 1, len(target), len(source)), 1 / len(source), np.float32)
    return AttentionMap(source, target, weights)


@pytest.mark.parametrize("script", TEXTS)
def test_a_script_is_shown_or_named(
    script: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fonts, "_told", set())
    found = fonts_for([TEXTS[script]])
    if MISSING in found.show(TEXTS[script]):
        assert script in caplog.text and "apt install" in caplog.text
    else:
        assert caplog.text == "" and len(found.families) > 1


@pytest.mark.usefixtures("bare")
def test_one_warning_where_fonts_are_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = [word for text in TEXTS.values() for word in text.split()]
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        for name in ("one.png", "two.png"):
            save_png(heads(words, ["Hund", "🦺"]), tmp_path / name, title=TEXTS["Thai"])
    (record,) = caplog.records
    told = record.getMessage()
    assert all(script in told for script in TEXTS) and "emoji" in told
    assert "fonts-noto-cjk fonts-noto-core fonts-symbola" in told
    written = [text.get_text() for text in draw(heads(words, ["Hund"])).axes[0].texts]
    assert MISSING in "".join(written) and "Hund" in written


def test_a_font_that_cannot_be_read_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "candidates", lambda: ("No Such Family",))
    assert fonts.families_for.__wrapped__(frozenset("一")) == ()
    assert fonts_for(["plain"]).families[0] == fonts.FIRST


@pytest.mark.usefixtures("bare")
def test_what_is_invisible_needs_no_font(caplog: pytest.LogCaptureFixture) -> None:
    text = "a\u200d\ufe0fb\u2060"
    assert MISSING not in fonts_for([text]).show(text)
    assert caplog.text == ""


def test_a_long_word_does_not_blow_the_picture_up() -> None:
    plain = draw(heads(["a", "</s>"], ["b"])).get_size_inches()
    for long in ("W" * 5000, "字" * 5000, "e" + "\u0301" * 5000, "🐕" * 400):
        size = draw(heads([long, "</s>"], [long])).get_size_inches()
        assert (size < plain + 3).all(), (long[:3], size)


def test_widths() -> None:
    assert width("字字") > width("ab") > width("e\u0301") == width("e")
    assert shortened("abc", 10) == "abc"
    assert shortened("abc" * 100, 10).endswith("…") and width(shortened("字" * 99, 10)) <= 11
