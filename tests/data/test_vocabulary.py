"""What a vocabulary learns: common words, in every script, from lines of any length."""

from __future__ import annotations

import gzip
import logging
import random
import unicodedata
from collections import Counter
from itertools import permutations
from pathlib import Path

import pytest

from nmt.config import TokenizerConfig
from nmt.data.tokenizer import Tokenizer, learn
from nmt.data.vocabulary import cut, lone_words
from nmt.data.words import LETTERS, word_spans

DEMO = Path(__file__).parents[2] / "data" / "demo"
KINDS = ["unigram", "bpe"]
# Words as these languages have them, and the mark that ends a sentence.
LANGUAGES = {
    "bn": ("আমি বই স্কুল শিক্ষক পানি সকাল সন্ধ্যা রাত শহর গ্রাম নদী পাহাড় বাগান রান্নাঘর জানালা", "।"),
    "ta": ("புத்தகம் பள்ளி ஆசிரியர் மாணவர் தண்ணீர் காலை மாலை இரவு நகரம் கிராமம் ஆறு மலை தோட்டம்", "."),
    "my": ("စာအုပ် ကျောင်း ဆရာမ ကျောင်းသား ရေ မနက် ညနေ ည မြို့ ရွာ မြစ် တောင် ဥယျာဉ်", "။"),
    "am": ("መጽሐፍ ትምህርት አስተማሪ ተማሪ ውሃ ጠዋት ምሽት ሌሊት ከተማ መንደር ወንዝ ተራራ አትክልት", "።"),
    "he": ("סֵפֶר מוֹרֶה תַּלְמִיד מַיִם בֹּקֶר עֶרֶב לַיְלָה עִיר כְּפָר נָהָר הַר גַּן חַלּוֹן", "׃"),
    "fa": ("کتاب‌ها می‌خواهم دانش‌آموز نمی‌دانم خانه‌ای صبح عصر شب شهر روستا رودخانه کوه باغ", "؟"),
    "ur": ("کتاب اسکول استاد طالبعلم پانی صبح شام رات شہر گاؤں دریا پہاڑ باغ", "۔"),
    "vi": ("quyển sách trường giáo viên nước buổi sáng chiều tối thành phố làng sông", "."),
}


def sentences(language: str, count: int = 400) -> list[str]:
    """Random ones of a language. Its last two words only ever end a sentence."""
    words, mark = LANGUAGES[language][0].split(), LANGUAGES[language][1]
    rng = random.Random(language)
    inner = [rng.choices(words[:-2], k=rng.randint(3, 8)) for _ in range(count)]
    return [" ".join([*line, rng.choice(words[-2:])]) + mark for line in inner]


def learnt(lines: list[str], **knobs: object) -> Tokenizer:
    config = TokenizerConfig(**{"vocabulary": 420, "joint": False, **knobs})
    return learn([(line, line) for line in lines], config, seed=1).target


def pieces_of(tokenizer: Tokenizer) -> list[str]:
    """Without those of bytes."""
    pieces = tokenizer.pieces(range(4, tokenizer.size))
    return [piece.removeprefix("▁") for piece in pieces if not piece.startswith("<0x")]


def rare_words(tokenizer: Tokenizer, lines: list[str]) -> list[str]:
    """Which of the 200 most common words are no piece."""
    counts = Counter(word for line in lines for word in LETTERS.findall(line))
    known = set(pieces_of(tokenizer))
    return [word for word, _ in counts.most_common(200) if word not in known]


@pytest.mark.parametrize("kind", KINDS)
def test_common_words_of_the_demo_corpus_are_pieces(kind: str) -> None:
    sides = [
        (DEMO / f"train.{side}").read_text(encoding="utf-8").splitlines() for side in ("en", "de")
    ]
    config = TokenizerConfig(kind=kind, vocabulary=4000)
    joint = learn(zip(*sides, strict=True), config, seed=1).source
    assert [rare_words(joint, side) for side in sides] == [[], []]


@pytest.mark.corpora
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_common_words_of_multi30k_are_pieces(corpora: Path, kind: str) -> None:
    sides = []
    for side in ("en", "de"):
        with gzip.open(corpora / "multi30k" / f"train.{side}.gz", "rt", encoding="utf-8") as file:
            sides.append(file.read().splitlines())
    config = TokenizerConfig(kind=kind, vocabulary=4000)
    joint = learn(zip(*sides, strict=True), config, seed=1).source
    assert [rare_words(joint, side) for side in sides] == [[], []]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_a_small_language_is_a_piece(kind: str, language: str) -> None:
    lines = sentences(language)
    tokenizer = learnt(lines, kind=kind)
    assert rare_words(tokenizer, lines) == []
    # Each word and the mark at the end.
    assert len(tokenizer.encode(lines[0])) - 1 <= len(lines[0].split()) + 1


@pytest.mark.parametrize("words", ["老农民 小马 今天 花园 听见 朋友", "ชาวนา ม้า วันนี้ สวน ได้ยิน เพื่อน"])
def test_rare_phrases_are_no_pieces_where_no_space_ends_a_word(words: str) -> None:
    """Each word occurs often, but in 120 orders of which each occurs twice."""
    lines = ["".join(order) for order in permutations(words.split(), 4) for _ in "12"]
    tokenizer = learnt(lines)
    counts = Counter(piece for line in lines for piece in tokenizer.encode(line))
    rare = [tokenizer.pieces([piece]) for piece, count in counts.items() if count < 5]
    assert not [piece for (piece,) in rare if len(piece) > 2]
    assert len(tokenizer.encode(lines[0])) - 1 <= 5


