"""BLEU, chrF, TER and the alignment error rate of a run, or of translations in a file.

python scripts/evaluate.py runs/my-run
python scripts/evaluate.py runs/my-run --source a.en --reference a.de --output a.translated
python scripts/evaluate.py --hypotheses a.translated --reference a.de
python scripts/evaluate.py --hypotheses a.translated --reference a.zh --reference b.zh --lowercase
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.cli import (
    add_run_options,
    add_search,
    check_search,
    guarded,
    require_output,
    search_overrides,
)
from nmt.errors import UserError, require
from nmt.screen import activity, print_table, start_logging

if TYPE_CHECKING:
    from rich.table import Table

    from nmt.config import DataConfig
    from nmt.data.corpus import Split
    from nmt.evaluation.alignment import HeadAlignment
    from nmt.evaluation.metrics import Scores
    from nmt.training.checkpoint import Run


def main() -> None:
    arguments = parse()
    start_logging()
    check(arguments)
    require_output()
    result = score_file(arguments) if arguments.hypotheses else evaluate_run(arguments)
    if arguments.json:
        print(json.dumps(result))
    else:
        show(result)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("run", nargs="?", type=Path, metavar="RUN", help="run directory")
    add(
        "--split",
        choices=("test", "validation", "train"),
        help="part of the run's corpus (default: test)",
    )
    add("--source", type=Path, metavar="FILE", help="translate this file instead of the corpus")
    add(
        "--reference",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        dest="references",
        help="reference translations, one per line (repeatable, for several sets of references)",
    )
    add(
        "--hypotheses",
        type=Path,
        metavar="FILE",
        help="score the translations in this file, without a RUN",
    )
    add("--output", type=Path, metavar="FILE", help="write the translations to this file")
    add(
        "--tokenize",
        metavar="NAME",
        help="tokenizer of BLEU: 13a, intl, zh, ja-mecab, ko-mecab, char, none, flores200 "
        "(default: by the target language, or by the script of the reference)",
    )
    add("--lowercase", action="store_true", help="ignore case in BLEU and chrF")
    add_run_options(parser)
    add("--json", action="store_true", help="print one JSON object")
    add_search(parser)
    return parser.parse_args()


def check(arguments: argparse.Namespace) -> None:
    """Raises `UserError` for wrong arguments, before anything is loaded."""
    if arguments.hypotheses:
        require(
            bool(arguments.references) and arguments.run is None and not arguments.source,
            "--hypotheses needs --reference, and no RUN or --source",
        )
        return
    require(arguments.run is not None, "name the run directory to evaluate, such as runs/my-run")
    require(
        (arguments.source is None) == (not arguments.references),
        "--source and --reference need each other: give both files",
    )
    require(
        arguments.source is None or arguments.split is None,
        "--split and --source exclude each other: a part of the run's corpus, or your own file",
    )
    check_search(arguments)
    output = arguments.output
    if output is not None and not output.parent.is_dir():
        raise UserError(f"--output {output} cannot be written: no such folder: {output.parent}")


def score_file(arguments: argparse.Namespace) -> dict[str, Any]:
    from nmt.config import EvaluationConfig
    from nmt.evaluation.metrics import score

    config = EvaluationConfig(tokenize=arguments.tokenize, lowercase=arguments.lowercase)
    hypotheses, *references = read_columns(arguments.hypotheses, arguments.references)
    return shown(score(hypotheses, *references, config=config, ter=True)) | {
        "aer": None,
        "split": None,
        "sentences": len(hypotheses),
        "seconds": None,
        "best_head": None,
        "head_selected_on": None,
        "heads": [],
    }


def shown(scores: Scores) -> dict[str, Any]:
    """`{"bleu": 27.1, ..., "signatures": {"bleu": "nrefs:1|...", ...}}`; TER may be missing."""
    from nmt.evaluation.metrics import signatures, values

    return {"ter": None, **values(scores), "signatures": signatures(scores)}


def evaluate_run(arguments: argparse.Namespace) -> dict[str, Any]:
    from nmt.decoding.parts import warn_of_cut
    from nmt.evaluation.metrics import Scorer
    from nmt.evaluation.report import evaluate
    from nmt.training.checkpoint import load_run
    from nmt.training.lexicon import shortlist_of
    from nmt.training.seen import splitting_of

    run = load_run(
        arguments.run,
        checkpoint=arguments.checkpoint,
        device=arguments.device,
        overrides=arguments.overrides + search_overrides(arguments) + score_overrides(arguments),
    )
    shortlist = shortlist_of(run)
    name = None if arguments.source else arguments.split or "test"
    split, references = read_references(arguments, run.config.data, name)
    language = run.config.data.target_language
    scorer = Scorer(references, config=run.config.evaluation, language=language, ter=True)
    with activity("translating", len(split.source)) as bar:
        found = evaluate(
            run.model,
            run.tokenizers,
            split,
            run.config.decoding,
            splitting=splitting_of(run.config, run.seen, whole=name is not None),
            language=run.config.data.target_language,
            scorer=scorer,
            shortlist=shortlist,
            progress=bar.advance,
        )
    warn_of_cut(found.cut, len(split.source), run.config.decoding)
    if arguments.output:
        lines = (line + "\n" for line in found.hypotheses)
        arguments.output.write_text("".join(lines), encoding="utf-8")
    return (
        shown(found.scores)
        | {"split": name, "sentences": len(split.source), "seconds": round(found.seconds, 2)}
        | alignment_errors(run, found.heads, name)
    )


def score_overrides(arguments: argparse.Namespace) -> list[str]:
    tokenize = [] if arguments.tokenize is None else [f"evaluation.tokenize={arguments.tokenize}"]
    return tokenize + (["evaluation.lowercase=true"] if arguments.lowercase else [])


def alignment_errors(run: Run, heads: list[HeadAlignment], split: str | None) -> dict[str, Any]:
    """The alignment error rate of the head that the run has selected, or else of the head that is
    best on the split itself."""
    from nmt.evaluation.alignment import load_aligner, same_head, select_head

    selected = load_aligner(run.path, run.config.model)
    head, selected_on = same_head(heads, selected), selected.split
    if head is None:
        head, selected_on = select_head(heads), split
    return {
        "aer": head.aer if head else None,
        "best_head": head._asdict() if head else None,
        "head_selected_on": selected_on if head else None,
        "heads": [each._asdict() for each in heads],
    }


def read_references(
    arguments: argparse.Namespace, data: DataConfig, name: str | None
) -> tuple[Split, list[list[str]]]:
    """The sentences to translate, and the sets of their references."""
    from nmt.data.corpus import read_split, split_of

    if name is not None:
        split = read_split(data, name)
        return split, [split.target]
    source, *references = read_columns(arguments.source, arguments.references)
    return split_of(list(zip(source, references[0], strict=True))), references


def read_columns(lines: Path, references: list[Path]) -> list[list[str]]:
    """The lines of a file and those of each reference, which must have as many lines."""
    from nmt.data.readers import on_one_line, read_aligned

    pairs = [list(on_one_line(read_aligned(lines, reference))) for reference in references]
    return [[left for left, _ in pairs[0]], *([right for _, right in each] for each in pairs)]


def show(result: dict[str, Any]) -> None:
    from rich.table import Table

    part = f"{result['split']}, " if result["split"] else ""
    table = Table("score", "value", title=f"{part}{result['sentences']:,} sentences")
    table.add_column("signature", overflow="fold")
    for key, label in (("bleu", "BLEU"), ("chrf", "chrF"), ("ter", "TER")):
        if result[key] is not None:
            table.add_row(label, f"{result[key]:.2f}", result["signatures"][key])
    best = result["best_head"]
    if best:
        how = f"layer {best['layer']}, head {best['head']}, {best['reading']} the word"
        on = f"selected on the {result['head_selected_on']} set"
        if result["head_selected_on"] == result["split"]:
            on += " itself, which flatters it"
        table.add_row("AER", f"{best['aer']:.3f}", f"{how}; {on}")
    print_table(table)
    if best:
        print_table(head_table(result["heads"], best, on))


def head_table(heads: list[dict[str, Any]], best: dict[str, Any], how: str) -> Table:
    """The alignment error rates, with a row per head and a column per reading."""
    from rich.table import Table

    readings = list(dict.fromkeys(head["reading"] for head in heads))
    title = "alignment error rate of the attention"
    table = Table("layer", "head", *readings, title=title, caption=f"* {how}")
    by_place: dict[tuple[int, int], list[str]] = {}
    for head in heads:
        mark = " *" if head == best else ""
        by_place.setdefault((head["layer"], head["head"]), []).append(f"{head['aer']:.3f}{mark}")
    for (layer, number), rates in by_place.items():
        table.add_row(str(layer), str(number), *rates)
    return table


if __name__ == "__main__":
    raise SystemExit(guarded(main))
