"""Run directories that cannot be read: whatever is wrong with them, one sentence says so."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lives import resumed

from nmt.errors import UserError
from nmt.training.checkpoint import load_run
from nmt.translator import Translator

NOBODY = 65534
OVERRIDES = ("decoding.shortlist=5",)


def as_folder(path: Path) -> None:
    remove(path)
    path.mkdir()


def as_file(path: Path) -> None:
    remove(path)
    path.write_bytes(b"no folder")


def as_loop(path: Path) -> None:
    remove(path)
    path.symlink_to(path.name)


def locked_away(path: Path) -> None:
    path.chmod(0)


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may read everything, so for this test it becomes somebody else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that anybody may look into, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.parametrize("damage", [as_folder, as_file, as_loop, locked_away])
def test_nothing_in_a_run_can_be_read(
    run: Path, open_folder: Path, damage: Callable[[Path], None]
) -> None:
    Translator.load(run, device="cpu", overrides=OVERRIDES)  # imports all that it needs
    places = sorted(path.relative_to(run) for path in [run, *run.rglob("*")])
    failed = set()
    for number, place in enumerate(places):
        copy = Path(shutil.copytree(run, open_folder / f"run-{number}"))
        os.chmod(copy, 0o755)
        damage(copy / place)
        try:
            with unprivileged():
                Translator.load(copy, device="cpu", overrides=OVERRIDES)
        except UserError as error:
            failed.add(str(place))
            assert str(copy) in str(error) and "\n" not in str(error), error
        try:
            with unprivileged():
                resumed(copy, max_steps=8)
        except UserError as error:
            assert "\n" not in str(error), error
        if damage is locked_away:
            (copy / place).chmod(0o755)
    assert {".", "config.yaml", "tokenizer.model", "checkpoints"} <= failed


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "/".join(["y" * 200] * 40), "\ud800"])
def test_a_path_that_no_run_can_have(name: str) -> None:
    with pytest.raises(UserError) as caught:
        load_run(name)
    assert "\0" not in str(caught.value)
