"""The allocator is in place from the start, and what is freed stays where that is asked for."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

HAS_PACKAGE = sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64")

STARTED = """
import ctypes, sys
from nmt.allocator import start_with_mimalloc
start_with_mimalloc()
print(hasattr(ctypes.CDLL(None), "mi_malloc"), *sys.argv[1:], sep="|")
"""
# Megabytes that stay of 200, as soon as they are freed and a while after.
FREED = """
import ctypes, time
from pathlib import Path
from nmt.allocator import keep_freed_memory, start_with_mimalloc
start_with_mimalloc()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
if {keep}:
    keep_freed_memory()
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20
before = resident()
blocks = [libc.malloc(20 << 20) for _ in range(10)]
for block in blocks:
    ctypes.memset(block, 1, 20 << 20)
for block in blocks:
    libc.free(block)
for _ in range(50):
    time.sleep(0.02)
    libc.free(libc.malloc(20 << 20))
print(resident() - before)
"""


def python(code: str, *arguments: str, **environment: str) -> str:
    clean = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(
        command, env=clean | environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


@pytest.mark.skipif(not HAS_PACKAGE, reason="mimalloc's package is for Linux")
def test_the_program_starts_again_with_mimalloc_and_its_arguments() -> None:
    assert python(STARTED, "a b", "'c'=1", "--d") == "True|a b|'c'=1|--d"


def test_who_chose_an_allocator_keeps_it() -> None:
    assert python(STARTED, LD_PRELOAD="") == "False"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("environment", [{}, {"LD_PRELOAD": ""}], ids=["mimalloc", "system"])
def test_freed_memory_stays_with_the_program(environment: dict[str, str]) -> None:
    assert int(python(FREED.format(keep=True), **environment)) > 150
    assert int(python(FREED.format(keep=False), **environment)) < 100
