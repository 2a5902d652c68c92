from __future__ import annotations

import unicodedata

import pytest

from nmt.data.words import SEAM, unit_spans, word_spans


@pytest.mark.parametrize(
    "text, words",
    [
        ("हिन्दी में लिखा।", "हिन्दी में लिखा ।"),
        ("தமிழ் மொழி", "தமிழ் மொழி"),
        ("বাংলা ভাষা", "বাংলা ভাষা"),
        ("ภาษาไทย", "ภาษาไทย"),
        ("ភាសាខ្មែរ។", "ភាសាខ្មែរ ។"),
        ("မြန်မာဘာသာ။", "မြန်မာဘာသာ ။"),
        ("שָׁלוֹם־עֲלֵיכֶם צה״ל", "שָׁלוֹם ־ עֲלֵיכֶם צה״ל"),
        ("مَرْحَبًا، عالم", "مَرْحَبًا ، عالم"),
        ("می‌خواهم", "می‌خواهم"),
        ("ന്‍ ok", "ന്‍ ok"),
        (
            unicodedata.normalize("NFD", "tiếng Việt été"),
            unicodedata.normalize("NFD", "tiếng Việt été"),
        ),
        ("👨‍👩‍👧 👍🏽 🇩🇪🇫🇷❤️", "👨‍👩‍👧 👍🏽 🇩🇪 🇫🇷 ❤️"),
        ("\u200eabc\u200f \ufeffdef\u200b", "abc def"),
        ("Wort\u00adteil", "Wort\u00adteil"),
        ("col·lecció well‑known", "col·lecció well‑known"),
        ("_ __ a_b", "a b"),
    ],
)
def test_words_of_every_script(text: str, words: str) -> None:
    assert [text[begin:end] for begin, end in word_spans(text)] == words.split(" ")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("text", ["हिन्दी", "ภาษาไทย", "தமிழ்", "বাংলা", "été", "שָׁלוֹם", "می‌خواهم"])
def test_no_seam_is_within_a_word(text: str, form: str) -> None:
    assert SEAM.search(unicodedata.normalize(form, text)) is None


def test_seams() -> None:
    assert SEAM.sub("|", "“-So!” a, 12 ४५व ဆရာမ။") == "“|-So!|” a, 1|2 ४|५|व ဆရာမ|။"


@pytest.mark.parametrize(
    "pieces, units",
    [
        ("你好 ， 世界 ！", "你好 ， 世界 ！"),
        ("iPh one 手机 很 好 。", "iPhone 手机 很 好 。"),
        ("東京 タワー に 行 きます", "東京 タワー に 行 きます"),
        ("ที ่ บ้าน ของ ฉัน", "ที่ บ้าน ของ ฉัน"),
        ("Hund e ha ben", "Hundehaben"),
        ("हि न् दी", "हिन्दी"),
    ],
)
def test_without_spaces_pieces_stand_for_words(pieces: str, units: str) -> None:
    text, spans = "", []
    for piece in pieces.split():
        spans.append((len(text), len(text) + len(piece)))
        text += piece
    assert [text[begin:end] for begin, end in unit_spans(text, spans)] == units.split()
