"""Validation of a model in training: scores and examples."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from nmt.attention_map import AttentionMap, attention_maps
from nmt.config import PAD, Config
from nmt.data.batch import collate
from nmt.data.drawing import draw
from nmt.data.encoded import Prepared
from nmt.data.lengths import words
from nmt.data.splits import Split
from nmt.decoding.parts import warn_of_cut
from nmt.decoding.translate import batches, evaluating
from nmt.evaluation.metrics import NAMES, Scorer, Scores, signatures, values
from nmt.evaluation.report import Evaluation, evaluate
from nmt.training.progress import losses
from nmt.training.report import Examples
from nmt.training.seen import Seen, settled, splitting_of
from nmt.training.update import Updater

log = logging.getLogger(__name__)

LINE = 120  # characters
# A model that has learnt little repeats itself up to the length limit, which is no news. One has
# learnt something below this share of the loss of a uniform guess.
LEARNT = 0.5
SELECTING = ("bleu", "chrf", "nll")  # the figures of which training.metric names one


class Validation(NamedTuple):
    metrics: dict[str, float]
    examples: Examples

    @property
    def scores(self) -> dict[str, float]:
        """The metrics that may select the best checkpoint."""
        return {name: self.metrics[name] for name in SELECTING}


class Validator:
    """Scores one model with greedy search."""

    def __init__(
        self, config: Config, prepared: Prepared, updater: Updater, seen: Seen | None = None
    ) -> None:
        decoding = settled(config.decoding, seen)
        self.greedy = dataclasses.replace(decoding, strategy="beam", beam_size=1, groups=1)
        self.splitting = splitting_of(config, seen, whole=True)
        self.language = config.data.target_language
        self.tokenizers = prepared.tokenizers
        self.split = draw(prepared.validation, config.training.validation_limit, config.data)
        language = config.data.target_language
        self.scorer = Scorer([self.split.target], config=config.evaluation, language=language)
        self.examples = pick_examples(self.split, config.training.samples)
        self.updater = updater
        self.signatures_logged = False

    def __call__(self, progress: Callable[[int], None] | None = None) -> Validation:
        """Validates the model. `progress` is called with numbers of translated sentences."""
        evaluation = self._evaluate(progress=progress)
        self._log_signatures(evaluation.scores)
        metrics = {**self.losses(), **values(evaluation.scores)}
        if metrics["nll"] < LEARNT * math.log(self.tokenizers.target.size):
            warn_of_cut(evaluation.cut, len(self.split.source), self.greedy)
        if evaluation.best_head is not None:
            metrics["aer"] = evaluation.best_head.aer
        return Validation(metrics, self._examples(evaluation.hypotheses))

    def scores(self, progress: Callable[[int], None] | None = None) -> dict[str, float]:
        """The scores of the current model that may select the best checkpoint."""
        scored = values(self._evaluate(aer=False, progress=progress).scores)
        return {**scored, "nll": self.losses()["nll"]}

    def _log_signatures(self, scores: Scores) -> None:
        """Logs how the scores are computed, at the first validation of a process."""
        if not self.signatures_logged:
            lines = (f"{NAMES[name]} {each}" for name, each in signatures(scores).items())
            log.info("scores: %s", "; ".join(lines))
            self.signatures_logged = True

    def _evaluate(
        self, *, aer: bool = True, progress: Callable[[int], None] | None = None
    ) -> Evaluation:
        return evaluate(
            self.updater.model,
            self.tokenizers,
            self.split,
            self.greedy,
            splitting=self.splitting,
            language=self.language,
            scorer=self.scorer,
            aer=aer,
            progress=progress,
        )

    @torch.inference_mode()
    def losses(self) -> dict[str, float]:
        """The loss with and without label smoothing, as training logs it."""
        sources = self.tokenizers.source.encode_many(self.split.source)
        targets = self.tokenizers.target.encode_many(self.split.target)
        longer = [max(pair, key=len) for pair in zip(sources, targets, strict=True)]
        sums, count = torch.zeros(2, device=self.updater.model.device), 0
        with evaluating(self.updater.model):
            # No larger than in training, so that they fit into memory.
            for rows in batches(longer, self.updater.config.batch_tokens):
                batch = collate([sources[row] for row in rows], [targets[row] for row in rows])
                sums += self.updater.loss(batch)
                count += int((batch.labels != PAD).sum())
        smoothed, likelihood = sums.tolist()
        return losses(smoothed, likelihood, count)

    def _examples(self, hypotheses: Sequence[str]) -> Examples:
        sources = [self.split.source[row] for row in self.examples]
        references = [self.split.target[row] for row in self.examples]
        outputs = [hypotheses[row] for row in self.examples]
        maps: list[AttentionMap] = []
        if sources:
            with evaluating(self.updater.model):
                maps = attention_maps(self.updater.model, self.tokenizers, sources, outputs)
        return Examples(sources, references, outputs, maps)


def pick_examples(split: Split, count: int) -> list[int]:
    """The rows whose translations and attention are reported: the first ones of readable length.
    If there are too few, as in a text without spaces, also the first that fit on a line."""
    rows = [row for row, text in enumerate(split.source) if 0 < len(text.strip()) <= LINE]
    readable = [row for row in rows if 5 <= words(split.source[row]) <= 14]
    return list(dict.fromkeys(readable + rows))[:count]
