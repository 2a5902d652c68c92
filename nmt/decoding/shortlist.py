"""Which target pieces each sentence may be translated by, so that a step weighs no others: a
lexical shortlist (Jean et al. 2015).

A sentences of a batch, S source length, V vocabulary of the target, C candidates of a source piece,
F frequent pieces, U pieces of a batch, K of a sentence, B sentences that are open, G groups of
C continuations of each.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from nmt.config import BOS, EOS, PAD, UNK

SPECIAL = [PAD, UNK, BOS, EOS]  # the first ids, so that they are the first columns too


class Choice(NamedTuple):
    """The pieces that the sentences of a batch may be translated by."""

    pieces: Tensor  # (U,) int64, rising: those of all the sentences together
    columns: Tensor  # (A, K) int64, rising: where in `pieces` a sentence's own are; -1: no more

    def ids(self, chosen: Tensor, sentences: Tensor) -> Tensor:
        """What the `chosen` (B, G, C) of the K pieces of these `sentences` (B,) are in the
        vocabulary: like it."""
        columns = self.columns[sentences[:, None], chosen.flatten(1)]
        return self.pieces[columns].view_as(chosen)


class Shortlist(NamedTuple):
    """The candidates of every source piece, and the pieces that any sentence may have."""

    candidates: Tensor  # (source vocabulary, C) int64; of PAD only special ones
    frequent: Tensor  # (F,) int64
    vocabulary: int

    def choose(self, source: Tensor) -> Choice:
        """For the sentences `source` (A, S), each by itself: its own do not depend on the batch."""
        allowed = torch.zeros(
            len(source), self.vocabulary, dtype=torch.bool, device=source.device
        ).scatter_(1, self.candidates[source].flatten(1), True)  # (A, V)
        allowed[:, self.frequent] = True
        allowed[:, SPECIAL] = True
        pieces = allowed.any(0).nonzero().squeeze(1)
        allowed = allowed[:, pieces]  # (A, V) -> (A, U)
        own = list(torch.split(allowed.nonzero()[:, 1], allowed.sum(1).tolist()))
        return Choice(pieces, pad_sequence(own, batch_first=True, padding_value=-1))
