"""The position in a run with a limit in minutes, as a function of the step.

If the learning rate followed the clock, a run could not be reproduced. So the clock is read only at
a few steps. There a plan sets the share of the run that each of the next steps takes, so that the
last step ends when the time is over. Between two plans the position, and with it the learning
rate, depends on the step alone. The plan is saved with each checkpoint.

A new plan starts from the position that the old one has reached. The position is therefore
continuous, never falls, and ends near 1 even if the speed of the machine changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from nmt.config import TrainingConfig
from nmt.training.progress import Progress
from nmt.training.schedule import validation_interval

MEASURED = 8  # steps needed to measure their speed
STRETCH = 0.1  # share of a run between two plans
SAVING = 0.05  # the largest share of this time that saving may take
VALIDATING = 0.2  # the largest share of the time between validations that they may take


@dataclass
class Pace:
    """The plan, and the measurements for it. Seconds are those of `Progress`."""

    minutes: float = 0.0  # the limit; 0: there is none
    step: int = 0  # of the last plan
    position: float = 0.0  # at that step
    gain: float = 0.0  # the position gained by each step; 0: the speed is not known yet
    measured_step: int = 0  # of the last measurement of the speed
    measured_seconds: float = 0.0  # of all updates up to that step
    step_seconds: float = 0.0  # of one update
    validation_seconds: float = 0.0  # of the last validation
    saving_seconds: float = 0.0  # of the last checkpoint
    validate_every: int = 0  # steps; used if the config has null
    steps: float = 0.0  # of the whole run, approximately; 0: unknown

    def check(self) -> None:
        """Raises `TypeError` or `ValueError` for values that no training can have saved."""
        for entry in fields(self):
            value = getattr(self, entry.name)
            if type(value) is not int and (entry.type == "int" or type(value) is not float):
                raise TypeError(f"{entry.name} has the wrong type")
            if not 0 <= value < math.inf:
                raise ValueError(f"{entry.name} is {value}")

    def at(self, step: int) -> float:
        """The position after `step` updates."""
        return min(1.0, self.position + (step - self.step) * self.gain)

    def aim(self, progress: Progress, config: TrainingConfig, step_limit: float) -> None:
        """Adopts the limits of a config when a run starts or resumes.

        A plan for the same minutes is kept. With other minutes, the position becomes the share of
        them that the run has used.
        """
        minutes = config.max_minutes or 0.0
        if minutes and minutes == self.minutes and self.gain:
            return
        if not self.step_seconds and progress.step:  # from a checkpoint of an earlier version
            self.step_seconds = progress.update_seconds / progress.step
        if minutes != self.minutes:
            share = min(1.0, progress.seconds / 60 / minutes) if minutes and progress.step else 0.0
            self.minutes, self.position, self.step, self.gain = minutes, share, progress.step, 0.0
        self.plan(progress, config, step_limit)

    def forget_plan(self, step: int) -> None:
        """Lets `aim` make a new plan from the position at this step."""
        self.position, self.step, self.gain = self.at(step), step, 0.0

    def is_due(self, progress: Progress, config: TrainingConfig) -> bool:
        """Whether to make a plan between two validations.

        Before the first validation, plans are made at the steps 1, 2, 4, ..., because the first
        steps are slow; step 1 is not measured. Later, a plan is due when a tenth of the run has
        passed, unless a validation is near.
        """
        step = progress.step
        if not self.minutes or step == self.step:
            return False
        if not any(progress.validations) and step & (step - 1) == 0:
            return True
        near = self.until_validation(progress, config) * self.gain < STRETCH / 2
        cheap = self.saving_seconds <= SAVING * STRETCH * 60 * self.minutes
        return cheap and not near and self.at(step) - self.position >= STRETCH

    def plan(self, progress: Progress, config: TrainingConfig, step_limit: float) -> None:
        """Makes a plan by the clock: the gain of the next steps and the validation interval."""
        self.position, self.step = self.at(progress.step), progress.step
        self._measure(progress)
        self.steps = step_limit if step_limit < math.inf else 0.0
        self.validate_every = validation_interval(config, step_limit)
        if not self.minutes or not self.step_seconds:
            return
        seconds = max(0.0, 60 * self.minutes - progress.seconds - self.saving_seconds)
        most = min(step_limit, progress.step + seconds / self.step_seconds)
        self.validate_every = validation_interval(config, most)
        if config.validate_every is None:
            costs = self._validation / VALIDATING / self.step_seconds
            self.validate_every = max(self.validate_every, math.ceil(costs))
        left = self._steps_in(seconds, self.until_validation(progress, config))
        self.gain = (1 - self.position) / max(left, 1.0)
        self.steps = min(step_limit, progress.step + left)

    def until_validation(self, progress: Progress, config: TrainingConfig) -> int:
        """Steps until the next validation, not counting that at the end of the run."""
        every = config.validate_every
        if every is not None:
            return every - progress.step % every
        last = progress.validations[-1] if progress.validations else 0
        return max(0, last + self.validate_every - progress.step)

    @property
    def _validation(self) -> float:
        return self.validation_seconds + self.saving_seconds

    def _measure(self, progress: Progress) -> None:
        steps = progress.step - self.measured_step
        if not steps or steps < min(MEASURED, progress.step / 2):
            return
        if progress.step > 1:
            self.step_seconds = (progress.update_seconds - self.measured_seconds) / steps
        self.measured_step, self.measured_seconds = progress.step, progress.update_seconds

    def _steps_in(self, seconds: float, first: int) -> float:
        """The updates that fit into the seconds, with the next validation after `first` of them."""
        alone = first * self.step_seconds
        rest = seconds - alone - self._validation
        if seconds <= alone or rest <= 0:
            return min(seconds / self.step_seconds, first)
        block = self.validate_every * self.step_seconds + self._validation
        blocks, rest = divmod(rest, block)
        last = min(rest / self.step_seconds, self.validate_every)
        return first + blocks * self.validate_every + last
