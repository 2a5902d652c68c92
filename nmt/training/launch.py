"""From a config to a finished run: prepare, train, choose the weights, evaluate, summarise."""

from __future__ import annotations

import dataclasses
import logging
import signal
from pathlib import Path

from nmt.allocator import keep_freed_memory
from nmt.commands import resume_command
from nmt.compose import run_config
from nmt.config import Config
from nmt.data.encoded import Prepared, prepare
from nmt.data.tokenizer import Tokenizers
from nmt.device import start_torch
from nmt.evaluation.metrics import load_bleu
from nmt.initial import check_start, origin_of
from nmt.models.seq2seq import count_parameters
from nmt.training.checkpoint import (
    check_name,
    check_run,
    create_run,
    newest_sound,
    write_config,
)
from nmt.training.ending import average, finish, saved_anyway
from nmt.training.files import must_write
from nmt.training.lock import locked
from nmt.training.recovery import Diverged
from nmt.training.report import Report, Summary
from nmt.training.resume import check_weights, fresh_state, gone_back, state_at
from nmt.training.seen import Seen
from nmt.training.signals import Stopped, asked_to_stop
from nmt.training.state import State
from nmt.training.trainer import Trainer

log = logging.getLogger(__name__)


def train(config: Config) -> Summary:
    """Trains a new run, or continues the one that `config.resume` names.

    A new run starts from random weights, or from those of the run `config.init_from`.
    Raises `Stopped` if a signal stopped the run, which can then be resumed.
    """
    settings = dataclasses.replace(
        config, resume=None
    )  # also checks fields set since the config was made
    if config.resume is not None:
        return go_on(settings, Path(config.resume))
    check_name(config)  # before the corpus is prepared, which may take long
    if config.evaluation.tokenize is not None:
        load_bleu(config.evaluation.tokenize)
    tokenizers = None
    if config.init_from is not None:
        check_start(config)
        check_weights(config.init_from)
        tokenizers = Tokenizers.load(origin_of(config.init_from).run)
    device = start_torch(config.training)
    prepared = prepare(config.data, config.training.seed, tokenizers)
    state = fresh_state(settings, prepared, device)
    run = create_run(settings, prepared.tokenizers, Seen.of(prepared, settings.data))
    with locked(run):
        return to_the_end(settings, run, prepared, state)


def go_on(config: Config, run: Path) -> Summary:
    """Continues a run from its newest intact checkpoint, or from the start if it has none yet."""
    check_run(run)
    run_config(run)  # a clear message if it is not a run
    with locked(run):
        with must_write(run):
            checkpoint = newest_sound(run)
        device = start_torch(config.training)
        prepared = prepare(config.data, config.training.seed, Tokenizers.load(run))
        state = state_at(checkpoint, config, run, prepared, device)
        with must_write(run):
            write_config(config, run)
        return to_the_end(config, run, prepared, state)


def to_the_end(config: Config, run: Path, prepared: Prepared, state: State) -> Summary:
    parameters = f"{count_parameters(state.model):,}"
    log.info("run %s: %s parameters on %s", run, parameters, state.model.device)
    keep_freed_memory()
    while True:
        try:
            train_from(state, config, run, prepared)
            return finish(config, run, prepared, state)
        except Diverged as error:
            state = gone_back(config, run, prepared, state.model.device, error)


def train_from(state: State, config: Config, run: Path, prepared: Prepared) -> None:
    progress = state.progress
    with must_write(run):
        # A run that starts from the weights of another one has a validation at step 0.
        report = Report(run, progress.step if progress.step or progress.validations else -1)
    with report:
        trainer = Trainer(config, run, prepared, state=state, report=report)
        if trainer.is_over:
            told = "%s has already finished training (step %d): evaluating it again; "
            advice = (
                "to train further, raise training.max_minutes, max_epochs, max_steps or patience"
            )
            log.info(told + advice, run, state.progress.step)
        with asked_to_stop() as stop:
            trainer.train(stop)
        if stop.received is not None:
            message = "stopped by %s at step %d and saved; continue with: %s"
            name = "Ctrl-C" if stop.received is signal.SIGINT else stop.received.name
            log.info(message, name, state.progress.step, resume_command(run))
            raise Stopped(stop.received)
        with saved_anyway("averaging the last checkpoints", redo=resume_command(run)):
            average(trainer)
