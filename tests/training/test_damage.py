"""Whatever happens to the files: a run goes on from something sound, or says why it cannot."""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from nmt.compose import load_config
from nmt.config import Config
from nmt.data.encoded import Prepared
from nmt.errors import UserError
from nmt.training.checkpoint import checkpoints, find_checkpoint, load_run
from nmt.training.files import CHECKSUMS
from nmt.training.launch import train

MakeConfig = Callable[..., Config]
Weights = dict[str, torch.Tensor]
WEIGHTS = "model.safetensors"


def weights(run: str | Path) -> Weights:
    return load_run(run, checkpoint="last", device="cpu").model.state_dict()


def resumed(run: Path, **training: object) -> None:
    config = load_config(run / "config.yaml")
    for key, value in training.items():
        setattr(config.training, key, value)
    config.resume = str(run)
    train(config)


def same(mine: Weights, theirs: Weights) -> bool:
    return all(torch.equal(mine[key], theirs[key]) for key in theirs)


def flip(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place % len(data)] ^= 1
    file.write_bytes(data)


def contents(run: Path) -> dict[str, bytes]:
    """Of all that a run that is refused may not change."""
    files = (path for path in sorted(run.rglob("*")) if path.is_file() and path.name != "lock")
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


@pytest.fixture
def whole(run: Path, tmp_path: Path) -> Weights:
    """The weights of step 12 where nothing was disturbed."""
    copy = Path(shutil.copytree(run, tmp_path / "whole"))
    resumed(copy, max_steps=12)
    return weights(copy)


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
    assert str(caught.value).endswith("; checkpoint 00000004 is sound")
    with caplog.at_level(logging.WARNING):
        resumed(run, max_steps=12)
    assert f"{newest}/" in caplog.text and "set aside as 00000008.damaged" in caplog.text
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
        assert str(caught.value) == f"{run} cannot go on: none of its checkpoints is sound"
    assert before == ((run / "config.yaml").read_bytes(), (run / "metrics.jsonl").read_bytes())


def test_a_run_of_an_earlier_version(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    for file in run.rglob(CHECKSUMS):
        file.unlink()
    told = "checksums.json is missing: it was lost, or an earlier version of this program, which "
    with pytest.raises(UserError, match=f"{told}wrote none, saved the run; such a run is to be"):
        load_run(run, device="cpu")
    with pytest.raises(UserError, match="cannot go on: none of its checkpoints is sound"):
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
        with pytest.raises(UserError, match=f"keeps {key} as it was: .* only in a new one"):
            resumed(run)
        assert contents(run) == before
        assert "config.yaml was changed since this program wrote it" in caplog.text
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
        f"{run} cannot go on: the training pairs of its corpus are not those it has learnt from"
    )
    assert contents(run) == before


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch, number: int, name: str) -> Iterator[None]:
    """Files of this name cannot be written."""
    opened = Path.open

    def failing(self: Path, mode: str = "r", *arguments: object, **options: object) -> object:
        if self.name.startswith(name) and "w" in mode:
            raise OSError(number, os.strerror(number), str(self))
        return opened(self, mode, *arguments, **options)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", failing)
        yield


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("name", ["model.safetensors", "training.pt", CHECKSUMS, ".last"])
def test_a_full_disk_does_not_end_the_run(
    run: Path,
    whole: Weights,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
    name: str,
) -> None:
    """The first validation cannot be saved; from the second on there is room again."""
    resumed(run, max_steps=9)
    older = contents(run / "checkpoints" / "00000004")
    from nmt.training.trainer import Trainer

    save, calls = Trainer._save, []

    def saving(self: Trainer) -> None:
        calls.append(1)
        if len(calls) > 1:
            return save(self)
        with full_disk(monkeypatch, number, name):
            return save(self)

    monkeypatch.setattr(Trainer, "_save", saving)
    resumed(run, max_steps=12, validate_every=10)
    assert len(calls) == 2
    assert f"the checkpoint of step 10 CANNOT BE WRITTEN: {os.strerror(number)}" in caplog.text
    assert contents(run / "checkpoints" / "00000004") == older
    assert same(weights(run), whole)
    assert not list(run.glob("checkpoints/.*.part")) or name == ".last"


LIMITED = """
import resource, sys
from pathlib import Path
from nmt.compose import load_config
from nmt.training.launch import train
config = load_config(Path(sys.argv[1], "config.yaml"))
config.resume, config.training.max_steps = sys.argv[1], 12
config.training.samples = 0
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
train(config)
"""


@pytest.mark.slow
def test_a_limit_on_the_size_of_files(run: Path) -> None:
    """The system's own EFBIG: in the weights, and in all that is larger than 20,000 bytes."""
    limit = str(min(20_000, find_checkpoint(run, "last").joinpath(WEIGHTS).stat().st_size // 2))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", LIMITED, str(run), limit]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "the checkpoint of step 12 CANNOT BE WRITTEN: File too large" in ran.stderr
    assert find_checkpoint(run, "last").name == "00000008" and load_run(run, device="cpu")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_directory_that_cannot_be_written(
    run: Path, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refusing(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number), str(arguments[0]))

    before = contents(run)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refusing)
        with pytest.raises(UserError, match=f"cannot be written: {os.strerror(number)}"):
            train(make_config(name="new"))
    with monkeypatch.context() as patch:
        opened = os.open
        patch.setattr(
            os,
            "open",
            lambda path, flags, *rest: (
                refusing(path) if flags & os.O_RDWR else opened(path, flags, *rest)
            ),
        )
        with pytest.raises(UserError, match=f"cannot be written: {os.strerror(number)}"):
            resumed(run)
        assert load_run(run, device="cpu"), "but it can be read"
    with full_disk(monkeypatch, number, ".config"), pytest.raises(UserError) as caught:
        resumed(run, max_steps=12)
    assert os.strerror(number) in str(caught.value)
    assert contents(run) == before


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
