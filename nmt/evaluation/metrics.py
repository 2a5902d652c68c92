"""BLEU, chrF and TER as sacrebleu computes them (Post 2018), with the signatures to cite."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from nmt.config import EvaluationConfig
from nmt.data.normalization import normalized
from nmt.errors import UserError, require
from nmt.writing import CHARACTERS, NEEDS, bleu_tokenizer, has_spaces, is_installed

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

log = logging.getLogger(__name__)

NAMES = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER"}
LOWER_IS_BETTER = ("ter", "nll")
ORDER = 4  # tokens in the longest sequences that BLEU counts
LOOKED_AT = 2000  # references


class Score(NamedTuple):
    """One metric's result for a whole corpus."""

    value: float  # BLEU and chrF: 0 to 100; TER: edits per 100 reference words
    signature: str  # how the value was computed, in sacrebleu's notation
    higher_is_better: bool


Scores = Mapping[str, Score]  # by the name of the metric: bleu, chrf, ter


def merit(metric: str, value: float) -> float:
    """`value` with the sign that makes higher better; NaN is worst."""
    if math.isnan(value):
        return -math.inf
    return -value if metric in LOWER_IS_BETTER else value


class Scorer:
    """Scores detokenized translations against references.

    `references` holds one list per set of references. BLEU's tokenizer is
    `config.tokenize`, or that of the target language, or that of the scripts in the references.
    TER takes seconds per thousand sentences, so it is computed only if `ter` is true, and not for
    text without spaces (Chinese, Thai). Raises `UserError` if the sets of references differ in
    length or a tokenizer is not available.
    """

    def __init__(
        self,
        references: Sequence[Sequence[str]],
        *,
        config: EvaluationConfig | None = None,
        language: str = "",
        ter: bool = False,
    ) -> None:
        from sacrebleu.metrics.chrf import CHRF

        require(
            len({len(each) for each in references}) == 1,
            "the sets of references must have the same number of lines, but have "
            + ", ".join(str(len(each)) for each in references),
        )
        require(bool(references[0]), "there is nothing to score: the reference is empty")
        config = config or EvaluationConfig()
        # The encoding of accents (NFC, NFD) must not change the scores.
        self.references = [list(map(normalized, each)) for each in references]
        self.tokenizer = config.tokenize or bleu_tokenizer(language, references[0])
        self._bleu = load_bleu(self.tokenizer, config.lowercase)
        self._chrf = CHRF(lowercase=config.lowercase)
        self._with_ter = ter
        self._has_spaces = has_spaces(language, references[0])
        self._warn_of_short_lines()

    def __call__(self, hypotheses: Sequence[str]) -> Scores:
        expected = len(self.references[0])
        require(
            len(hypotheses) == expected,
            f"there must be one translation for each reference, but there are "
            f"{len(hypotheses)} translations and {expected} references",
        )
        hypotheses = list(map(normalized, hypotheses))
        scores: dict[str, Score] = {}
        for name, metric in (("bleu", self._bleu), ("chrf", self._chrf)):
            value = float(metric.corpus_score(hypotheses, self.references).score)
            scores[name] = Score(value, str(metric.get_signature()), True)
        return {**scores, **(self._ter(hypotheses) if self._with_ter else {})}

    def _ter(self, hypotheses: Sequence[str]) -> Scores:
        """TER of the words between spaces, or of BLEU's tokens. Characters would take minutes."""
        from sacrebleu.metrics.ter import TER

        metric, references, tokens = TER(), self.references, "tercom"
        if not self._has_spaces:
            if self.tokenizer in CHARACTERS:
                return {}
            hypotheses = self._tokenized(hypotheses)
            references = [self._tokenized(each) for each in references]
            tokens = self._bleu.tokenizer_signature
        value = float(metric.corpus_score(hypotheses, references).score)
        signature = str(metric.get_signature()).replace("tok:tercom", f"tok:{tokens}")
        return {"ter": Score(value, signature, False)}

    def _tokenized(self, lines: Sequence[str]) -> list[str]:
        return [self._bleu.tokenizer(line) for line in lines]

    def _warn_of_short_lines(self) -> None:
        """Warns if few lines have four tokens: without a match of four tokens, BLEU is 0."""
        lines = self._tokenized(list(islice(self.references[0], LOOKED_AT)))
        long = sum(len(line.split()) >= ORDER for line in lines)
        if long < len(lines) / 10:
            log.warning(
                "BLEU is unreliable here: it counts sequences of up to four tokens, and %d of "
                "%d references have four; chrF suits short lines",
                *(long, len(lines)),
            )


def score(
    hypotheses: Sequence[str],
    *references: Sequence[str],
    config: EvaluationConfig | None = None,
    language: str = "",
    ter: bool = False,
) -> Scores:
    """Scores translations against one or more sets of references."""
    return Scorer(references, config=config, language=language, ter=ter)(hypotheses)


def load_bleu(tokenizer: str, lowercase: bool = False) -> BLEU:
    """BLEU with a tokenizer. Raises `UserError` if that is missing or cannot be downloaded."""
    from sacrebleu.metrics.bleu import BLEU

    if not is_installed(tokenizer):
        _, extra, _ = NEEDS[tokenizer]
        raise UserError(
            f"evaluation.tokenize={tokenizer} needs packages that are not installed; install them "
            f"with: pip install 'nmt[{extra}]'"
        )
    try:
        return BLEU(tokenize=tokenizer, lowercase=lowercase)
    # sacrebleu downloads some models, and exits the program if that fails.
    except (Exception, SystemExit) as error:
        raise UserError(
            f"the model of evaluation.tokenize={tokenizer} cannot be loaded ({error}); it is "
            "downloaded on first use: check the network, or choose another tokenizer"
        ) from error


def values(scores: Scores) -> dict[str, float]:
    return {name: score.value for name, score in scores.items()}


def signatures(scores: Scores) -> dict[str, str]:
    return {name: score.signature for name, score in scores.items()}
