"""From a config to a finished run: prepare, train, choose the weights, evaluate, summarise."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from nmt.allocator import keep_freed_memory
from nmt.commands import evaluate_command, pick_example, resume_command
from nmt.compose import run_config
from nmt.config import Config
from nmt.data.encoded import Prepared, prepare
from nmt.data.lexicon import build_lexicon
from nmt.data.tokenizer import Tokenizers
from nmt.decoding.parts import warn_of_cut
from nmt.decoding.shortlist import Shortlist
from nmt.device import start_torch
from nmt.errors import reason
from nmt.evaluation.alignment import (
    Aligner,
    HeadAlignment,
    same_head,
    save_aligner,
    select_head,
)
from nmt.evaluation.metrics import Score, Scorer, load_bleu, merit
from nmt.evaluation.report import evaluate, head_alignments
from nmt.initial import check_start, origin_of
from nmt.models.seq2seq import Seq2Seq, count_parameters
from nmt.screen import activity
from nmt.training.checkpoint import (
    check_name,
    check_run,
    create_run,
    find_checkpoint,
    is_sound,
    newest_sound,
    point,
    save_checkpoint,
    write_config,
)
from nmt.training.files import must_write, write_whole
from nmt.training.lexicon import make_shortlist, save_lexicon
from nmt.training.lock import locked
from nmt.training.recovery import Diverged
from nmt.training.report import Report, Summary
from nmt.training.resume import check_weights, fresh_state, gone_back, state_at
from nmt.training.seen import Seen, load_seen, settled, splitting_of
from nmt.training.signals import Stopped, asked_to_stop
from nmt.training.state import State
from nmt.training.trainer import Trainer
from nmt.training.weights import WEIGHTS, average_weights, load_weights

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


@contextmanager
def saved_anyway(what: str, *, redo: str) -> Iterator[None]:
    """Turns a failure after the last checkpoint into a warning, because the weights are saved."""
    try:
        yield
    except KeyboardInterrupt:
        log.info(
            "stopped by Ctrl-C before %s; the weights are saved; continue with: %s", what, redo
        )
        raise
    except Exception as error:
        log.warning(
            "%s failed: %s. The weights are saved; to try again: %s",
            *(what, reason(error).rstrip("."), redo),
            exc_info=os.environ.get("NMT_DEBUG") == "1",
        )


def average(trainer: Trainer) -> None:
    """Averages the last checkpoints (Vaswani et al. 2017, section 6.1); kept as best if better."""
    run, progress, count = trainer.run, trainer.state.progress, trainer.config.average
    saved = [run / "checkpoints" / f"{step:08d}" for step in progress.validations[-count:]]
    last = [folder for folder in saved if folder.is_dir() and is_sound(folder)]
    if count < 2 or len(last) < 2:
        return
    average_weights(trainer.state.model, [folder / WEIGHTS for folder in last])
    metric, sentences = trainer.config.metric, len(trainer.validator.split.source)
    with activity("validating the average of the last checkpoints", sentences) as bar:
        scores = trainer.validator.scores(bar.advance)
    gained = merit(metric, scores[metric])
    message = "averaging the last %d checkpoints gives %s %.3f; %s the best checkpoint (%.3f)"
    verb = "replacing" if gained > progress.best else "keeping"
    log.info(message, len(last), metric, scores[metric], verb, abs(progress.best))
    if gained <= progress.best and find_checkpoint(run, "best").name == "averaged":
        return  # an average from before the run was resumed, and better
    training = {"progress": {"scores": scores}}
    folder = save_checkpoint(run, "averaged", trainer.state.model, training)
    if gained > progress.best:
        progress.best = gained
        point(run, "best", folder)


def finish(config: Config, run: Path, prepared: Prepared, state: State) -> Summary:
    """Evaluates the best checkpoint. Writes summary.json, the head that aligns best and a lexicon
    for shortlists."""
    best = find_checkpoint(run, "best")
    load_weights(state.model, best / WEIGHTS)
    name, split = (
        ("test", prepared.test) if prepared.test.source else ("validation", prepared.validation)
    )
    shortlist, evaluation, again = None, None, resume_command(run)
    with saved_anyway("the lexicon for --shortlist", redo=again), activity("learning a lexicon"):
        shortlist = keep_lexicon(config, run, prepared, state.model.device)
    log.info("translating the %s set with the weights of %s", name, best)
    seen = load_seen(run)
    with (
        saved_anyway(f"the evaluation on the {name} set", redo=evaluate_command(run)),
        activity(f"translating the {name} set", len(split.source)) as bar,
    ):
        evaluation = evaluate(
            state.model,
            prepared.tokenizers,
            split,
            settled(config.decoding, seen),
            splitting=splitting_of(config, seen, whole=True),
            language=config.data.target_language,
            scorer=Scorer(
                [split.target], config=config.evaluation, language=config.data.target_language
            ),
            shortlist=shortlist,
            progress=bar.advance,
        )
    if evaluation is not None:
        warn_of_cut(evaluation.cut, len(split.source), settled(config.decoding, seen))
    heads, selected = [] if evaluation is None else evaluation.heads, Aligner()
    with saved_anyway("alignment.json", redo=again), activity("aligning the validation set"):
        selected = keep_aligner(run, prepared, state.model, {name: heads})
    progress, head = state.progress, same_head(heads, selected)
    scores: Mapping[str, Score] = {} if evaluation is None else evaluation.scores
    bleu, chrf = scores.get("bleu"), scores.get("chrf")
    summary = Summary(
        run=str(run),
        split=name,
        bleu=None if bleu is None else round(bleu.value, 2),
        chrf=None if chrf is None else round(chrf.value, 2),
        aer=None if head is None else round(head.aer, 4),
        best_head=None if head is None else head.name,
        head_selected_on=None if head is None else selected.split,
        signature="" if bleu is None else bleu.signature,
        chrf_signature="" if chrf is None else chrf.signature,
        metric=config.training.metric,
        checkpoint=best.name,
        example=pick_example(split.source),
        parameters=count_parameters(state.model),
        steps=progress.step,
        seconds=round(progress.seconds, 1),
        target_tokens_per_second=round(
            progress.target_tokens / max(progress.update_seconds, 1e-9), 1
        ),
    )
    with saved_anyway("summary.json", redo=again):
        text = json.dumps(summary._asdict(), indent=2) + "\n"
        write_whole(run / "summary.json", text.encode())
    return summary


def keep_aligner(
    run: Path, prepared: Prepared, model: Seq2Seq, known: dict[str, list[HeadAlignment]]
) -> Aligner:
    """Selects the head that aligns best on the validation set and stores it in the run.

    If the validation set has no true alignments, the test set selects the head, which flatters
    the error rate there. `known` holds the heads of splits that have been compared already.
    """
    heads = known.get("validation") or head_alignments(
        model, prepared.tokenizers, prepared.validation
    )
    split = "validation" if heads else "test"
    head = select_head(heads or known.get("test", []))
    if head is None:
        return Aligner()
    if not known.get("test", True):
        message = "%s aligns best on the validation set (AER %.3f); the test set has no alignments"
        log.info(message, head.name, head.aer)
    save_aligner(run, head, split)
    return Aligner(head.layer, head.head, head.reading, split)


def keep_lexicon(
    config: Config, run: Path, prepared: Prepared, device: torch.device
) -> Shortlist | None:
    """Stores the lexicon of the corpus in the run. Returns the shortlist of the config, if any."""
    lexicon = build_lexicon(prepared, config.training.seed)
    save_lexicon(run, lexicon)
    count = config.decoding.shortlist
    return make_shortlist(lexicon, count, prepared.tokenizers, device) if count else None
