"""Minimum Bayes risk decoding: the sample that is most similar to all others, by a score that
compares two texts (Eikema and Aziz 2020; Freitag et al. 2022)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, lru_cache

from nmt.writing import bleu_tokenizer

Utility = Callable[[str, str], float]  # of a hypothesis, with the second text as reference


def expected_utilities(samples: Sequence[str], utility: Utility) -> dict[str, float]:
    """The mean utility of each different sample, with every sample as the reference once.

    Equal samples are compared only once, and weighted by their number.
    """
    counts = Counter(samples)
    return {
        hypothesis: sum(count * utility(hypothesis, text) for text, count in counts.items())
        / len(samples)
        for hypothesis in counts
    }


def pick_utility(name: str) -> Utility:
    """chrF or BLEU of sentences, 0 to 100, as sacrebleu computes them.

    BLEU uses the orders for which the sentence has n-grams, and the tokenizer for the script of the
    reference.
    """
    if name == "chrf":
        from sacrebleu.metrics.chrf import CHRF

        chrf = CHRF()
        return lambda hypothesis, reference: chrf.sentence_score(hypothesis, [reference]).score
    from sacrebleu.metrics.bleu import BLEU

    @cache
    def bleu(tokenizer: str) -> BLEU:
        return BLEU(tokenize=tokenizer, effective_order=True)

    @lru_cache(maxsize=1024)  # enough for the samples of a sentence
    def suited(reference: str) -> BLEU:
        return bleu(bleu_tokenizer("", [reference]))

    return lambda hypothesis, reference: (
        suited(reference).sentence_score(hypothesis, [reference]).score
    )
