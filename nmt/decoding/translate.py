"""Many sentences: sorted by length, searched in batches, handed back in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from nmt.config import PAD, DecodingConfig
from nmt.decoding.search import Hypothesis, beam_search
from nmt.models.seq2seq import Seq2Seq


def translate_ids(
    model: Seq2Seq,
    sources: Sequence[Sequence[int]],
    config: DecodingConfig,
    progress: Callable[[int], None] | None = None,
    *,
    n_best: int = 1,
) -> list[list[Hypothesis]]:
    """Up to `n_best` hypotheses of each sentence, best first.

    Sentences are ids that end in EOS. `progress` is told, batch by batch, how many more are done.
    """
    found: list[list[Hypothesis]] = [[] for _ in sources]
    with evaluating(model), torch.inference_mode():
        for batch in batches(sources, config.batch_tokens // config.beam_size):
            chosen = [sources[index] for index in batch]
            hypotheses = beam_search(
                model,
                pad(chosen).to(model.device),
                [longest_translation(source, config) for source in chosen],
                beam_size=config.beam_size,
                alpha=config.length_penalty,
                n_best=n_best,
            )
            for index, best in zip(batch, hypotheses, strict=True):
                found[index] = best
            if progress is not None:
                progress(len(batch))
    return found


def batches(sources: Sequence[Sequence[int]], tokens: int) -> Iterator[list[int]]:
    """Indices of sentences of like length, at most `tokens` padded pieces or one sentence a batch.

    Longest first: what does not fit into memory fails at once.
    """
    order = sorted(range(len(sources)), key=lambda index: -len(sources[index]))
    begin = 0
    while begin < len(order):
        end = begin + max(1, tokens // len(sources[order[begin]]))
        yield order[begin:end]
        begin = end


def longest_translation(source: Sequence[int], config: DecodingConfig) -> int:
    """The most pieces a translation may have; EOS counts on neither side."""
    return ceil(config.max_ratio * (len(source) - 1)) + config.max_extra


def pad(sources: Sequence[Sequence[int]]) -> Tensor:
    """Ids of sentences -> (B, longest) int64, padded on the right."""
    rows = [torch.as_tensor(source, dtype=torch.int64) for source in sources]
    return pad_sequence(rows, batch_first=True, padding_value=PAD)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model without dropout; its training flag is as before afterwards."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
