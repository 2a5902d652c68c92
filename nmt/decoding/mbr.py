"""Minimum Bayes risk: of many samples the one most like the others (Eikema and Aziz 2020; Freitag
et al. 2022), by a score that compares texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, lru_cache

from nmt.writing import bleu_tokenizer

Utility = Callable[[str, str], float]  # of a hypothesis, were the second text the reference


def expected_utilities(samples: Sequence[str], utility: Utility) -> dict[str, float]:
    """Of each different sample the mean utility, each of all samples being the reference once.

    Equal samples are compared once and weigh as many.
    """
    counts = Counter(samples)
    return {
        hypothesis: sum(count * utility(hypothesis, text) for text, count in counts.items())
        / len(samples)
        for hypothesis in counts
    }


def pick_utility(name: str) -> Utility:
    """chrf or bleu of sentences, 0 to 100, as sacrebleu counts them (BLEU of as many orders as the
    sentence has n-grams, of the tokens that suit the script of the reference)."""
    if name == "chrf":
        from sacrebleu.metrics.chrf import CHRF

        chrf = CHRF()
        return lambda hypothesis, reference: chrf.sentence_score(hypothesis, [reference]).score
    from sacrebleu.metrics.bleu import BLEU

    @cache
    def bleu(tokenizer: str) -> BLEU:
        return BLEU(tokenize=tokenizer, effective_order=True)

    @lru_cache(maxsize=1024)  # about the samples of a sentence
    def suited(reference: str) -> BLEU:
        return bleu(bleu_tokenizer("", [reference]))

    return lambda hypothesis, reference: (
        suited(reference).sentence_score(hypothesis, [reference]).score
    )
