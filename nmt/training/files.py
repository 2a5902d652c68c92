"""Files that are whole or not there: written beside, flushed, checksummed, renamed into place.

Nothing here knows what is in them.
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
    """What cannot be written here is one sentence to the user."""
    try:
        yield
    except OSError as error:
        where, reason = error.filename or folder, error.strerror or error
        raise UserError(f"{where} cannot be written: {reason}") from error


@contextmanager
def may_write(what: str) -> Iterator[None]:
    """What cannot be written here, on a full disk perhaps, is told and does not end the run."""
    try:
        yield
    except OSError as error:
        log.error("%s CANNOT BE WRITTEN: %s; the run goes on", what, error.strerror or error)


def write_whole(file: Path, data: bytes) -> None:
    """Writes or replaces a file at once: after a crash it is the old one or the new one."""
    beside = file.with_name(f".{file.name}.part")
    _write(beside, data)
    beside.rename(file)
    flush(file.parent)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes or replaces a folder of files with their checksums, whole or not at all.

    Raises `OSError` where it cannot; what was there before is there still.
    """
    beside, old = (folder.with_name(f".{folder.name}.{kind}") for kind in ("part", "old"))
    for left in (beside, old):
        shutil.rmtree(left, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        for name, data in files.items():
            _write(beside / name, data)
        # Of what is meant to be there: a disk that wrote something else is found out.
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
    """The file that `damage` looks into."""
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return (json.dumps(sums, indent=2) + "\n").encode()


def clean_up(folder: Path) -> None:
    """Removes what a process left that died while it wrote into this folder."""
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
    """What is wrong with the first file of a folder that is not as it was written, or None.

    Looks at all files that the folder's checksums name, or at these only.
    """
    listed = folder / CHECKSUMS
    try:
        sums = json.loads(listed.read_bytes())
        wanted = {name: str(sums[name]) for name in names or sums}
    except FileNotFoundError:
        return (
            f"{listed} is missing: it was lost, or an earlier version of this program, which wrote "
            "none, saved the run; such a run is to be trained anew"
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
    """Raises `UserError` where a directory that somebody sent leads out of itself.

    Reading a symbolic link to elsewhere would show what was not sent, writing would change it;
    a pipe would be waited for.
    """
    try:
        is_folder = stat.S_ISDIR(os.stat(run).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        is_folder = False
    except (OSError, ValueError) as error:  # ValueError: a NUL, or half of a surrogate pair
        told = getattr(error, "strerror", None) or error
        raise UserError(f"the run directory {shortened(run)} cannot be read: {told}") from error
    require(not os.path.isfile(run), f"{shortened(run)} is a file, not a run directory")
    require(is_folder, f"there is no run directory {shortened(run)}; scripts/train.py makes one")
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
    except RuntimeError as error:  # Python 3.11's word for a loop
        raise UserError(f"{link} is a symbolic link to itself: remove it") from error


def _raise(error: OSError) -> None:
    raise error


def _write(file: Path, data: bytes) -> None:
    with file.open("wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())
