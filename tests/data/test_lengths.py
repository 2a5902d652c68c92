"""Words are counted in scripts with and without spaces alike."""

from __future__ import annotations

from collections import Counter

import pytest

from nmt.config import DataConfig
from nmt.data.cleaning import clean
from nmt.data.corpus import Corpus, Split
from nmt.data.lengths import typical_ratio, words

NOTHING = Split([], [], None)
# The same sentence, and a part of it, in scripts that write no spaces between words.
ENGLISH = "The committee has approved the new budget for the next year after a long debate."
UNSPACED = {
    "Thai": "คณะกรรมการได้อนุมัติงบประมาณใหม่สำหรับปีหน้าหลังจากการอภิปรายที่ยาวนาน",
    "Lao": "ຄະນະກຳມະການໄດ້ອະນຸມັດງົບປະມານໃໝ່ສຳລັບປີໜ້າຫຼັງຈາກການໂຕ້ວາທີທີ່ຍາວນານ",
    "Khmer": "គណៈកម្មាធិការបានអនុម័តថវិកាថ្មីសម្រាប់ឆ្នាំក្រោយបន្ទាប់ពីការពិភាក្សាយ៉ាងយូរ",
    "Burmese": "ကော်မတီသည်ရှည်လျားသောဆွေးနွေးပွဲပြီးနောက်လာမည့်နှစ်အတွက်ဘတ်ဂျက်အသစ်ကိုအတည်ပြုခဲ့သည်",
    "Tibetan": "ཚོགས་ཆུང་གིས་རིང་པོའི་གྲོས་བསྡུར་རྗེས་ཕྱི་ལོའི་སྔོན་རྩིས་གསར་པ་ཆོག་མཆན་སྤྲད་པ་རེད",
    "Javanese": "ꦥꦤꦶꦠꦾꦱꦩ꧀ꦥꦸꦤ꧀ꦔꦺꦱꦃꦲꦏꦺꦄꦁꦒꦫꦤ꧀ꦲꦚꦂꦏꦁꦒꦺꦠꦲꦸꦤ꧀ꦔꦉꦥ꧀ꦱꦮꦶꦱꦺꦫꦼꦩ꧀ꦧꦸꦒ꧀ꦢꦮ",
    "half-width kana": "ｲｲﾝｶｲﾊﾅｶﾞｲﾄｳﾛﾝﾉｱﾄﾃﾞﾗｲﾈﾝﾉｱﾀﾗｼｲﾖｻﾝｦｼｮｳﾆﾝｼﾏｼﾀ",
    "Chinese": "经过长时间的辩论，委员会批准了明年的新预算。",
    "beyond the BMP": "".join(chr(0x20000 + 37 * n) for n in range(22)),
    "Ethiopic": "ኮሚቴው፡ከረጅም፡ክርክር፡በኋላ፡ለሚቀጥለው፡ዓመት፡አዲሱን፡በጀት፡አጽድቋል",
}


@pytest.mark.parametrize("text", UNSPACED.values(), ids=UNSPACED)
def test_a_script_without_spaces_has_words(text: str) -> None:
    assert 5 <= words(text) <= 16 and words(ENGLISH) == 15
    assert 10 * words(text) <= words(10 * text) <= 11 * words(text) + 10


@pytest.mark.parametrize(
    "text, count",
    [
        ("A man is sleeping.", 4),
        ("", 0),
        (" \t", 0),
        ("Die Donaudampfschifffahrt ruht.", 3),
        ("Yhdistyneet kansakunnat perustettiin kun sota oli ohi.", 7),
        ("한국어 문장 입니다", 3),
        ("狗", 1),
        ("ขอบคุณ", 1),
    ],
)
def test_words_with_spaces_are_counted_by_them(text: str, count: int) -> None:
    assert words(text) == count


def kept(pairs: list[tuple[str, str]], **knobs: object) -> Counter[str]:
    counts: Counter[str] = Counter()
    corpus = Corpus(lambda _: iter(pairs), NOTHING, NOTHING, "")
    counts["kept"] = len(list(clean(corpus, DataConfig(**knobs), counts)))
    return counts


@pytest.mark.parametrize("text", UNSPACED.values(), ids=UNSPACED)
@pytest.mark.parametrize("back", [False, True])
def test_translations_of_like_length_are_kept(text: str, back: bool) -> None:
    """Beside whatever else is in the corpus, and alone."""
    parts = [(ENGLISH, text), (ENGLISH[:40], text[: len(text) // 2]), ("The committee.", text[:8])]
    pairs = [
        (f"{number} {one}", f"{number} {other}") for number in range(60) for one, other in parts
    ]
    if back:
        pairs = [(other, one) for one, other in pairs]
    assert kept(pairs) == {"read": 180, "kept": 180}
    assert kept(pairs[:3]) == {"read": 3, "kept": 3}
    uneven = (pairs[0][0], 9 * pairs[0][1]), (9 * pairs[1][0], pairs[1][1])
    assert kept([*pairs, *uneven]) == {"read": 182, "kept": 180, "ratio": 2}


@pytest.mark.parametrize("text", [UNSPACED["Lao"], UNSPACED["Chinese"]])
def test_what_is_too_long_without_spaces_is_dropped(text: str) -> None:
    pairs = [(ENGLISH, text), (f"{ENGLISH} " * 30, text * 40)]
    assert kept(pairs) == {"read": 2, "kept": 1, "length": 1}


def test_the_ratio_is_relative_to_that_of_the_corpus() -> None:
    """A language of long words has few of them; single bad pairs do not count."""
    pairs = [(f"one two three four five six {n}", f"uno {n}") for n in range(150)]
    pairs[3] = ("x", "y " * 150)
    assert typical_ratio(pairs) == pytest.approx(2 / 7)
    assert kept(pairs, max_ratio=2.0) == {"read": 150, "kept": 149, "ratio": 1}
    assert typical_ratio(pairs[:50]) == 1.0, "too few to say"
