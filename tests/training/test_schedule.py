"""The learning rate over the steps of a run, whatever limits it has."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from nmt.config import TrainingConfig
from nmt.errors import UserError
from nmt.training.schedule import (
    describe_schedule,
    learning_rate,
    position,
    step_limit,
    validation_interval,
    warn_of_warmup,
)

SCHEDULES = ("inverse_sqrt", "cosine", "constant")


def knobs(**given: Any) -> TrainingConfig:
    return TrainingConfig(**{"learning_rate": 0.5, "max_steps": 1000, **given})


def rate(step: int, before: float = 0.0, **given: Any) -> float:
    return learning_rate(knobs(**given), step, before, before)


def rates(**given: Any) -> list[float]:
    """Of each update of a run that is limited by its steps."""
    config = knobs(**given)
    steps = config.max_steps or 5000
    places = [position(config, step, 0, corpus_pairs=1) for step in range(steps + 1)]
    return [
        learning_rate(config, step, *places[step - 1 : step + 1]) for step in range(1, steps + 1)
    ]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warm_up_is_a_straight_line_to_the_peak(schedule: str) -> None:
    for step in (1, 7, 50, 100):
        found = rate(step, warmup_steps=100, schedule=schedule)
        assert found == pytest.approx(0.5 * step / 100)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [{"warmup_steps": 0}, {"warmup_steps": 1}, {"warmup": 0.0}])
def test_without_warm_up_the_first_rate_is_the_peak(schedule: str, warmup: dict[str, Any]) -> None:
    assert rate(1, **warmup, schedule=schedule) == 0.5


def test_inverse_square_root() -> None:
    given = {"warmup_steps": 100, "schedule": "inverse_sqrt"}
    assert max(rate(step, **given) for step in range(1, 1000)) == rate(100, **given) == 0.5
    assert rate(400, **given) == pytest.approx(0.25)
    assert rate(2000, **given) / rate(8000, **given) == pytest.approx(2.0)


def test_cosine_falls_to_zero_at_the_limit() -> None:
    given = {"warmup_steps": 10, "schedule": "cosine"}
    found = [rate(1000, share / 10, **given) for share in range(11)]
    assert found == sorted(found, reverse=True)
    assert found[0] == 0.5 and found[5] == pytest.approx(0.25)
    assert found[10] == pytest.approx(0, abs=1e-12)
    assert rate(1000, 1.5, **given) == pytest.approx(0, abs=1e-12)


def test_constant_is_constant() -> None:
    assert {
        rate(step, step / 1000, warmup_steps=10, schedule="constant") for step in (10, 900)
    } == {0.5}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("max_steps", [20, 100, 700, 5000])
def test_a_short_run_warms_up_too(schedule: str, max_steps: int) -> None:
    """Within a tenth of its steps, and as if that many had been set explicitly."""
    found = rates(max_steps=max_steps, schedule=schedule)
    assert found == pytest.approx(
        rates(max_steps=max_steps, schedule=schedule, warmup_steps=max_steps // 10)
    )
    assert max(found) > 0.48


def test_a_long_run_warms_up_for_a_thousand_steps() -> None:
    for limits in ({"max_steps": 100_000}, {"max_steps": None, "max_epochs": None}):
        found = [rate(step, **limits, schedule="inverse_sqrt") for step in (1, 500, 1000, 4000)]
        assert found == pytest.approx([0.0005, 0.25, 0.5, 0.25])


def test_an_explicit_share_holds_for_a_long_run_too() -> None:
    config = knobs(max_steps=100_000, warmup=0.2, schedule="constant")
    for step in (1, 10_000, 20_000, 90_000):
        share = step / 100_000
        found = learning_rate(config, step, 0.0, share)
        assert found == pytest.approx(0.5 * min(1, share / 0.2))


def test_the_default_decays_to_zero_where_the_end_is_set() -> None:
    assert rates(max_steps=50)[-1] < 0.005
    for limits in ({"max_steps": 10}, {"max_minutes": 3.0}):
        assert "cosine" in describe_schedule(TrainingConfig(**limits))
    for limits in ({}, {"max_epochs": 5}, {"max_epochs": None}):
        assert "inverse square root" in describe_schedule(TrainingConfig(**limits))


def test_share_and_steps_exclude_each_other() -> None:
    with pytest.raises(UserError, match=r"warmup=0\.1 and training\.warmup_steps=5 exclude"):
        TrainingConfig(warmup=0.1, warmup_steps=5)


def test_the_position_is_that_of_the_nearest_limit() -> None:
    config = knobs(max_steps=100, max_epochs=10)
    assert position(config, 10, 300, corpus_pairs=100) == 0.3
    assert position(config, 50, 300, corpus_pairs=100) == 0.5
    assert position(config, 50, 300, corpus_pairs=100, timed=0.7) == 0.7
    assert position(config, 500, 0, corpus_pairs=100) == 1.0


def test_how_many_steps_a_run_has() -> None:
    assert step_limit(knobs(max_steps=30, max_epochs=None), 10**9) == 30
    config = knobs(max_steps=None, max_epochs=4, batch_tokens=100, accumulate=2)
    assert step_limit(config, 10_000) == 200
    assert step_limit(knobs(max_steps=None, max_epochs=None), 10_000) == float("inf")


def test_a_run_is_validated_ten_times_and_every_500_steps() -> None:
    found = [validation_interval(knobs(), steps) for steps in (7, 100, 1234, 5000, 10**6)]
    assert found == [10, 10, 124, 500, 500]
    assert validation_interval(knobs(validate_every=7), 10**6) == 7


def test_a_warm_up_too_long_for_the_run_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_warmup(knobs(warmup_steps=300), 1000)
        warn_of_warmup(knobs(), 10)
        assert not caplog.messages
        warn_of_warmup(knobs(warmup_steps=1000), 1250.3)
    (told,) = caplog.messages
    assert told.startswith("training.warmup_steps=1000 is long for a run of about 1250 steps")
    assert "training.warmup_steps=null" in told


def test_the_schedule_in_one_line() -> None:
    assert describe_schedule(TrainingConfig(max_minutes=3.0, max_epochs=None)) == (
        "learning rate 0.001 after a warm-up of 10% of the run (at most 1,000 steps), then a "
        "cosine to zero at 3 minutes; validation about 10 times, and at least every 500 steps"
    )
    patience = TrainingConfig(max_epochs=None, schedule="constant", validate_every=50)
    assert describe_schedule(patience) == (
        "learning rate 0.001 after a warm-up of 1,000 steps, then constant; "
        "validation every 50 steps"
    )
