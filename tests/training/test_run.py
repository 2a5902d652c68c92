"""What a finished run holds: the figures, the pictures, the checkpoints, the summary."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.config import (
    AttentionConfig,
    Config,
    DataConfig,
    DecodingConfig,
    RNNConfig,
    TrainingConfig,
)
from nmt.data.corpus import Split
from nmt.data.encoded import Prepared
from nmt.evaluation.alignment import load_aligner, same_head
from nmt.evaluation.metrics import values
from nmt.evaluation.report import evaluate, head_alignments
from nmt.training.checkpoint import load_run
from nmt.training.launch import train
from nmt.training.seen import splitting_of
from nmt.training.validation import pick_examples

MakeConfig = Callable[..., Config]
Records = list[dict[str, Any]]


def weights(run: str | Path, name: str = "last") -> dict[str, torch.Tensor]:
    return load_run(run, checkpoint=name, device="cpu").model.state_dict()


def records(run: str | Path, kind: str) -> Records:
    lines = Path(run, "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == kind]


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
    first_loss, *_, last_loss = (record["smoothed_loss"] for record in records(done, "train"))
    assert last_loss < first_loss / 2
    earlier, later = records(done, "validation")
    assert later["bleu"] > 5 and later["perplexity"] < earlier["perplexity"]


def test_metrics_are_what_is_promised(done: Path) -> None:
    keys = {
        *("step", "kind", "epoch", "smoothed_loss", "nll", "perplexity", "learning_rate"),
        *(
            "gradient_norm",
            "source_tokens_per_second",
            "target_tokens_per_second",
            "waiting_for_data",
        ),
        "skipped",
    }
    trained = records(done, "train")
    assert all(set(record) == keys for record in trained)
    assert [record["step"] for record in trained] == [*range(7, 120, 7), 120]
    for record in trained:
        assert 0 <= record["waiting_for_data"] <= 1 and record["skipped"] == 0
        assert min(record["gradient_norm"], record["target_tokens_per_second"]) > 0
        assert record["perplexity"] >= 1
    assert max(record["learning_rate"] for record in trained) <= 1e-2
    keys = {"step", "kind", "smoothed_loss", "nll", "perplexity", "bleu", "chrf", "aer"}
    for record in records(done, "validation"):
        assert set(record) == keys
        assert record["perplexity"] == pytest.approx(math.exp(record["nll"]))


def test_pictures_samples_and_curves_are_there(done: Path) -> None:
    for step in ("00000060", "00000120"):
        text = (done / "samples" / f"{step}.txt").read_text(encoding="utf-8")
        assert [text.count(f"{word}: ") for word in ("source", "reference", "model")] == [3] * 3
        for sentence in (1, 2, 3):
            picture = done / "attention" / f"sentence-{sentence}" / f"{step}.png"
            assert picture.read_bytes().startswith(b"\x89PNG")
    assert curves(done) >= {
        *("train/nll", "train/perplexity", "train/learning_rate", "train/gradient_norm"),
        *("train/target_tokens_per_second", "train/waiting_for_data"),
        *("validation/nll", "validation/perplexity", "validation/bleu", "validation/chrf"),
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
    splitting = splitting_of(run.config, run.seen, whole=True)
    found = evaluate(run.model, run.tokenizers, prepared.validation, greedy, splitting=splitting)
    logged = next(each for each in records(done, "validation") if each["step"] == int(checkpoint))
    assert (logged["bleu"], logged["chrf"]) == tuple(values(found.scores).values())
    assert found.best_head is not None and logged["aer"] == found.best_head.aer


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
    assert records(done, "validation")[-1]["nll"] == pytest.approx(total / count, rel=1e-4)


def test_the_summary_is_that_of_the_best_checkpoint(done: Path, prepared: Prepared) -> None:
    summary = json.loads((done / "summary.json").read_text())
    run = load_run(done, device="cpu")
    found = evaluate(
        run.model,
        run.tokenizers,
        prepared.test,
        run.config.decoding,
        splitting=splitting_of(run.config, run.seen, whole=True),
    )
    assert summary["bleu"] == round(found.scores["bleu"].value, 2)
    assert summary["chrf"] == round(found.scores["chrf"].value, 2)
    assert summary["split"] == "test" and summary["steps"] == 120
    assert summary["signature"] == found.scores["bleu"].signature
    assert summary["parameters"] == sum(each.numel() for each in run.model.parameters())
    assert summary["target_tokens_per_second"] > 0 and summary["seconds"] > 0


def test_the_head_that_aligns_best_is_kept(done: Path, prepared: Prepared) -> None:
    """Selected on the validation set, not on the one that is tested."""
    run = load_run(done, device="cpu")
    heads = head_alignments(run.model, run.tokenizers, prepared.validation)
    best = min(heads, key=lambda head: head.aer)
    aligner = load_aligner(done, run.config.model)
    assert aligner == (best.layer, best.head, best.reading, "validation")
    summary = json.loads((done / "summary.json").read_text())
    tested = same_head(head_alignments(run.model, run.tokenizers, prepared.test), aligner)
    assert tested is not None and summary["aer"] == round(tested.aer, 4)
    assert (summary["best_head"], summary["head_selected_on"]) == (tested.name, "validation")


@pytest.mark.parametrize(("lost", "selected_on"), [("val", "test"), ("test", "validation")])
def test_alignments_of_one_split_alone(
    make_config: MakeConfig,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    lost: str,
    selected_on: str,
) -> None:
    """The test set's select the head where there are no others, and say so."""
    config = make_config(validate_every=8)
    folder = Path(shutil.copytree(str(config.data.path), tmp_path / "corpus"))
    (folder / f"{lost}.align").unlink()
    config.data = dataclasses.replace(config.data, path=str(folder))
    with caplog.at_level(logging.INFO, logger="nmt"):
        run = Path(train(config).run)
    summary = json.loads((run / "summary.json").read_text())
    assert load_aligner(run, config.model).split == selected_on
    if selected_on == "test":
        assert summary["head_selected_on"] == "test" and summary["aer"] is not None
    else:
        assert summary["aer"] is summary["best_head"] is summary["head_selected_on"] is None
        assert "the test set has no alignments" in caplog.text


def test_the_average_is_the_mean_of_the_last(done: Path) -> None:
    averaged = weights(done, "averaged")
    parts = [weights(done, step) for step in ("60", "120")]
    for name, value in averaged.items():
        torch.testing.assert_close(value, (parts[0][name] + parts[1][name]) / 2)


def test_no_samples_no_pictures(make_config: MakeConfig) -> None:
    run = Path(train(make_config(samples=0)).run)
    assert not (run / "samples").exists() and not (run / "attention").exists()


def test_a_part_of_the_validation_set(make_config: MakeConfig) -> None:
    run = train(make_config(validation_limit=3, samples=9)).run
    assert Path(run, "samples", "00000008.txt").read_text().count("source: ") <= 3


def test_examples_are_of_a_readable_length(prepared: Prepared) -> None:
    chosen = pick_examples(prepared.validation, 3)
    lengths = [len(prepared.validation.source[row].split()) for row in chosen]
    assert len(chosen) == 3 and all(5 <= length <= 14 for length in lengths)


@pytest.mark.parametrize("text", ["他们今天看见了一只小狗。", "ปลาเผา", "tomato soup"])
def test_examples_of_a_text_without_spaces_and_of_short_lines(text: str) -> None:
    lines = ["", "x" * 500, text, text + "!", text + "?"]
    assert pick_examples(Split(lines, lines, None), 2) == [2, 3]
