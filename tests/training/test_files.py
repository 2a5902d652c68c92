"""Files that are whole or not there, and directories that somebody sent."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nmt.errors import UserError
from nmt.training.files import (
    CHECKSUMS,
    check_inside,
    clean_up,
    damage,
    write_folder,
    write_whole,
)

FILES = {"one": b"first" * 99, "two": b"second"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / "made", FILES)
    return tmp_path / "made"


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_folder_is_as_it_was_written(folder: Path) -> None:
    assert names(folder) == [CHECKSUMS, "one", "two"] and names(folder.parent) == ["made"]
    assert damage(folder) is None and damage(folder, "one") is None
    write_folder(folder, {"one": b"other"})
    assert names(folder) == [CHECKSUMS, "one"] and (folder / "one").read_bytes() == b"other"


@pytest.mark.parametrize("name", ["one", "two", CHECKSUMS])
def test_every_flipped_byte_is_found(folder: Path, name: str) -> None:
    file = folder / name
    whole = file.read_bytes()
    for place in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[place] ^= 4
        file.write_bytes(flipped)
        assert damage(folder) is not None, place
    file.write_bytes(whole[:-1])
    assert name == CHECKSUMS or damage(folder) is not None
    file.unlink()
    assert str(damage(folder)).startswith(f"{file} is missing")


def test_checksums_name_no_file_elsewhere(folder: Path) -> None:
    (folder.parent / "secret").write_text("gold")
    (folder / CHECKSUMS).write_text(json.dumps({"../secret": "0"}))
    assert damage(folder) == f"{folder / '../secret'} is missing"


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_what_cannot_be_written_leaves_what_was_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A crash at any call that changes the disk: the old folder or the new one is there."""
    made, count = getattr(os, call), 0
    for fatal in range(8):
        count = 0

        def failing(*arguments: object, fatal: int = fatal) -> object:
            nonlocal count
            count += 1
            if count == fatal + 1:
                raise OSError(28, "No space left on device")
            return made(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            try:
                write_folder(folder, {"new": b"%d" % fatal})
            except OSError as error:
                assert error.errno == 28
        clean_up(folder.parent)
        assert names(folder.parent) == ["made"] and damage(folder) is None
        write_folder(folder, FILES)


def test_a_file_is_replaced_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    write_whole(file, b"old")
    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "full")))
        write_whole(file, b"new")
    assert file.read_bytes() == b"old"
    clean_up(tmp_path)
    assert names(tmp_path) == ["file"]


def test_links_may_not_leave(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "inner").mkdir(parents=True)
    (tmp_path / "secret").write_text("gold")
    (run / "inner" / "link").symlink_to(run / "inner")
    check_inside(run)
    (tmp_path / "here").symlink_to(run)
    check_inside(tmp_path / "here")
    (run / "inner" / "data").symlink_to("../../secret")
    with pytest.raises(UserError, match="data is a symbolic link that leaves the run directory"):
        check_inside(run)
    (run / "inner" / "data").unlink()
    os.mkfifo(run / "config.yaml")
    with pytest.raises(UserError, match="config.yaml is neither a file nor a folder"):
        check_inside(run)
