"""Translate sentences: one line of output per line of input.

python scripts/translate.py runs/my-run "A dog runs." "It rains."
echo "A dog runs." | python scripts/translate.py runs/my-run
python scripts/translate.py runs/my-run --input a.en --output a.de --alignments a.align
python scripts/translate.py runs/my-run --ensemble runs/b,runs/c --nbest 5 < a.en
python scripts/translate.py runs/my-run --input a.en --score a.de
python scripts/translate.py runs/my-run "A dog runs." --prefix "Ein gr" --require Hund --forbid eine
python scripts/translate.py runs/my-run "A dog runs." --attention dog.png
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from nmt.cli import (
    add_demands,
    add_run_options,
    add_search,
    check_search,
    guarded,
    require_input,
    require_output,
    search_overrides,
)
from nmt.errors import UserError, require
from nmt.screen import Activity, activity, start_logging, writing_output
from nmt.stream import count_lines, decoded, output_to, typed, windows

if TYPE_CHECKING:
    from nmt.decoding.constraints import Demands
    from nmt.decoding.parts import Translation
    from nmt.translator import Translator

log = logging.getLogger(__name__)

MOST_PICTURES = 50  # drawn by --attention
MOST_PARTS = 20  # drawn in one picture
SCORED = 1000  # pairs read at once by --score


class Source(NamedTuple):
    """Where the sentences come from."""

    windows: Iterator[list[str]]  # lines, as many at a time as are ready
    lines: int | None  # total number of lines; None: not known


class Drawn(NamedTuple):
    line: int
    parts: list[tuple[str, str]]  # the parts of the line and their translations


def main() -> None:
    arguments = parse()
    check(arguments)
    start_logging(logging.WARNING, plain="%(levelname)s: %(message)s")
    if arguments.score:
        score(arguments)
        return
    path = arguments.alignments
    with (
        source_of(arguments) as source,
        output_to(arguments.output) as output,
        output_to(path, "--alignments") if path else nullcontext() as alignments,
    ):
        translator = load(arguments)
        first = translate(translator, source, arguments, output, alignments)
    if arguments.attention:
        draw(translator, first, arguments.attention)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="run directory")
    add(
        "sentences",
        nargs="*",
        metavar="SENTENCE",
        help="sentences to translate (default: --input or standard input)",
    )
    add(
        "--ensemble",
        metavar="RUN,RUN",
        help="more runs, with the same tokenizer, to ensemble with RUN",
    )
    add_run_options(parser)
    add_files(parser.add_argument_group("input and output"))
    add_search(parser)
    add_demands(parser)
    return parser.parse_intermixed_args()


def add_files(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--input", type=Path, metavar="FILE", help="UTF-8 text, one sentence per line")
    add("--output", type=Path, metavar="FILE", help="where to write (default: standard output)")
    add(
        "--errors",
        choices=("strict", "replace"),
        default="strict",
        help="what to do with bytes that are not UTF-8 (default: strict)",
    )
    add(
        "--nbest",
        type=int,
        metavar="N",
        help="write the N best translations as `line ||| text ||| score`, lines counted from 0",
    )
    add("--json", action="store_true", help="one JSON object per line, with pieces and alignment")
    add(
        "--attention-matrix",
        action="store_true",
        help="add the attention matrix of the best-aligning head to --json",
    )
    add(
        "--alignments",
        type=Path,
        metavar="FILE",
        help="write word alignments as `source-target`, such as `0-0 1-2`",
    )
    add("--attention", type=Path, metavar="OUT.png", help="draw the attention of the model")
    add("--score", type=Path, metavar="FILE", help="score these translations of --input instead of "
        "translating: log-probability, tab, perplexity per piece (in fp32 unless --precision is "
        "given)")  # fmt: skip


def check(arguments: argparse.Namespace) -> None:
    """Raises `UserError` for wrong arguments, before anything is loaded."""
    require(
        not (arguments.sentences and arguments.input),
        "give either sentences or --input FILE, not both",
    )
    picture = arguments.attention
    require(
        picture is None or picture.suffix == ".png",
        f"--attention must name a .png file, but is {picture}",
    )
    require(not arguments.attention_matrix or arguments.json, "--attention-matrix needs --json")
    require(
        arguments.score is None or arguments.input is not None,
        "--score FILE needs --input FILE, the sentences that it translates",
    )
    check_search(arguments)
    if arguments.output is None:
        require_output()
    if not (arguments.sentences or arguments.input):
        require_input()


def load(arguments: argparse.Namespace) -> Translator:
    from nmt.translator import (
        Translator,
    )  # torch takes seconds to import: check the arguments first

    overrides = arguments.overrides + search_overrides(arguments)
    if arguments.score:  # bf16 is too coarse for four decimals; --precision overrides this
        overrides = ["decoding.precision=fp32", *overrides]
    others = arguments.ensemble.split(",") if arguments.ensemble else []
    return Translator.load(
        [arguments.run, *others],
        checkpoint=arguments.checkpoint,
        device=arguments.device,
        overrides=overrides,
    )


@contextmanager
def source_of(arguments: argparse.Namespace) -> Iterator[Source]:
    """The sentences on the command line (as bytes), in --input or on standard input."""
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
        by_hand = sys.stdin.isatty()
        raw = typed() if by_hand else windows(FileIO(sys.stdin.fileno(), closefd=False))
        yield Source(decoded(raw, "standard input, line", arguments.errors), None)


def translate(
    translator: Translator,
    source: Source,
    arguments: argparse.Namespace,
    output: BinaryIO,
    alignments: BinaryIO | None,
) -> list[Drawn]:
    """Translates and writes window by window. Returns the first lines that are not blank: those to
    draw, and one more if there are too many."""
    from nmt.decoding.parts import warn_of_cut
    from nmt.evaluation.alignment import pharaoh

    first: list[Drawn] = []
    demands = demands_of(arguments)
    done = cut = 0
    with progress_bar(arguments, source.lines) as bar:
        for sentences in source.windows:
            found = translator.n_best(
                sentences,
                1 if arguments.nbest is None else arguments.nbest,
                demands=demands,
                first_line=done + 1,
                progress=bar.advance,
            )
            write(output, lines_of(translator, sentences, found, arguments, done))
            if alignments:
                write(alignments, map(pharaoh, translator.align(found)))
            spoken = (
                Drawn(line, translation.parts)
                for line, translation in enumerate(found, done + 1)
                if any(text.strip() for text, _ in translation.parts)
            )
            first += islice(spoken, MOST_PICTURES + 1 - len(first))
            done += len(sentences)
            cut += sum(translation.cut for translation in found)
    warn_of_cut(cut, done, translator.config.decoding)
    return first


def demands_of(arguments: argparse.Namespace) -> Demands | None:
    from nmt.decoding.constraints import Demands

    found = Demands(arguments.prefix, tuple(arguments.forbid), tuple(arguments.require))
    return found if any(found) else None


def lines_of(
    translator: Translator,
    sentences: Sequence[str],
    found: Sequence[Translation],
    arguments: argparse.Namespace,
    first: int,
) -> Iterable[str]:
    """The output for a window of translations."""
    from nmt.formats import n_best_list, translation_json

    if arguments.json:
        tokenizer, matrix = translator.tokenizers.target, arguments.attention_matrix
        rows = zip(sentences, found, translator.align(found), strict=True)
        return (translation_json(*row, tokenizer, matrix=matrix) for row in rows)
    if arguments.nbest is not None:
        return n_best_list(found, first)
    return (translation.hypotheses[0].text for translation in found)


def score(arguments: argparse.Namespace) -> None:
    from nmt.data.readers import read_aligned
    from nmt.formats import score_json, score_line

    pairs = read_aligned(arguments.input, arguments.score)
    with output_to(arguments.output) as output:
        translator = load(arguments)
        with progress_bar(arguments, None) as bar:
            while window := list(islice(pairs, SCORED)):
                sentences, translations = zip(*window, strict=True)
                found = translator.score(sentences, translations, bar.advance)
                if arguments.json:
                    write(output, map(score_json, sentences, translations, found))
                else:
                    write(output, map(score_line, found))


def write(output: BinaryIO, lines: Iterable[str]) -> None:
    data = "".join(line + "\n" for line in lines).encode()
    with writing_output("standard output" if output is sys.stdout.buffer else output.name):
        output.write(data)
        output.flush()


def progress_bar(
    arguments: argparse.Namespace, lines: int | None
) -> AbstractContextManager[Activity]:
    """A progress bar, unless translations appear on the terminal or sentences are typed there."""
    hidden = sys.stdout.isatty() and not arguments.output
    typed = arguments.sentences or (sys.stdin.isatty() and not arguments.input)
    return activity("translating", lines, shown=not hidden and not typed)


def draw(translator: Translator, lines: Sequence[Drawn], path: Path) -> None:
    """Draws one picture, or one per line if there are several, numbered by line. Parts of a line
    that were translated one by one are drawn below each other."""
    from nmt.attention_map import save_png

    for line, parts in lines[:MOST_PICTURES]:
        name = path.name if len(lines) == 1 else f"{path.stem}-{line}{path.suffix}"
        shown = [part for part in parts if part[0].strip()][:MOST_PARTS]
        save_png([translator.attention(*part) for part in shown], path.with_name(name))
        if len(parts) > MOST_PARTS:
            log.warning("--attention drew the first %d parts of line %d", MOST_PARTS, line)
    if len(lines) > MOST_PICTURES:
        log.warning("--attention drew the first %d sentences, not all", MOST_PICTURES)


if __name__ == "__main__":
    raise SystemExit(guarded(main))
