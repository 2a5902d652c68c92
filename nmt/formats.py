"""Translations as lines to print: plain, n-best lists and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from nmt.attention_map import AttentionMap
from nmt.data.tokenizer import Tokenizer
from nmt.decoding.parts import Translation
from nmt.decoding.scoring import Scored
from nmt.decoding.text import Candidate
from nmt.evaluation.alignment import pharaoh


def n_best_list(translations: Sequence[Translation], first: int) -> Iterator[str]:
    """Lines as Moses and Marian write them, `0 ||| Ein Hund. ||| -0.7310`: the number of the line,
    from 0, the text and the score that ranks the hypotheses."""
    for line, translation in enumerate(translations, first):
        for text, score, *_ in translation.hypotheses:
            yield f"{line} ||| {text} ||| {score:.4f}"


def translation_json(
    sentence: str,
    translation: Translation,
    maps: Sequence[AttentionMap],
    tokenizer: Tokenizer,
    *,
    matrix: bool,
) -> str:
    """One line of JSON. `maps` come from `Translator.align`; `matrix` adds one per part."""
    row: dict[str, Any] = {
        "source": sentence,
        "hypotheses": [_hypothesis(each, tokenizer) for each in translation.hypotheses],
        "alignment": pharaoh(maps),
    }
    if matrix:
        row["attention"] = [
            {"source": found.source, "target": found.target, "weights": _rounded(found)}
            for found in maps
        ]
    return json.dumps(row, ensure_ascii=False, allow_nan=False)


def score_line(scored: Scored) -> str:
    """Log-probability, tab, perplexity per piece."""
    return f"{scored.log_prob:.4f}\t{scored.perplexity:.4f}"


def score_json(sentence: str, translation: str, scored: Scored) -> str:
    row = {
        "source": sentence,
        "target": translation,
        "log_prob": _number(scored.log_prob),
        "perplexity": _number(scored.perplexity),
        "tokens": scored.tokens,
    }
    return json.dumps(row, ensure_ascii=False, allow_nan=False)


def _hypothesis(candidate: Candidate, tokenizer: Tokenizer) -> dict[str, Any]:
    return {
        "text": candidate.text,
        "score": _number(candidate.score),
        "log_prob": _number(candidate.log_prob),
        "tokens": tokenizer.pieces(candidate.tokens),
    }


def _rounded(found: AttentionMap) -> list[list[float]]:
    """The weights (1, 1, T, S) as rounded numbers."""
    return [[round(float(weight), 4) for weight in row] for row in found.weights[0, 0]]


def _number(value: float) -> float | None:
    """The rounded value; null if it is not finite, because JSON has no infinity."""
    return round(value, 6) if math.isfinite(value) else None
