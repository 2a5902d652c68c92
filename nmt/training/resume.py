"""Going on with a run: from which state, and what of its settings must be as it was."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from nmt.config import Config, UserError, require
from nmt.data.encoded import Prepared
from nmt.models import build_model
from nmt.training.checkpoint import (
    TRAINING,
    find_checkpoint,
    is_sound,
    load_training,
    point,
)
from nmt.training.progress import Progress
from nmt.training.state import State, corpus_key
from nmt.training.weights import WEIGHTS, restore_model

log = logging.getLogger(__name__)

SECTIONS = ("model", "data", "training", "decoding")
# What a position among the batches, a vocabulary and the shapes of the weights depend on.
FIXED = ("model.", "data.", "training.seed", "training.batch_tokens")


def fresh_state(config: Config, prepared: Prepared, device: torch.device) -> State:
    """Before the first update, from the seed."""
    torch.manual_seed(config.training.seed)
    return State(config, build_model(config.model, *vocabularies(prepared)).to(device))


def restored_state(
    config: Config, run: Path, prepared: Prepared, device: torch.device, checkpoint: Path
) -> State:
    """What a sound checkpoint holds.

    Raises `UserError` where config and corpus are not those it came from, before anything is
    changed in the run.
    """
    saved = load_training(checkpoint)
    check_settings(run, saved.get("config"), config)
    require(
        saved.get("corpus") == corpus_key(prepared),
        f"{run} cannot go on: the training pairs of its corpus are not those it has learnt from",
    )
    model = restore_model(config.model, vocabularies(prepared), checkpoint / WEIGHTS)
    state = State(config, model.to(device))
    try:
        state.load(saved)
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise UserError(
            f"{checkpoint / TRAINING} is damaged: it does not hold what this program saves"
        ) from error
    settle_best(run, checkpoint, state.progress)
    return state


def vocabularies(prepared: Prepared) -> tuple[int, int]:
    return prepared.tokenizers.source.size, prepared.tokenizers.target.size


def check_settings(run: Path, before: object, config: Config) -> None:
    """Tells what changes from now on. Raises `UserError` for what cannot."""
    require(isinstance(before, dict), f"{run} cannot go on: its checkpoint has no config")
    for key, old, new in changes(before, dataclasses.asdict(config)):  # type: ignore[arg-type]
        if key.startswith(FIXED):
            raise UserError(
                f"resume={run} keeps {key} as it was: {old!r} cannot become {new!r} in a run that "
                "goes on, only in a new one"
            )
        log.info("%s: %r -> %r", key, old, new)


def changes(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[tuple[str, object, object]]:
    """The keys whose values differ, such as `training.keep`, with the old and the new one."""
    old, new = (dict(_flat(section)) for section in (before, after))
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield key, old.get(key), new.get(key)


def _flat(config: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for section in SECTIONS:
        yield from _walk(section, config.get(section))


def _walk(prefix: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _walk(f"{prefix}.{key}", inner)
    else:
        yield prefix, value


def settle_best(run: Path, newest: Path, progress: Progress) -> None:
    """Makes `best` and the best BLEU agree, whatever happened to what `best` named.

    It may be lost, then the newest checkpoint takes its place. So it does where a process died
    before it could point to it. The average of a run that had ended already may be better than
    anything since.
    """
    bleu = named_bleu(run)
    if bleu < progress.best_bleu:
        point(run, "best", newest)
        bleu = progress.bleu
    progress.best_bleu = bleu


def named_bleu(run: Path) -> float:
    """On the validation set, of the checkpoint that `best` names; -1 where there is none."""
    try:
        best = find_checkpoint(run, "best")
    except UserError:
        return -1.0
    return float(load_training(best)["progress"]["bleu"]) if is_sound(best) else -1.0
