"""Hypotheses with one more token, and which of them are the likeliest.

B sentences, G groups of W hypotheses of each, F = G * W, n hypotheses that are alive, k
continuations of one of them, C candidates of a group, V vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

NEVER = float("-inf")
WIDE = 1024  # tokens from which two levels find the best of a row sooner
BLOCK = 64  # tokens that the upper level takes as one: soonest for 1 to 10 of 2,500 to 32,000


class Places(NamedTuple):
    """Where in the search the n hypotheses stand."""

    sentences: Tensor  # (n,) int64, of the batch that was searched
    groups: Tensor  # (n,) int64
    length: int  # of what they become, EOS included


class Candidates(NamedTuple):
    """Hypotheses with one more token: of all groups in one row, or group by group."""

    log_probs: Tensor  # (B, F) or (B, G, C) float32
    parents: Tensor  # like it, int64: which of the F hypotheses is continued
    tokens: Tensor  # like it, int64: by which token

    def pick(self, order: Tensor) -> Candidates:
        """Those of each group that `order` (B, G, C') points at."""
        return Candidates(*(part.gather(2, order) for part in self))


class Reached(NamedTuple):
    """The hypotheses of a beam so far."""

    log_probs: Tensor  # (B, F) float32; -inf where a place is empty
    live: Tensor | None  # (n,) which of the B * F are asked about; None: all
    places: Places  # of those

    def rows(self) -> Tensor:
        """Where among the n each of the B * F hypotheses stands; anywhere, if it is not there."""
        every = torch.arange(self.log_probs.numel(), device=self.log_probs.device)
        if self.live is None:
            return every
        return torch.zeros_like(every).index_copy(0, self.live, every[: len(self.live)])


class Continuations(NamedTuple):
    """Tokens that may follow each hypothesis, in any order."""

    log_probs: Tensor  # (n, k) of the model; -inf where a token may not come
    tokens: Tensor  # (n, k) int64


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


def best_of_all(log_probs: Tensor, reached: Reached, count: int) -> Candidates:
    """The `count` likeliest continuations of all hypotheses of each sentence, which are one group,
    best first: (B, 1, C). `log_probs` (n, V).

    Where there are many tokens, first the blocks are found in which the best stand, as in `best`;
    of a sentence together, so that few rows are looked through.
    """
    totals, rows = reached.log_probs, reached.rows()  # (B, F)
    # Whatever stands for it: a sentence of which a broken model gave NaN must not hurt others.
    empty = ~(totals > NEVER)
    vocabulary, hypotheses = log_probs.size(1), totals.size(1)
    blocks = -(-vocabulary // BLOCK)
    if vocabulary < WIDE or blocks * hypotheses < count:
        whole = log_probs if reached.live is None else log_probs[rows]
        whole = (totals.view(-1, 1) + whole).masked_fill_(empty.view(-1, 1), NEVER)
        whole = whole.view(len(totals), -1)  # (B, F * V)
        values, order = whole.topk(min(count, whole.size(1)), dim=1)
        parents, tokens = order // vocabulary, order % vocabulary
    else:
        tops = (totals.view(-1, 1) + _tops(log_probs)[rows]).masked_fill_(empty.view(-1, 1), NEVER)
        order = tops.view(len(totals), -1).topk(count, dim=1).indices  # (B, C), into F * blocks
        parents, first = order // blocks, order % blocks * BLOCK
        start = first.clamp(max=vocabulary - BLOCK)  # the last block reaches back
        tokens = start[:, :, None] + torch.arange(BLOCK, device=start.device)  # (B, C, BLOCK)
        inside = log_probs.unfold(1, BLOCK, 1)[rows.view(totals.shape).gather(1, parents), start]
        hidden = (tokens < first[:, :, None]) | empty.gather(1, parents)[:, :, None]
        inside = inside.masked_fill_(hidden, NEVER)
        inside += totals.gather(1, parents)[:, :, None]
        values, order = inside.flatten(1).topk(count, dim=1)
        parents, tokens = parents.gather(1, order // BLOCK), tokens.flatten(1).gather(1, order)
    return Candidates(*(part.unsqueeze(1) for part in (values, parents, tokens)))


def _tops(log_probs: Tensor) -> Tensor:
    """The likeliest of each block of each row (n, V), the last one the shortest: (n, blocks)"""
    whole = log_probs.size(1) // BLOCK * BLOCK
    tops = log_probs[:, :whole].view(len(log_probs), -1, BLOCK).amax(2)
    if whole == log_probs.size(1):
        return tops
    return torch.cat((tops, log_probs[:, whole:].amax(1, keepdim=True)), dim=1)
