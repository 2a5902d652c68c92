"""Translates sentences, one line out for each line in.

python scripts/translate.py runs/my-run "A dog runs." "It rains."
echo "A dog runs." | python scripts/translate.py runs/my-run
python scripts/translate.py runs/my-run --input a.en --output a.de
python scripts/translate.py runs/my-run "A dog runs." --attention dog.png
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from nmt.cli import guarded
from nmt.config import UserError, require

if TYPE_CHECKING:
    from nmt.translator import Translator

log = logging.getLogger(__name__)

WINDOW = 1 << 16  # bytes read at once, about a thousand lines
MOST_PICTURES = 50  # that --attention draws


class Source(NamedTuple):
    """Where the sentences come from."""

    windows: Iterator[list[str]]  # lines, as many at a time as are there
    lines: int | None  # all of them, where that is known


class Pair(NamedTuple):
    line: int
    sentence: str
    translation: str


def main() -> None:
    arguments = parse()
    check(arguments)
    logging.basicConfig(format="%(levelname)s: %(message)s")
    with source_of(arguments) as source, output_to(arguments.output) as output:
        from nmt.translator import Translator  # not before the arguments are known to be good

        translator = Translator.load(
            arguments.run,
            checkpoint=arguments.checkpoint,
            device=arguments.device,
            overrides=arguments.overrides,
        )
        pairs = translate(translator, source, output, show_progress=wants_progress(arguments))
    if arguments.attention:
        draw(translator, pairs, arguments.attention)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="the run directory")
    add("sentences", nargs="*", metavar="SENTENCE", help="else a file or standard input is read")
    add("--input", type=Path, metavar="FILE", help="UTF-8 text, one sentence a line")
    add("--output", type=Path, metavar="FILE", help="where to write (standard output)")
    add("--beam-size", metavar="N", help="hypotheses kept in the search; 1: greedy")
    add("--length-penalty", metavar="A", help="0: none; the higher, the longer the translations")
    add("--checkpoint", default="best", metavar="best|last|averaged|STEP")
    add("--device", default="auto", metavar="auto|cpu|cuda|cuda:1")
    add("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    add("--attention", type=Path, metavar="OUT.png", help="draw where the model looked")
    add("--errors", choices=("strict", "replace"), default="strict", help="of bytes not UTF-8")
    arguments = parser.parse_intermixed_args()
    for key in ("beam_size", "length_penalty"):
        value = getattr(arguments, key)
        arguments.overrides += [] if value is None else [f"decoding.{key}={value}"]
    return arguments


def check(arguments: argparse.Namespace) -> None:
    """What can be known to be wrong before anything is loaded."""
    require(
        not (arguments.sentences and arguments.input),
        "sentences come from the command line or from --input FILE: give one of them",
    )
    picture = arguments.attention
    require(
        picture is None or picture.suffix == ".png",
        f"--attention must name a .png file, but is {picture}",
    )


def wants_progress(arguments: argparse.Namespace) -> bool:
    """A bar on the terminal, unless the translations appear there or the sentences are typed."""
    hidden = sys.stdout.isatty() and not arguments.output
    typed = arguments.sentences or (sys.stdin.isatty() and not arguments.input)
    return sys.stderr.isatty() and not hidden and not typed


@contextmanager
def source_of(arguments: argparse.Namespace) -> Iterator[Source]:
    """The arguments as the bytes that the shell gave, else a file, else standard input."""
    if arguments.sentences:
        lines = [os.fsencode(sentence) for sentence in arguments.sentences]
        yield Source(decoded([lines], "sentence", arguments.errors), len(lines))
    elif arguments.input:
        path = arguments.input
        try:
            lines_in_all = count_lines(path)
            stream = path.open("rb", buffering=0)
        except OSError as error:
            raise UserError(f"--input {path} cannot be read: {error.strerror}") from error
        with stream:
            raw = windows(stream)
            yield Source(decoded(raw, f"{path}, line", arguments.errors), lines_in_all)
    else:
        raw = windows(FileIO(sys.stdin.fileno(), closefd=False))
        yield Source(decoded(raw, "standard input, line", arguments.errors), None)


def count_lines(path: Path) -> int | None:
    """None for a pipe such as <(zcat a.en.gz), which can be read only once."""
    if path.exists() and not path.is_file():
        return None
    with path.open("rb") as stream:
        return sum(1 for _ in stream)


def windows(stream: FileIO) -> Iterator[list[bytes]]:
    r"""Lines without their \n, which alone ends a line, as many at a time as are there."""
    rest = b""
    while chunk := stream.read(WINDOW):
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield lines
    if rest:
        yield [rest]


def decoded(raw: Iterable[list[bytes]], place: str, errors: str) -> Iterator[list[str]]:
    """The text of windows of bytes.

    Where `errors` is strict, bytes that are not UTF-8 raise `UserError` with `place` and the number
    of the line, once the lines before are out.
    """
    number = 0
    for lines in raw:
        texts = []
        for line in lines:
            number += 1
            try:
                texts.append(line.decode("utf-8", errors))
            except UnicodeDecodeError as error:
                yield texts
                raise UserError(
                    f"{place} {number} is not UTF-8 (byte 0x{line[error.start]:02x} at position "
                    f"{error.start + 1}): convert it, or translate all the same by --errors replace"
                ) from error
        yield texts


@contextmanager
def output_to(path: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that gets its name when all of it is written."""
    if path is None:
        yield sys.stdout.buffer
        return
    device = path.exists() and not path.is_file()  # such as /dev/null: nothing to rename
    final = path if device else path.resolve()
    part = path if device else final.with_name(final.name + ".part")
    try:
        stream = part.open("wb")
    except OSError as error:
        raise UserError(f"--output {path} cannot be written: {error.strerror}") from error
    try:
        with stream:
            yield stream
    except BaseException:
        if not device:
            keep_or_drop(part)
        raise
    if not device:
        part.replace(final)


