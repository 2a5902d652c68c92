"""How likely a model finds translations that are given: for reranking and contrastive tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from nmt.config import BOS, DecodingConfig
from nmt.decoding.predictor import Predictor
from nmt.decoding.translate import batches, evaluating, pad


class Scored(NamedTuple):
    log_prob: float  # of the pieces and EOS, natural logarithm
    tokens: int  # EOS included

    @property
    def perplexity(self) -> float:
        """Of a piece; infinite where no number holds it."""
        mean = -self.log_prob / self.tokens
        return math.exp(mean) if mean < 700 else math.inf


def score_ids(
    predictor: Predictor,
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    config: DecodingConfig,
    progress: Callable[[int], None] | None = None,
) -> list[Scored]:
    """The probability of each target given its source, in their order. All end in EOS.

    Batches hold `config.batch_tokens` padded pieces of the longer side.
    """
    scored = [Scored(0.0, len(target)) for target in targets]
    longer = [max(pair, key=len) for pair in zip(sources, targets, strict=True)]
    with evaluating(predictor), torch.inference_mode():
        for batch in batches(longer, config.batch_tokens):
            source = pad([sources[row] for row in batch])
            target = pad([[BOS, *targets[row]] for row in batch]).to(predictor.device)
            sums = predictor.token_log_probs(source, target).sum(1).tolist()
            for row, log_prob in zip(batch, sums, strict=True):
                scored[row] = Scored(log_prob, len(targets[row]))
            if progress is not None:
                progress(len(batch))
    return scored
