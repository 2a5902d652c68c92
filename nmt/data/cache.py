"""Cached folders of files: checked before they are used, and built again if they are damaged.

A folder is written under another name, flushed, and renamed into its place, so that a crash leaves
a complete folder or none. Several processes may do so at the same time. A process that has files
open keeps them when another one replaces the folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from os.path import isfile
from pathlib import Path

from nmt.disk import flush
from nmt.errors import UserError, require

log = logging.getLogger(__name__)

CHECKSUMS = "checksums.json"
# For a larger file, only its size and some blocks are compared: hashing 10 GB at every start would
# take half a minute.
WHOLE = 1 << 26
BLOCKS, BLOCK = 256, 1 << 16
WRITING, BROKEN = ".writing-", ".broken-"


def ensure(folder: Path, write: Callable[[Path], None]) -> bool:
    """Fills `folder` with `write` unless it exists and is intact. Returns whether it did."""
    for parent in folder.parents:
        require(not isfile(parent), f"data.cache: {parent} is a file, not a folder")
    remove_remains(folder.parent)
    if os.path.lexists(folder):
        harm = damage(folder)
        if harm is None:
            return False
        log.warning("rebuilding the damaged cache: %s", harm)
    log.info("writing %s", folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with own_folder(folder.parent) as place:
            write(place)
            seal(place)
            put(place, folder)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"data.cache: {folder} cannot be written: {reason}") from error
    return True


def seal(folder: Path) -> None:
    """Adds the checksums, and returns when everything is on the disk."""
    files = [path for path in folder.iterdir() if path.is_file()]
    sums = {path.name: checksum(path) for path in sorted(files)}
    listed = folder / CHECKSUMS
    listed.write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")
    for path in (*files, listed, folder):
        flush(path)


def damage(folder: Path) -> str | None:
    """A description of the damage to a folder, or None."""
    listed = folder / CHECKSUMS
    try:
        sums = dict(json.loads(listed.read_bytes()))
    except FileNotFoundError:
        return f"{listed} is missing"
    except (OSError, ValueError, TypeError):
        sums = {}
    if not sums:
        return f"{listed} is damaged"
    for name, expected in sums.items():
        path = folder / Path(name).name
        try:
            if checksum(path) != expected:
                return f"{path} has been modified since it was written"
        except OSError as error:
            return f"{path}: {error.strerror or error}"
    return None


def checksum(path: Path) -> str:
    """The size of a file and a hash of its bytes (of some blocks, if it is large)."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= WHOLE:
            return f"{size} {hashlib.file_digest(file, 'sha256').hexdigest()}"
        digest = hashlib.sha256()
        for number in range(BLOCKS):
            file.seek((size - BLOCK) * number // (BLOCKS - 1))
            digest.update(file.read(BLOCK))
    return f"{size} {BLOCKS} blocks {digest.hexdigest()}"


def put(place: Path, folder: Path) -> None:
    """Renames `place` to `folder`, unless another process has put an intact one there meanwhile."""
    with locked(folder.parent):
        if os.path.lexists(folder):
            if damage(folder) is None:
                return
            old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=BROKEN))
            folder.rename(old / "folder")
            place.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
        else:
            place.rename(folder)
    flush(folder.parent)


@contextmanager
def own_folder(cache: Path) -> Iterator[Path]:
    """A folder to write in, removed at the end. It is locked as long as this process lives."""
    with locked(cache):
        beside = Path(tempfile.mkdtemp(dir=cache, prefix=WRITING))
        handle = try_lock(beside)
    try:
        place = beside / "whole"
        place.mkdir()
        yield place
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def remove_remains(cache: Path) -> None:
    """Removes remains of processes that were killed while they were writing."""
    if not any(path.name.startswith((WRITING, BROKEN)) for path in cache.glob(".*-*")):
        return
    with suppress(OSError), locked(cache):
        for left in cache.glob(f"{BROKEN}*"):
            shutil.rmtree(left, ignore_errors=True)
        for left in cache.glob(f"{WRITING}*"):
            handle = try_lock(left)
            if handle is not None:  # otherwise its writer may still be alive
                shutil.rmtree(left, ignore_errors=True)
                os.close(handle)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder, if the file system supports locks."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def try_lock(folder: Path) -> int | None:
    """A handle that holds the lock on a folder until it is closed or its process dies."""
    handle = -1
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return handle
    except OSError:
        if handle >= 0:
            os.close(handle)
        return None
