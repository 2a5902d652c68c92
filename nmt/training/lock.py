"""Two processes that train in one run directory exclude each other."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nmt.errors import UserError

LOCK = "lock"


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Locks the run directory for this process; the system releases the lock when the process dies.

    Raises a `UserError` that names the holder. The file stays: if it were removed, two processes
    could hold the lock.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        handle = os.open(run / LOCK, flags, 0o666)
    except OSError as error:
        raise UserError(f"the run directory {run} cannot be written: {error.strerror}") from error
    try:
        _hold(handle, run)
        yield
    finally:
        os.close(handle)


def _hold(handle: int, run: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.truncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    except BlockingIOError as error:
        holder = os.read(handle, 200).decode(errors="replace").strip() or "another process"
        raise UserError(f"{run} is being trained by {holder}: wait until it ends") from error
    except OSError as error:
        raise UserError(f"{run / LOCK} cannot be written: {error.strerror}") from error
