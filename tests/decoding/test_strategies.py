"""What a search goes on with: the best, the best that differ, drawn ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from nmt.config import EOS
from nmt.decoding.candidates import Places
from nmt.decoding.strategies import DiverseBeamSearch, Sampling, TowardsDemands

CPU = torch.device("cpu")
LOGITS = torch.tensor([0.3, -1.0, 0.9, 0.1, -0.4, 0.7])


def test_a_group_pays_for_what_earlier_groups_chose() -> None:
    totals = torch.tensor([[[-1.0, -1.2, -3.0], [-1.0, -1.2, -1.6], [-1.0, -1.2, -1.6]]])
    tokens = torch.tensor([[[7, 8, 9], [7, 8, 9], [7, 8, 9]]])
    order = DiverseBeamSearch(3, 1, 0.3).rank(totals, tokens)
    # The second takes 8 for 7 costs -1.3; the third pays for both: -1.3, -1.5, -1.6.
    assert order[0, :, 0].tolist() == [0, 1, 0]


def test_an_empty_group_costs_the_others_nothing() -> None:
    totals = torch.tensor([[[-math.inf] * 3, [-1.0, -1.1, -1.2]]])
    tokens = torch.tensor([[[7, 7, 7], [7, 8, 9]]])
    order = DiverseBeamSearch(2, 1, 5.0).rank(totals, tokens)
    assert order[0, 1, 0] == 0


def draw(logits: Tensor, samples: int, seed: int = 1, **knobs: Any) -> Tensor:
    """The first token of each sample of one sentence."""
    settings = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, **knobs}
    sampling = Sampling(samples, [[4, EOS]], [0], seed=seed, device=CPU, **settings)
    log_probs = logits.log_softmax(0).expand(samples, -1).clone()
    places = Places(torch.zeros(samples, dtype=torch.int64), torch.arange(samples), 1)
    found = sampling.propose(log_probs, places)
    assert torch.equal(found.log_probs, log_probs.gather(1, found.tokens)), "not the model's own"
    return found.tokens[:, 0]


def shares(tokens: Tensor, vocabulary: int) -> Tensor:
    return tokens.bincount(minlength=vocabulary) / len(tokens)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_come_as_often_as_the_softmax_says(temperature: float) -> None:
    drawn = draw(LOGITS, 40_000, temperature=temperature)
    # A share's standard deviation is at most 0.5 / 200.
    expected = (LOGITS / temperature).softmax(0)
    assert (shares(drawn, 6) - expected).abs().max() < 0.01


def test_top_k_samples_from_the_k_likeliest() -> None:
    found = shares(draw(LOGITS, 40_000, top_k=3), 6)
    kept = LOGITS.masked_fill(LOGITS < 0.3, -math.inf)
    assert (found - kept.softmax(0)).abs().max() < 0.01
    assert found[[1, 3, 4]].eq(0).all()


def test_top_p_samples_from_the_fewest_that_hold_it() -> None:
    probabilities = torch.tensor([0.1, 0.4, 0.05, 0.3, 0.15])
    found = shares(draw(probabilities.log(), 40_000, top_p=0.6), 5)
    expected = torch.tensor([0, 0.4, 0, 0.3, 0]) / 0.7  # 0.4 alone is too little
    assert (found - expected).abs().max() < 0.01


def test_top_p_is_a_share_of_what_top_k_left() -> None:
    probabilities = torch.tensor([0.4, 0.3, 0.2, 0.1])
    found = shares(draw(probabilities.log(), 40_000, top_k=2, top_p=0.5), 4)
    assert found.tolist() == [1, 0, 0, 0]  # 0.4 is 4/7 of what is left


@pytest.mark.parametrize("knobs", [{"temperature": 0.01}, {"top_k": 1}, {"top_p": 0.001}])
def test_the_likeliest_is_drawn_where_nothing_else_may_be(knobs: dict[str, Any]) -> None:
    assert (draw(LOGITS, 2000, **knobs) == 2).all()


@pytest.mark.parametrize("knobs", [{}, {"top_k": 4}, {"top_p": 0.9}, {"temperature": 100.0}])
def test_what_may_not_come_is_never_drawn(knobs: dict[str, Any]) -> None:
    for hidden in ([0], [5], [2, 3], [0, 1, 2, 4, 5]):
        logits = LOGITS.clone()
        logits[hidden] = -math.inf
        assert not set(draw(logits, 5000, **knobs).tolist()) & set(hidden)


def test_the_seed_decides() -> None:
    first, again, other = (draw(LOGITS, 100, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_numbers_are_those_of_the_sentence_alone() -> None:
    sources: Sequence[list[int]] = [[4, EOS], [5, 6, EOS], [7, EOS]]

    def numbers(chosen: Sequence[list[int]], limits: Sequence[int], samples: int = 3) -> Tensor:
        knobs = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 1}
        return Sampling(samples, chosen, limits, device=CPU, **knobs).uniform

    together = numbers(sources, [9, 9, 9])
    assert torch.equal(numbers(sources[::-1], [9, 9, 9]).flip(0), together)
    assert torch.equal(numbers([sources[1]], [9])[0], together[1])
    beside = numbers([sources[1], [4] * 30], [9, 40])  # one that may grow longer
    assert torch.equal(beside[0, :10], together[1])
    assert torch.equal(numbers(sources, [9, 9, 9], 2), together[:, :, :2])
    assert len(together.unique()) == together.numel()


@pytest.mark.parametrize("seed", range(8))
def test_places_are_shared_out_among_those_that_lack_more_and_less(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    sentences, hypotheses, tokens, width = 2, 3, 5, 3
    lacking = torch.randint(0, 4, (sentences * hypotheses, 20), generator=generator)
    totals = torch.randn(sentences, 1, hypotheses * tokens, generator=generator)
    totals[torch.rand(totals.shape, generator=generator) < 0.3] = -math.inf
    candidates = torch.randint(0, 20, totals.shape, generator=generator)
    strategy = TowardsDemands(width, lacking.to(torch.int16), None, hypotheses)
    found = strategy.rank(totals, candidates)[:, 0].tolist()
    for sentence in range(sentences):
        banks: dict[int, list[int]] = {}
        for place in totals[sentence, 0].argsort(descending=True).tolist():
            if totals[sentence, 0, place] > -math.inf:
                row = sentence * hypotheses + place // tokens
                banks.setdefault(int(lacking[row, candidates[sentence, 0, place]]), []).append(
                    place
                )
        expected = []
        while any(banks.values()):
            expected += [banks[bank].pop(0) for bank in sorted(banks) if banks[bank]]
        assert found[sentence][: len(expected)] == expected[: 2 * width]
