"""Scores are sacrebleu's own, with its signatures, of the tokens that suit the language."""

from __future__ import annotations

import logging
import unicodedata
from itertools import pairwise

import pytest

from nmt import writing
from nmt.config import EvaluationConfig
from nmt.errors import UserError
from nmt.evaluation import metrics
from nmt.evaluation.metrics import Scorer, merit, score, signatures, values

REFERENCES = ["Ein Hund läuft im Park.", "Die Kinder spielen heute nicht.", "Es regnet, oder?"]
# A sentence of each kind of writing, its code, and the tokenizer that suits it.
WRITTEN = {
    "zh-CN": ("这个老人看见了一只小狗，然后笑了。", "zh"),
    "zho_Hant": ("這個老人看見了一隻小狗，然後笑了。", "zh"),
    "yue": ("呢個老人見到一隻細狗，跟住笑咗。", "zh"),
    "ja": ("年老いた男は小さな犬を見て笑った。", "ja-mecab"),
    "kor": ("그 노인은 작은 개를 보고 웃었습니다.", "ko-mecab"),
    "th": ("ชายชราเห็นสุนัขตัวเล็กแล้วหัวเราะ", "char"),
    "lo": ("ຊາຍເຖົ້າເຫັນໝານ້ອຍແລ້ວຫົວ", "char"),
    "khm": ("បុរសចំណាស់បានឃើញឆ្កែតូចមួយ", "char"),
    "my_MM": ("အဘိုးအိုသည် ခွေးလေးကိုမြင်ပြီး ရယ်သည်။", "char"),
    "dz": ("རྒན་པོ་དེས་ཁྱི་ཆུང་ཞིག་མཐོང་།", "char"),
    "hi": ("बूढ़ा आदमी एक छोटे कुत्ते को देखकर हँसा।", "13a"),
    "am": ("ሽማግሌው ትንሽ ውሻ አይቶ ሳቀ እና ሄደ።", "13a"),
    "el": ("Ο γέρος είδε ένα μικρό σκυλί και γέλασε.", "13a"),
}


@pytest.fixture
def no_mecab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "find_spec", lambda name: None)
    writing._warn_of_lacking.cache_clear()


def test_the_references_themselves_are_perfect() -> None:
    scores = values(score(REFERENCES, REFERENCES, ter=True))
    assert scores == {"bleu": pytest.approx(100), "chrf": pytest.approx(100), "ter": 0}


def test_one_wrong_word_by_hand() -> None:
    # 13a tokens a b c d x against a b c d e: precisions 4/5, 3/4, 2/3, 1/2, no brevity penalty.
    scores = values(score(["a b c d x"], ["a b c d e"], ter=True))
    assert scores["bleu"] == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    assert scores["ter"] == pytest.approx(100 / 5)


def test_one_wrong_character_by_hand() -> None:
    """Of five characters, as of five words."""
    for hypothesis, reference, code in (
        ("你好吗我他", "你好吗我们", "zh"),
        ("กขคงจ", "กขคงฉ", "th"),
    ):
        scores = values(score([hypothesis], [reference], language=code, ter=True))
        assert scores["bleu"] == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
        assert "ter" not in scores, "which counts words"


def test_case_counts_unless_it_is_ignored() -> None:
    lower = [line.lower() for line in REFERENCES]
    assert score(lower, REFERENCES)["bleu"].value < 90
    ignoring = score(lower, REFERENCES, config=EvaluationConfig(lowercase=True))
    assert [ignoring[name].value for name in ("bleu", "chrf")] == pytest.approx([100, 100])
    assert "case:lc" in ignoring["bleu"].signature and "case:lc" in ignoring["chrf"].signature


