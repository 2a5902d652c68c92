"""Files that are complete or absent: written under another name, flushed, and renamed into place.

Nothing here depends on their contents.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nmt.disk import flush
from nmt.errors import UserError, reads_run, require, shortened

log = logging.getLogger(__name__)

CHECKSUMS = "checksums.json"


@contextmanager
def must_write(folder: Path) -> Iterator[None]:
    """Turns an `OSError` into a `UserError` that says what cannot be written."""
    try:
        yield
    except OSError as error:
        where, reason = error.filename or folder, error.strerror or error
        raise UserError(f"{where} cannot be written: {reason}") from error


@contextmanager
def may_write(what: str) -> Iterator[None]:
    """Logs an `OSError`, from a full disk for instance, so that it does not end the run."""
    try:
        yield
    except OSError as error:
        log.error("cannot write %s: %s; training continues", what, error.strerror or error)


def write_whole(file: Path, data: bytes) -> None:
    """Writes or replaces a file atomically: after a crash it is the old one or the new one."""
    beside = file.with_name(f".{file.name}.part")
    _write(beside, data)
    beside.rename(file)
    flush(file.parent)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes or replaces a folder of files with their checksums, completely or not at all.

    Raises `OSError` if that fails; the old folder is then still there.
    """
    beside, old = (folder.with_name(f".{folder.name}.{kind}") for kind in ("part", "old"))
    for left in (beside, old):
        shutil.rmtree(left, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        for name, data in files.items():
            _write(beside / name, data)
        # Checksums of the data in memory, so that a disk that wrote something else is noticed.
        _write(beside / CHECKSUMS, checksums(files))
        flush(beside)
    except OSError:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    if folder.exists():
        folder.rename(old)
    beside.rename(folder)
    flush(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def checksums(files: Mapping[str, bytes]) -> bytes:
    """The contents of the file of checksums that `damage` reads."""
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return (json.dumps(sums, indent=2) + "\n").encode()


def clean_up(folder: Path) -> None:
    """Removes the remains of a process that died while it wrote into this folder."""
    for old in folder.glob(".*.old"):
        place = folder / old.name[1:].removesuffix(".old")
        if not place.exists():  # it died between the two renames
            old.rename(place)
    for left in (*folder.glob(".*.part"), *folder.glob(".*.old")):
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


def damage(folder: Path, *names: str) -> str | None:
    """A description of the first file that is not as it was written, or None if all are intact.

    Checks the files `names`, or without them all files that the checksums of the folder name.
    """
    listed = folder / CHECKSUMS
    try:
        sums = json.loads(listed.read_bytes())
        wanted = {name: str(sums[name]) for name in names or sums}
    except FileNotFoundError:
        return (
            f"{listed} is missing: it was lost, or an earlier version of this program, which wrote "
            "none, saved the run; retrain such a run"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return f"{listed} is damaged"
    for name, expected in wanted.items():
        file = folder / name
        if Path(name).name != name or not file.is_file():
            return f"{file} is missing"
        with file.open("rb") as handle:
            if hashlib.file_digest(handle, "sha256").hexdigest() != expected:
                return f"{file} is damaged: its bytes are not those that were written"
    return None


def check_inside(run: Path) -> None:
    """Raises `UserError` for a run directory with links that lead out of it, or special files.

    Somebody else may have sent it. A link would let us read or change files elsewhere, and reading
    a pipe would wait for ever.
    """
    try:
        is_folder = stat.S_ISDIR(os.stat(run).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        is_folder = False
    except (OSError, ValueError) as error:  # ValueError: a NUL, or half of a surrogate pair
        told = getattr(error, "strerror", None) or error
        raise UserError(f"the run directory {shortened(run)} cannot be read: {told}") from error
    require(not os.path.isfile(run), f"{shortened(run)} is a file, not a run directory")
    require(
        is_folder, f"no such run directory: {shortened(run)} (create one with scripts/train.py)"
    )
    _check_inside(run)


@reads_run
def _check_inside(run: Path) -> None:
    root = run.resolve()
    for folder, folders, files in os.walk(run, onerror=_raise):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink() and not _leads_into(root, path):
                raise UserError(
                    f"{path} is a symbolic link that leaves the run directory: remove it"
                )
            kind = path.lstat().st_mode
            if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISLNK(kind)):
                raise UserError(f"{path} is neither a file nor a folder: remove it")


def _leads_into(root: Path, link: Path) -> bool:
    try:
        return link.resolve().is_relative_to(root)
    except RuntimeError as error:  # Python 3.11 raises this for a loop
        raise UserError(f"{link} is a symbolic link to itself: remove it") from error


def _raise(error: OSError) -> None:
    raise error


def _write(file: Path, data: bytes) -> None:
    with file.open("wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())
