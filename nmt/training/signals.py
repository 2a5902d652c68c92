"""SIGTERM and Ctrl-C during training: the first saves the run, the second exits immediately."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(SystemExit):
    """The run was saved because of a signal; the exit status is 128 + its number, as in a shell:
    143 for SIGTERM, 130 for Ctrl-C."""

    def __init__(self, received: signal.Signals) -> None:
        super().__init__(128 + received)


class Stop:
    """The signal that has asked the run to stop, if any."""

    received: signal.Signals | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)


@contextmanager
def asked_to_stop() -> Iterator[Stop]:
    """Records the first signal. Only the main thread of a program receives signals."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {each: signal.signal(each, stop.handle) for each in SIGNALS}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
