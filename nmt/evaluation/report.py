"""Evaluation of a model on a split, for validation, for the end of training and evaluate.py."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

from nmt.attention_map import READINGS, attention_maps
from nmt.config import DecodingConfig
from nmt.data.corpus import Split
from nmt.data.readers import one_line
from nmt.data.tokenizer import Tokenizers
from nmt.decoding.parts import Splitting, parts_of, translate_parts
from nmt.decoding.shortlist import Shortlist
from nmt.decoding.text import Codec
from nmt.decoding.translate import evaluating
from nmt.device import pick_precision
from nmt.evaluation.alignment import HeadAlignment, align_heads, select_head
from nmt.evaluation.metrics import Scorer, Scores
from nmt.models.precision import in_precision
from nmt.models.seq2seq import Seq2Seq

log = logging.getLogger(__name__)


class Evaluation(NamedTuple):
    """The results of one model on one split."""

    scores: Scores
    hypotheses: list[str]
    heads: list[HeadAlignment]  # every head in both readings; empty without true alignments
    seconds: float  # for translating
    cut: int = 0  # translations that reached the length limit

    @property
    def best_head(self) -> HeadAlignment | None:
        """The best head on this split, whose error rate here is therefore flattering."""
        return select_head(self.heads)


def evaluate(
    model: Seq2Seq,
    tokenizers: Tokenizers,
    split: Split,
    decoding: DecodingConfig,
    *,
    splitting: Splitting,
    language: str = "",
    scorer: Scorer | None = None,
    aer: bool = True,
    shortlist: Shortlist | None = None,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Translates and scores a split, and compares the attention to true alignments if it has any.

    `scorer` must have the references of the split; without one, its target side is the reference.
    Lines are split as in `Translator`. `language` is that of the translations. `progress` is called
    with numbers of translated sentences. The mode of the model does not change.
    """
    scorer = scorer or Scorer([split.target])
    begun = perf_counter()
    sources = [one_line(text) for text in split.source]
    lines = parts_of(sources, tokenizers.source, splitting)
    translations = translate_parts(
        in_precision(model, pick_precision(decoding.precision, model.device)),
        lines,
        decoding,
        Codec(tokenizers.source.encode, tokenizers.target.decode, language=language),
        shortlist=shortlist,
        progress=progress,
    )
    seconds = perf_counter() - begun
    in_parts = sum(len(parts) > 1 for parts in lines)
    if in_parts:
        reason = "hold several sentences or are longer" if splitting.by_sentence else "are longer"
        told = "%d of %d lines %s than any in training (%d pieces): translated in parts"
        log.info(told, in_parts, len(lines), reason, splitting.longest)
    hypotheses = [translation.hypotheses[0].text for translation in translations]
    return Evaluation(
        scores=scorer(hypotheses),
        hypotheses=hypotheses,
        heads=head_alignments(model, tokenizers, split) if aer else [],
        seconds=seconds,
        cut=sum(each.cut for each in translations),
    )


def head_alignments(model: Seq2Seq, tokenizers: Tokenizers, split: Split) -> list[HeadAlignment]:
    """All heads in both readings, on the references; empty without true alignments."""
    if split.alignments is None:
        return []
    with evaluating(model):
        return [
            head
            for reading in READINGS
            for head in align_heads(
                attention_maps(model, tokenizers, split.source, split.target, reading=reading),
                split.alignments,
                reading,
            )
        ]
