"""The search of translations by any predictor, with any strategy.

A sentences of a batch, B of them still open, G groups of W hypotheses of each, F = G * W,
n of these alive, S source length, V vocabulary (with a shortlist the K pieces of a sentence), k and
C candidates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from nmt.config import BOS, EOS, PAD
from nmt.decoding.beam import LEAVING, Beam, Finished, Hypothesis, Penalties
from nmt.decoding.candidates import NEVER, Candidates, Places, Reached
from nmt.decoding.predictor import Predictor
from nmt.decoding.rules import Rules
from nmt.decoding.shortlist import Shortlist
from nmt.decoding.strategies import Strategy, TowardsDemands


class Constraint(Protocol):
    """What a user demands of the translations of a batch."""

    def restrict(
        self, log_probs: Tensor, prefixes: Sequence[Sequence[int]], places: Places
    ) -> Tensor | None:
        """Sets to -inf, in place, what may not follow each of n hypotheses: `log_probs` (n, V),
        `prefixes` their tokens so far without BOS.

        Where the translations must have something: how much of it is lacking after each token,
        (n, V) int16."""
        ...


def search(
    predictor: Predictor,
    source: Tensor,
    limits: Sequence[int],
    strategy: Strategy,
    *,
    penalties: Penalties,
    patience: float = math.inf,
    n_best: int = 1,
    constraint: Constraint | None = None,
    shortlist: Shortlist | None = None,
    rules: Rules | None = None,
) -> list[list[Hypothesis]]:
    """Up to `n_best` hypotheses of each group of each sentence of `source` (A, S), best first.

    A hypothesis counts as finished when, ending in EOS, it is among the W best of its group; at
    limits[a] pieces all are ended. One that cannot come among its group's `n_best` any more is
    given up, and not sooner, so that the search misses no better hypothesis of the beam, unless as
    many of its group are finished as `patience` times W (Kasai et al. 2022). With W = 1 it is
    greedy: it stops at the first EOS. With a `constraint` the `shortlist` is left out: what is
    demanded need not be in it. With a `shortlist`, probabilities are those among its pieces.
    """
    assert n_best <= strategy.width
    choice = None if shortlist is None or constraint is not None else shortlist.choose(source)
    if choice is not None:
        predictor = predictor.narrowed(choice.pieces)
    limit = torch.tensor(limits, device=source.device)  # (A,)
    beam = Beam.start(predictor, source, strategy.groups, coverage=penalties.beta > 0)
    enough = 1 if strategy.width == 1 else max(n_best, patience * strategy.width)
    finished = Finished(
        limits, strategy.groups, n_best, penalties=penalties, enough=enough, device=source.device
    )
    for length in range(1, max(limits) + 2):  # of a hypothesis that ends in this step
        live = beam.live()
        places = beam.places(live, strategy.groups)
        among = None if choice is None else choice.columns[places.sentences]  # (n, K)
        beam, log_probs = _read(predictor, beam, live, among)
        log_probs[:, PAD] = log_probs[:, BOS] = NEVER
        if length > min(limits):
            _close(log_probs, beam, live, limit, finished)
        steering = strategy
        if constraint is not None:
            steering = _demand(constraint, strategy, log_probs, beam, live, places, finished.scores)
        if rules is not None:
            prefixes = beam.tokens[:, :, 1:].flatten(0, 1)  # (B, F, T) -> (B * F, T)
            pieces = None if choice is None or among is None else choice.pieces[among]
            rules.apply(log_probs, prefixes if live is None else prefixes[live], pieces)
        best = steering.choose(log_probs, Reached(beam.log_probs, live, places))
        if choice is not None:
            best = best._replace(tokens=choice.ids(best.tokens, beam.rows))
        finished.add(beam, Candidates(*(part[:, :, : strategy.width] for part in best)))
        growing = finished.give_up(beam, _growing(best, strategy.width))
        kept = _staying(growing)
        if kept is not None and not len(kept):
            break
        beam = beam.advance(Candidates(*(part.flatten(1) for part in growing)), kept)
    return finished.hypotheses()


def _demand(
    constraint: Constraint,
    strategy: Strategy,
    log_probs: Tensor,
    beam: Beam,
    live: Tensor | None,
    places: Places,
    scores: Tensor,
) -> Strategy:
    """The strategy, or where something is lacking one towards it, once the `constraint` has
    restricted the `log_probs` (n, V) in place and sentences that it leaves nothing may end."""
    ends = log_probs[:, EOS].clone()
    lacking = constraint.restrict(log_probs, beam.prefixes(live), places)
    _let_end(log_probs, ends, beam, live, scores)
    if lacking is None:
        return strategy
    return TowardsDemands(strategy.width, lacking, live, beam.log_probs.size(1))


def _read(
    predictor: Predictor, beam: Beam, live: Tensor | None, among: Tensor | None
) -> tuple[Beam, Tensor]:
    """The beam whose state has read all of its tokens, and what the predictor then finds of each
    next token: log-probabilities (n, V)."""
    found = predictor.predict(
        beam.tokens[:, :, -1],
        beam.state,
        live,
        need_attention=beam.coverage is not None,
        among=among,
    )
    coverage = beam.coverage
    if coverage is not None and found.attention is not None:
        coverage = coverage + found.attention
    return beam._replace(state=found.state, coverage=coverage), found.logits.log_softmax(1)


def _close(
    log_probs: Tensor, beam: Beam, live: Tensor | None, limit: Tensor, finished: Finished
) -> None:
    """A sentence that has reached its `limit` (A,) only ends: all other log-probabilities (n, V)
    become -inf, in place."""
    closing = (limit[beam.rows] < beam.tokens.size(2)).repeat_interleave(beam.log_probs.size(1))
    end = log_probs[:, EOS].clone()
    ending = torch.zeros_like(closing)
    if live is None:
        ending = closing & (end >= log_probs.amax(1)) & (beam.log_probs > NEVER).flatten()
    else:
        closing = closing[live]
        ending[live] = closing & (end >= log_probs.amax(1))
    finished.note_ends(beam, ending)
    log_probs.masked_fill_(closing[:, None], NEVER)
    log_probs[:, EOS] = end


def _let_end(
    log_probs: Tensor, ends: Tensor, beam: Beam, live: Tensor | None, scores: Tensor
) -> None:
    """A sentence of which no hypothesis can go on and none is finished, by `scores`
    (A, G, n_best), ends as it is, by `ends` (n,), log p(EOS): better a translation that meets the
    demands in part than none. `log_probs` (n, V) in place."""
    going = log_probs.amax(1) > NEVER  # (n,)
    if live is not None:
        going = going.new_zeros(beam.log_probs.numel()).index_copy(0, live, going)
    going = going.view(beam.log_probs.shape) & (beam.log_probs > NEVER)  # (B, F)
    over = ~going.any(1) & (scores[beam.rows] == NEVER).flatten(1).all(1)  # (B,)
    over = over.repeat_interleave(beam.log_probs.size(1))  # (B * F,)
    over = over if live is None else over[live]
    log_probs[:, EOS] = torch.where(over, ends, log_probs[:, EOS])


def _growing(best: Candidates, width: int) -> Candidates:
    """The `width` best of each group that do not end here: (B, G, width)"""
    log_probs = best.log_probs.masked_fill(best.tokens == EOS, NEVER)
    if log_probs.size(2) > 1:
        # In the order of the strategy, which need not be that of the log-probabilities.
        order = (log_probs == NEVER).int().argsort(dim=2, stable=True)[:, :, :width]
        return best._replace(log_probs=log_probs).pick(order)
    return best._replace(log_probs=log_probs)


def _staying(growing: Candidates) -> Tensor | None:
    """The indices of the sentences to go on with; None: all. Those that are done may stay a while,
    their places empty."""
    alive = (growing.log_probs > NEVER).flatten(1).any(1)
    kept = alive.nonzero().squeeze(1)
    sentences = len(alive)
    return None if 0 < len(kept) > (1 - LEAVING) * sentences else kept
