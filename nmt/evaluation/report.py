"""How good a model is on a split: the same figures in training, at its end and in evaluate.py."""

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
    """Of one model on one split."""

    scores: Scores
    hypotheses: list[str]
    heads: list[HeadAlignment]  # every head in both readings; empty without true alignments
    seconds: float  # that translating took
    cut: int = 0  # translations that reached the length limit

    @property
    def best_head(self) -> HeadAlignment | None:
        """The best on this split: its error rate is an honest figure only for another one."""
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
    """Translates the split and scores it; aligns the attention where true alignments are known.

    `scorer` must have the references of the split; without one, its target side is the reference.
    Lines are split as `Translator` does it. `language` is that of the translations. `progress` is
    told how many more sentences are translated. The model is left in its mode.
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
    """Every head in both readings, led through the references; empty without true alignments."""
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
