"""Resuming a run: the state to continue from, and the settings that must not have changed."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from nmt.compose import MOVABLE
from nmt.config import BEFORE, Config
from nmt.data.encoded import Prepared
from nmt.errors import UserError, require
from nmt.initial import origin_of
from nmt.models import build_model
from nmt.models.seq2seq import count_parameters
from nmt.training.checkpoint import (
    TRAINING,
    check_run,
    check_sound,
    checkpoints,
    find_checkpoint,
    is_sound,
    load_training,
    merit_of,
    named_best,
    newest_sound,
    point,
)
from nmt.training.files import must_write
from nmt.training.progress import Progress
from nmt.training.recovery import SLOWER, Diverged
from nmt.training.state import State, changed_parts
from nmt.training.weights import WEIGHTS, restore_model

log = logging.getLogger(__name__)

SECTIONS = ("model", "data", "training", "decoding", "evaluation")
# Keys that the order of the batches, the vocabulary, the shapes of the weights or the comparability
# of the scores depend on.
FIXED = ("model.", "data.", "training.seed", "training.batch_tokens", "evaluation.")


def fresh_state(config: Config, prepared: Prepared, device: torch.device) -> State:
    """The state before the first update: random weights, or those of the run `config.init_from`."""
    torch.manual_seed(config.training.seed)
    if config.init_from is None:
        return State(config, build_model(config.model, *vocabularies(prepared)).to(device))
    folder = check_weights(config.init_from)
    model = restore_model(config.model, vocabularies(prepared), folder / WEIGHTS)
    sizes = " and ".join(f"{size:,}" for size in dict.fromkeys(vocabularies(prepared)))
    message = "starting from %s: %s with %s parameters, vocabulary of %s pieces, %s into %s"
    languages = config.data.source_language, config.data.target_language
    log.info(message, folder, config.model.name, f"{count_parameters(model):,}", sizes, *languages)
    return State(config, model.to(device))


def check_weights(init_from: str) -> Path:
    """The checkpoint that a new run starts from. Raises `UserError` if it is damaged."""
    run, checkpoint = origin_of(init_from)
    check_run(run)
    folder = find_checkpoint(run, checkpoint)
    check_sound(run, folder)
    return folder


def state_at(
    checkpoint: Path | None, config: Config, run: Path, prepared: Prepared, device: torch.device
) -> State:
    """The state in a checkpoint, or a fresh one if none has been saved yet."""
    if checkpoint is None:
        log.info("%s has no checkpoint yet: starting from the beginning", run)
        return fresh_state(config, prepared, device)
    return restored_state(config, run, prepared, device, checkpoint)


def gone_back(
    config: Config, run: Path, prepared: Prepared, device: torch.device, error: Diverged
) -> State:
    """The state in the newest intact checkpoint, with a lower learning rate.

    Raises `UserError` with advice if the learning rate has been lowered before.
    """
    require(error.progress.rate_scale == 1.0, error.advice)
    state = state_at(newest_sound(run), config, run, prepared, device)
    state.progress.rate_scale = SLOWER
    state.progress.seconds = error.progress.seconds
    state.pace.forget_plan(state.progress.step)  # less time is left than it assumes
    message = "%s: continuing from step %d with the learning rate times %g"
    log.warning(message, error, state.progress.step, SLOWER)
    return state


def restored_state(
    config: Config, run: Path, prepared: Prepared, device: torch.device, checkpoint: Path
) -> State:
    """The state in an intact checkpoint.

    Raises `UserError` if config or corpus have changed since, before anything in the run changes.
    """
    saved = load_training(checkpoint)
    check_settings(run, saved.get("config"), config)
    changed = changed_parts(saved.get("corpus"), prepared)
    require(
        not changed,
        f"cannot resume {run}: its {' and '.join(changed)} data have changed; to train on other "
        f"data, start a new run with init_from={run}",
    )
    model = restore_model(config.model, vocabularies(prepared), checkpoint / WEIGHTS)
    state = State(config, model.to(device))
    try:
        state.load(saved)
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise UserError(
            f"{checkpoint / TRAINING} is damaged: it is not a training state of this program"
        ) from error
    metric = config.training.metric
    before = saved["config"]["training"].get("metric", BEFORE["training.metric"])
    with must_write(run):
        settle_best(run, state.progress, metric, is_new=metric != before)
    return state


def vocabularies(prepared: Prepared) -> tuple[int, int]:
    return prepared.tokenizers.source.size, prepared.tokenizers.target.size


def check_settings(run: Path, before: object, config: Config) -> None:
    """Logs the settings that change from now on. Raises `UserError` for those that cannot."""
    require(isinstance(before, dict), f"cannot resume {run}: its checkpoint has no config")
    for key, old, new in changes(before, dataclasses.asdict(config)):  # type: ignore[arg-type]
        if key.startswith(FIXED) and key not in MOVABLE:
            raise UserError(
                f"cannot change {key} from {old!r} to {new!r} when resuming {run}: only a new run "
                "can have another value"
            )
        log.info("%s: %r -> %r", key, old, new)


def changes(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[tuple[str, object, object]]:
    """The keys whose values differ, such as `training.keep`, with the old and the new one.

    Keys that only one of them has come from another version of the program and do not count.
    """
    old, new = (dict(_flat(config)) for config in (before, after))
    for key in sorted(old.keys() & new.keys()):
        if old[key] != new[key]:
            yield key, old[key], new[key]


def _flat(config: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for section in SECTIONS:
        yield from _walk(section, config.get(section))


def _walk(prefix: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _walk(f"{prefix}.{key}", inner)
    else:
        yield prefix, value


def settle_best(run: Path, progress: Progress, metric: str, *, is_new: bool = False) -> None:
    """Makes `best` name the best checkpoint, and `progress` agree with it.

    They may disagree: `best` may be lost, the program may have died before it named a better one,
    and a new `metric` may prefer another. The average at the end of a run may beat all checkpoints.
    """
    best = named_best(run)
    at = int(best.name) if best is not None and best.name.isdigit() else progress.best_step
    if is_new or (merit_of(best, metric), at) < (progress.best, progress.best_step):
        sound = [folder for folder in checkpoints(run) if is_sound(folder)]
        top = max(sound, key=lambda folder: (merit_of(folder, metric), *_age(folder)))
        # Checkpoints from before the metric existed have no score by it.
        is_known = merit_of(top, metric) > -math.inf
        if best is None or (is_known and merit_of(top, metric) >= merit_of(best, metric)):
            best = top
            point(run, "best", best)
    progress.best = merit_of(best, metric)
    if is_new:
        progress.since_best = 0
        log.info("the best checkpoint is selected by %s from now on", metric)


def _age(checkpoint: Path) -> tuple[bool, int]:
    """Whether the weights themselves were validated, which counts first, and the step."""
    step = int(checkpoint.name)
    return load_training(checkpoint)["progress"].get("validations", [])[-1:] == [step], step
