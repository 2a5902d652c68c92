"""Whatever happens to the files: a run goes on from something sound, or says why it cannot."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from lives import WEIGHTS, Weights, contents, resumed, same, weights

from nmt.compose import load_config
from nmt.config import Config
from nmt.data.encoded import Prepared
from nmt.data.tokenizer import Tokenizers
from nmt.errors import UserError
from nmt.training.checkpoint import (
    checkpoints,
    find_checkpoint,
    load_run,
    load_training,
    save_checkpoint,
)
from nmt.training.files import CHECKSUMS
from nmt.training.launch import train
from nmt.training.state import corpus_key, lengths_key

MakeConfig = Callable[..., Config]


def flip(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place % len(data)] ^= 1
    file.write_bytes(data)


DAMAGES = {
    "flipped": lambda file: flip(file, 5000),
    "cut": lambda file: os.truncate(file, file.stat().st_size // 2),
    "empty": lambda file: os.truncate(file, 0),
    "missing": lambda file: file.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["model.safetensors", "training.pt", CHECKSUMS])
def test_a_damaged_checkpoint_is_set_aside(
    run: Path, whole: Weights, caplog: pytest.LogCaptureFixture, name: str, damage: str
) -> None:
    newest = find_checkpoint(run, "last")
    DAMAGES[damage](newest / name)
    with pytest.raises(UserError) as caught:
        load_run(run, checkpoint="last", device="cpu")
    assert str(newest) in str(caught.value)
    assert str(caught.value).endswith("; checkpoint 00000004 is intact")
    with caplog.at_level(logging.WARNING):
        resumed(run, max_steps=12)
    assert (
        f"{newest}/" in caplog.text
        and "renamed the damaged checkpoint to 00000008.damaged" in caplog.text
    )
    assert same(weights(run), whole)
    assert (run / "checkpoints" / "00000008.damaged").is_dir()
    assert load_run(run, device="cpu"), "best names a sound one"
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").open()]
    assert steps == [*range(1, 5), 4, *range(5, 9), 8, *range(9, 13), 12]


def test_no_sound_checkpoint_is_left(run: Path) -> None:
    for folder in checkpoints(run):
        flip(folder / "model.safetensors", 99)
    before = (run / "config.yaml").read_bytes(), (run / "metrics.jsonl").read_bytes()
    for _ in range(2):
        with pytest.raises(UserError) as caught:
            resumed(run, max_steps=12)
        assert str(caught.value) == f"cannot resume {run}: all its checkpoints are damaged"
    assert before == ((run / "config.yaml").read_bytes(), (run / "metrics.jsonl").read_bytes())


def test_a_run_of_an_earlier_version(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    for file in run.rglob(CHECKSUMS):
        file.unlink()
    told = "checksums.json is missing: it was lost, or an earlier version of this program, which "
    with pytest.raises(UserError, match=f"{told}wrote none, saved the run; retrain such a run"):
        load_run(run, device="cpu")
    with pytest.raises(UserError, match="cannot resume .*: all its checkpoints are damaged"):
        resumed(run)
    assert caplog.text.count(told) == 2


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_tokenizer_is_refused(run: Path, damage: str) -> None:
    DAMAGES[damage](run / "tokenizer.model")
    before = contents(run)
    for use in (load_run, resumed):
        with pytest.raises(UserError, match="tokenizer.model"):
            use(run)
    assert contents(run) == before


@pytest.mark.parametrize("name", ["best", "last"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_pointer_is_set_right(run: Path, whole: Weights, name: str, damage: str) -> None:
    named = find_checkpoint(run, name).name
    DAMAGES[damage](run / "checkpoints" / name)
    if damage != "missing":
        with pytest.raises(UserError, match=f"has no checkpoint {name}: it has "):
            load_run(run, checkpoint=name, device="cpu")
    resumed(run)
    assert find_checkpoint(run, "last").name == "00000008"
    assert name == "last" or find_checkpoint(run, "best").name == named
    resumed(run, max_steps=12)
    assert same(weights(run), whole)


def test_a_changed_config_is_told_or_refused(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = run / "config.yaml"
    text = file.read_text()
    for old, new, key in (
        ("batch_tokens: 200", "batch_tokens: 300", "training.batch_tokens"),
        ("seed: 1", "seed: 2", "training.seed"),
        ("heads: 2", "heads: 4", "model.attention.heads"),
        ("max_ratio: 4.0", "max_ratio: 5.0", "data.max_ratio"),
    ):
        file.write_text(text.replace(old, new))
        before = contents(run)
        with pytest.raises(UserError, match=f"cannot change {key} from .*: only a new run"):
            resumed(run)
        assert contents(run) == before
        assert "config.yaml has been modified since it was written" in caplog.text
    file.write_text(text.replace("max_steps: 8", "max_steps: 9"))
    with caplog.at_level(logging.INFO, logger="nmt"):
        resumed(run)
    assert "training.max_steps: 8 -> 9" in caplog.text
    for place in range(0, len(text), 97):
        file.write_text(text)
        flip(file, place)
        try:
            load_run(run, device="cpu")
        except UserError as error:
            assert len(str(error).splitlines()) <= 2


def test_the_optimizer_obeys_the_command_line(run: Path) -> None:
    """What a checkpoint holds of its settings is not what counts."""
    resumed(run, max_steps=12, beta1=0.5, weight_decay=0.1)
    other = weights(run)
    resumed(run, max_steps=12)
    assert load_config(run / "config.yaml").training.beta1 == 0.5
    assert same(weights(run), other)


def test_a_damaged_log_costs_its_line_alone(run: Path) -> None:
    file = run / "metrics.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([lines[0], b"\xff{", *lines[1:]]) + b'{"step": 9, "ki')
    resumed(run, max_steps=9)
    steps = [json.loads(line)["step"] for line in file.open()]
    assert steps == [1, 3, 4, 4, 5, 6, 7, 8, 8, 9, 9]


def test_another_corpus_is_refused(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config()
    moved = Path(shutil.copytree(str(config.data.path), tmp_path / "corpus"))
    config.data = dataclasses.replace(config.data, path=str(moved))
    run = Path(train(config).run)
    for side in ("en", "de"):
        file = moved / f"train.{side}"
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:-9]))
    before = contents(run)
    with pytest.raises(UserError) as caught:
        resumed(run, max_steps=12)
    assert str(caught.value) == (
        f"cannot resume {run}: its training data have changed; to train on other data, start a "
        f"new run with init_from={run}"
    )
    assert contents(run) == before


@pytest.mark.parametrize("name, part", [("train", "training"), ("val", "validation")])
def test_contents_are_compared_and_not_lengths(
    make_config: MakeConfig, tmp_path: Path, name: str, part: str
) -> None:
    config = make_config()
    moved = Path(shutil.copytree(str(config.data.path), tmp_path / "corpus"))
    config.data = dataclasses.replace(config.data, path=str(moved))
    config.training.max_steps = config.training.validate_every = 1
    file = moved / f"{name}.de"
    pairs = [("HUND", "BERG"), ("BERG", "HUND")]
    for side, lines in zip(("en", "de"), zip(*pairs, strict=True), strict=True):
        with (moved / f"{name}.{side}").open("a") as end:
            end.write("".join(f"{line}\n" for line in lines))
    with (moved / f"{name}.align").open("a") as end:
        end.write("0-0\n0-0\n")
    run = Path(train(config).run)
    encode = Tokenizers.load(run).target.encode
    assert len(encode("HUND")) == len(encode("BERG")) and encode("HUND") != encode("BERG")
    *lines, last, second = file.read_text().splitlines()
    file.write_text("".join(f"{line}\n" for line in (*lines, second, last)))
    with pytest.raises(
        UserError, match=f"cannot resume {run}: its {part} data have changed; .*ini"
    ):
        resumed(run, max_steps=2)
    file.write_text("".join(f"{line}\n" for line in (*lines, last, second)))
    elsewhere = Path(shutil.copytree(moved, tmp_path / "elsewhere"))
    shutil.rmtree(moved)
    settings = load_config(run / "config.yaml", [f"data.path={elsewhere}"])
    settings.training.max_steps, settings.resume = 2, str(run)
    assert train(settings).steps == 2


def test_a_run_of_an_earlier_version_is_recognised_by_lengths(
    run: Path, prepared: Prepared
) -> None:
    for step in ("00000004", "00000008"):
        saved = load_training(run / "checkpoints" / step)
        saved["corpus"] = lengths_key(prepared)
        model = load_run(run, checkpoint="last", device="cpu").model
        save_checkpoint(run, step, model, saved)
    resumed(run, max_steps=9)
    assert load_training(run / "checkpoints" / "00000009")["corpus"] == corpus_key(prepared)
    saved["corpus"] = "0" * 64
    save_checkpoint(run, "00000009", model, saved)
    with pytest.raises(UserError, match="its training data have changed"):
        resumed(run, max_steps=10)


def test_what_a_dead_save_left_is_removed(run: Path, prepared: Prepared) -> None:
    folder = run / "checkpoints"
    (folder / ".00000012.part").mkdir()
    (folder / ".00000012.part" / WEIGHTS).write_text("half")
    (folder / ".last.part").write_text("0000")
    (folder / "00000008").rename(folder / ".00000008.old")  # between the two renames
    (run / ".config.yaml.part").write_text("na")
    resumed(run)
    assert not list(run.rglob(".*.part")) and not list(run.rglob(".*.old"))
    assert find_checkpoint(run, "last").name == "00000008" and load_run(run, device="cpu")
