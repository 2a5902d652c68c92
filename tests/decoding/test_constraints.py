"""Demands on the words of translations, by a toy model that spells them in all ways."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from toy import ToyEncoder

from nmt.config import BOS, EOS, PAD, DecodingConfig
from nmt.decoding import Hypothesis, translate_ids
from nmt.decoding.constraints import Constrain, Demands, Prefix, complaints
from nmt.decoding.spelling import Spelling
from nmt.errors import UserError
from nmt.models.seq2seq import Decoded, Decoder, Memory, Seq2Seq, Stepped

PIECES = ["<pad>", "<unk>", "<s>", "</s>", "▁", "▁a", "▁ab"]
PIECES += ["a", "b", ".", "<0xC3>", "<0xA4>"]
LIMIT = 3
WORDS = range(4, len(PIECES))


class ToyState(NamedTuple):
    """`codes` (B, W) sums up the source and the tokens so far of each hypothesis."""

    codes: Tensor

    def select(self, rows: Tensor) -> ToyState:
        return ToyState(self.codes.flatten()[rows])


class ToyDecoder(Decoder[ToyState]):
    """Its logits depend on the source and the whole prefix."""

    def forward(self, tokens: Tensor, memory: Memory, need_weights: bool = False) -> Decoded:
        state, found = self.start(memory), []
        for column in tokens.split(1, dim=1):
            states, state, _ = self.step(column, state)
            found.append(states)
        return Decoded(torch.cat(found, dim=1), None)

    def __init__(self, disliked: str) -> None:
        super().__init__()
        self.bias = torch.tensor([-30.0 * (piece in ("<unk>", disliked)) for piece in PIECES])

    def start(self, memory: Memory) -> ToyState:
        return ToyState(memory.states.long().sum((1, 2))[:, None] % 10_007)

    def step(
        self, tokens: Tensor, state: ToyState, need_weights: bool = False
    ) -> Stepped[ToyState]:
        codes = (state.codes * 31 + tokens * 7 + 1) % 10_007
        waves = torch.sin(codes[:, :, None] * torch.arange(1.0, len(PIECES) + 1))
        return Stepped(3 * waves + self.bias, ToyState(codes), None)


def toy(disliked: str = "<unk>") -> Seq2Seq:
    output = nn.Linear(len(PIECES), len(PIECES), bias=False)
    nn.init.eye_(output.weight)
    return Seq2Seq(ToyEncoder(), ToyDecoder(disliked), output).requires_grad_(False)


def decode(tokens: Sequence[int]) -> str:
    """As the tokenizer does: bytes that are no character are replaced."""
    spelt = b""
    for piece in (PIECES[token] for token in tokens):
        byte = re.fullmatch(r"<0x(..)>", piece)
        spelt += bytes.fromhex(byte[1]) if byte else piece.replace("▁", " ").encode()
    return " ".join(spelt.decode(errors="replace").split())


def meets(text: str, demands: Demands) -> bool:
    """The demands by regular expressions."""

    def has(phrase: str) -> bool:
        before, after = (r"(?<!\w)" * phrase[0].isalnum(), r"(?!\w)" * phrase[-1].isalnum())
        return re.search(f"{before}{re.escape(phrase)}{after}", text) is not None

    return (
        text.startswith(demands.prefix)
        and not any(map(has, demands.forbidden))
        and all(map(has, demands.required))
    )


def stalls(tokens: Sequence[int], prefix: str) -> bool:
    """Whether a space is said after white space, where the prefix is not yet complete."""
    said = b""
    for place, token in enumerate(tokens):
        if len(said.rstrip()) >= len(prefix.encode()):
            return False
        if PIECES[token] == "▁" and place > 0 and (not said or said.endswith(b" ")):
            return True
        byte = re.fullmatch(r"<0x(..)>", PIECES[token])
        said += bytes.fromhex(byte[1]) if byte else PIECES[token].replace("▁", " ").encode()
        said = re.sub(rb" +", b" ", said).lstrip()
    return False


@cache
def everything(source: tuple[int, ...]) -> list[tuple[float, list[int]]]:
    """All translations of at most LIMIT pieces with their log-probabilities, best first."""
    rows = [list(row) for length in range(LIMIT + 1) for row in product(WORDS, repeat=length)]
    target = torch.tensor([[BOS, *row, EOS, *[PAD] * (LIMIT - len(row))] for row in rows])
    steps = toy().token_log_probs(torch.tensor([source]).expand(len(rows), -1), target)
    return sorted(zip(steps.sum(1).tolist(), rows, strict=True), reverse=True)


CONFIG = DecodingConfig(length_penalty=0.0, max_ratio=0.0, batch_tokens=10**6)
SOURCES = [[4, EOS], [5, 5, EOS], [4, 5, 5, EOS], [6, EOS], [4, 8, 7, EOS]]
SOME = [
    Demands(prefix="a"),
    Demands(prefix="ab"),
    Demands(prefix="ab a"),
    Demands(prefix="a "),
    Demands(prefix=".b"),
    Demands(prefix="ä"),
    Demands(prefix="aä"),
    Demands(forbidden=("a",)),
    Demands(forbidden=("ab", "b")),
    Demands(forbidden=("a b", ".")),
    Demands(forbidden=("aä", "a")),
    Demands(required=("a",)),
    Demands(required=("ab",)),
    Demands(required=("ä",)),
    Demands(required=("a b",)),
    Demands(required=("a.",)),
    Demands(required=("a", "b")),
    Demands(required=("ab", "a")),
    Demands(required=("a", "a a")),
    Demands("a", ("ab", "b"), ("a",)),
    Demands("ab", ("a",), (".",)),
]


def translate(
    demands: Sequence[Demands],
    sources: Sequence[Sequence[int]],
    beam_size: int,
    *,
    n_best: int = 1,
    limit: int = 10,
) -> list[list[Hypothesis]]:
    config = replace(CONFIG, beam_size=beam_size, max_extra=limit)
    constrain = Constrain(PIECES, demands, config)
    return translate_ids(toy(), sources, config, n_best=n_best, constrain=constrain)


def test_a_model_that_only_says_spaces_still_says_the_prefix() -> None:
    spelling = Spelling(PIECES)
    prefix = Prefix(spelling, "ab")
    space = PIECES.index("▁")
    for said, is_open in (([], True), ([space], False)):
        allowed = prefix.allowed(said)
        assert allowed is not None and allowed.any() and allowed[space] == is_open


@pytest.mark.parametrize("demands", SOME)
def test_a_beam_as_wide_as_everything_finds_all_that_meets_the_demands(demands: Demands) -> None:
    for source in SOURCES[:2]:
        expected = [
            (log_prob, tokens)
            for log_prob, tokens in everything(tuple(source))
            if meets(decode(tokens), demands) and not stalls(tokens, demands.prefix)
        ]
        assert expected
        (found,) = translate([demands], [source], 1000, n_best=len(expected), limit=LIMIT)
        assert [each.tokens for each in found] == [tokens for _, tokens in expected]
        scores = [each.score for each in found]
        assert scores == pytest.approx([log_prob for log_prob, _ in expected], abs=1e-4)


@pytest.mark.parametrize("beam_size", [2, 3, 8])
@pytest.mark.parametrize("demands", SOME)
def test_narrow_beams_meet_the_demands_with_true_scores(demands: Demands, beam_size: int) -> None:
    found = translate([demands] * len(SOURCES), SOURCES, beam_size)
    for source, (best, *_) in zip(SOURCES, found, strict=True):
        assert meets(decode(best.tokens), demands)
        assert complaints(decode(best.tokens), demands) == []
        target = torch.tensor([[BOS, *best.tokens, EOS]])
        expected = toy().token_log_probs(torch.tensor([source]), target).sum().item()
        assert best.log_prob == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("beam_size", [1, 2, 3])
@pytest.mark.parametrize("disliked", [".", "<0xC3>"])
def test_what_the_model_would_never_say_is_said(disliked: str, beam_size: int) -> None:
    config = replace(CONFIG, beam_size=beam_size, max_extra=10)
    demands = Demands(required=("ä", "a .", "."))
    constrain = Constrain(PIECES, [demands] * len(SOURCES), config)
    for best, *_ in translate_ids(toy(disliked), SOURCES, config, constrain=constrain):
        assert meets(decode(best.tokens), demands)


@pytest.mark.parametrize("beam_size", [1, 2, 5])
def test_no_demands_change_nothing(beam_size: int) -> None:
    config = replace(CONFIG, beam_size=beam_size, max_extra=10)
    free = translate_ids(toy(), SOURCES, config, n_best=beam_size)
    assert translate([Demands()] * len(SOURCES), SOURCES, beam_size, n_best=beam_size) == free
    # Beside one that has some.
    demands = [*[Demands()] * (len(SOURCES) - 1), Demands(required=("ab a",))]
    beside = translate(demands, SOURCES, beam_size, n_best=beam_size)
    assert beside[:-1] == free[:-1] and beside[-1] != free[-1]


@pytest.mark.parametrize("beam_size", [1, 3])
def test_company_changes_nothing(beam_size: int) -> None:
    demands = [each for each in SOME for _ in SOURCES]
    sources = SOURCES * len(SOME)
    together = translate(demands, sources, beam_size)
    assert translate(demands[::-1], sources[::-1], beam_size)[::-1] == together
    alone = [translate([d], [s], beam_size)[0] for d, s in zip(demands, sources, strict=True)]
    assert alone == together


@pytest.mark.parametrize("prefix", ["...", ".a.", "abbb"])
def test_what_stands_in_empty_places_keeps_no_sentence_from_ending(prefix: str) -> None:
    """A beam with more places than beginnings of the prefix, amid others that fill theirs."""
    demands = [Demands(prefix), *[Demands()] * 30]
    (alone,) = translate(demands[:1], SOURCES[:1], 8, limit=1)
    assert alone[0].log_prob > -100 and prefix.startswith(decode(alone[0].tokens))
    assert translate(demands, SOURCES[:1] * len(demands), 8, limit=1)[0] == alone


@pytest.mark.parametrize("beam_size", [3, 8])
def test_one_that_is_stuck_ends_whoever_stands_before_it(beam_size: int) -> None:
    """Those before it have empty places: fewer words begin as they must than the beam is wide."""
    demands = [*[Demands("ab")] * 9, Demands("abbb")]
    together = translate(demands, SOURCES[:1] * len(demands), beam_size, limit=2)
    for place in (0, -1):
        assert together[place] == translate([demands[place]], SOURCES[:1], beam_size, limit=2)[0]
        assert together[place][0].log_prob > -100


def test_at_the_limit_a_translation_is_closed_and_what_it_lacks_is_told() -> None:
    demands = Demands(prefix="ab", required=("b b", "a a a"))
    for beam_size in (1, 4):
        ((best,),) = translate([demands], SOURCES[:1], beam_size, limit=2)
        text = decode(best.tokens)
        assert len(best.tokens) == 2 and best.log_prob > -100
        assert complaints(text, demands)[-1] == "lacks 'b b'"
    assert complaints("c Hund", Demands("ab", ("Hund",), ("c", "Hun"))) == [
        "does not begin with 'ab'",
        "contains 'Hund'",
        "lacks 'Hun'",
    ]


@pytest.mark.parametrize(
    ("demands", "message"),
    [
        (Demands(prefix="ab x"), "no pieces of the vocabulary spell the prefix 'ab x'"),
        (Demands(required=("ö",)), "no pieces of the vocabulary spell the required 'ö'"),
        (
            Demands(forbidden=("b",), required=("a b",)),
            "the required 'a b' has the forbidden 'b' in it",
        ),
        (Demands("a b.", ("a b",)), "the prefix 'a b.' has the forbidden 'a b' in it"),
        (
            Demands(required=("a", " ")),
            "a forbidden or required phrase must have a character, but one is ''",
        ),
    ],
)
def test_demands_that_cannot_be_met_are_one_sentence(demands: Demands, message: str) -> None:
    with pytest.raises(UserError) as error:
        Constrain(PIECES, [Demands(), demands], CONFIG)
    assert str(error.value) == message


@pytest.mark.parametrize("change", [{"strategy": "sample"}, {"groups": 5}])
def test_required_words_need_a_beam_of_one_group(change: dict[str, Any]) -> None:
    config = replace(CONFIG, **change)
    Constrain(PIECES, [Demands("a", ("b",))], config)
    with pytest.raises(UserError, match="decoding.strategy=beam and decoding.groups=1, but"):
        Constrain(PIECES, [Demands(required=("b",))], config)


@pytest.mark.parametrize("change", [{"strategy": "sample"}, {"beam_size": 6, "groups": 3}])
def test_samples_and_diverse_beams_meet_demands(change: dict[str, Any]) -> None:
    config = replace(CONFIG, max_extra=30, **change)
    demands = Demands("ab", ("a", "b"))
    constrain = Constrain(PIECES, [demands] * len(SOURCES), config)
    for hypotheses in translate_ids(toy(), SOURCES, config, n_best=6, constrain=constrain):
        assert all(meets(decode(each.tokens), demands) for each in hypotheses)


def test_phrases_are_tidied() -> None:
    assert Demands("  a \t b ", (" c  d ", "b", "b")).tidy() == Demands("a b ", ("b", "c d"))
