"""Beam search over any decoder of `models/seq2seq.py`.

A sentences of a batch, B of them still open, W hypotheses of each, K candidates to be the next
hypotheses, T tokens so far, V vocabulary, N width of a decoder state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor

from nmt.config import BOS, EOS, PAD
from nmt.models.seq2seq import Memory, Seq2Seq, State

NEVER = float("-inf")


class Hypothesis(NamedTuple):
    """A translation and what the search ranks it by."""

    tokens: list[int]  # target pieces, without BOS and EOS
    score: float  # log-probability of the pieces and EOS, over the length penalty


class Beam(NamedTuple):
    """The hypotheses that may still grow."""

    rows: Tensor  # (B,) int64: which sentences of the batch are open
    tokens: Tensor  # (B, W, T) int64, BOS first
    log_probs: Tensor  # (B, W) float32, best first; -inf where a place is empty
    state: State  # after tokens[:, :, :-1]

    @classmethod
    def start(cls, model: Seq2Seq, memory: Memory) -> Self:
        sentences, device = memory.states.size(0), memory.states.device
        return cls(
            rows=torch.arange(sentences, device=device),
            tokens=torch.full((sentences, 1, 1), BOS, device=device),
            log_probs=torch.zeros(sentences, 1, device=device),
            state=model.decoder.start(memory),
        )

    def advance(self, chosen: Candidates, state: State, still_open: Sequence[int]) -> Beam:
        """The beam of the chosen candidates, without the sentences that are closed.

        `state` has read all of `tokens`; `still_open` are indices into the B sentences.
        """
        sentences, width = self.log_probs.shape
        # Greedy, and all are still here: every row of the state is where it belongs.
        if width == chosen.tokens.size(1) == 1 and len(still_open) == sentences:
            tokens = torch.cat((self.tokens, chosen.tokens[:, :, None]), dim=2)
            return Beam(self.rows, tokens, chosen.log_probs, state)
        kept = torch.tensor(still_open, device=self.rows.device)
        flat = kept[:, None] * width + chosen.parents[kept]  # (B, W), into the old B * W
        tokens = self.tokens.flatten(0, 1)[flat]  # (old B * W, T) -> (B, W, T)
        tokens = torch.cat((tokens, chosen.tokens[kept, :, None]), dim=2)
        return Beam(self.rows[kept], tokens, chosen.log_probs[kept], state.select(flat))


class Candidates(NamedTuple):
    """Hypotheses of a beam, each with one more token, best first."""

    log_probs: Tensor  # (B, K) float32
    parents: Tensor  # (B, K) int64: which of the W hypotheses is continued
    tokens: Tensor  # (B, K) int64: by which token

    def growing(self, beam_size: int) -> Candidates:
        """The best that do not end here."""
        log_probs = self.log_probs.masked_fill(self.tokens == EOS, NEVER)
        log_probs, choice = log_probs.topk(min(beam_size, log_probs.size(1)))
        return Candidates(log_probs, self.parents.gather(1, choice), self.tokens.gather(1, choice))


def continuations(beam: Beam, logits: Tensor, beam_size: int, closing: Tensor) -> Candidates:
    """The best continuations, so many that `beam_size` remain if every hypothesis ends.

    `logits` (B, W, V); sentences with True in `closing` (B,) can only end. Log-probabilities are
    those of the whole vocabulary, but PAD and BOS are never produced.
    """
    logits = logits.float()
    total = logits.logsumexp(2, keepdim=True)
    # No hypothesis has more than beam_size of the best; three more, as PAD, BOS and EOS may come.
    values, tokens = logits.topk(min(beam_size + 3, logits.size(2)), dim=2)  # (B, W, K')
    values = (values - total).masked_fill((tokens == PAD) | (tokens == BOS), NEVER)
    end = torch.full_like(values, NEVER)
    end[:, :, :1] = logits[:, :, EOS, None] - total
    values = torch.where(closing[:, None, None], end, values)
    tokens = torch.where(closing[:, None, None], EOS, tokens)

    values = (beam.log_probs[:, :, None] + values).flatten(1)  # (B, W, K') -> (B, W * K')
    log_probs, choice = values.topk(min(2 * beam_size, values.size(1)))
    parents = choice // tokens.size(2)
    return Candidates(log_probs, parents, tokens.flatten(1).gather(1, choice))


class Finished:
    """The best closed hypotheses of every sentence of a batch, best first; kept on the device."""

    def __init__(self, sentences: int, n_best: int, longest: int, device: torch.device) -> None:
        # (A, n, longest), right-padded, and (A, n)
        self.tokens = torch.full((sentences, n_best, longest), PAD, device=device)
        self.scores = torch.full((sentences, n_best), NEVER, device=device)

    def add(self, beam: Beam, best: Candidates, beam_size: int, penalty: float) -> None:
        """Takes in the candidates that end among the `beam_size` best."""
        best = Candidates(*(part[:, :beam_size] for part in best))
        scores = (best.log_probs / penalty).masked_fill(best.tokens != EOS, NEVER)
        length = beam.tokens.size(2) - 1
        parents = best.parents[:, :, None].expand(-1, -1, length)
        tokens = beam.tokens[:, :, 1:].gather(1, parents)  # (B, beam_size, length)

        scores = torch.cat((self.scores[beam.rows], scores), dim=1)
        tokens = torch.cat((self.tokens[beam.rows, :, :length], tokens), dim=1)
        scores, choice = scores.topk(self.scores.size(1))
        self.scores[beam.rows] = scores
        choice = choice[:, :, None].expand(-1, -1, length)
        self.tokens[beam.rows, :, :length] = tokens.gather(1, choice)

    def hypotheses(self) -> list[list[Hypothesis]]:
        """At least one of each sentence: nothing, scored -inf, where a broken model gave NaN."""
        rows = zip(self.tokens.tolist(), self.scores.tolist(), strict=True)
        return [best_first(*row) or [Hypothesis([], NEVER)] for row in rows]


def best_first(rows: list[list[int]], scores: list[float]) -> list[Hypothesis]:
    """The places of a sentence that hold a hypothesis, without their padding."""
    pairs = zip(rows, scores, strict=True)
    return [
        Hypothesis([token for token in tokens if token != PAD], score)
        for tokens, score in pairs
        if math.isfinite(score)
    ]


def length_penalty(length: int, alpha: float) -> float:
    """lp(Y) of Wu et al. 2016, equation 14; `length` counts EOS."""
    return math.pow((5 + length) / 6, alpha)


def beam_search(
    model: Seq2Seq,
    source: Tensor,
    limits: Sequence[int],
    *,
    beam_size: int,
    alpha: float,
    n_best: int = 1,
) -> list[list[Hypothesis]]:
    """Up to `n_best` hypotheses of each sentence of `source` (A, S), best first.

    A hypothesis counts as finished when, ending in EOS, it is among the `beam_size` best; at
    limits[a] pieces all are ended. The search of a sentence stops when nothing that still grows
    can come among its `n_best`: not before, so that no better hypothesis of the beam is missed.
    With `beam_size` 1 it is greedy: it stops at the first EOS.
    """
    assert n_best <= beam_size
    device, longest = model.device, max(limits)
    limit = torch.tensor(limits, device=device)  # (A,)
    highest = torch.tensor([length_penalty(pieces + 1, alpha) for pieces in limits], device=device)
    beam = Beam.start(model, model.encode(source))
    finished = Finished(len(limits), n_best, longest, device)
    for length in range(1, longest + 2):  # of a hypothesis that ends in this step
        states, state = model.decoder.step(beam.tokens[:, :, -1], beam.state)
        closing = limit[beam.rows] < length
        best = continuations(beam, model.output(states), beam_size, closing)
        finished.add(beam, best, beam_size, length_penalty(length, alpha))
        growing = best.growing(beam_size)
        worst = finished.scores[beam.rows, -1]
        # Log-probabilities only fall, and the penalty is highest at the limit.
        closed = growing.log_probs[:, 0] / highest[beam.rows] <= worst
        if beam_size == 1:  # whatever else might follow the first EOS
            closed = worst > NEVER
        still_open = [row for row, done in enumerate(closed.tolist()) if not done]
        if not still_open:
            break
        beam = beam.advance(growing, state, still_open)
    return finished.hypotheses()
