"""A step of the optimizer: accumulation, clipping."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch

from nmt.config import Config
from nmt.data.batch import Batch
from nmt.models import build_model
from nmt.training import update
from nmt.training.update import Updater

MakeConfig = Callable[..., Config]
MODELS = ("transformer", "rnn")
V = 300


def updater(config: Config) -> Updater:
    torch.manual_seed(1)
    return Updater(build_model(config.model, V, V), config.training)


@pytest.mark.parametrize("model", MODELS)
def test_accumulated_batches_are_one_large_batch(make_config: MakeConfig, model: str) -> None:
    config = make_config(model, clip=0.0)
    config.model.dropout = config.model.attention.dropout = 0.0
    generator = torch.Generator().manual_seed(2)
    source = torch.randint(4, 300, (6, 7), generator=generator)
    target = torch.randint(4, 300, (6, 8), generator=generator)
    target[:2, 5:] = 0  # labels of different count in the two batches
    rows = (slice(0, 2), slice(2, 6))
    whole, parts = (updater(config) for _ in range(2))
    kept: list[list[torch.Tensor]] = []
    for made in (whole, parts):
        # Adam makes a full step of any gradient that is not quite zero: compare the gradients.
        made.optimizer.step = lambda *_, made=made, **__: kept.append(gradients(made))  # type: ignore
    one = whole.update([Batch(source, target)], rate=1e-3)
    two = parts.update([Batch(source[each], target[each]) for each in rows], rate=1e-3)
    torch.testing.assert_close(one.sums, two.sums)
    torch.testing.assert_close(one.gradient_norm, two.gradient_norm)
    assert one[2:] == two[2:]
    torch.testing.assert_close(*kept)


@pytest.mark.parametrize("model", MODELS)
def test_a_large_batch_goes_through_in_parts(
    make_config: MakeConfig, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(model, clip=0.0)
    config.model.dropout = config.model.attention.dropout = 0.0
    generator = torch.Generator().manual_seed(2)
    batch = Batch(*(torch.randint(4, 300, (7, width), generator=generator) for width in (9, 6)))
    kept, norms, seen = [], [], []
    for part in (63, 62, 18, 1):  # padded tokens: 7 x 9 is the whole
        monkeypatch.setattr(update, "PART", part)
        made = updater(config)
        made.optimizer.step = lambda *_, made=made, **__: kept.append(gradients(made))  # type: ignore
        rows: list[int] = []
        made.model.register_forward_pre_hook(lambda _, given, rows=rows: rows.append(len(given[0])))
        norms.append(made.update([batch], rate=1e-3).gradient_norm)
        seen.append(rows)
    assert seen == [[7], [4, 3], [2, 2, 2, 1], [1] * 7]
    for others in kept[1:]:
        torch.testing.assert_close(others, kept[0])
    torch.testing.assert_close(norms, [norms[0]] * 4)


def test_the_norm_is_that_of_all_gradients(make_config: MakeConfig) -> None:
    made = updater(make_config())
    made.loss(Batch(*(torch.randint(4, 300, (6, 7)) for _ in range(2))))[0].backward()
    made.optimizer.matrices[0].grad = None
    whole = torch.cat([each.flatten() for each in gradients(made)]).norm()
    torch.testing.assert_close(made.optimizer.gradient_norm(), whole)
    made.optimizer.forget_gradients()
    assert not gradients(made) and made.optimizer.gradient_norm() == 0


def gradients(updater: Updater) -> list[torch.Tensor]:
    parameters = updater.model.parameters()
    return [each.grad.clone() for each in parameters if each.grad is not None]


def test_gradients_are_clipped(make_config: MakeConfig) -> None:
    tokens = torch.randint(4, 300, (6, 7), generator=torch.Generator().manual_seed(2))
    logged, used = [], []
    for clip in (0.0, 0.01):
        config = make_config(clip=clip)
        config.model.dropout = config.model.attention.dropout = 0.0
        made = updater(config)
        logged.append(float(made.update([Batch(tokens, tokens)], rate=1e-3).gradient_norm))
        # After the first step the averages are the gradients that it used, times 1 - beta1.
        averages = [memory.exp_avg.norm() for memory in made.optimizer.memory]
        used.append(float(torch.stack(averages).norm()) / (1 - config.training.beta1))
    assert logged[0] == pytest.approx(logged[1], rel=1e-5), "what is logged is the norm before"
    assert used[0] == pytest.approx(logged[0], rel=1e-5)
    assert used[1] == pytest.approx(0.01, rel=1e-3)


# A device that computes shapes and no values: whatever would wait for a GPU's answer fails on it.
VALUELESS = "meta"


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("score", ["additive", "scaled_dot"])
@pytest.mark.parametrize("model", MODELS)
def test_a_step_waits_for_no_answer_of_the_device(
    make_config: MakeConfig,
    model: str,
    score: str,
    accumulate: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.is_autocast_enabled", lambda _: False)  # it knows no such device
    monkeypatch.setattr(update, "autocast", lambda *_: nullcontext())
    config = make_config(model, precision="fp32", clip=1.0)
    config.model.attention.score = score
    made = Updater(build_model(config.model, V, V).to(VALUELESS), config.training)
    batch = Batch(*(torch.randint(4, 300, (5, width)) for width in (7, 8)))
    found = made.update([batch] * accumulate, rate=1e-3)
    assert found.sums.device.type == found.gradient_norm.device.type == VALUELESS
    with pytest.raises(RuntimeError, match="meta"):
        found.gradient_norm.item()
