"""The training loop: update, log, validate, save."""

from __future__ import annotations

import dataclasses
import logging
import time
from itertools import islice
from pathlib import Path

from nmt.config import Config
from nmt.data.batching import BatchStream, Position
from nmt.data.encoded import Prepared
from nmt.training.checkpoint import point, prune, save_checkpoint
from nmt.training.optim import learning_rate
from nmt.training.progress import Window
from nmt.training.report import Report, clock
from nmt.training.state import State, corpus_key
from nmt.training.validation import Validator

log = logging.getLogger(__name__)


class Trainer:
    """Trains one model in one run directory, from one state to the next."""

    def __init__(
        self, config: Config, run: Path, prepared: Prepared, *, state: State, report: Report
    ) -> None:
        self.config = config.training
        self.run = run
        self.prepared = prepared
        self.state = state
        self.report = report
        self.validator = Validator(config, prepared, state.updater)
        # Saved with each checkpoint, which only they can go on from.
        self.origin = {"config": dataclasses.asdict(config), "corpus": corpus_key(prepared)}

    def train(self) -> None:
        """Trains until the first limit. The last state is validated and saved."""
        progress, config = self.state.progress, self.config
        start = Position(progress.epoch, progress.index)
        with BatchStream(self.prepared, config.batch_tokens, config.seed, start) as stream:
            while not self.is_over:
                self._advance(stream)
                if progress.step % config.log_every == 0 or self.is_over:
                    self._log()
                if progress.step % config.validate_every == 0 or self.is_over:
                    began = time.perf_counter()
                    self._validate()
                    progress.seconds += time.perf_counter() - began
                    began = time.perf_counter()
                    self._save()
                    progress.seconds += time.perf_counter() - began
        if self.state.window.updates:  # where the time ran out during a validation
            self._log()

    @property
    def is_over(self) -> bool:
        return self.share >= 1.0 or self.state.progress.out_of_patience(self.config)

    @property
    def share(self) -> float:
        """Of the nearest limit, how much is used."""
        return self.state.progress.share(self.config, len(self.prepared.source_lengths))

    def _advance(self, stream: BatchStream) -> None:
        """One update, with its place in the corpus and its time."""
        progress, window = self.state.progress, self.state.window
        began, waited = time.perf_counter(), stream.waited
        planned = list(islice(stream, self.config.accumulate))
        rate = learning_rate(self.config, progress.step + 1, self.share)
        update = self.state.updater.update([each.batch for each in planned], rate)
        spent = time.perf_counter() - began
        window.add(update, spent, stream.waited - waited)
        progress.add(update, planned[-1].position.next, spent)

    def _log(self) -> None:
        progress, metrics = self.state.progress, self.state.window.metrics()
        self.state.window = Window()
        epoch = progress.pairs / len(self.prepared.source_lengths)
        self.report.log(progress.step, {"epoch": epoch, **metrics}, kind="train")
        speed = metrics["target_tokens_per_second"]
        told = f"step {progress.step}  loss {metrics['loss']:.3f}  {speed:,.0f} tokens/s"
        self.report.advance(self.share, progress.seconds, told)

    def _validate(self) -> None:
        """Scores the model on the validation set and shows what it does."""
        progress, found = self.state.progress, self.validator()
        self.report.log(progress.step, found.metrics, kind="validation")
        self.report.examples(progress.step, found.examples)
        told = "  ".join(f"{name} {value:.2f}" for name, value in found.metrics.items())
        log.info("step %d (%s): %s", progress.step, clock(progress.seconds), told)
        progress.validated(found.bleu, remembered=max(self.config.keep, self.config.average))

    def _save(self) -> None:
        """Makes the state the newest checkpoint, and the best if it is."""
        progress = self.state.progress
        self.report.flush()  # what a checkpoint has behind it is never told again
        name, saved = f"{progress.step:08d}", {**self.origin, **self.state.saved()}
        folder = save_checkpoint(self.run, name, self.state.model, saved)
        point(self.run, "last", folder)
        if progress.is_best:
            point(self.run, "best", folder)
        prune(self.run, progress.validations)
