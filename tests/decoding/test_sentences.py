"""Where sentences end in many languages, and how translations of them are joined."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.decoding.sentences import joined, sentence_ends, split_sentences


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("en", ["It rains.", "A dog runs!", "Why?", "No."]),
        ("en", ["He said: “Go.”", "Élan won."]),
        ("en", ["Mr. Smith paid $3.50 to J. R. Jones.", "He left... but came back at 3.5 p.m."]),
        ("en", ["1. Read example.Com and Node.Js.", "2. Write."]),
        ("de", ["Das ist z. B. gut.", "Dr. Müller kam am 3. Mai.", "„Ja.“ sagte er."]),
        ("es", ["¿Qué?", "¡No!"]),
        ("el", ["Τι κάνεις;", "Καλά είμαι."]),
        ("ru", ["А. С. Пушкин.", "Да!", "Нет?"]),
        ("ko", ["안녕하세요.", "저는 갑니다."]),
        ("hi", ["वह जाता है।", "क्या?", "हाँ॥"]),
        ("bn", ["আমি যাই।", "সে আসে।"]),
        ("ar", ["هل أنت بخير؟", "نعم."]),
        ("ur", ["یہ ایک کتاب ہے۔", "کیا؟"]),
        ("hy", ["Սա գիրք է։", "Նա գնում է։"]),
        ("am", ["ይህ መጽሐፍ ነው።", "አዎ።"]),
        ("my", ["ဒါကစာအုပ်ဖြစ်သည်။", "သူသွားသည်။"]),
        ("km", ["នេះជាសៀវភៅ។", "ខ្ញុំទៅ។"]),
        ("bo", ["ང་འགྲོ།", "ཁོ་འོང་།"]),
        ("xx", ["Foo bar.", "Baz qux!"]),
        ("", ["Foo bar.", "Baz qux!"]),
    ],
)
def test_sentences_end_where_a_reader_ends_them(language: str, sentences: list[str]) -> None:
    assert split_sentences(" ".join(sentences), language) == sentences
    assert split_sentences("\u00a0".join(sentences) + "\t", language) == sentences


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("zh-CN", ["今天很好。", "“你好。”他说。", "他3.5岁（真的。）吗？", "是！"]),
        ("ja", ["今日は雨です。", "「はい。」と言った。", "行きますか？"]),
        ("my", ["ဒါကစာအုပ်ဖြစ်သည်။", "သူသွားသည်။"]),
    ],
)
def test_sentences_need_no_space_between_them(language: str, sentences: list[str]) -> None:
    assert split_sentences("".join(sentences), language) == sentences


@pytest.mark.parametrize(
    "text", ["No end", "", "  ", "One. 2.", "12. 13.", "...", "Ends.", "a\ud800b"]
)
def test_one_sentence_stays_whole(text: str) -> None:
    assert split_sentences(text, "en") == [text]


@given(st.text(st.sampled_from("aB1.!? \u00a0\u2028\u0301é。「」“”\ud800🐕།"), max_size=40))
def test_no_character_is_lost(text: str) -> None:
    ends = sentence_ends(text, "en")
    assert ends == sorted(set(ends)) and ends[-1] == len(text)
    sentences = split_sentences(text, "en")
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert len(sentences) == 1 or all(any(map(str.isalpha, each)) for each in sentences)


def test_translations_are_joined_as_the_target_is_written() -> None:
    assert joined(["Ja.", "", "Nein."], "de") == "Ja. Nein."
    assert joined(["วันนี้ฝนตก", "ใช่"], "th") == "วันนี้ฝนตก ใช่"
    for language in ("zh", "ZH_tw", "ja", "yue"):
        assert (
            joined(["好。", "", "我用 iPhone", "15 很好。"], language)
            == "好。我用 iPhone 15 很好。"
        )
