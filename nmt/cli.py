"""What every script has in common: how it ends when something goes wrong."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

from nmt.config import UserError


def start_logging() -> None:
    """What the program does, on stderr: above the progress bar on a terminal, else line by line."""
    from rich.console import Console
    from rich.logging import RichHandler

    console = Console(stderr=True)
    if console.is_terminal:
        handler: logging.Handler = RichHandler(
            console=console, show_path=False, show_level=False, log_time_format="%H:%M:%S"
        )
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.getLogger("nmt").addHandler(handler)
    logging.getLogger("nmt").setLevel(logging.INFO)


def guarded(main: Callable[[], int | None]) -> int:
    """Runs `main` and returns the exit status: `raise SystemExit(guarded(main))`.

    A user's mistake is one line on stderr and 2; Ctrl-C is 130; a reader that went away (`| head`)
    is 141 without a word. With NMT_DEBUG=1 in the environment a mistake shows its traceback.
    """
    try:
        status = main() or 0
        # Here rather than at exit, where a broken pipe would be a message from the interpreter.
        sys.stdout.flush()
    except UserError as error:
        if os.environ.get("NMT_DEBUG") == "1":
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # What is still in the buffer goes nowhere, so that the flush at exit is quiet too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status
