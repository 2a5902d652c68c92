"""From a config to a finished run: prepare, train, choose the weights, test, sum up."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

from nmt.compose import run_config, save_config
from nmt.config import Config
from nmt.data.encoded import Prepared, prepare
from nmt.data.tokenizer import Tokenizers
from nmt.device import start_torch
from nmt.evaluation.report import evaluate
from nmt.models import build_model
from nmt.models.seq2seq import count_parameters
from nmt.training.checkpoint import (
    average_weights,
    check_name,
    checkpoints,
    create_run,
    find_checkpoint,
    load_training,
    load_weights,
    point,
    save_checkpoint,
)
from nmt.training.report import Report, Summary
from nmt.training.trainer import Trainer

log = logging.getLogger(__name__)


def train(config: Config) -> Summary:
    """Trains a new run, or continues the one that `config.resume` names."""
    run = Path(config.resume) if config.resume else None
    saved = dataclasses.replace(config, resume=None)  # and checked again, as fields may be set
    if run is not None:
        run_config(run)  # a clear word if it is no run
    else:
        check_name(config)  # before a corpus is prepared, which may take long
    device = start_torch(config.training)
    tokenizers = Tokenizers.load(run) if run else None
    prepared = prepare(config.data, config.training.seed, tokenizers)
    sizes = prepared.tokenizers.source.size, prepared.tokenizers.target.size
    model = build_model(config.model, *sizes).to(device)
    checkpoint = find_checkpoint(run, "last") if run else None
    run = run or create_run(config)
    save_config(saved, run / "config.yaml")
    prepared.tokenizers.save(run)
    log.info("run %s: %s parameters on %s", run, f"{count_parameters(model):,}", device)
    with Report(run) as report:
        trainer = Trainer(config, run, prepared, model=model, report=report)
        if checkpoint is not None:
            load_weights(model, checkpoint)
            trainer.resume(load_training(checkpoint))
        trainer.train()
        average(trainer, run)
    return finish(config, trainer, prepared)


def average(trainer: Trainer, run: Path) -> None:
    """Averages the last checkpoints (Vaswani et al. 2017, section 6.1) where that is better."""
    last = checkpoints(run)[-trainer.config.average :]
    if trainer.config.average < 2 or len(last) < 2:
        return
    average_weights(trainer.model, last)
    evaluation = evaluate(
        trainer.model, trainer.prepared.tokenizers, trainer.validation, trainer.greedy, aer=False
    )
    bleu, best = evaluation.scores.bleu, trainer.progress.best_bleu
    log.info("average of the last %d checkpoints: bleu %.2f, best %.2f", len(last), bleu, best)
    saved = save_checkpoint(run, "averaged", trainer.model, None)
    if bleu > best:
        point(run, "best", saved)


def finish(config: Config, trainer: Trainer, prepared: Prepared) -> Summary:
    """Tests the best checkpoint and writes summary.json."""
    best = find_checkpoint(trainer.run, "best")
    load_weights(trainer.model, best)
    name, split = (
        ("test", prepared.test) if prepared.test.source else ("validation", prepared.validation)
    )
    log.info("translating the %s set with the weights of %s", name, best)
    evaluation = evaluate(trainer.model, prepared.tokenizers, split, config.decoding)
    progress, head = trainer.progress, evaluation.best_head
    summary = Summary(
        run=str(trainer.run),
        split=name,
        bleu=round(evaluation.scores.bleu, 2),
        chrf=round(evaluation.scores.chrf, 2),
        aer=None if evaluation.aer is None else round(evaluation.aer, 4),
        best_head=None if head is None else head.name,
        signature=evaluation.scores.signatures["bleu"],
        checkpoint=best.name,
        example=split.source[0],
        parameters=count_parameters(trainer.model),
        steps=progress.step,
        seconds=round(progress.seconds, 1),
        target_tokens_per_second=round(
            progress.target_tokens / max(progress.update_seconds, 1e-9), 1
        ),
    )
    file = trainer.run / "summary.json"
    file.write_text(json.dumps(summary._asdict(), indent=2) + "\n", encoding="utf-8")
    return summary