def keep_or_drop(part: Path) -> None:
    """What becomes of the beginning of an output that did not come to its end."""
    if part.stat().st_size:
        log.warning("what was translated until then is in %s", part)
    else:
        part.unlink()


def translate(
    translator: Translator, source: Source, output: BinaryIO, *, show_progress: bool
) -> list[Pair]:
    """Writes a line for each line; returns the first that are not blank, one too many to draw."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    console = Console(stderr=True)
    pairs: list[Pair] = []
    done = 0
    with Progress(*columns, console=console, transient=True, disable=not show_progress) as bar:
        task = bar.add_task("translating", total=source.lines)
        for sentences in source.windows:
            translations = translator.translate(
                sentences, first_line=done + 1, progress=lambda count: bar.advance(task, count)
            )
            output.write("".join(line + "\n" for line in translations).encode())
            output.flush()
            both = zip(sentences, translations, strict=True)
            numbered = (Pair(number, *pair) for number, pair in enumerate(both, done + 1))
            spoken = (pair for pair in numbered if pair.sentence.strip())
            pairs += islice(spoken, MOST_PICTURES + 1 - len(pairs))
            done += len(sentences)
            bar.update(task, completed=done)
    return pairs


def draw(translator: Translator, pairs: Sequence[Pair], path: Path) -> None:
    """One picture of that name, or of several sentences one each, numbered by their lines."""
    from nmt.attention_map import save_png

    for line, sentence, translation in pairs[:MOST_PICTURES]:
        name = path.name if len(pairs) == 1 else f"{path.stem}-{line}{path.suffix}"
        save_png(translator.attention(sentence, translation), path.with_name(name))
    if len(pairs) > MOST_PICTURES:
        log.warning("--attention drew the first %d sentences, not all", MOST_PICTURES)


if __name__ == "__main__":
    raise SystemExit(guarded(main))
