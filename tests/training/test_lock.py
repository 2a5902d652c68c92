"""One run directory, one training."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from nmt.errors import UserError
from nmt.training.lock import locked

HOLDER = """
import sys, time
from pathlib import Path
from nmt.training.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_excludes_until_it_is_released(tmp_path: Path) -> None:
    told = f"{tmp_path} is being trained by process {os.getpid()} on {socket.gethostname()}: "
    with locked(tmp_path), pytest.raises(UserError) as caught, locked(tmp_path):
        pass
    assert str(caught.value).startswith(told)
    with locked(tmp_path):
        pass


def test_a_dead_process_holds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=f"trained by process {holder.pid} on "):
            locked(tmp_path).__enter__()
        holder.kill()
    with locked(tmp_path):
        pass


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(UserError, match="cannot be written: "):
        locked(tmp_path).__enter__()
