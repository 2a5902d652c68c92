"""Which continuations a search goes on with: the best, the best that differ, or drawn ones.

B sentences, G groups of hypotheses of each, W hypotheses of a group, n hypotheses that are alive,
k continuations of one of them, C candidates of a group, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from nmt.config import PAD

NEVER = float("-inf")
BLOCKED = 2**15 - 1  # lacking so much, a token may not come
LAST = 2**62
WIDE = 1024  # tokens from which two levels find the best of a row sooner
BLOCK = 64  # tokens that the upper level takes as one: soonest for 1 to 10 of 2,500 to 32,000


class Places(NamedTuple):
    """Where in the search the n hypotheses stand."""

    sentences: Tensor  # (n,) int64, of the batch that was searched
    groups: Tensor  # (n,) int64
    length: int  # of what they become, EOS included


class Continuations(NamedTuple):
    """Tokens that may follow each hypothesis, in any order."""

    log_probs: Tensor  # (n, k) of the model; -inf where a token may not come
    tokens: Tensor  # (n, k) int64


class Strategy(Protocol):
    groups: int  # searched side by side for each sentence
    width: int  # hypotheses of a group

    def propose(self, log_probs: Tensor, places: Places) -> Continuations:
        """What each hypothesis may be continued by. `log_probs` (n, V) may be overwritten."""
        ...

    def rank(self, totals: Tensor, tokens: Tensor) -> Tensor:
        """The best of each group's continuations, best first: indices (B, G, C) into the last
        dimension of `totals` (B, G, W * k), the log-probabilities of whole hypotheses, and of
        `tokens`, the last of each."""
        ...


class BeamSearch:
    """Beam search; of width 1, greedy."""

    groups = 1

    def __init__(self, width: int) -> None:
        self.width = width

    def propose(self, log_probs: Tensor, places: Places) -> Continuations:
        # One more than the width, as EOS may come; greedy ends with it.
        return best(log_probs, self.width + 1 if self.width > 1 else 1)

    def rank(self, totals: Tensor, tokens: Tensor) -> Tensor:
        # So many that `width` remain if every hypothesis ends.
        return totals.topk(min(2 * self.width, totals.size(2)), dim=2).indices


class DiverseBeamSearch:
    """Groups of beams, each kept from the tokens of those before it (Vijayakumar et al. 2018).

    A token costs `strength` for each time that an earlier group has chosen it in the same step
    (section 4, Hamming diversity). That decides which hypotheses go on and not how they score.
    """

    def __init__(self, groups: int, width: int, strength: float) -> None:
        self.groups = groups
        self.width = width
        self.strength = strength

    def propose(self, log_probs: Tensor, places: Places) -> Continuations:
        # Even if all that the other groups chose is among them, enough remain.
        return best(log_probs, self.groups * self.width + 1)

    def rank(self, totals: Tensor, tokens: Tensor) -> Tensor:
        count = min(2 * self.width, totals.size(2))
        chosen: list[Tensor] = []
        used = tokens.new_empty(tokens.size(0), 0)  # (B, tokens of the groups before)
        for group in range(self.groups):
            # An empty place chooses nothing, so that a group that is done costs the others nothing.
            mine = tokens[:, group].masked_fill(totals[:, group] == NEVER, PAD)  # (B, W * k)
            times = (mine[:, :, None] == used[:, None]).sum(2)
            order = (totals[:, group] - self.strength * times).topk(count, dim=1).indices
            chosen.append(order)
            used = torch.cat([used, mine.gather(1, order[:, : self.width])], dim=1)
        return torch.stack(chosen, dim=1)


class Sampling:
    """Independent draws from the model: each sample is a group of its own.

    The distribution is sharpened by a `temperature` below 1, cut to the `top_k` likeliest tokens
    (0: all; Fan et al. 2018) and to the fewest that hold `top_p` of what is left (Holtzman et al.
    2020). The numbers drawn depend on `seed`, the sentence and its limit alone, not on its company;
    more samples begin with the same ones.
    """

    width = 1

    def __init__(
        self,
        samples: int,
        sources: Sequence[Sequence[int]],
        limits: Sequence[int],
        *,
        temperature: float,
        top_k: int,
        top_p: float,
        seed: int,
        device: torch.device,
    ) -> None:
        self.groups = samples
        self.temperature = temperature
        self.top_k = top_k
        self.top_p = top_p
        drawn = [
            torch.from_numpy(np.random.default_rng([seed, *ids]).random((samples, limit + 1)).T)
            for ids, limit in zip(sources, limits, strict=True)
        ]
        self.uniform = pad_sequence(drawn, batch_first=True).to(device)  # (B, longest, G) float64

    def propose(self, log_probs: Tensor, places: Places) -> Continuations:
        uniform = self.uniform[places.sentences, places.length - 1, places.groups]  # (n,)
        weights = self._weights(log_probs).double().cumsum(1)  # (n, V)
        point = uniform[:, None] * weights[:, -1:]
        drawn = torch.searchsorted(weights, point, right=True).clamp(max=weights.size(1) - 1)
        return Continuations(log_probs.gather(1, drawn), drawn)

    def rank(self, totals: Tensor, tokens: Tensor) -> Tensor:
        return torch.zeros_like(tokens[:, :, :1])

    def _weights(self, log_probs: Tensor) -> Tensor:
        """What each token is drawn in proportion to: (n, V)"""
        probabilities = (log_probs / self.temperature).softmax(1)
        if self.top_k == 0 and self.top_p == 1.0:
            return probabilities
        count = min(self.top_k or probabilities.size(1), probabilities.size(1))
        values, tokens = probabilities.topk(count, dim=1)
        if self.top_p < 1.0:
            before = values.cumsum(1) - values
            values = values.masked_fill(before >= self.top_p * values.sum(1, keepdim=True), 0.0)
        return torch.zeros_like(probabilities).scatter_(1, tokens, values)


@dataclass
class TowardsDemands:
    """One step of a beam whose places are shared out among the hypotheses that lack more and less
    of what is demanded, so that none of them crowds out the others (Post and Vilar 2018, dynamic
    beam allocation)."""

    width: int
    lacking: Tensor  # (n, V) int16, how much is, after each token; at most BLOCKED
    live: Tensor | None  # (n,) which of the B * F hypotheses these are; None: all
    hypotheses: int  # F, of each sentence
    groups: int = 1

    def propose(self, log_probs: Tensor, places: Places) -> Continuations:
        """The likeliest of the tokens that leave the least lacking, and the likeliest of all."""
        lacking = self.lacking.masked_fill(log_probs == NEVER, BLOCKED)
        further = lacking > lacking.amin(1, keepdim=True)
        nearest = best(log_probs.masked_fill(further, NEVER), self.width)
        anyway = best(log_probs, self.width + 1)
        twice = (nearest.tokens[:, :, None] == anyway.tokens[:, None]).any(2)  # (n, width)
        values = nearest.log_probs.masked_fill(twice, NEVER)
        return Continuations(
            torch.cat((values, anyway.log_probs), dim=1),
            torch.cat((nearest.tokens, anyway.tokens), dim=1),
        )

    def rank(self, totals: Tensor, tokens: Tensor) -> Tensor:
        """First the best of those that lack nothing, the best that lack 1, ..., then the second of
        each."""
        lacking = self._of(tokens).masked_fill(totals == NEVER, BLOCKED)
        order = totals.argsort(dim=2, descending=True, stable=True)
        order = order.gather(2, lacking.gather(2, order).argsort(dim=2, stable=True))
        lacking = lacking.gather(2, order)  # rising
        place = torch.arange(totals.size(2), device=totals.device).expand_as(totals)
        first = lacking.diff(dim=2, prepend=lacking[:, :, :1] - 1) > 0
        place = place - place.masked_fill(~first, 0).cummax(dim=2).values  # among its like
        shared = (place * (BLOCKED + 1) + lacking).masked_fill(
            totals.gather(2, order) == NEVER, LAST
        )
        return order.gather(2, shared.argsort(dim=2, stable=True))[:, :, : 2 * self.width]

    def _of(self, tokens: Tensor) -> Tensor:
        """What the hypotheses of a sentence lack after `tokens` (B, 1, F * k): (B, 1, F * k)"""
        rows = torch.zeros(
            tokens.size(0) * self.hypotheses, dtype=torch.int64, device=tokens.device
        )
        live = slice(None) if self.live is None else self.live
        rows[live] = torch.arange(len(self.lacking), device=tokens.device)
        found = self.lacking[rows[:, None], tokens.view(len(rows), -1)]  # (B * F, k)
        return found.view(tokens.shape)


def best(log_probs: Tensor, count: int) -> Continuations:
    """The `count` likeliest tokens of each row (n, V), in any order.

    Where there are many tokens, first the blocks are found in which the best stand.
    """
    rows, vocabulary = log_probs.shape
    count = min(count, vocabulary)
    blocks = vocabulary // BLOCK
    if vocabulary < WIDE or blocks < 4 * count:
        return Continuations(*log_probs.topk(count, dim=1))
    whole = log_probs[:, : blocks * BLOCK].view(rows, blocks, BLOCK)
    chosen = whole.amax(2).topk(count, dim=1).indices  # (n, count)
    row = torch.arange(rows, device=log_probs.device)[:, None]
    inside = whole[row, chosen].flatten(1)  # block by block; `gather` goes number by number
    starts = torch.arange(BLOCK, device=log_probs.device) + BLOCK * chosen[:, :, None]
    rest = torch.arange(blocks * BLOCK, vocabulary, device=log_probs.device).expand(rows, -1)
    inside = torch.cat([inside, log_probs[:, blocks * BLOCK :]], dim=1)
    tokens = torch.cat([starts.flatten(1), rest], dim=1)
    values, order = inside.topk(count, dim=1)
    return Continuations(values, tokens.gather(1, order))
