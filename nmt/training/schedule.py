"""The learning rate: warm-up and decay as functions of the step and of the position in the run.

The position is the share of the run that is done, in [0, 1]. Steps and epochs give it exactly;
`nmt/training/pace.py` gives it for a limit in minutes.
"""

from __future__ import annotations

import logging
import math
from typing import NamedTuple

from nmt.config import TrainingConfig

log = logging.getLogger(__name__)

WARMUP = 0.1  # share of a run with a limit
WARMUP_STEPS = 1000  # the longest warm-up by default, and that of a run without a limit
LONG_WARMUP = 0.3  # share of the run above which a warm-up causes a warning
FEW_STEPS = 400  # a run with fewer steps hardly learns anything
SMALL_BATCH = 512  # tokens; smaller ones are slower and noisy
VALIDATIONS = 10  # number of validations in a run with a limit
MOST_BETWEEN, FEWEST_BETWEEN = 500, 10  # steps between two validations


class Warmup(NamedTuple):
    """Progress of the warm-up: `done` of `whole`, in steps or in shares of the run."""

    done: float
    whole: float


def learning_rate(config: TrainingConfig, step: int, before: float, after: float) -> float:
    """The rate of update `step`, counted from 1, with the positions `before` and `after` it.

    Linear warm-up, then inverse square root (Vaswani et al. 2017, equation 3, scaled so that
    `learning_rate` is its peak) or constant. The cosine (Loshchilov and Hutter 2017) is half a
    period from the start of the run to zero at its end.
    """
    warmup = warmup_at(config, step, after)
    rate = config.learning_rate * min(1.0, warmup.done / warmup.whole)
    match schedule_of(config):
        case "inverse_sqrt":
            return rate * math.sqrt(warmup.whole / max(warmup.done, warmup.whole))
        case "cosine":
            return rate * 0.5 * (1 + math.cos(math.pi * min(before, 1.0)))
    return rate


def warmup_at(config: TrainingConfig, step: int, position: float) -> Warmup:
    """The warm-up after `step` updates, at a position in the run."""
    if config.warmup_steps is not None:
        return Warmup(step, max(config.warmup_steps, 1))
    if config.warmup == 0:
        return Warmup(step, 1)
    by_steps = Warmup(step, WARMUP_STEPS)
    if position == 0:  # there is no limit, or the pace is not known yet
        return by_steps
    if config.warmup is not None:
        return Warmup(position, config.warmup)
    return max(by_steps, Warmup(position, WARMUP), key=lambda each: each.done / each.whole)


def schedule_of(config: TrainingConfig) -> str:
    """`config.schedule`, with `auto` resolved."""
    if config.schedule != "auto":
        return config.schedule
    return "cosine" if config.max_steps or config.max_minutes else "inverse_sqrt"


def position(
    config: TrainingConfig, step: int, pairs: int, *, corpus_pairs: int, timed: float = 0.0
) -> float:
    """The position by the nearest limit; `timed` is the position by the limit in minutes."""
    used = (step, config.max_steps), (pairs / corpus_pairs, config.max_epochs)
    return min(1.0, max(timed, *(amount / limit if limit else 0.0 for amount, limit in used)))


def step_limit(config: TrainingConfig, corpus_tokens: int) -> float:
    """The approximate number of updates that max_steps and max_epochs allow; inf without both."""
    an_epoch = max(1.0, corpus_tokens / config.batch_tokens / config.accumulate)
    by_epochs = an_epoch * config.max_epochs if config.max_epochs else math.inf
    return min(config.max_steps or math.inf, by_epochs)


def validation_interval(config: TrainingConfig, steps: float) -> int:
    """Steps between two validations in a run of about `steps` steps."""
    if config.validate_every is not None:
        return config.validate_every
    return math.ceil(min(MOST_BETWEEN, max(FEWEST_BETWEEN, steps / VALIDATIONS)))


def describe_schedule(config: TrainingConfig) -> str:
    """`learning rate 0.001 after a warm-up of 10% of the run, ...`, for the log."""
    limits = (
        f"{config.max_steps:,} steps" if config.max_steps else "",
        f"{config.max_epochs} epochs" if config.max_epochs else "",
        f"{config.max_minutes:g} minutes" if config.max_minutes else "",
    )
    end = " or ".join(filter(None, limits))
    decay = {
        "cosine": f"then a cosine to zero at {end}",
        "inverse_sqrt": "then falling with the inverse square root of the step",
        "constant": "then constant",
    }[schedule_of(config)]
    often = f"about {VALIDATIONS} times, and at least " if end else ""
    every = f"{often}every {MOST_BETWEEN} steps"
    if config.validate_every is not None:
        every = f"every {config.validate_every:,} steps"
    return (
        f"learning rate {config.learning_rate:g} after a warm-up of {_warmup(config, end)}, "
        f"{decay}; validation {every}"
    )


def _warmup(config: TrainingConfig, end: str) -> str:
    if config.warmup_steps is not None:
        return f"{config.warmup_steps:,} steps"
    if not end:
        return f"{WARMUP_STEPS:,} steps"
    if config.warmup is not None:
        return f"{100 * config.warmup:g}% of the run"
    return f"{100 * WARMUP:g}% of the run (at most {WARMUP_STEPS:,} steps)"


def warn_of_warmup(config: TrainingConfig, steps: float) -> None:
    """Warns if the user's warm-up is too long for a run of about `steps` steps."""
    chosen = config.warmup_steps
    if chosen is not None and chosen > LONG_WARMUP * steps:
        log.warning(
            "training.warmup_steps=%d is long for a run of about %d steps: the model will learn "
            "little. Set training.warmup_steps=null for a warm-up of %g%% of the run",
            *(chosen, round(steps), 100 * WARMUP),
        )


def warn_of_few_steps(config: TrainingConfig, steps: float) -> None:
    """Warns if the time is too short for the batches, and says how to get more steps."""
    fitting = config.batch_tokens * steps / FEW_STEPS
    if steps < FEW_STEPS and config.batch_tokens > SMALL_BATCH:
        smaller = max(SMALL_BATCH, 1 << int(math.log2(max(fitting, 1))))
        log.warning(
            "only about %d steps of training.batch_tokens=%d fit into the time, too few to learn "
            "much. Use smaller batches (training.batch_tokens=%d), a smaller model such as "
            "model=transformer_tiny, or more minutes",
            *(round(steps), config.batch_tokens, smaller),
        )
