"""The training loop as a whole, on a corpus of 240 pairs and models of width 16."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.compose import load_config
from nmt.config import (
    AttentionConfig,
    Config,
    DataConfig,
    DecodingConfig,
    RNNConfig,
    TrainingConfig,
)
from nmt.data.batch import Batch
from nmt.data.batching import plan_batches
from nmt.data.encoded import Prepared
from nmt.evaluation.report import evaluate
from nmt.models import build_model
from nmt.training.checkpoint import (
    checkpoints,
    find_checkpoint,
    load_run,
    load_training,
    load_weights,
)
from nmt.training.launch import Summary, train
from nmt.training.progress import Progress
from nmt.training.report import Report
from nmt.training.trainer import Trainer, first, pick_examples

MakeConfig = Callable[..., Config]
Records = list[dict[str, Any]]
MODELS = ("transformer", "rnn")
# In the middle of an epoch of 10 batches, at its end, and in the middle of the next.
STOPS = (5, 10, 16)


def weights(run: str | Path, name: str = "last") -> dict[str, torch.Tensor]:
    return load_run(run, checkpoint=name, device="cpu").model.state_dict()


def records(run: str | Path, kind: str) -> Records:
    lines = Path(run, "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == kind]


def told(run: str | Path) -> list[tuple[Any, ...]]:
    """What of metrics.jsonl does not depend on the clock."""
    keys = ("step", "loss", "perplexity", "learning_rate", "gradient_norm", "epoch")
    trained = [tuple(record[key] for key in keys) for record in records(run, "train")]
    keys = ("step", "loss", "perplexity", "bleu", "chrf", "aer")
    every = [record for record in records(run, "validation") if record["step"] % 10 == 0]
    return trained + [tuple(record[key] for key in keys) for record in every]


def resumed(run: str | Path, **training: object) -> Summary:
    config = load_config(Path(run, "config.yaml"))
    config.training = dataclasses.replace(config.training, **training)
    config.resume = str(run)
    return train(config)


@pytest.mark.parametrize("model", MODELS)
def test_steps_are_steps_and_a_resumed_rest(make_config: MakeConfig, model: str) -> None:
    knobs = {"validate_every": 10, "keep": 9}
    whole = train(make_config(model, **knobs, max_steps=STOPS[-1])).run
    parts = train(make_config(model, **knobs, max_steps=STOPS[0])).run
    for stop in STOPS[1:]:
        assert resumed(parts, max_steps=stop).steps == stop
    mine, theirs = weights(parts), weights(whole)
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    assert told(parts) == told(whole)


class Killed(Exception):
    pass


@pytest.mark.parametrize("model", MODELS)
def test_a_killed_run_goes_on_from_its_last_checkpoint(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    whole = train(make_config(model, max_steps=10)).run
    log = Report.log

    def failing(self: Report, step: int, *arguments: Any, **options: Any) -> None:
        if step == 7:
            raise Killed
        log(self, step, *arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Report, "log", failing)
        train(make_config(model, name="killed", max_steps=10))
    killed = Path(whole).with_name("killed")
    assert find_checkpoint(killed, "last").name == "00000004"
    resumed(killed)
    mine, theirs = weights(killed), weights(whole)
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


def trainer(config: Config, prepared: Prepared, run: Path, report: Any = None) -> Trainer:
    torch.manual_seed(1)
    sizes = prepared.tokenizers.source.size, prepared.tokenizers.target.size
    model = build_model(config.model, *sizes)
    return Trainer(config, run, prepared, model=model, report=report)


@pytest.mark.parametrize("model", MODELS)
def test_accumulated_batches_are_one_large_batch(
    make_config: MakeConfig, prepared: Prepared, tmp_path: Path, model: str
) -> None:
    config = make_config(model, clip=0.0)
    config.model.dropout = config.model.attention.dropout = 0.0
    generator = torch.Generator().manual_seed(2)
    source = torch.randint(4, 300, (6, 7), generator=generator)
    target = torch.randint(4, 300, (6, 8), generator=generator)
    target[:2, 5:] = 0  # labels of different count in the two batches
    rows = (slice(0, 2), slice(2, 6))
    whole, parts = (trainer(config, prepared, tmp_path) for _ in range(2))
    kept: list[list[torch.Tensor]] = []
    for made in (whole, parts):
        # Adam makes a full step of any gradient that is not quite zero: compare the gradients.
        made.optimizer.step = lambda made=made: kept.append(gradients(made))  # type: ignore
    one = whole._update([Batch(source, target)])
    two = parts._update([Batch(source[each], target[each]) for each in rows])
    torch.testing.assert_close(one.sums, two.sums)
    torch.testing.assert_close(one.gradient_norm, two.gradient_norm)
    assert one[2:] == two[2:]
    torch.testing.assert_close(*kept)


def gradients(trainer: Trainer) -> list[torch.Tensor]:
    parameters = trainer.model.parameters()
    return [each.grad.clone() for each in parameters if each.grad is not None]


def test_accumulation_reads_on_where_it_stopped(
    make_config: MakeConfig, prepared: Prepared
) -> None:
    run = train(make_config(accumulate=3, max_steps=4)).run
    progress = load_training(find_checkpoint(Path(run), "last"))["progress"]
    an_epoch = len(plan_batches(prepared.source_lengths, prepared.target_lengths, 200, 1, 0))
    assert an_epoch == 10
    assert progress["epoch"] * an_epoch + progress["index"] == 12


def test_gradients_are_clipped(make_config: MakeConfig, prepared: Prepared, tmp_path: Path) -> None:
    tokens = torch.randint(4, 300, (6, 7), generator=torch.Generator().manual_seed(2))
    logged, used = [], []
    for clip in (0.0, 0.01):
        config = make_config(clip=clip)
        config.model.dropout = config.model.attention.dropout = 0.0
        made = trainer(config, prepared, tmp_path)
        kept: list[torch.Tensor] = []
        made.optimizer.step = lambda made=made, kept=kept: kept.extend(gradients(made))  # type: ignore
        logged.append(float(made._update([Batch(tokens, tokens)]).gradient_norm))
        used.append(float(torch.stack([each.norm() for each in kept]).norm()))
    assert logged[0] == pytest.approx(logged[1], rel=1e-5), "what is logged is the norm before"
    assert used[0] == pytest.approx(logged[0], rel=1e-5)
    assert used[1] == pytest.approx(0.01, rel=1e-3)


def test_ends_by_steps(make_config: MakeConfig) -> None:
    assert train(make_config(max_steps=3)).steps == 3


def test_ends_by_epochs(make_config: MakeConfig, prepared: Prepared) -> None:
    summary = train(make_config(max_steps=None, max_epochs=2, validate_every=100))
    progress = load_training(find_checkpoint(Path(summary.run), "last"))["progress"]
    assert progress["pairs"] == 2 * len(prepared.source_lengths)
    assert records(summary.run, "train")[-1]["epoch"] == 2.0


def test_ends_by_minutes(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock is ten seconds after the last one."""
    ticks = itertools.count(step=10)
    monkeypatch.setattr("nmt.training.trainer.time.perf_counter", lambda: float(next(ticks)))
    config = make_config(max_steps=None, max_minutes=2.0, validate_every=1000)
    summary = train(config)
    assert 0 < summary.steps <= 12
    assert 120 <= summary.seconds <= 300