MIXED = {
    **{language: f"{words} {mark} {mark}{mark}" for language, (words, mark) in LANGUAGES.items()},
    "zh": "你好，世界！（测试）：真的？ 《红楼梦》……",
    "ja": "「日本語」のテキスト。カタカナ・ひらがな！？",
    "th": "ภาษาไทย๒๐๒๖ “ดี”- ๆ",
    "hi": "हिन्दी॥४५६ (क)।",
    "hy": "՞ո՞վ է։ «Այո»,",
    "bo": "བོད་སྐད། །",
    "km": "ភាសាខ្មែរ។ល។",
    "ar": "شُكْرًا، “لك”؟! ١٢٣",
    "en": "“-So!”- (ja)... 3,50€",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", MIXED)
def test_no_piece_is_part_of_two_words(kind: str, language: str) -> None:
    rng = random.Random(1)
    parts = MIXED[language].split()
    lines = [" ".join(rng.choices(parts, k=3)) for _ in range(200)]
    tokenizer = learnt(lines, kind=kind)
    assert [piece for piece in pieces_of(tokenizer) if len(word_spans(piece)) > 1] == []


def test_words_that_need_no_help_are_not_counted_twice() -> None:
    lines = ["red cat", "red dog runs", "green cat, red.", "green dog runs"]
    assert lone_words(lines, 100) == ["dog", "runs runs", "green"]
    assert lone_words(lines, 2) == []  # red and cat


def test_rare_characters_stay_rare() -> None:
    """What a line more for each common word could change."""
    rng = random.Random(2)
    common = ["".join(rng.choices("abcdef", k=4)) for _ in range(50)]
    lines = [" ".join(rng.choices(common, k=9)) for _ in range(2000)]
    lines += [f"{common[0]} жук жук {common[1]}"]
    tokenizer = learnt(lines, character_coverage=0.9998)
    assert not {"ж", "у", "к"} & set(pieces_of(tokenizer))


@pytest.mark.parametrize("unspaced", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_corpus_of_long_lines_alone(kind: str, unspaced: bool) -> None:
    words = LANGUAGES["bn"][0].split()
    rng = random.Random(3)
    join = "" if unspaced else " "
    lines = [join.join(rng.choices(words, k=2000)) for _ in range(3)]
    assert all(len(line.encode()) > 4192 for line in lines)
    tokenizer = learnt(lines, kind=kind)
    most = len(lines[0]) // 2 if unspaced else 2100
    assert len(tokenizer.encode(lines[0])) < most


def test_long_lines_are_cut_between_words() -> None:
    assert list(cut("aa bb cc", 5)) == ["aa bb", " cc"]
    assert list(cut("aa bbbbbbb c", 5)) == ["aa", " bbbb", "bbb c"]
    assert list(cut("aaaaa", 5)) == ["aaaaa"]
    assert list(cut("", 5)) == [""]


def test_a_small_corpus_gets_the_largest_bpe_vocabulary(caplog: pytest.LogCaptureFixture) -> None:
    lines = sentences("vi")
    with caplog.at_level(logging.INFO):
        tokenizer = learnt(lines, kind="bpe", vocabulary=30_000)
    assert f"the source vocabulary has {tokenizer.size} pieces instead of 30000" in caplog.text

    assert learnt(lines, kind="bpe", vocabulary=tokenizer.size).size == tokenizer.size


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", ["my", "ja"])
def test_sentences_seen_once_are_no_pieces(kind: str, language: str) -> None:
    """In scripts without spaces, nothing but its frequency bounds a piece."""
    words = {"ja": "猫 犬 子供 先生 学校 町 本 水 花 魚 鳥 山 川 空", "my": LANGUAGES["my"][0]}
    rng = random.Random(4)
    lines = ["".join(rng.choices(words[language].split(), k=8)) for _ in range(600)]
    tokenizer = learnt(lines[:500], kind=kind, vocabulary=8000)
    known, new = (
        sum(map(len, tokenizer.encode_many(part))) / len(part) - 1
        for part in (lines[:500], lines[500:])
    )
    assert known > 0.5 * new
    assert tokenizer.decode(tokenizer.encode(lines[0])) == lines[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", ["vi", "ur"])
def test_a_decomposed_corpus_gives_the_same_vocabulary(kind: str, language: str) -> None:
    lines = sentences(language)
    apart = [unicodedata.normalize("NFD", line) for line in lines]
    together = [unicodedata.normalize("NFC", line) for line in lines]
    assert apart != together
    assert learnt(apart, kind=kind).model == learnt(together, kind=kind).model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["nfc", "nfkc", "nmt_nfkc", "identity"])
def test_the_model_names_its_normalisation(kind: str, form: str) -> None:
    tokenizer = learnt(sentences("vi"), kind=kind, normalization=form)
    assert tokenizer.normalization == Tokenizer(tokenizer.model).normalization == form
