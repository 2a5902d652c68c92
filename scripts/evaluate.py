"""BLEU, chrF, TER and the alignment error rate of a run, or of translations in a file.

python scripts/evaluate.py runs/my-run
python scripts/evaluate.py runs/my-run --source a.en --reference a.de --output a.translated
python scripts/evaluate.py --hypotheses a.translated --reference a.de
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.cli import add_search, check_search, guarded, search_overrides, start_logging
from nmt.errors import UserError, require

if TYPE_CHECKING:
    from rich.table import Table

    from nmt.config import DataConfig
    from nmt.data.corpus import Split


def main() -> None:
    arguments = parse()
    start_logging()
    check(arguments)
    result = score_file(arguments) if arguments.hypotheses else evaluate_run(arguments)
    if arguments.json:
        print(json.dumps(result, ensure_ascii=False))
    else:
        show(result)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("run", nargs="?", type=Path, metavar="RUN", help="the run directory")
    add("--split", choices=("test", "validation", "train"), help="of the run's corpus (test)")
    add("--source", type=Path, metavar="FILE", help="sentences to translate instead, one a line")
    add("--reference", type=Path, metavar="FILE", help="their true translations")
    add("--hypotheses", type=Path, metavar="FILE", help="score these; no run is needed")
    add("--output", type=Path, metavar="FILE", help="where to write the translations")
    add("--checkpoint", default="best", metavar="best|last|averaged|STEP")
    add("--device", default="auto", metavar="auto|cpu|cuda|cuda:1")
    add("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    add("--json", action="store_true", help="one JSON object on standard output")
    add_search(parser)
    return parser.parse_args()


def check(arguments: argparse.Namespace) -> None:
    """What can be known to be wrong before anything is loaded."""
    if arguments.hypotheses:
        require(
            arguments.reference is not None and arguments.run is None and not arguments.source,
            "--hypotheses FILE is scored against --reference FILE, without a run and a --source",
        )
        return
    require(arguments.run is not None, "say which run directory to evaluate, such as runs/my-run")
    require(
        (arguments.source is None) == (arguments.reference is None),
        "--source FILE and --reference FILE belong together",
    )
    require(
        arguments.source is None or arguments.split is None,
        "--split names a part of the run's corpus and --source a file of your own: give one",
    )
    check_search(arguments)
    output = arguments.output
    if output is not None and not output.parent.is_dir():
        raise UserError(f"--output {output} cannot be written: there is no folder {output.parent}")


def score_file(arguments: argparse.Namespace) -> dict[str, Any]:
    from nmt.data.readers import read_aligned
    from nmt.evaluation.metrics import score

    pairs = list(read_aligned(arguments.hypotheses, arguments.reference))
    scores = score([left for left, _ in pairs], [right for _, right in pairs], ter=True)
    return scores._asdict() | {
        "aer": None,
        "split": None,
        "sentences": len(pairs),
        "seconds": None,
        "best_head": None,
        "heads": [],
    }


def evaluate_run(arguments: argparse.Namespace) -> dict[str, Any]:
    from nmt.evaluation.report import evaluate
    from nmt.training.checkpoint import load_run
    from nmt.training.lexicon import shortlist_of

    run = load_run(
        arguments.run,
        checkpoint=arguments.checkpoint,
        device=arguments.device,
        overrides=arguments.overrides + search_overrides(arguments),
    )
    shortlist = shortlist_of(run)
    name = None if arguments.source else arguments.split or "test"
    split = read_pairs(arguments, run.config.data, name)
    with progress_bar(len(split.source)) as advance:
        found = evaluate(
            run.model,
            run.tokenizers,
            split,
            run.config.decoding,
            max_pieces=run.config.data.max_pieces,
            ter=True,
            shortlist=shortlist,
            progress=advance,
        )
    if arguments.output:
        lines = (line + "\n" for line in found.hypotheses)
        arguments.output.write_text("".join(lines), encoding="utf-8")
    return found.scores._asdict() | {
        "aer": found.aer,
        "split": name,
        "sentences": len(split.source),
        "seconds": round(found.seconds, 2),
        "best_head": found.best_head._asdict() if found.best_head else None,
        "heads": [head._asdict() for head in found.heads],
    }


def read_pairs(arguments: argparse.Namespace, data: DataConfig, name: str | None) -> Split:
    from nmt.data.corpus import read_split, split_of
    from nmt.data.readers import read_aligned

    if name is not None:
        return read_split(data, name)
    return split_of(list(read_aligned(arguments.source, arguments.reference)))


@contextmanager
def progress_bar(sentences: int) -> Iterator[Callable[[int], None] | None]:
    """Tells a person at a terminal how far it is, and nobody else."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("translating", total=sentences)
        yield lambda done: progress.advance(task, done)


def show(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    part = f"{result['split']}, " if result["split"] else ""
    table = Table("score", "value", title=f"{part}{result['sentences']:,} sentences")
    table.add_column("signature", overflow="fold")
    for key, label in (("bleu", "BLEU"), ("chrf", "chrF"), ("ter", "TER")):
        table.add_row(label, f"{result[key]:.2f}", result["signatures"][key])
    best = result["best_head"]
    if best:
        how = f"layer {best['layer']}, head {best['head']}, {best['reading']} the word"
        table.add_row("AER", f"{best['aer']:.3f}", how)
    console = Console()
    console.print(table)
    if best:
        console.print(head_table(result["heads"]))


def head_table(heads: list[dict[str, Any]]) -> Table:
    """The alignment error rates, a row for each head and a column for each reading."""
    from rich.table import Table

    readings = list(dict.fromkeys(head["reading"] for head in heads))
    table = Table("layer", "head", *readings, title="alignment error rate of the attention")
    by_place: dict[tuple[int, int], list[str]] = {}
    for head in heads:
        by_place.setdefault((head["layer"], head["head"]), []).append(f"{head['aer']:.3f}")
    for (layer, number), rates in by_place.items():
        table.add_row(str(layer), str(number), *rates)
    return table


if __name__ == "__main__":
    raise SystemExit(guarded(main))