def test_ends_without_patience(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    bleu = iter([1.0, 3.0, 2.0, 3.0, 1.0, 0.0, 9.0])
    seen: list[float] = []

    def scored(*arguments: Any, **options: Any) -> Any:
        found = evaluate(*arguments, **options)
        seen.append(next(bleu))
        return found._replace(scores=found.scores._replace(bleu=seen[-1]))

    monkeypatch.setattr("nmt.training.trainer.evaluate", scored)
    run = Path(train(make_config(max_steps=None, patience=3, validate_every=2)).run)
    assert seen == [1.0, 3.0, 2.0, 3.0, 1.0], "equal is not better"
    assert find_checkpoint(run, "best").name == "00000004"
    assert find_checkpoint(run, "last").name == "00000010"


def test_the_last_state_is_validated_and_saved(make_config: MakeConfig) -> None:
    run = train(make_config(max_steps=7, validate_every=3)).run
    assert [record["step"] for record in records(run, "validation")] == [3, 6, 7]
    assert find_checkpoint(Path(run), "last").name == "00000007"


def test_old_checkpoints_are_removed(make_config: MakeConfig) -> None:
    run = Path(train(make_config(max_steps=8, validate_every=1, keep=2)).run)
    found = {folder.name for folder in checkpoints(run)}
    assert found == {"00000007", "00000008", find_checkpoint(run, "best").name}


@pytest.fixture(scope="module")
def done(data: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run long enough that its BLEU and its attention mean something."""
    config = Config(
        runs=str(tmp_path_factory.mktemp("runs")),
        model=RNNConfig(
            width=48,
            embedding=32,
            encoder_width=32,
            dropout=0.0,
            attention=AttentionConfig(score="additive", heads=1, dropout=0.0),
        ),
        data=data,
        training=TrainingConfig(
            device="cpu",
            precision="fp32",
            batch_tokens=400,
            learning_rate=1e-2,
            warmup_steps=10,
            max_steps=120,
            max_epochs=None,
            validate_every=60,
            log_every=7,
            samples=3,
            average=2,
        ),
        decoding=DecodingConfig(beam_size=2),
    )
    return Path(train(config).run)


def test_it_learns(done: Path) -> None:
    first_loss, *_, last_loss = (record["loss"] for record in records(done, "train"))
    assert last_loss < first_loss / 2
    earlier, later = records(done, "validation")
    assert later["bleu"] > 5 and later["perplexity"] < earlier["perplexity"]


def test_metrics_are_what_is_promised(done: Path) -> None:
    keys = {
        *("step", "kind", "epoch", "loss", "perplexity", "learning_rate", "gradient_norm"),
        *("source_tokens_per_second", "target_tokens_per_second", "waiting_for_data"),
    }
    trained = records(done, "train")
    assert all(set(record) == keys for record in trained)
    assert [record["step"] for record in trained] == [*range(7, 120, 7), 120]
    for record in trained:
        assert 0 <= record["waiting_for_data"] <= 1
        assert min(record["gradient_norm"], record["target_tokens_per_second"]) > 0
        assert record["perplexity"] >= 1
    assert max(record["learning_rate"] for record in trained) <= 1e-2
    keys = {"step", "kind", "loss", "perplexity", "bleu", "chrf", "aer"}
    for record in records(done, "validation"):
        assert set(record) == keys
        assert record["perplexity"] == pytest.approx(math.exp(record["loss"]))


def test_pictures_samples_and_curves_are_there(done: Path) -> None:
    for step in ("00000060", "00000120"):
        text = (done / "samples" / f"{step}.txt").read_text(encoding="utf-8")
        assert [text.count(f"{word}: ") for word in ("source", "reference", "model")] == [3] * 3
        for sentence in (1, 2, 3):
            picture = done / "attention" / f"sentence-{sentence}" / f"{step}.png"
            assert picture.read_bytes().startswith(b"\x89PNG")
    assert curves(done) >= {
        *("train/loss", "train/perplexity", "train/learning_rate", "train/gradient_norm"),
        *("train/target_tokens_per_second", "train/waiting_for_data"),
        *("validation/loss", "validation/perplexity", "validation/bleu", "validation/chrf"),
    }


def curves(run: Path) -> set[str]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(run / "tensorboard")).Reload()
    assert "attention/sentence-1" in board.Tags()["images"]
    return set(board.Tags()["scalars"])


@pytest.mark.parametrize("checkpoint", ["60", "120"])
def test_the_bleu_logged_is_that_of_an_evaluation(
    done: Path, prepared: Prepared, checkpoint: str
) -> None:
    run = load_run(done, checkpoint=checkpoint, device="cpu")
    greedy = dataclasses.replace(run.config.decoding, beam_size=1)
    found = evaluate(run.model, run.tokenizers, prepared.validation, greedy)
    logged = next(each for each in records(done, "validation") if each["step"] == int(checkpoint))
    assert (logged["bleu"], logged["chrf"]) == (found.scores.bleu, found.scores.chrf)
    assert logged["aer"] == found.aer


def test_the_loss_logged_is_the_mean_over_the_pieces(done: Path, prepared: Prepared) -> None:
    run = load_run(done, checkpoint="last", device="cpu")
    total, count = 0.0, 0
    for source, target in zip(*prepared.validation[:2], strict=True):
        ids = [run.tokenizers.source.encode(source), run.tokenizers.target.encode(target)]
        with torch.no_grad():
            tokens = torch.tensor([[2, *ids[1]]])
            states = run.model(torch.tensor([ids[0]]), tokens[:, :-1]).states
            log_probs = run.model.output(states).log_softmax(-1)
        total -= float(log_probs.gather(2, tokens[:, 1:, None]).sum())
        count += len(ids[1])
    assert records(done, "validation")[-1]["loss"] == pytest.approx(total / count, rel=1e-4)


def test_the_summary_is_that_of_the_best_checkpoint(done: Path, prepared: Prepared) -> None:
    summary = json.loads((done / "summary.json").read_text())
    run = load_run(done, device="cpu")
    found = evaluate(run.model, run.tokenizers, prepared.test, run.config.decoding)
    assert summary["bleu"] == round(found.scores.bleu, 2)
    assert summary["chrf"] == round(found.scores.chrf, 2)
    assert found.aer is not None and summary["aer"] == round(found.aer, 4)
    assert summary["split"] == "test" and summary["steps"] == 120
    assert summary["signature"] == found.scores.signatures["bleu"]
    assert summary["parameters"] == sum(each.numel() for each in run.model.parameters())
    assert summary["target_tokens_per_second"] > 0 and summary["seconds"] > 0


def test_the_average_is_kept_and_best_where_it_is_better(done: Path) -> None:
    averaged = weights(done, "averaged")
    parts = [weights(done, step) for step in ("60", "120")]
    for name, value in averaged.items():
        torch.testing.assert_close(value, (parts[0][name] + parts[1][name]) / 2)


@pytest.mark.parametrize(("bleu", "best"), [(50.0, "averaged"), (0.0, "00000008")])
def test_the_average_is_best_only_where_it_is_better(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, bleu: float, best: str
) -> None:
    def scored(value: float) -> Any:
        def run(*arguments: Any, **options: Any) -> Any:
            found = evaluate(*arguments, **options)
            return found._replace(scores=found.scores._replace(bleu=value))

        return run

    rising = itertools.count(1.0)
    monkeypatch.setattr(
        "nmt.training.trainer.evaluate", lambda *a, **k: scored(next(rising))(*a, **k)
    )
    monkeypatch.setattr("nmt.training.launch.evaluate", scored(bleu))
    run = Path(train(make_config(average=2)).run)
    assert find_checkpoint(run, "best").name == best


def test_bfloat16_learns_too(make_config: MakeConfig) -> None:
    run = train(make_config(precision="bf16", max_steps=12, learning_rate=0.01)).run
    losses = [record["loss"] for record in records(run, "train")]
    assert losses[-1] < losses[0] and all(map(math.isfinite, losses))
    assert all(value.dtype == torch.float32 for value in weights(run).values())


def test_no_samples_no_pictures(make_config: MakeConfig) -> None:
    run = Path(train(make_config(samples=0)).run)
    assert not (run / "samples").exists() and not (run / "attention").exists()


def test_a_part_of_the_validation_set(make_config: MakeConfig, prepared: Prepared) -> None:
    part = first(prepared.validation, 5)
    assert [len(side) for side in part[:2]] == [5, 5] and part.source == part.source[:5]
    assert part.alignments == (prepared.validation.alignments or [])[:5]
    assert first(prepared.validation, None) == prepared.validation
    run = train(make_config(validation_limit=3, samples=9)).run
    assert Path(run, "samples", "00000008.txt").read_text().count("source: ") <= 3


def test_examples_are_of_a_readable_length(prepared: Prepared) -> None:
    chosen = pick_examples(prepared.validation, 3)
    lengths = [len(prepared.validation.source[row].split()) for row in chosen]
    assert len(chosen) == 3 and all(5 <= length <= 14 for length in lengths)


def test_a_resumed_run_that_is_over_only_sums_up(make_config: MakeConfig) -> None:
    run = train(make_config()).run
    before = told(run), weights(run)
    assert resumed(run).steps == 8
    assert told(run) == before[0]
    assert all(torch.equal(value, before[1][key]) for key, value in weights(run).items())


def test_progress_is_that_of_the_nearest_limit(make_config: MakeConfig) -> None:
    config = make_config(max_steps=100, max_epochs=10, max_minutes=2).training
    progress = Progress(step=10, pairs=300, seconds=60)
    assert progress.share(config, corpus_pairs=100) == 0.5
    assert progress.share(dataclasses.replace(config, max_minutes=None), 100) == 0.3
    only_patience = make_config(max_steps=None, patience=3).training
    assert Progress(step=10**6).share(only_patience, 1) == 0.0
    assert Progress(step=101).share(config, 100) == 1.0


def test_the_best_weights_are_tested(make_config: MakeConfig, prepared: Prepared) -> None:
    config = make_config(max_steps=6, validate_every=2, keep=9)
    run = Path(train(config).run)
    model = trainer(config, prepared, run).model
    load_weights(model, find_checkpoint(run, "best"))
    found = evaluate(model.eval(), prepared.tokenizers, prepared.test, config.decoding)
    assert json.loads((run / "summary.json").read_text())["chrf"] == round(found.scores.chrf, 2)
