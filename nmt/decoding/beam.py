"""What a search holds: the hypotheses that may still grow, and those that are finished.

A sentences of a batch, B of them still open, G groups of W hypotheses of each, F = G * W,
n of these alive, T tokens so far, S source length, C candidates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor

from nmt.config import BOS, EOS, PAD
from nmt.decoding.candidates import NEVER, Candidates, Places
from nmt.decoding.predictor import Predictor
from nmt.models.seq2seq import State

# Sentences that are done leave when so large a share is: each size of a batch costs a CPU the
# kernels for it.
LEAVING = 1 / 8


class Hypothesis(NamedTuple):
    """A translation and what the search ranks it by."""

    tokens: list[int]  # target pieces, without BOS and EOS
    score: float  # log_prob over the length penalty, plus the coverage penalty
    log_prob: float  # of the pieces and EOS, natural logarithm
    cut: bool = False  # whether the length limit ended it and not the model


class Penalties(NamedTuple):
    """Wu et al. 2016, equation 14."""

    alpha: float = 0.0  # of the length penalty
    beta: float = 0.0  # of the coverage penalty

    def length(self, length: int) -> float:
        """lp(Y); `length` counts EOS."""
        return math.pow((5 + length) / 6, self.alpha)

    def coverage(self, attended: Tensor, mask: Tensor) -> Tensor:
        """cp(X; Y), at most 0: `attended` (..., S), summed over the target, `mask` likewise."""
        shares = attended.clamp(1e-9, 1.0).log().masked_fill(~mask, 0.0)
        return self.beta * shares.sum(-1).float()


class Beam(NamedTuple):
    """The hypotheses that may still grow, group by group."""

    rows: Tensor  # (B,) int64: which sentences of the batch are here
    tokens: Tensor  # (B, F, T) int64, BOS first
    log_probs: Tensor  # (B, F) float32; -inf where a place is empty
    state: State  # after tokens[:, :, :-1]
    coverage: Tensor | None  # (B, F, S) attention so far, where it is asked for
    mask: Tensor  # (B, S) bool

    @classmethod
    def start(cls, predictor: Predictor, source: Tensor, groups: int, *, coverage: bool) -> Self:
        sentences, device = len(source), source.device
        state = predictor.start(source)
        if groups > 1:
            state = state.select(torch.arange(sentences, device=device)[:, None].expand(-1, groups))
        return cls(
            rows=torch.arange(sentences, device=device),
            tokens=torch.full((sentences, groups, 1), BOS, device=device),
            log_probs=torch.zeros(sentences, groups, device=device),
            state=state,
            coverage=torch.zeros(sentences, groups, 1, device=device) if coverage else None,
            mask=source != PAD,
        )

    def live(self) -> Tensor | None:
        """The (n,) indices of the hypotheses that are not empty places; None: (nearly) all."""
        alive = (self.log_probs > NEVER).flatten().nonzero().squeeze(1)
        return None if len(alive) > (1 - LEAVING) * self.log_probs.numel() else alive

    def places(self, live: Tensor | None, groups: int) -> Places:
        """Where the live hypotheses stand."""
        hypotheses = self.log_probs.size(1)
        if live is None:
            live = torch.arange(self.log_probs.numel(), device=self.rows.device)
        group = live % hypotheses // (hypotheses // groups)
        return Places(self.rows[live // hypotheses], group, self.tokens.size(2))

    def prefixes(self, live: Tensor | None) -> list[list[int]]:
        """The tokens of the live hypotheses, without BOS."""
        tokens = self.tokens[:, :, 1:].flatten(0, 1)
        found: list[list[int]] = (tokens if live is None else tokens[live]).tolist()
        return found

    def advance(self, chosen: Candidates, kept: Tensor | None) -> Beam:
        """The beam of the chosen candidates, of the `kept` (B',) of the B sentences; None: all.

        The state must have read all of `tokens`.
        """
        width = self.log_probs.size(1)
        if kept is None and width == chosen.tokens.size(1) == 1:  # every row is where it belongs
            tokens = torch.cat((self.tokens, chosen.tokens[:, :, None]), dim=2)
            return self._replace(tokens=tokens, log_probs=chosen.log_probs)
        if kept is None:
            kept = torch.arange(len(self.rows), device=self.rows.device)
        flat = kept[:, None] * width + chosen.parents[kept]  # (B', F), into the old B * F
        tokens = self.tokens.flatten(0, 1)[flat]  # (old B * F, T) -> (B', F, T)
        return Beam(
            rows=self.rows[kept],
            tokens=torch.cat((tokens, chosen.tokens[kept, :, None]), dim=2),
            log_probs=chosen.log_probs[kept],
            state=self.state.select(flat),
            coverage=None if self.coverage is None else self.coverage.flatten(0, 1)[flat],
            mask=self.mask[kept],
        )


class Finished:
    """The best closed hypotheses of every group of a batch, best first, kept on the device; and
    which open ones cannot come among them any more.

    At most limits[a] pieces may a translation have; `enough` closed ones of a group close it.
    """

    def __init__(
        self,
        limits: Sequence[int],
        groups: int,
        n_best: int,
        *,
        penalties: Penalties,
        enough: float,
        device: torch.device,
    ) -> None:
        self.n_best, self.penalties, self.enough = n_best, penalties, enough
        self.limits = limits
        self._ended_at_limit: set[tuple[int, ...]] = set()  # sentence, then tokens
        shape = (len(limits), groups, n_best)
        # (A, G, n_best, longest), right-padded, and (A, G, n_best)
        self.tokens = torch.full((*shape, max(limits)), PAD, device=device)
        self.scores = torch.full(shape, NEVER, device=device)
        self.log_probs = self.scores.clone()
        self.count = torch.zeros(shape[:2], dtype=torch.int64, device=device)  # closed so far
        # (A,) the length penalty at the limit
        highest = [penalties.length(pieces + 1) for pieces in limits]
        self.highest = torch.tensor(highest, device=device)

    def add(self, beam: Beam, ended: Candidates) -> None:
        """Takes in the candidates that end, of (B, G, W) among the best."""
        length = beam.tokens.size(2) - 1
        shape = ended.parents.shape
        parents = ended.parents.flatten(1)  # (B, G, W) -> (B, G * W)
        scores = ended.log_probs / self.penalties.length(length + 1)
        if beam.coverage is not None:
            covered = self.penalties.coverage(beam.coverage, beam.mask[:, None])  # (B, F)
            scores = scores + covered.gather(1, parents).view(shape)
        scores = scores.masked_fill(ended.tokens != EOS, NEVER)
        self.count[beam.rows] += (scores > NEVER).sum(2)
        tokens = beam.tokens[:, :, 1:].gather(1, parents[:, :, None].expand(-1, -1, length))
        tokens = tokens.view(*shape, length)

        scores = torch.cat((self.scores[beam.rows], scores), dim=2)
        log_probs = torch.cat((self.log_probs[beam.rows], ended.log_probs), dim=2)
        tokens = torch.cat((self.tokens[beam.rows, :, :, :length], tokens), dim=2)
        scores, choice = scores.topk(self.n_best, dim=2)
        self.scores[beam.rows] = scores
        self.log_probs[beam.rows] = log_probs.gather(2, choice)
        choice = choice[:, :, :, None].expand(-1, -1, -1, length)
        self.tokens[beam.rows, :, :, :length] = tokens.gather(2, choice)

    def give_up(self, beam: Beam, growing: Candidates) -> Candidates:
        """`growing` (B, G, W) without those that cannot come among the n_best of their group any
        more, and without those of a closed group.

        Log-probabilities only fall, and no coverage penalty is above 0.
        """
        worst = self.scores[beam.rows, :, -1:]  # (B, G, 1)
        hopeless = growing.log_probs / self.highest[beam.rows, None, None] <= worst
        hopeless |= (self.count[beam.rows] >= self.enough)[:, :, None]
        return growing._replace(log_probs=growing.log_probs.masked_fill(hopeless, NEVER))

    def note_ends(self, beam: Beam, ending: Tensor) -> None:
        """Remembers the hypotheses (B * F,) that the model itself ends just at their limit."""
        if not ending.any():
            return
        for place in ending.nonzero().squeeze(1).tolist():
            row, hypothesis = divmod(place, beam.log_probs.size(1))
            tokens = beam.tokens[row, hypothesis, 1:].tolist()
            self._ended_at_limit.add((int(beam.rows[row]), *tokens))

    def hypotheses(self) -> list[list[Hypothesis]]:
        """Of each sentence, best first; at least one: nothing, scored -inf, where a broken model
        gave NaN."""
        tokens, scores, log_probs = (
            part.flatten(1, 2).tolist() for part in (self.tokens, self.scores, self.log_probs)
        )
        rows = enumerate(zip(tokens, scores, log_probs, strict=True))
        found = [[self._marked(row, each) for each in _best_first(*parts)] for row, parts in rows]
        return [each or [Hypothesis([], NEVER, NEVER)] for each in found]

    def _marked(self, row: int, found: Hypothesis) -> Hypothesis:
        if len(found.tokens) < self.limits[row] or (row, *found.tokens) in self._ended_at_limit:
            return found
        return found._replace(cut=True)


def _best_first(
    rows: list[list[int]], scores: list[float], log_probs: list[float]
) -> list[Hypothesis]:
    """The places of a sentence that hold a hypothesis, without their padding."""
    found = [
        Hypothesis([token for token in tokens if token != PAD], score, log_prob)
        for tokens, score, log_prob in zip(rows, scores, log_probs, strict=True)
        if math.isfinite(score)
    ]
    return sorted(found, key=lambda hypothesis: -hypothesis.score)