def test_signatures_say_how_and_directions_which_way() -> None:
    scores = score(REFERENCES, REFERENCES, ter=True)
    told = signatures(scores)
    assert told["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert "nc:6|nw:0" in told["chrf"] and "tok:tercom" in told["ter"]
    assert {name for name, each in scores.items() if each.higher_is_better} == {"bleu", "chrf"}


def test_ter_only_where_asked_for() -> None:
    assert set(score(REFERENCES, REFERENCES)) == {"bleu", "chrf"}


def test_ter_counts_words_whatever_bleu_counts() -> None:
    config = EvaluationConfig(tokenize="char")
    for lines in (REFERENCES, [WRITTEN["kor"][0]] * 3):
        worse = [line.replace(" ", " x ", 1) for line in lines]
        by_words, by_characters = (
            score(worse, lines, config=each, ter=True)["ter"] for each in (None, config)
        )
        assert by_words == by_characters and by_words.value > 0
        assert "|tok:tercom|" in by_words.signature


@pytest.mark.parametrize("code", WRITTEN)
def test_a_text_against_itself_is_perfect_in_every_language(code: str, no_mecab: None) -> None:
    text, suited = WRITTEN[code]
    suited = "char" if suited in writing.NEEDS else suited
    for language in (code, ""):  # by its code, and by its script alone
        scores = score([text, ""], [text, ""], language=language)
        assert values(scores) == {"bleu": pytest.approx(100), "chrf": pytest.approx(100)}
        assert f"tok:{suited}|" in scores["bleu"].signature
        worse = values(score([text[1:], ""], [text, ""], language=language))
        assert 50 < worse["bleu"] < 100


@pytest.mark.parametrize("code", ["ja", "ko"])
def test_words_of_japanese_and_korean_where_they_can_be_found(code: str) -> None:
    name = {"ja": "ja-mecab", "ko": "ko-mecab"}[code]
    if not writing.is_installed(name):
        pytest.skip(f"{name} is not installed")
    text = WRITTEN["ja" if code == "ja" else "kor"][0]
    scores = score([text, ""], [text, ""], language=code, ter=True)
    assert values(scores)["bleu"] == pytest.approx(100) and values(scores)["ter"] == 0
    assert f"tok:{name}-" in scores["bleu"].signature
    assert ("tok:tercom" if code == "ko" else f"tok:{name}-") in scores["ter"].signature


def test_without_a_word_tokenizer_characters_count_and_one_line_says_so(
    no_mecab: None, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        score(["犬が走る。"], ["犬が走る。"], language="jpn")
    assert [record.getMessage() for record in caplog.records] == [
        "BLEU counts characters, because the word tokenizer for Japanese (ja-mecab) is not "
        "installed; to count words: pip install 'nmt[ja]'"
    ]


def test_a_tokenizer_that_was_asked_for_and_cannot_be_had(
    no_mecab: None, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    with pytest.raises(UserError, match=r"ko-mecab needs packages .* pip install 'nmt\[ko\]'"):
        score(["a"], ["a"], config=EvaluationConfig(tokenize="ko-mecab"))
    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_spm.SACREBLEU_DIR", str(tmp_path))

    def offline(*arguments: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_spm.download_file", offline)
    with pytest.raises(UserError) as caught:
        score(["a"], ["a"], config=EvaluationConfig(tokenize="flores200"))
    assert str(caught.value) == (
        "the model of evaluation.tokenize=flores200 cannot be loaded (no route to host); it is "
        "downloaded on first use: check the network, or choose another tokenizer"
    )
    with pytest.raises(UserError, match="evaluation.tokenize must be one of 13a, intl, .*'cjk'"):
        EvaluationConfig(tokenize="cjk")


def test_the_knob_decides_over_the_language() -> None:
    config = EvaluationConfig(tokenize="char")
    assert "tok:char" in score(REFERENCES, REFERENCES, config=config)["bleu"].signature


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        *(("ZH", "zh"), ("zh_Hans", "zh"), ("cmn", "zh"), ("Chinese", "zh"), ("lzh", "zh")),
        *(("jpn", "ja-mecab"), ("ja_JP", "ja-mecab"), ("kor-Hang", "ko-mecab"), ("bod", "char")),
        *(("tha_Thai", "char"), ("mya", "char"), ("zh-Latn", None), ("ja_Latn", None)),
        *(("en", None), ("de-CH", None), ("tgt", None), ("", None), ("zha", None)),
    ],
)
def test_codes_as_people_write_them(code: str, expected: str | None) -> None:
    assert writing.of_language(code) == expected


def test_the_script_of_a_whole_text_decides() -> None:
    assert writing.of_text(["Beijing, 北京.", "The city of Xi'an (西安) is old."]) == "13a"
    assert writing.of_text(["iPhone 15 发布了", "我们去北京吃烤鸭。"]) == "zh"
    assert writing.of_text(["東京都", "日本の首都です。"]) == "ja-mecab"
    assert writing.of_text(["東京都", "日本国憲法"]) == "zh"  # only the language could tell
    assert writing.of_text(["ﾊﾛｰ ﾜｰﾙﾄﾞ"]) == "ja-mecab"
    assert writing.of_text(["", "123 !"]) == writing.of_text([]) == "13a"


def test_several_references() -> None:
    one, other = ["a b c d e"], ["v w x y z"]
    assert score(other, one)["bleu"].value == 0
    scores = score(other, one, other, ter=True)
    assert values(scores) == {"bleu": pytest.approx(100), "chrf": pytest.approx(100), "ter": 0}
    assert all("nrefs:2|" in each for each in signatures(scores).values())


def test_what_cannot_be_scored() -> None:
    with pytest.raises(UserError, match="2 translations and 3 references"):
        score(REFERENCES[:2], REFERENCES)
    with pytest.raises(UserError, match="nothing to score"):
        score([], [])
    with pytest.raises(UserError, match="same number of lines, but have 3, 2"):
        Scorer([REFERENCES, REFERENCES[:2]])


@pytest.mark.parametrize("text", ["Tomato soup", "番茄汤", "ต้ม", "Ё"])
def test_short_lines_have_a_score_that_grows(caplog: pytest.LogCaptureFixture, text: str) -> None:
    """A menu: BLEU is 0 even for the references themselves, and says so; chrF is not."""
    lines = [text] * 20
    parts = [lines[: 5 * n] + ["?"] * (20 - 5 * n) for n in range(5)]
    grown = [score(part, lines) for part in parts]
    assert [each["bleu"].value for each in grown] == [0] * 5
    chrf = [each["chrf"].value for each in grown]
    assert all(before < after for before, after in pairwise(chrf)) and chrf[-1] == 100
    assert "BLEU is unreliable here" in caplog.text and " 0 of 20 references" in caplog.text


def test_a_sentence_or_two_of_four_words_in_ten_are_enough(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        score(["a b c d"] + ["a"] * 9, ["a b c d"] + ["a"] * 9)
    assert not caplog.records


def test_merit_is_higher_where_the_model_is_better() -> None:
    assert merit("bleu", 3) > merit("bleu", 2) and merit("nll", 2) > merit("nll", 3)
    assert merit("nll", float("nan")) == merit("chrf", float("nan")) == -float("inf")
    assert metrics.LOWER_IS_BETTER == ("ter", "nll")


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("vi", "Tôi đọc một quyển sách ở trường."),
        ("ko", "나는 학교에서 책을 한 권 읽는다."),
        ("fr", "Là, l'été dernier, j'ai été élève."),
    ],
)
def test_decomposed_accents_count_as_composed_ones(language: str, line: str) -> None:
    apart = unicodedata.normalize("NFD", line)
    assert apart != line
    for hypothesis, reference in ((line, apart), (apart, line)):
        scores = score([hypothesis] * 3, [reference] * 3, language=language, ter=True)
        assert scores["bleu"].value == pytest.approx(100)
        assert scores["chrf"].value == pytest.approx(100)
        assert scores["ter"].value == 0
