"""Which continuations a search goes on with: the best, the best that differ, or drawn ones.

B sentences, G groups of W hypotheses of each, F = G * W, n hypotheses that are alive,
k continuations of one of them, C candidates of a group, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from nmt.config import EOS, PAD
from nmt.decoding.candidates import (
    NEVER,
    Candidates,
    Continuations,
    Places,
    Reached,
    best,
    best_of_all,
)

BLOCKED = 2**15 - 1  # lacking so much, a token may not come
LAST = 2**62


class Strategy(Protocol):
    groups: int  # searched side by side for each sentence
    width: int  # hypotheses of a group

    def choose(self, log_probs: Tensor, reached: Reached) -> Candidates:
        """The best continuations of each group, best first: (B, G, C). C is large enough for
        `width` of them to remain if some end. `log_probs` (n, V) may be overwritten."""
        ...


class OneByOne:
    """A strategy that proposes continuations of each hypothesis, and then ranks those."""

    groups: int
    width: int

    def propose(self, log_probs: Tensor, places: Places) -> Continuations:
        """What each hypothesis may be continued by. `log_probs` (n, V) may be overwritten."""
        raise NotImplementedError

    def rank(self, totals: Tensor, tokens: Tensor) -> Tensor:
        """The best of each group's continuations, best first: indices (B, G, C) into the last
        dimension of `totals` (B, G, W * k), the log-probabilities of whole hypotheses, and of
        `tokens`, the last of each."""
        raise NotImplementedError

    def choose(self, log_probs: Tensor, reached: Reached) -> Candidates:
        sentences, hypotheses = reached.log_probs.shape
        values, tokens = self.propose(log_probs, reached.places)  # (n, k)
        if reached.live is not None:
            every = (sentences * hypotheses, values.size(1))
            values = values.new_full(every, NEVER).index_copy(0, reached.live, values)
            tokens = tokens.new_full(every, EOS).index_copy(0, reached.live, tokens)
        shape = (sentences, self.groups, -1)
        values = reached.log_probs.view(-1, 1) + values  # (B * F, k)
        parents = torch.arange(hypotheses, device=values.device)[:, None].expand(-1, values.size(1))
        candidates = Candidates(
            values.view(shape),
            parents.expand(sentences, -1, -1).reshape(shape),
            tokens.view(shape),
        )
        return candidates.pick(self.rank(candidates.log_probs, candidates.tokens))


class BeamSearch:
    """Beam search; of width 1, greedy."""

    groups = 1

    def __init__(self, width: int) -> None:
        self.width = width

    def choose(self, log_probs: Tensor, reached: Reached) -> Candidates:
        # So many that `width` remain if every hypothesis ends; greedy ends with EOS.
        return best_of_all(log_probs, reached, 2 * self.width if self.width > 1 else 1)


class DiverseBeamSearch(OneByOne):
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


class Sampling(OneByOne):
    """Independent draws from the model: each sample is a group of its own.

    The distribution is sharpened by a `temperature` below 1, cut to the `top_k` likeliest tokens
    (0: all; Fan et al. 2018) and then to the smallest set with `top_p` of the remaining probability
    (Holtzman et al. 2020). The random numbers depend only on `seed`, the sentence and its length
    limit, not on the rest of the batch. Drawing more samples keeps the earlier ones.
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
class TowardsDemands(OneByOne):
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
