"""How good a model in training is on the validation set, in figures and in examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple

import torch

from nmt.attention_map import AttentionMap, attention_maps
from nmt.config import PAD, Config
from nmt.data.batch import collate
from nmt.data.corpus import Split
from nmt.data.encoded import Prepared
from nmt.decoding.translate import batches, evaluating
from nmt.evaluation.report import Evaluation, evaluate
from nmt.training.progress import perplexity
from nmt.training.report import Examples
from nmt.training.update import Updater


class Validation(NamedTuple):
    metrics: dict[str, float]
    examples: Examples

    @property
    def bleu(self) -> float:
        return self.metrics["bleu"]


class Validator:
    """Scores one model, greedily."""

    def __init__(self, config: Config, prepared: Prepared, updater: Updater) -> None:
        self.greedy = dataclasses.replace(config.decoding, strategy="beam", beam_size=1, groups=1)
        self.max_pieces = config.data.max_pieces
        self.tokenizers = prepared.tokenizers
        self.split = first(prepared.validation, config.training.validation_limit)
        self.examples = pick_examples(self.split, config.training.samples)
        self.updater = updater

    def __call__(self, progress: Callable[[int], None] | None = None) -> Validation:
        """`progress` is told how many more sentences are translated."""
        evaluation = self._evaluate(progress=progress)
        likelihood = self.loss()
        metrics = {
            "loss": likelihood,
            "perplexity": perplexity(likelihood),
            "bleu": evaluation.scores.bleu,
            "chrf": evaluation.scores.chrf,
        }
        if evaluation.aer is not None:
            metrics["aer"] = evaluation.aer
        return Validation(metrics, self._examples(evaluation.hypotheses))

    def bleu(self) -> float:
        """Of the model as it is now."""
        return self._evaluate(aer=False).scores.bleu

    def _evaluate(
        self, *, aer: bool = True, progress: Callable[[int], None] | None = None
    ) -> Evaluation:
        return evaluate(
            self.updater.model,
            self.tokenizers,
            self.split,
            self.greedy,
            max_pieces=self.max_pieces,
            aer=aer,
            progress=progress,
        )

    @torch.inference_mode()
    def loss(self) -> float:
        """Negative log-likelihood, nats a piece."""
        sources = self.tokenizers.source.encode_many(self.split.source)
        targets = self.tokenizers.target.encode_many(self.split.target)
        longer = [max(pair, key=len) for pair in zip(sources, targets, strict=True)]
        total, count = torch.zeros((), device=self.updater.model.device), 0
        with evaluating(self.updater.model):
            # No larger than those of training, so that there is the memory for them.
            for rows in batches(longer, self.updater.config.batch_tokens):
                batch = collate([sources[row] for row in rows], [targets[row] for row in rows])
                total += self.updater.loss(batch)[1]
                count += int((batch.labels != PAD).sum())
        return float(total) / count

    def _examples(self, hypotheses: Sequence[str]) -> Examples:
        sources = [self.split.source[row] for row in self.examples]
        references = [self.split.target[row] for row in self.examples]
        outputs = [hypotheses[row] for row in self.examples]
        maps: list[AttentionMap] = []
        if sources:
            with evaluating(self.updater.model):
                maps = attention_maps(self.updater.model, self.tokenizers, sources, outputs)
        return Examples(sources, references, outputs, maps)


def first(split: Split, limit: int | None) -> Split:
    """The first `limit` sentences of a split; all of them for None."""
    alignments = split.alignments[:limit] if split.alignments else None
    return Split(split.source[:limit], split.target[:limit], alignments)


def pick_examples(split: Split, count: int) -> list[int]:
    """The rows whose translations and attention are shown: the first of a readable length."""
    readable = (row for row, text in enumerate(split.source) if 5 <= len(text.split()) <= 14)
    return list(islice(readable, count))
