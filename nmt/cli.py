"""What scripts have in common: the flags of the search, and how they end when something goes
wrong."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from nmt.errors import UserError, reason, require
from nmt.screen import escape_unprintable, writing_output

BEAM = ("beam_size", "patience", "groups", "diversity")
SAMPLES = ("temperature", "top_k", "top_p", "seed")
MBR = ("samples", "utility")
COMMON = ("length_penalty", "precision", "shortlist")
RULES = ("no_repeat_ngram", "repetition_penalty", "min_length")
KNOBS = (*BEAM, *SAMPLES, *MBR, *COMMON, *RULES)  # keys of decoding, and flags
MISTAKE = 2  # the exit status


def guarded(main: Callable[[], int | None]) -> int:
    """Runs `main` and returns the exit status: `raise SystemExit(guarded(main))`.

    A user's mistake, and a file that cannot be read or written, is one line on standard error and
    2; Ctrl-C is 130; a reader that went away (`| head`) is 141 without a word. With NMT_DEBUG=1 in
    the environment a mistake shows its traceback.
    """
    open_standard_streams()
    escape_unprintable()
    try:
        status = main() or 0
        # Here rather than at exit, where a broken pipe would be a message from the interpreter.
        with writing_output():
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        silence_output()
        return 141
    except (UserError, OSError) as error:
        if os.environ.get("NMT_DEBUG") == "1":
            raise
        silence_output()
        said = isinstance(error, UserError) or error.filename
        say(f"error: {'' if said else 'reading or writing failed: '}{reason(error)}")
        return MISTAKE
    return status


def say(line: str) -> None:
    """A line on standard error, if anybody still reads it."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def silence_output() -> None:
    """Sends what standard output still buffers nowhere, or the flush at exit would fail again."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


STREAMS = ("stdin", "stdout", "stderr")
_closed: set[str] = set()  # the standard streams that the program was started without


def open_standard_streams() -> None:
    """Puts /dev/null where the program was started without a standard stream (`>&-`).

    Python has None there, which breaks whatever prints; and the next file to be opened would get
    the number of the stream, and with it what libraries print.
    """
    for number, name in enumerate(STREAMS):
        if getattr(sys, name) is not None:
            continue
        _closed.add(name)
        handle = os.open(os.devnull, os.O_RDWR)
        if handle != number:
            os.dup2(handle, number)
            os.close(handle)
        os.set_inheritable(number, True)
        setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def require_output() -> None:
    """Raises `UserError` where standard output is closed, before any work for it is done."""
    require("stdout" not in _closed, "standard output is closed, so the results would be lost")


def require_input() -> None:
    """Raises `UserError` where there is no standard input to read."""
    require("stdin" not in _closed, "standard input is closed: there is nothing to translate")


def add_search(parser: argparse.ArgumentParser) -> None:
    """The flags of how translations are searched; their values go through the schema."""
    group = parser.add_argument_group("how it is searched (else as the run's config says)")
    add = group.add_argument
    add("--beam-size", metavar="N", help="hypotheses kept in the search; 1: greedy")
    add("--patience", metavar="P", help="stop at P * N finished ones; null: when none can win")
    add("--length-penalty", metavar="A", help="0: none; the higher, the longer the translations")
    add("--groups", metavar="N", help="of the beam, kept different from each other")
    add("--diversity", metavar="D", help="how different")
    add("--sample", action="store_true", help="draw translations from the model")
    add("--mbr", action="store_true", help="of samples the one most like the others")
    add("--samples", metavar="N", help="that --mbr compares")
    add("--utility", metavar="chrf|bleu", help="by which it compares them")
    add("--temperature", metavar="T", help="of samples: below 1 nearer to the likeliest")
    add("--top-k", metavar="K", help="samples come from so many of the likeliest tokens")
    add("--top-p", metavar="P", help="and from the fewest that have this share of probability")
    add("--seed", metavar="N", help="of samples")
    add("--no-repeat-ngram", metavar="N", help="let no N pieces in a row occur twice; 0: off")
    add("--repetition-penalty", metavar="P", help="above 1: repeat pieces less often; 1: off")
    add("--min-length", metavar="N", help="pieces a translation must have at least")
    add("--precision", metavar="auto|fp32|bf16|int8", help="arithmetic")
    add(
        "--shortlist",
        metavar="N",
        help="candidate translations per source piece (scores are relative to them); 0: whole "
        "vocabulary",
    )
    add(
        "--split-sentences",
        action=argparse.BooleanOptionalAction,
        help="translate the sentences of a line one by one (default: if the lines in training were "
        "single sentences)",
    )


def add_demands(parser: argparse.ArgumentParser) -> None:
    """The flags of what every translation must and must not say."""
    add = parser.add_argument_group(
        "what it must say, and must not (letters as they are)"
    ).add_argument
    add("--prefix", default="", metavar="TEXT", help="it begins so; the last word may go on")
    add(
        "--forbid", action="append", default=[], metavar="WORDS", help="it has not; may be repeated"
    )
    add("--require", action="append", default=[], metavar="WORDS", help="it has; may be repeated")


def check_search(arguments: argparse.Namespace) -> None:
    """Refuses flags that the strategy would pass over."""
    require(not (arguments.sample and arguments.mbr), "--sample and --mbr: give one of them")
    if any(word.startswith("decoding.strategy") for word in arguments.overrides):
        return
    drawn = arguments.sample or arguments.mbr
    _refuse(arguments, BEAM if drawn else (), "belongs to beam search, without --sample, --mbr")
    _refuse(arguments, () if drawn else SAMPLES, "belongs to --sample or --mbr")
    _refuse(arguments, () if arguments.mbr else MBR, "belongs to --mbr")


def _refuse(arguments: argparse.Namespace, keys: Sequence[str], rule: str) -> None:
    for key in keys:
        require(getattr(arguments, key) is None, f"--{key.replace('_', '-')} {rule}")


def search_overrides(arguments: argparse.Namespace) -> list[str]:
    """The flags as overrides of the config."""
    knobs = {key: getattr(arguments, key) for key in KNOBS}
    knobs["split_sentences"] = arguments.split_sentences
    knobs["strategy"] = "sample" if arguments.sample else "mbr" if arguments.mbr else None
    return [f"decoding.{key}={value}" for key, value in knobs.items() if value is not None]
