"""BLEU, chrF and TER as sacrebleu counts them (Post 2018), with the signatures to cite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nmt.errors import UserError


class Scores(NamedTuple):
    """Of a whole corpus. BLEU and chrF: 0 to 100, more is better; TER: less is better."""

    bleu: float  # cased, 13a tokenization
    chrf: float  # chrF2
    ter: float | None  # where asked for: it is slow
    signatures: dict[str, str]  # by the names above: how each number came about


def score(hypotheses: Sequence[str], references: Sequence[str], *, ter: bool = False) -> Scores:
    """Scores detokenized translations against one reference each."""
    if len(hypotheses) != len(references):
        raise UserError(
            f"there must be one translation for each reference, but there are "
            f"{len(hypotheses)} translations and {len(references)} references"
        )
    if not references:
        raise UserError("there is nothing to score: the reference is empty")
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    metrics = {"bleu": BLEU(), "chrf": CHRF()} | ({"ter": TER()} if ter else {})
    values = {
        name: float(metric.corpus_score(hypotheses, [references]).score)
        for name, metric in metrics.items()
    }
    signatures = {name: str(metric.get_signature()) for name, metric in metrics.items()}
    return Scores(values["bleu"], values["chrf"], values.get("ter"), signatures)
