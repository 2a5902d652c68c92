"""The end of a run: average, lexicon, evaluation, summary. No failure here can lose a model."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from nmt.commands import evaluate_command, pick_example, resume_command
from nmt.config import Config
from nmt.data.encoded import Prepared
from nmt.data.lexicon import build_lexicon
from nmt.decoding.parts import warn_of_cut
from nmt.decoding.shortlist import Shortlist
from nmt.errors import reason
from nmt.evaluation.alignment import (
    Aligner,
    HeadAlignment,
    same_head,
    save_aligner,
    select_head,
)
from nmt.evaluation.metrics import Scorer, Scores, merit
from nmt.evaluation.report import Evaluation, evaluate, head_alignments
from nmt.models.seq2seq import Seq2Seq, count_parameters
from nmt.screen import activity
from nmt.training.checkpoint import (
    find_checkpoint,
    is_sound,
    point,
    save_checkpoint,
)
from nmt.training.files import write_whole
from nmt.training.lexicon import make_shortlist, save_lexicon
from nmt.training.report import Summary
from nmt.training.seen import load_seen, settled, splitting_of
from nmt.training.state import State
from nmt.training.trainer import Trainer
from nmt.training.weights import WEIGHTS, average_weights, load_weights

log = logging.getLogger(__name__)


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
    best, again = find_checkpoint(run, "best"), resume_command(run)
    load_weights(state.model, best / WEIGHTS)
    name = "test" if prepared.test.source else "validation"
    shortlist, evaluation, selected = None, None, Aligner()
    with saved_anyway("learning the lexicon for --shortlist", redo=again):
        shortlist = keep_lexicon(config, run, prepared, state.model.device)
    log.info("translating the %s set with the weights of %s", name, best)
    with saved_anyway(f"the evaluation on the {name} set", redo=evaluate_command(run)):
        evaluation = evaluated(config, run, prepared, state.model, name, shortlist)
    heads = [] if evaluation is None else evaluation.heads
    with saved_anyway("writing alignment.json", redo=again):
        selected = keep_aligner(run, prepared, state.model, {name: heads})
    summary = summary_of(config, run, state, name, evaluation, selected)._replace(
        checkpoint=best.name, example=pick_example(getattr(prepared, name).source)
    )
    with saved_anyway("writing summary.json", redo=again):
        text = json.dumps(summary._asdict(), indent=2) + "\n"
        write_whole(run / "summary.json", text.encode())
    return summary


def evaluated(
    config: Config,
    run: Path,
    prepared: Prepared,
    model: Seq2Seq,
    name: str,
    shortlist: Shortlist | None,
) -> Evaluation:
    """The evaluation of the model on the split called `name`."""
    split, seen = getattr(prepared, name), load_seen(run)
    language, decoding = config.data.target_language, settled(config.decoding, seen)
    with activity(f"translating the {name} set", len(split.source)) as bar:
        evaluation = evaluate(
            model,
            prepared.tokenizers,
            split,
            decoding,
            splitting=splitting_of(config, seen, whole=True),
            language=language,
            scorer=Scorer([split.target], config=config.evaluation, language=language),
            shortlist=shortlist,
            progress=bar.advance,
        )
    warn_of_cut(evaluation.cut, len(split.source), decoding)
    return evaluation


def summary_of(
    config: Config,
    run: Path,
    state: State,
    name: str,
    evaluation: Evaluation | None,
    selected: Aligner,
) -> Summary:
    """The results of a run; without an evaluation, those of the training alone."""
    scores: Scores = {} if evaluation is None else evaluation.scores
    head = None if evaluation is None else same_head(evaluation.heads, selected)
    bleu, chrf, progress = scores.get("bleu"), scores.get("chrf"), state.progress
    return Summary(
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
        checkpoint="",
        example=None,
        parameters=count_parameters(state.model),
        steps=progress.step,
        seconds=round(progress.seconds, 1),
        target_tokens_per_second=round(
            progress.target_tokens / max(progress.update_seconds, 1e-9), 1
        ),
    )


def keep_aligner(
    run: Path, prepared: Prepared, model: Seq2Seq, known: dict[str, list[HeadAlignment]]
) -> Aligner:
    """Selects the head that aligns best on the validation set and stores it in the run.

    If the validation set has no true alignments, the test set selects the head, which flatters
    the error rate there. `known` holds the heads of splits that have been compared already.
    """
    heads = known.get("validation")
    if not heads:
        with activity("aligning the validation set"):
            heads = head_alignments(model, prepared.tokenizers, prepared.validation)
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
    with activity("learning a lexicon"):
        lexicon = build_lexicon(prepared, config.training.seed)
    save_lexicon(run, lexicon)
    count = config.decoding.shortlist
    return make_shortlist(lexicon, count, prepared.tokenizers, device) if count else None
