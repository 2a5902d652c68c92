"""Which allocator the program's memory comes from.

torch asks for memory that is aligned, which glibc cannot reuse for a request of the same size
(sourceware bug 14581): the heap of a training grows by a third, and its tensors are seldom in a
cache. mimalloc, where its package is installed, has neither trouble, but it must be there from the
start.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

PLACE = Path("cmeel.prefix/lib/libmimalloc.so")  # in the folder of the installed packages
PURGE_DELAY = 15  # of `mi_option_e` in mimalloc.h: milliseconds until what is freed goes back


def start_with_mimalloc() -> None:
    """Starts the program again with mimalloc in place of the system's allocator, where it can.

    To be called before anything is done. Whoever sets LD_PRELOAD, to nothing even, is left alone.
    """
    if not sys.platform.startswith("linux") or "LD_PRELOAD" in os.environ:
        return
    library = next(filter(Path.is_file, (Path(folder) / PLACE for folder in sys.path)), None)
    if library is not None and ":" not in str(library) and " " not in str(library):
        os.environ["LD_PRELOAD"] = str(library.absolute())
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def keep_freed_memory() -> None:
    """What is freed from now on stays with the program: a step's memory is the next one's. What was
    freed before goes back to the system.

    By default large blocks are given back, and each training step pays for their pages anew: up to
    a third of it.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mi_option_set"):
        libc.mi_collect(True)
        libc.mi_option_set(PURGE_DELAY, ctypes.c_long(-1))
    elif hasattr(libc, "mallopt"):
        libc.malloc_trim(0)
        trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # malloc.h
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(top_pad, 64 << 20)
