"""What the scripts share: the search flags, and how a script ends when something goes wrong."""

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
KNOBS = (*BEAM, *SAMPLES, *MBR, *COMMON, *RULES)  # keys of `decoding` that are flags too
MISTAKE = 2  # the exit status


def guarded(main: Callable[[], int | None]) -> int:
    """Runs `main` and returns the exit status: `raise SystemExit(guarded(main))`.

    For a user's mistake, and for a file that cannot be read or written, it prints one line on
    standard error and returns 2. Ctrl-C gives 130, and a reader that has gone away (`| head`) 141
    without a message. With NMT_DEBUG=1 in the environment a mistake shows its traceback.
    """
    open_standard_streams()
    escape_unprintable()
    try:
        status = main() or 0
        # Not left to the exit, where the interpreter would print a message about a broken pipe.
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
    """Discards what standard output still buffers, or the flush at exit would fail again."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


STREAMS = ("stdin", "stdout", "stderr")
_closed: set[str] = set()  # the standard streams that the program was started without


def open_standard_streams() -> None:
    """Replaces standard streams that are closed at the start (`>&-`) by /dev/null.

    Python has None in their place, so that any print fails. The next file to be opened would also
    get the number of the stream, and with it the messages of libraries.
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
    """Raises `UserError` if standard output is closed, before work is done for nothing."""
    require("stdout" not in _closed, "standard output is closed, so the results would be lost")


def require_input() -> None:
    """Raises `UserError` if there is no standard input to read."""
    require("stdin" not in _closed, "standard input is closed: there is nothing to translate")


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that say how a run is loaded."""
    add = parser.add_argument
    add(
        "--checkpoint",
        default="best",
        metavar="best|last|averaged|STEP",
        help="which weights to use (default: best)",
    )
    add(
        "--device",
        default="auto",
        metavar="auto|cpu|cuda|cuda:1",
        help="where to run (default: auto)",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override a config key (repeatable)",
    )


def add_search(parser: argparse.ArgumentParser) -> None:
    """Adds the search flags. The schema of the config checks their values."""
    group = parser.add_argument_group("search (defaults: the run's config)")
    add = group.add_argument
    add("--beam-size", metavar="N", help="hypotheses kept in beam search; 1: greedy search")
    add(
        "--patience",
        metavar="P",
        help="stop once P x beam size hypotheses have finished; null: when no other can win",
    )
    add("--length-penalty", metavar="A", help="a higher value favours longer translations; 0: none")
    add("--groups", metavar="N", help="number of diverse beam groups")
    add("--diversity", metavar="D", help="penalty for repeating a token of an earlier group")
    add("--sample", action="store_true", help="draw a random sample instead of searching")
    add(
        "--mbr",
        action="store_true",
        help="pick the sample most similar to the others (minimum Bayes risk)",
    )
    add("--samples", metavar="N", help="number of samples for --mbr")
    add("--utility", metavar="chrf|bleu", help="similarity measure for --mbr")
    add("--temperature", metavar="T", help="sampling temperature; below 1 favours likely tokens")
    add("--top-k", metavar="K", help="sample from the K most likely tokens; 0: all")
    add(
        "--top-p",
        metavar="P",
        help="sample from the smallest set of tokens with this total probability",
    )
    add("--seed", metavar="N", help="random seed of sampling")
    add("--no-repeat-ngram", metavar="N", help="let no sequence of N pieces occur twice; 0: off")
    add("--repetition-penalty", metavar="P", help="above 1, repeat pieces less often; 1: off")
    add("--min-length", metavar="N", help="minimum length of a translation, in pieces")
    add("--precision", metavar="auto|fp32|bf16|int8", help="arithmetic to compute in")
    add(
        "--shortlist",
        metavar="N",
        help="candidate translations per source piece (scores are relative to them); 0: whole "
        "vocabulary",
    )
    add(
        "--split-sentences",
        action=argparse.BooleanOptionalAction,
        help="translate the sentences of a line one by one (default: yes if training lines were "
        "single sentences)",
    )


def add_demands(parser: argparse.ArgumentParser) -> None:
    """Adds the flags for words that translations must or must not contain."""
    add = parser.add_argument_group("constraints (case-sensitive)").add_argument
    add(
        "--prefix",
        default="",
        metavar="TEXT",
        help="begin the translation with TEXT (its last word may continue)",
    )
    add(
        "--forbid",
        action="append",
        default=[],
        metavar="WORDS",
        help="words that must not occur in the translation (repeatable)",
    )
    add(
        "--require",
        action="append",
        default=[],
        metavar="WORDS",
        help="words that must occur in the translation (repeatable)",
    )


def check_search(arguments: argparse.Namespace) -> None:
    """Raises `UserError` for flags that the search strategy would ignore."""
    require(not (arguments.sample and arguments.mbr), "--sample and --mbr exclude each other")
    if any(word.startswith("decoding.strategy") for word in arguments.overrides):
        return
    drawn = arguments.sample or arguments.mbr
    _refuse(arguments, BEAM if drawn else (), "needs beam search: omit --sample and --mbr")
    _refuse(arguments, () if drawn else SAMPLES, "needs --sample or --mbr")
    _refuse(arguments, () if arguments.mbr else MBR, "needs --mbr")


def _refuse(arguments: argparse.Namespace, keys: Sequence[str], rule: str) -> None:
    for key in keys:
        require(getattr(arguments, key) is None, f"--{key.replace('_', '-')} {rule}")


def search_overrides(arguments: argparse.Namespace) -> list[str]:
    """The flags as overrides of the config."""
    knobs = {key: getattr(arguments, key) for key in KNOBS}
    knobs["split_sentences"] = arguments.split_sentences
    knobs["strategy"] = "sample" if arguments.sample else "mbr" if arguments.mbr else None
    return [f"decoding.{key}={value}" for key, value in knobs.items() if value is not None]
