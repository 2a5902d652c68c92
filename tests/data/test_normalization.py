from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from nmt.config import DataConfig, TokenizerConfig
from nmt.data.encoded import prepare
from nmt.data.normalization import as_is, normalized, traced
from nmt.data.tokenizer import Tokenizer, learn

KINDS = ["unigram", "bpe"]
# Letters and marks that compose, that only change places, and that do neither.
MARKED = st.text(
    "aeqAöệ각ㅎ가\u1100\u1161\u11a8\u0301\u0308\u0323\u0302\u0327\u0329नक़\u093c\u200d👩 ",
    max_size=12,
)
TEXTS = [
    "你好，世界！（测试）：真的？",
    "80 m², ½ Liter, 1º, Lego™, Na ja… x¹",
    "می‌خواهم کتاب‌ها",
    "10⁶ № 5 ℃ ﬁ ①",
    "น้ำ ทำ คำ",
    "１２３ ＡＢＣ　カタカナ",
    "👨‍👩‍👧 👍🏽 🇩🇪 ❤️",
    "ന്‍ ක්‍ෂ",
    "ẹ́ é̩ ế Å",
    "क़लम हिन्दी",
    "한국어",
]


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest, pairs: list[tuple[str, str]]) -> Tokenizer:
    return learn(pairs, TokenizerConfig(kind=request.param, vocabulary=400), seed=1).target


@pytest.fixture(scope="module")
def earlier(pairs: list[tuple[str, str]]) -> Tokenizer:
    config = TokenizerConfig(vocabulary=400, normalization="nmt_nfkc")
    return learn(pairs, config, seed=1).target


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("text", TEXTS)
def test_no_character_is_lost(tokenizer: Tokenizer, text: str, form: str) -> None:
    expected = " ".join(unicodedata.normalize("NFC", text).split())
    given = unicodedata.normalize(form, text)
    assert tokenizer.decode(tokenizer.encode(given)) == expected


@pytest.mark.parametrize("space", [" ", "  ", "\t", "\u00a0", "\u202f", "\u3000", " \u2009\u00a0"])
def test_white_space_of_any_kind_is_a_space(tokenizer: Tokenizer, space: str) -> None:
    text = f"{space}der{space}Hund{space}!{space}"
    assert tokenizer.encode(text) == tokenizer.encode("der Hund !")
    assert tokenizer.decode(tokenizer.encode(text)) == "der Hund !"
    assert {text[begin:end].strip() for begin, end in tokenizer.spans(text)[:-1]} != {""}
    covered = {at for begin, end in tokenizer.spans(text) for at in range(begin, end)}
    assert covered == {at for at, letter in enumerate(text) if not letter.isspace()}


@given(text=MARKED)
def test_a_trace_is_the_normalised_text(text: str) -> None:
    found = traced(text)
    assert found.text == normalized(text) == unicodedata.normalize("NFC", text)
    assert len(found.places) == len(found.text)
    assert found.places == sorted(found.places)
    covered = {at for begin, end in found.places for at in range(begin, end)}
    assert covered == set(range(len(text)))


def test_what_is_composed_already_is_as_it_is() -> None:
    assert traced("Äpfel") == as_is("Äpfel")
    assert traced("A\u0308pfel").places == [(0, 2), (2, 3), (3, 4), (4, 5), (5, 6)]
    assert traced("A\u0308pfel").origin(0, 3) == (0, 4)


@pytest.mark.parametrize("text", ["Äpfel grüßt Fluss.", "한국어 Äpfel", "tiếng Việt ẹ́", "क़लम"])
def test_spans_of_decomposed_text_are_its_own_characters(tokenizer: Tokenizer, text: str) -> None:
    apart = unicodedata.normalize("NFD", text)
    assert len(apart) > len(text) or text == "क़लम"
    assert tokenizer.encode(apart) == tokenizer.encode(text)
    for span, own in zip(tokenizer.spans(text), tokenizer.spans(apart), strict=True):
        # The whole letter, where two pieces share its marks (ẹ and an acute).
        assert normalized(text[slice(*span)]) in normalized(apart[slice(*own)])


@given(text=st.text("aÄß½…，\u0308\u200b\u200d\u00a0\u3000\t\x1c\x00. ", max_size=15))
def test_earlier_runs_normalise_as_they_did(earlier: Tokenizer, text: str) -> None:
    alone = sentencepiece.SentencePieceProcessor(model_proto=earlier.model)
    assert earlier.encode(text) == alone.encode(text, add_eos=True)
    assert len(earlier.spans(text)) == len(earlier.encode(text))


def test_what_each_normalisation_keeps(pairs: list[tuple[str, str]]) -> None:
    text = "½ ， e\u0301"
    expected = {
        "nfc": "½ ， é",
        "identity": text,
        "nfkc": "1⁄2 , é",
        "nmt_nfkc": "1⁄2 , é",
    }
    for form, kept in expected.items():
        config = TokenizerConfig(vocabulary=400, normalization=form)
        tokenizer = learn(pairs, config, seed=1).target
        assert tokenizer.decode(tokenizer.encode(text)) == kept
        assert tokenizer.normalized("e\u0301½") == ("e\u0301½" if form == "identity" else "é½")


@pytest.mark.parametrize("kind", KINDS)
def test_a_decomposed_corpus_is_encoded_as_a_composed_one(
    make_config: Callable[..., DataConfig], pairs: list[tuple[str, str]], kind: str
) -> None:
    tokenizer = TokenizerConfig(kind=kind, vocabulary=400)
    apart = [(source, unicodedata.normalize("NFD", target)) for source, target in pairs]
    assert apart != pairs
    tables = [
        prepare(make_config(train=each, tokenizer=tokenizer), 1).train for each in (pairs, apart)
    ]
    assert tables[0].to_pydict() == tables[1].to_pydict()
