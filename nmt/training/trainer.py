"""The training loop: update, log, validate, save."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np

from nmt.config import Config
from nmt.data.batching import BatchStream, Position
from nmt.data.encoded import Prepared
from nmt.evaluation.metrics import merit
from nmt.screen import activity, clock
from nmt.training.checkpoint import merit_of, named_best, point, prune, save_checkpoint
from nmt.training.files import may_write
from nmt.training.progress import Update, Window
from nmt.training.recovery import Diverged, describe, largest_batch
from nmt.training.report import Report
from nmt.training.schedule import (
    describe_schedule,
    learning_rate,
    position,
    step_limit,
    warn_of_few_steps,
    warn_of_warmup,
)
from nmt.training.seen import load_seen
from nmt.training.signals import Stop
from nmt.training.state import State, corpus_key
from nmt.training.validation import Validator

log = logging.getLogger(__name__)

SETTLED = 32  # log the plan from this step on: the first steps are slow


class Interrupted(Exception):
    """A validation was abandoned because the run is to stop."""


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
        self.validator = Validator(config, prepared, state.updater, load_seen(run))
        longest = np.maximum(prepared.source_lengths, prepared.target_lengths + 1)  # BOS
        self.has_weights = config.init_from is not None  # then step 0 is validated too
        self.step_limit = step_limit(self.config, int(longest.sum()))
        # Stored in every checkpoint: resuming requires the same ones.
        self.origin = {"config": dataclasses.asdict(config), "corpus": corpus_key(prepared)}

    def train(self, stop: Stop) -> None:
        """Trains until the first limit, then validates and saves the last state.

        When asked to stop, it finishes the current update, saves and returns. A validation that was
        due then takes place after resuming. Raises `Diverged` after too many non-finite updates.
        """
        progress, config = self.state.progress, self.config
        start = Position(progress.epoch, progress.index)
        self._begin()
        # The largest batch first, so that a lack of memory shows at once.
        self.state.updater.rehearse(largest_batch(self.prepared, config.batch_tokens))
        with BatchStream(self.prepared, config.batch_tokens, config.seed, start) as stream:
            while stop.received is None:
                if self._validation_is_due:
                    with suppress(Interrupted):
                        self._validate(stop)
                        if self.is_over and self.state.window.updates:
                            self._log()  # the time ran out during the validation
                        self._plan()
                        self._save()
                elif self.is_over:
                    break
                elif self.state.pace.is_due(progress, config):
                    self._plan()
                    if any(progress.validations):
                        self._save()  # so that a resumed run repeats these steps by the same plan
                else:
                    self._advance(stream)
                    self.report.advance(progress.step, self.share, progress.seconds)
                    if progress.step % config.log_every == 0 or self.is_over:
                        self._log()
        if stop.received is not None:
            self._save()

    @property
    def is_over(self) -> bool:
        return self.share >= 1.0 or self.state.progress.out_of_patience(self.config)

    @property
    def share(self) -> float:
        """The share of the nearest limit that is used up."""
        return self.state.progress.share(self.config, len(self.prepared.source_lengths))

    @property
    def _validation_is_due(self) -> bool:
        progress, every = self.state.progress, self.config.validate_every
        if progress.validations[-1:] == [progress.step]:
            return False
        if progress.step == 0:
            return self.has_weights
        if every is not None and progress.step % every == 0:
            return True
        is_time = every is None and self.state.pace.until_validation(progress, self.config) == 0
        return is_time or self.is_over

    def _begin(self) -> None:
        """Logs the schedule, and makes a plan if there is a limit in minutes."""
        progress, config = self.state.progress, self.config
        log.info("%s", describe_schedule(config))
        self.state.pace.aim(progress, config, self.step_limit)
        self.is_settled = progress.step > 0
        if self.has_weights and progress.step == 0:
            self._save()  # from now on the run does not need the other run any more
        if not config.max_minutes and self.step_limit < math.inf:
            warn_of_warmup(config, self.step_limit)

    def _plan(self) -> None:
        """Plans the next steps by the clock, and logs the first reliable plan."""
        pace = self.state.pace
        pace.plan(self.state.progress, self.config, self.step_limit)
        if pace.gain and not self.is_settled and (pace.step >= SETTLED or self.share > 0.1):
            self.is_settled = True
            is_limited = pace.steps >= self.step_limit  # by the steps, not by the time
            about = "all" if is_limited else "about"
            told = "%s %d steps fit into %g minutes; validation every %d steps"
            log.info(told, about, round(pace.steps), pace.minutes, pace.validate_every)
            warn_of_warmup(self.config, pace.steps)
            if not is_limited:
                warn_of_few_steps(self.config, pace.steps)

    def _position(self, steps: int = 0, pairs: int = 0) -> float:
        """The position in the run, for the learning rate, after this many more steps and pairs."""
        progress = self.state.progress
        return position(
            self.config,
            progress.step + steps,
            progress.pairs + pairs,
            corpus_pairs=len(self.prepared.source_lengths),
            timed=self.state.pace.at(progress.step + steps),
        )

    def _advance(self, stream: BatchStream) -> None:
        """One update; records its place in the corpus and its time."""
        progress, window = self.state.progress, self.state.window
        began, waited = time.perf_counter(), stream.waited
        planned = list(islice(stream, self.config.accumulate))
        after = self._position(1, sum(len(each.batch.source) for each in planned))
        rate = learning_rate(self.config, progress.step + 1, self._position(), after)
        rate *= progress.rate_scale
        update = self.state.updater.update([each.batch for each in planned], rate)
        places = tuple((each.position.epoch, each.position.index) for each in planned)
        update = update._replace(batches=places)
        spent = time.perf_counter() - began
        window.add(update, spent, stream.waited - waited)
        progress.add(update, planned[-1].position.next, spent)

    def _log(self) -> None:
        progress, (metrics, skipped) = self.state.progress, self.state.window.figures()
        self.state.window = Window()
        self._count(skipped)
        epoch = progress.pairs / len(self.prepared.source_lengths)
        self.report.log(progress.step, {"epoch": epoch, **metrics}, kind="train")
        self.report.tell(metrics["nll"], metrics["target_tokens_per_second"])
        self.report.advance(progress.step, self.share, progress.seconds)

    def _count(self, skipped: list[Update]) -> None:
        """Logs the batches of skipped updates. Raises `Diverged` if there are too many."""
        for update in skipped:
            what = describe(update, self.prepared, self.config)
            log.warning("skipped an update (loss or gradient not finite): %s", what)
        self.state.progress.skipped += len(skipped)
        if self.state.progress.skipped >= self.config.max_skipped:
            raise Diverged(self.state.progress)

    def _validate(self, stop: Stop) -> None:
        """Scores the model on the validation set and reports examples.

        Raises `Interrupted` when asked to stop.
        """
        progress, began = self.state.progress, time.perf_counter()
        with activity("validating", len(self.validator.split.source)) as bar:

            def look(more: int) -> None:
                bar.advance(more)
                if stop.received is not None:
                    raise Interrupted

            found = self.validator(look)
        self.report.log(progress.step, found.metrics, kind="validation")
        self.report.examples(progress.step, found.examples)
        self.state.pace.validation_seconds = time.perf_counter() - began
        progress.seconds += self.state.pace.validation_seconds
        metrics = "  ".join(f"{name} {value:.2f}" for name, value in found.metrics.items())
        log.info("step %d (%s): %s", progress.step, clock(progress.seconds), metrics)
        progress.validated(
            found.scores,
            merit(self.config.metric, found.scores[self.config.metric]),
            remembered=max(self.config.keep, self.config.average),
        )

    def _save(self) -> None:
        """Saves the state as the newest checkpoint, and marks it as the best if it is.

        If the disk is full, training continues with the old checkpoints and tries again later.
        """
        progress, began = self.state.progress, time.perf_counter()
        self.report.flush()  # a run resumed from this checkpoint does not log earlier steps again
        name, saved = f"{progress.step:08d}", {**self.origin, **self.state.saved()}
        is_written = False
        with may_write(f"the checkpoint of step {progress.step}"):
            folder = save_checkpoint(self.run, name, self.state.model, saved)
            point(self.run, "last", folder)
            if progress.is_best:
                point(self.run, "best", folder)
            is_written = True
            prune(self.run, progress.validations)
        if not is_written and progress.is_best:
            # Only a checkpoint on the disk can be the best.
            progress.best = merit_of(named_best(self.run), self.config.metric)
        self.state.pace.saving_seconds = time.perf_counter() - began
        progress.seconds += self.state.pace.saving_seconds
