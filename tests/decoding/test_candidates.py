"""The likeliest of many tokens are those that a plain topk finds."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nmt.decoding.candidates import BLOCK, WIDE, Places, Reached, best, best_of_all

VOCABULARIES = [3, 50, WIDE - 1, WIDE, WIDE + 7, 4099, 20_011]


def hard_rows(vocabulary: int) -> Tensor:
    """(9, V)"""
    log_probs = torch.randn(9, vocabulary)
    log_probs[1] = log_probs[1].round()  # ties
    log_probs[2, :-1] = -math.inf  # one is left, at the very end
    log_probs[3] = -math.inf
    log_probs[4] = torch.arange(float(vocabulary))  # all the best side by side
    log_probs[5] = -log_probs[4]
    return log_probs


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("count", [1, 2, 6, 64])
def test_the_best_are_those_of_topk(vocabulary: int, count: int) -> None:
    torch.manual_seed(vocabulary + count)
    log_probs = hard_rows(vocabulary)
    found = best(log_probs, count)
    expected = log_probs.topk(min(count, vocabulary)).values
    assert torch.equal(found.log_probs.sort(descending=True).values, expected)
    assert torch.equal(log_probs.gather(1, found.tokens), found.log_probs)
    for row in found.tokens.tolist():
        assert len(set(row)) == len(row)


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("count", [1, 2, 10, 64])
@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("dead", [(), (1, 6), (0, 1, 2)])
def test_the_best_of_a_sentence_are_those_of_topk(
    vocabulary: int, count: int, width: int, dead: tuple[int, ...]
) -> None:
    """Nine hypotheses, one or three of a sentence, some of them empty places."""
    torch.manual_seed(vocabulary + count + width)
    whole, totals = hard_rows(vocabulary), torch.randn(9)
    totals[list(dead)] = -math.inf
    live = torch.tensor([row for row in range(9) if row not in dead]) if dead else None
    asked = whole if live is None else whole[live]
    places = Places(torch.arange(len(asked)) // width, torch.zeros(len(asked), dtype=int), 1)
    found = best_of_all(asked, Reached(totals.view(-1, width), live, places), count)
    everything = (totals[:, None] + whole).view(9 // width, -1)
    expected = everything.topk(min(count, width * vocabulary), dim=1).values
    assert torch.equal(found.log_probs.squeeze(1), expected), "best first"
    there = everything.gather(1, (found.parents * vocabulary + found.tokens).squeeze(1))
    finite = expected > -math.inf
    assert torch.equal(there[finite], expected[finite])
    for row, chosen in enumerate(zip(found.parents, found.tokens, strict=True)):
        pairs = torch.stack(chosen).squeeze(1).T[finite[row]].tolist()
        assert len({tuple(pair) for pair in pairs}) == len(pairs)


def test_the_last_tokens_are_no_block_of_their_own_size() -> None:
    """It reaches back into the block before, whose tokens must not come twice."""
    log_probs = torch.arange(float(WIDE + 3))[None]
    places = Places(torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64), 1)
    found = best_of_all(log_probs, Reached(torch.zeros(1, 1), None, places), 10)
    assert (WIDE + 3) % BLOCK and found.tokens.flatten().tolist() == list(
        range(WIDE + 2, WIDE - 8, -1)
    )


@pytest.mark.parametrize("vocabulary", [50, 4099])
@pytest.mark.parametrize("first", [0.0, math.nan])
def test_a_sentence_without_numbers_leaves_the_others_alone(vocabulary: int, first: float) -> None:
    """Three hypotheses of each of two sentences; of the second one place is filled."""
    log_probs = torch.randn(4, vocabulary)
    log_probs[:3] = math.nan
    totals = torch.tensor([[first] * 3, [-math.inf, -1.0, -math.inf]])
    places = Places(torch.tensor([0, 0, 0, 1]), torch.zeros(4, dtype=torch.int64), 1)
    found = best_of_all(log_probs, Reached(totals, torch.tensor([0, 1, 2, 4]), places), 90)
    expected = (log_probs[3] - 1).topk(min(90, vocabulary)).values
    assert torch.equal(found.log_probs[1, 0, : len(expected)], expected)
    assert found.log_probs[1, 0, len(expected) :].eq(-math.inf).all()
