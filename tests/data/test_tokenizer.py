from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.config import BOS, EOS, PAD, UNK, TokenizerConfig
from nmt.data.tokenizer import Tokenizer, Tokenizers, draw, learn, word_spans
from nmt.errors import UserError

LATIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZäöüÄÖÜßéñ0123456789.,;:!?'\"-„“()"
WORDS = st.lists(st.text(LATIN, min_size=1, max_size=8), max_size=8)


@pytest.fixture(scope="module")
def joint(pairs) -> Tokenizers:
    return learn(pairs, TokenizerConfig(vocabulary=400), seed=1)


@pytest.fixture(scope="module")
def tokenizer(joint) -> Tokenizer:
    return joint.source


@given(words=WORDS)
def test_decode_gives_natural_text_back(tokenizer, words):
    text = " ".join(words)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(text=st.text(max_size=20))
def test_any_text_is_known_and_decoding_is_stable(tokenizer, text):
    ids = tokenizer.encode(text)
    assert ids[-1] == EOS
    assert not {PAD, UNK, BOS, EOS} & set(ids[:-1])
    once = tokenizer.decode(ids)
    assert "\n" not in once
    assert tokenizer.decode([BOS, *ids, *ids, PAD]) == once


@pytest.mark.parametrize("text", ["😀", "我喜欢猫", "a 😀 b", "Ωμέγα", "\x00"])
def test_bytes_carry_what_was_never_seen(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_half_a_surrogate_pair_is_a_question_mark(tokenizer):
    assert tokenizer.decode(tokenizer.encode("a\ud83d b")) == "a? b"


def test_special_names_in_the_text_are_text(tokenizer):
    text = "<s> </s> <pad> <unk> <0x41>"
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(words=WORDS, spaces=st.sampled_from([" ", "  ", "\t", " \u00a0"]))
def test_spans_cover_all_words_in_order(tokenizer, words, spaces):
    text = spaces.join(["", *words, ""])
    spans = tokenizer.spans(text)
    assert len(spans) == len(tokenizer.encode(text))
    assert spans[-1] == (len(text), len(text))
    assert spans == sorted(spans)
    covered = {place for begin, end in spans for place in range(begin, end)}
    assert covered == {place for place, letter in enumerate(text) if not letter.isspace()}


@given(words=WORDS)
def test_no_piece_belongs_to_two_words(tokenizer, words):
    text = " ".join(words)
    for begin, end in tokenizer.spans(text)[:-1]:
        assert sum(low < end and begin < high for low, high in word_spans(text)) == 1


@pytest.mark.parametrize(
    "text, expected",
    [
        ("ﬁ", {"ﬁ"}),
        ("中 文", {"中", "文"}),
        ("a  b…", {"a", "b", "…"}),
        ("½ 😀", {"½", "😀"}),
    ],
)
def test_spans_are_characters_of_the_text_before_normalisation(tokenizer, text, expected):
    assert {text[begin:end] for begin, end in tokenizer.spans(text)[:-1]} == expected


def test_words():
    text = "It's a well-known dog, isn't it? Café–Bar: 3.5 snake_case „Ja!“"
    found = [text[begin:end] for begin, end in word_spans(text)]
    marks = "It's a well-known dog , isn't it ? Café – Bar : 3 . 5 snake case „ Ja ! “"
    assert found == marks.split()


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
@pytest.mark.parametrize("joint", [True, False])
def test_save_then_load_is_the_same(pairs, tmp_path: Path, kind, joint):
    config = TokenizerConfig(kind=kind, joint=joint, vocabulary=350)
    learnt = learn(pairs, config, seed=1)
    learnt.save(tmp_path)
    loaded = Tokenizers.load(tmp_path)
    names = ["tokenizer.model"] if joint else ["tokenizer.source.model", "tokenizer.target.model"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert loaded.joint == joint
    for ours, theirs in zip(learnt, loaded, strict=True):
        assert ours.model == theirs.model
        assert ours.encode("Ein Hund.") == theirs.encode("Ein Hund.")
    assert learn(pairs, config, seed=1).target.model == learnt.target.model


def test_a_small_corpus_has_fewer_unigram_pieces(pairs):
    assert learn(pairs[:20], TokenizerConfig(), seed=1).source.size < 1000


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_vocabulary_that_is_too_small_names_the_smallest(pairs, kind):
    message = "data.tokenizer.vocabulary .*must be at least [0-9]+ for"
    with pytest.raises(UserError, match=message) as caught:
        learn(pairs, TokenizerConfig(kind=kind, vocabulary=100), seed=1)
    limit = int(str(caught.value).split(" for this")[0].split()[-1])
    assert learn(pairs, TokenizerConfig(kind=kind, vocabulary=limit), seed=1).source.size == limit


def test_no_text_at_all():
    with pytest.raises(UserError, match="the corpus has no text"):
        learn([("", "")], TokenizerConfig(), seed=1)


@pytest.mark.parametrize("content", [b"", b"nonsense", "cut"])
def test_a_damaged_model(tokenizer, tmp_path: Path, content):
    damaged = tokenizer.model[:1000] if content == "cut" else content
    (tmp_path / "tokenizer.model").write_bytes(damaged)
    with pytest.raises(UserError, match="tokenizer.model is damaged"):
        Tokenizers.load(tmp_path)


def test_no_model(tmp_path: Path):
    with pytest.raises(UserError, match="has no tokenizer.model"):
        Tokenizers.load(tmp_path)


def test_the_sample_is_even():
    stream = [(str(number), "") for number in range(20)]
    seen = Counter(pair for seed in range(2000) for pair in draw(iter(stream), 5, seed))
    assert all(400 < seen[pair] < 600 for pair in stream)  # 500 expected, deviation 19
    assert draw(iter(stream), 50, 1) == stream


def test_marks_that_always_stand_together_are_still_two_pieces(pairs):
    quoted = [(source, f"„{target}“-") for source, target in pairs]
    tokenizer = learn(quoted, TokenizerConfig(kind="bpe", vocabulary=350), seed=1).target
    pieces = [piece.removeprefix("▁") for piece in tokenizer.pieces(range(tokenizer.size))]
    learnt = [piece for piece in pieces[4:] if not piece.startswith("<0x")]
    assert all(len(word_spans(piece)) == 1 for piece in learnt if piece)
