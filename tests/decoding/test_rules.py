"""No n-gram twice, fewer repetitions and a least length, whatever the search around them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from toy import Toy

from nmt.config import EOS, PAD, UNK, DecodingConfig
from nmt.decoding import Hypothesis, translate_ids
from nmt.decoding.constraints import Constrain, Demands
from nmt.decoding.predictor import Ensemble
from nmt.decoding.rules import Rules, rules_of
from nmt.decoding.shortlist import Shortlist

WORDS = range(4, 10)
SOURCES = [random.Random(row).choices(WORDS, k=row % 6 + 1) + [EOS] for row in range(9)]
CONFIG = DecodingConfig(max_ratio=1.0, max_extra=9, batch_tokens=10**6)
SEARCHES: dict[str, dict[str, Any]] = {
    "greedy": {"beam_size": 1},
    "beam": {"beam_size": 4},
    "diverse": {"beam_size": 4, "groups": 2},
    "sample": {"strategy": "sample"},
    "mbr": {"strategy": "mbr", "samples": 4},
}


def toy(eos: float = -1.0, seed: int = 0) -> Toy:
    generator = random.Random(seed)
    return Toy([0.0, 0.0, 0.0, eos, *(generator.uniform(0, 2) for _ in WORDS)])


def found(config: DecodingConfig, model: Any = None, **options: Any) -> list[list[Hypothesis]]:
    n_best = 1 if config.beam_size == 1 else 2
    return translate_ids(model or toy(), SOURCES, config, n_best=n_best, **options)


def ngrams(tokens: Sequence[int], size: int) -> list[tuple[int, ...]]:
    return [tuple(tokens[at : at + size]) for at in range(len(tokens) - size + 1)]


def repeats(all_found: list[list[Hypothesis]], size: int) -> int:
    each = [ngrams(one.tokens, size) for some in all_found for one in some]
    return sum(len(grams) != len(set(grams)) for grams in each)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("search", SEARCHES)
def test_no_ngram_occurs_twice(search: str, size: int) -> None:
    config = replace(CONFIG, **SEARCHES[search])
    assert repeats(found(config), size), "a model that does not repeat itself"
    assert not repeats(found(replace(config, no_repeat_ngram=size)), size)


@pytest.mark.parametrize("search", SEARCHES)
def test_a_translation_has_the_least_length_even_above_the_limit(search: str) -> None:
    config = replace(CONFIG, **SEARCHES[search])
    eager = toy(eos=4.0)
    assert min(len(one.tokens) for some in found(config, eager) for one in some) < 4
    for least in (4, 30):
        for some in found(replace(config, min_length=least), eager):
            assert all(len(one.tokens) >= least for one in some)


@pytest.mark.parametrize("search", SEARCHES)
def test_a_penalty_makes_repetitions_rarer(search: str) -> None:
    config = replace(CONFIG, **SEARCHES[search])
    counts = [repeats(found(replace(config, repetition_penalty=p)), 1) for p in (1.0, 8.0)]
    assert counts[0] > counts[1]


def every_rule(**more: Any) -> DecodingConfig:
    return replace(CONFIG, no_repeat_ngram=2, repetition_penalty=1.3, min_length=3, **more)


def plain_greedy(model: Toy, source: Sequence[int], limit: int) -> list[int]:
    """What greedy search with every rule finds, in loops."""
    tokens: list[int] = []
    while len(tokens) < limit:
        log_probs = model.following(source, tokens).log_probs
        scores = {
            token: log_probs[token] * (1.3 if token in tokens else 1)
            for token in (UNK, EOS, *WORDS)
            if not (token == EOS and len(tokens) < 3)
            and (*tokens[-1:], token) not in ngrams(tokens, 2)
        }
        best = max(scores, key=lambda token: scores[token])
        if best == EOS:
            return tokens
        tokens.append(best)
    return tokens


def test_greedy_follows_every_rule() -> None:
    config = every_rule(beam_size=1)
    expected = [plain_greedy(toy(), source, len(source) - 1 + 9) for source in SOURCES]
    assert [some[0].tokens for some in found(config)] == expected
    assert expected != [some[0].tokens for some in found(replace(CONFIG, beam_size=1))]


@pytest.mark.parametrize("search", SEARCHES)
def test_company_changes_nothing(search: str) -> None:
    config = every_rule(**SEARCHES[search])
    for source, together in zip(SOURCES, found(config), strict=True):
        (alone,) = translate_ids(toy(), [source], config, n_best=len(together))
        assert [one.tokens for one in alone] == [one.tokens for one in together]


def test_an_ensemble_follows_every_rule() -> None:
    config = every_rule(beam_size=3)
    pair = found(config, Ensemble([toy(), toy(seed=1)]))
    assert not repeats(pair, 2) and pair != found(config)
    assert found(config, Ensemble([toy(), toy()])) == [
        [one._replace(score=pytest.approx(one.score), log_prob=pytest.approx(one.log_prob))
         for one in some]
        for some in found(config)
    ]  # fmt: skip


def test_rules_hold_among_the_pieces_of_a_shortlist() -> None:
    config = every_rule(beam_size=3)
    everything = Shortlist(torch.arange(10)[:, None], torch.arange(10), 10)
    tokens = [[one.tokens for one in some] for some in found(config)]
    among_all = found(config, shortlist=everything)
    assert [[one.tokens for one in some] for some in among_all] == tokens
    few = Shortlist(torch.arange(10)[:, None], torch.tensor([4, 6, 9]), 10)
    some = found(config, shortlist=few)
    assert not repeats(some, 2) and min(len(one.tokens) for each in some for one in each) >= 3


@pytest.mark.parametrize("search", ["greedy", "beam", "sample"])
def test_what_a_user_demands_goes_before_the_rules(search: str) -> None:
    pieces = ["<pad>", "<unk>", "<s>", "</s>", *"abcdef"]
    config = replace(every_rule(**SEARCHES[search]), no_repeat_ngram=1, min_length=12)
    demands = [Demands(prefix="aabaab")] * len(SOURCES)
    for some in found(config, constrain=Constrain(pieces, demands, config)):
        for one in some:
            assert one.tokens[:6] == [4, 4, 5, 4, 4, 5]


def test_rules_leave_something_to_come() -> None:
    log_probs = torch.full((1, 6), -torch.inf)
    log_probs[0, [EOS, 4]] = -1.0
    Rules(no_repeat_ngram=1, min_length=9).apply(log_probs, torch.tensor([[4, 5]]))
    assert log_probs[0].isfinite().nonzero().tolist() == [[EOS]], "n-grams before the least length"
    Rules(min_length=9).apply(log_probs, torch.tensor([[4, 5]]))
    assert log_probs[0].isfinite().nonzero().tolist() == [[EOS]]


def test_no_rules_cost_nothing() -> None:
    assert rules_of(DecodingConfig()) is None
    assert rules_of(DecodingConfig(min_length=1)) == Rules(min_length=1)
    assert PAD == 0, "marks nothing"


def test_a_translation_is_cut_where_the_limit_ended_it_and_not_the_model() -> None:
    endless, eager = toy(eos=-99.0), toy(eos=9.0)
    for search in SEARCHES.values():
        config = replace(CONFIG, **search)
        assert all(one.cut for some in found(config, endless) for one in some)
        assert not any(some[0].cut for some in found(config, eager))
    config = replace(CONFIG, beam_size=1)
    free = found(config, toy(eos=1.5))
    assert any(not some[0].cut and some[0].tokens for some in free)
    for source, some in zip(SOURCES, free, strict=True):
        if not some[0].cut:  # with just enough room it is the same, and not cut
            exact = replace(config, max_ratio=0, max_extra=max(1, len(some[0].tokens)))
            (again,) = translate_ids(toy(eos=1.5), [source], exact)
            assert again == some
