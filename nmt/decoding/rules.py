"""Rules against translations that repeat themselves or end too soon.

n hypotheses, T tokens of each so far, V vocabulary, K pieces of a shortlist.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nmt.config import EOS, PAD, DecodingConfig
from nmt.decoding.candidates import NEVER


class Rules(NamedTuple):
    """What may follow a hypothesis, given its own pieces.

    A rule never leaves a hypothesis without a continuation: it gives way to the length limit and to
    the words a user demands, and the minimum length gives way to the n-grams.
    """

    no_repeat_ngram: int = 0  # n-grams of this size occur once (Paulus et al. 2018); 0: any
    repetition_penalty: float = 1.0  # Keskar et al. 2019, section 4.1, on log-probabilities
    min_length: int = 0  # pieces, without EOS

    def apply(self, log_probs: Tensor, tokens: Tensor, pieces: Tensor | None = None) -> None:
        """Changes the log-probabilities (n, V) of what follows `tokens` (n, T), in place.

        `log_probs` may be of the `pieces` (n, K) of a shortlist. The penalty does not renormalise:
        it enters the scores as it is.
        """
        if self.repetition_penalty != 1.0:
            there = _marked(tokens, log_probs, pieces)
            log_probs.copy_(torch.where(there, log_probs * self.repetition_penalty, log_probs))
        if 0 < self.no_repeat_ngram <= tokens.size(1):
            repeats = _repeating(tokens, self.no_repeat_ngram)
            _ban(log_probs, _marked(repeats, log_probs, pieces))
        if tokens.size(1) < self.min_length:
            end = torch.zeros_like(log_probs, dtype=torch.bool)
            end[:, EOS] = True  # its column in a shortlist too
            _ban(log_probs, end)


def rules_of(config: DecodingConfig) -> Rules | None:
    """The rules that a config asks for; None: none."""
    rules = Rules(config.no_repeat_ngram, config.repetition_penalty, config.min_length)
    return None if rules == Rules() else rules


def _repeating(tokens: Tensor, size: int) -> Tensor:
    """The tokens that would repeat an n-gram of `tokens` (n, T): (n, T - size + 1), else PAD."""
    ngrams = tokens.unfold(1, size, 1)  # (n, T) -> (n, T - size + 1, size)
    current = tokens[:, None, tokens.size(1) - size + 1 :]  # (n, 1, size - 1)
    return ngrams[:, :, -1].masked_fill(~(ngrams[:, :, :-1] == current).all(2), PAD)


def _marked(tokens: Tensor, log_probs: Tensor, pieces: Tensor | None) -> Tensor:
    """Which of the columns (n, V) stand for one of `tokens` (n, C)."""
    if pieces is not None:
        return (pieces[:, :, None] == tokens[:, None]).any(2)
    return torch.zeros_like(log_probs, dtype=torch.bool).scatter_(1, tokens, True)


def _ban(log_probs: Tensor, banned: Tensor) -> None:
    """Sets what is `banned` (n, V) to -inf in the rows that have anything else."""
    free = (log_probs.masked_fill(banned, NEVER) > NEVER).any(1, keepdim=True)
    log_probs.masked_fill_(banned & free, NEVER)
