"""A disk that is full, or a directory that nobody may write: a run goes on, or says why not."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lives import WEIGHTS, Weights, contents, resumed, same, weights

from nmt.config import Config
from nmt.errors import UserError
from nmt.training.checkpoint import find_checkpoint, load_run
from nmt.training.files import CHECKSUMS
from nmt.training.launch import train

MakeConfig = Callable[..., Config]


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
    assert f"cannot write the checkpoint of step 10: {os.strerror(number)}" in caplog.text
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
    assert "cannot write the checkpoint of step 12: File too large" in ran.stderr
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
