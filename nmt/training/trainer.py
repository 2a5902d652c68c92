"""The training loop: update, log, validate, save."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from nmt.attention_map import attention_maps
from nmt.config import PAD, Config
from nmt.data.batch import collate
from nmt.data.batching import BatchStream, Position
from nmt.data.corpus import Split
from nmt.data.encoded import Prepared
from nmt.decoding.translate import evaluating
from nmt.evaluation.report import Evaluation, evaluate
from nmt.models.seq2seq import Seq2Seq
from nmt.training.checkpoint import point, prune, save_checkpoint
from nmt.training.optim import learning_rate
from nmt.training.progress import Progress, Update, Window, perplexity
from nmt.training.report import Report, clock
from nmt.training.update import Updater

log = logging.getLogger(__name__)


class Trainer:
    """Trains one model in one run directory."""

    def __init__(
        self, config: Config, run: Path, prepared: Prepared, *, model: Seq2Seq, report: Report
    ) -> None:
        self.config = config.training
        self.greedy = dataclasses.replace(config.decoding, beam_size=1)
        self.run = run
        self.prepared = prepared
        self.model = model
        self.report = report
        self.progress = Progress()
        self.updater = Updater(model, self.config)
        self.validation = first(prepared.validation, self.config.validation_limit)
        self.examples = pick_examples(self.validation, self.config.samples)

    def resume(self, training: dict[str, Any]) -> None:
        """Goes on from what a checkpoint holds."""
        self.progress = Progress(**training["progress"])
        self.updater.optimizer.load_state_dict(training["optimizer"])
        torch.set_rng_state(training["random"])

    def train(self) -> None:
        """Trains until the first limit. The last state is validated and saved."""
        start = Position(self.progress.epoch, self.progress.index)
        window, seed = Window(), self.config.seed
        with BatchStream(self.prepared, self.config.batch_tokens, seed, start) as stream:
            while not self.is_over:
                began, waited = time.perf_counter(), stream.waited
                window.updates.append(self._next_update(stream))
                spent = time.perf_counter() - began
                window.seconds += spent
                window.waited += stream.waited - waited
                self.progress.update_seconds += spent
                self.progress.seconds += spent
                if self.progress.step % self.config.log_every == 0 or self.is_over:
                    self._log(window)
                    window = Window()
                if self.progress.step % self.config.validate_every == 0 or self.is_over:
                    began = time.perf_counter()
                    self.validate()
                    self.progress.seconds += time.perf_counter() - began
        if window.updates:  # where the time ran out during a validation
            self._log(window)

    @property
    def is_over(self) -> bool:
        return self.share >= 1.0 or self.progress.out_of_patience(self.config)

    @property
    def share(self) -> float:
        """Of the nearest limit, how much is used."""
        return self.progress.share(self.config, len(self.prepared.source_lengths))

    def _next_update(self, stream: BatchStream) -> Update:
        planned = list(islice(stream, self.config.accumulate))
        rate = learning_rate(self.config, self.progress.step + 1, self.share)
        update = self.updater.update([each.batch for each in planned], rate)
        after = planned[-1].position.next
        self.progress.epoch, self.progress.index = after.epoch, after.index
        self.progress.step += 1
        self.progress.pairs += update.pairs
        self.progress.target_tokens += update.target_tokens
        return update

    def _log(self, window: Window) -> None:
        metrics = window.metrics()
        epoch = self.progress.pairs / len(self.prepared.source_lengths)
        self.report.log(self.progress.step, {"epoch": epoch, **metrics}, kind="train")
        speed = metrics["target_tokens_per_second"]
        told = f"step {self.progress.step}  loss {metrics['loss']:.3f}  {speed:,.0f} tokens/s"
        self.report.advance(self.share, self.progress.seconds, told)

    def validate(self) -> Evaluation:
        """Scores the model on the validation set, shows what it does, and saves it."""
        evaluation = evaluate(self.model, self.prepared.tokenizers, self.validation, self.greedy)
        likelihood = self._validation_loss()
        metrics = {
            "loss": likelihood,
            "perplexity": perplexity(likelihood),
            "bleu": evaluation.scores.bleu,
            "chrf": evaluation.scores.chrf,
        }
        if evaluation.aer is not None:
            metrics["aer"] = evaluation.aer
        step = self.progress.step
        self.report.log(step, metrics, kind="validation")
        self._show(evaluation.hypotheses)
        told = "  ".join(f"{name} {value:.2f}" for name, value in metrics.items())
        log.info("step %d (%s): %s", step, clock(self.progress.seconds), told)
        self._save(evaluation.scores.bleu)
        return evaluation

    @torch.inference_mode()
    def _validation_loss(self) -> float:
        """Negative log-likelihood, nats a piece."""
        tokenizers, split = self.prepared.tokenizers, self.validation
        sources = tokenizers.source.encode_many(split.source)
        targets = tokenizers.target.encode_many(split.target)
        order = sorted(range(len(sources)), key=lambda row: len(targets[row]))
        total, count = torch.zeros((), device=self.model.device), 0
        with evaluating(self.model):
            for start in range(0, len(order), 64):
                rows = order[start : start + 64]
                batch = collate([sources[row] for row in rows], [targets[row] for row in rows])
                total += self.updater.loss(batch)[1]
                count += int((batch.labels != PAD).sum())
        return float(total) / count

    def _show(self, hypotheses: Sequence[str]) -> None:
        """Translations and attention maps of the fixed sentences."""
        if not self.examples:
            return
        sources = [self.validation.source[row] for row in self.examples]
        references = [self.validation.target[row] for row in self.examples]
        outputs = [hypotheses[row] for row in self.examples]
        self.report.samples(self.progress.step, sources, references, outputs)
        with evaluating(self.model):
            maps = attention_maps(self.model, self.prepared.tokenizers, sources, outputs)
        self.report.attention(self.progress.step, maps)

    def _save(self, bleu: float) -> None:
        is_best = bleu > self.progress.best_bleu
        self.progress.since_best = 0 if is_best else self.progress.since_best + 1
        self.progress.best_bleu = max(bleu, self.progress.best_bleu)
        training = {
            "progress": dataclasses.asdict(self.progress),
            "optimizer": self.updater.optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }
        saved = save_checkpoint(self.run, f"{self.progress.step:08d}", self.model, training)
        point(self.run, "last", saved)
        if is_best:
            point(self.run, "best", saved)
        prune(self.run, max(self.config.keep, self.config.average))


def first(split: Split, limit: int | None) -> Split:
    """The first `limit` sentences of a split; all of them for None."""
    alignments = split.alignments[:limit] if split.alignments else None
    return Split(split.source[:limit], split.target[:limit], alignments)


def pick_examples(split: Split, count: int) -> list[int]:
    """The rows whose translations and attention are shown: the first of a readable length."""
    readable = (row for row, text in enumerate(split.source) if 5 <= len(text.split()) <= 14)
    return list(islice(readable, count))
