"""Measure training speed, and translation speed alone or against another engine.

python scripts/benchmark.py train
python scripts/benchmark.py train experiment=benchmark_transformer data.path=FOLDER
python scripts/benchmark.py train model=rnn training.threads=1 --steps 50 --json
python scripts/benchmark.py decode runs/my-run
python scripts/benchmark.py decode runs/my-run --against ctranslate2
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.allocator import start_with_mimalloc
from nmt.cli import guarded, require_output
from nmt.errors import require
from nmt.screen import print_table, start_logging

if TYPE_CHECKING:
    from nmt.config import Config
    from nmt.training.benchmark import TrainingSpeed
    from nmt.translation_speed import TranslationSpeed

BEGAN = time.perf_counter()
CONFIGS = Path(__file__).parent.parent / "configs"


def main() -> None:
    arguments = parse()
    start_logging()
    require_output()
    arguments.measure(arguments)


def train(arguments: argparse.Namespace) -> None:
    start_with_mimalloc()  # as train.py does
    require(arguments.steps > 0, f"--steps must be at least 1, but is {arguments.steps}")
    from nmt.groups import compose_config

    config = compose_config(CONFIGS, arguments.overrides)
    from nmt.training.benchmark import benchmark_training  # torch takes seconds to import

    speed = benchmark_training(config, steps=arguments.steps, began=BEGAN)
    if arguments.json:
        print(json.dumps(speed._asdict()))
    else:
        show(speed)


def decode(arguments: argparse.Namespace) -> None:
    from nmt.compose import run_config
    from nmt.translation_speed import Work, benchmark_translation, ratios

    for key in ("beam_size", "threads", "rounds"):
        value = getattr(arguments, key)
        require(value > 0, f"--{key.replace('_', '-')} must be at least 1, but is {value}")
    config = run_config(arguments.run, arguments.overrides)
    sentences, references = read_test(arguments, config)
    work = Work(
        run=str(arguments.run),
        sentences=sentences,
        beam_sizes=tuple(sorted({1, arguments.beam_size})),
        threads=arguments.threads,
        precision=arguments.precision,
        quantization=arguments.quantization,
        overrides=tuple(arguments.overrides),
    )
    speeds = benchmark_translation(
        work, references, against=arguments.against, rounds=arguments.rounds
    )
    ratio = ratios(speeds)
    if arguments.json:
        rows = [each._asdict() | {"ratio": ratio.get(each.beam_size)} for each in speeds]
        ours = [row for row in rows if row["engine"] == "nmt"]
        print(json.dumps(ours[-1] | {"greedy": ours[0], "all": rows}))
    else:
        show_translation(speeds, ratio, config.decoding.shortlist)


def read_test(arguments: argparse.Namespace, config: Config) -> tuple[list[str], list[str] | None]:
    """The sentences to translate, and their references if there are any."""
    if arguments.input:
        from nmt.data.readers import read_lines

        return list(read_lines(arguments.input)), None
    from nmt.data.corpus import read_split

    test = read_split(config.data, "test")
    return test.source, test.target


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(required=True, metavar="train|decode")
    training = kinds.add_parser("train", help="measure training speed")
    training.set_defaults(measure=train)
    add = training.add_argument
    add("overrides", nargs="*", metavar="KEY=VALUE", help="config keys, as for train.py")
    add(
        "--steps",
        type=int,
        default=20,
        metavar="N",
        help="steps to time after five warm-up steps (default: 20)",
    )
    add("--json", action="store_true", help="print one JSON object")
    decoding = kinds.add_parser("decode", help="measure translation speed")
    decoding.set_defaults(measure=decode)
    add = decoding.add_argument
    add("run", type=Path, metavar="RUN", help="run directory")
    add(
        "--input",
        type=Path,
        metavar="FILE",
        help="sentences to translate, one per line (default: the run's test set)",
    )
    add(
        "--beam-size",
        type=int,
        default=5,
        metavar="N",
        help="beam size to measure besides greedy search (default: 5)",
    )
    add(
        "--precision",
        default="int8",
        metavar="fp32|bf16|int8|auto",
        help="precision of nmt (default: int8)",
    )
    add("--against", metavar="ctranslate2", help="another engine to run the same weights with")
    add(
        "--quantization",
        default="int8",
        metavar="TYPE",
        help="quantization of the other engine (default: int8)",
    )
    add(
        "--threads",
        type=int,
        default=os.cpu_count(),
        metavar="N",
        help="CPU threads per engine (default: all)",
    )
    add("--rounds", type=int, default=2, metavar="N", help="processes per engine (default: 2)")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override a config key (repeatable)",
    )
    add("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def show(speed: TrainingSpeed) -> None:
    from rich.table import Table

    table = Table(show_header=False)
    source, target = speed.source_tokens_per_second, speed.target_tokens_per_second
    table.add_row("tokens per second", f"{source:,.0f} source, {target:,.0f} target")
    table.add_row("step", f"{1000 * speed.step_seconds:,.0f} ms, median of {speed.steps}")
    table.add_row(
        "time per phase", ", ".join(f"{name} {part:.0%}" for name, part in speed.breakdown.items())
    )
    table.add_row("padding", f"{speed.padding:.1%}")
    table.add_row("peak memory", f"{speed.peak_memory_mb:,.0f} MB")
    table.add_row("data ready", f"in {speed.prepare_seconds:.1f} s")
    table.add_row("first step", f"{speed.first_step_seconds:.1f} s after the start")
    table.add_row(
        "matrix products",
        f"{speed.flop_per_second / 1e9:,.0f} GFLOP/s, {speed.flop_utilisation:.0%} of one large "
        f"matrix product ({speed.machine_flop_per_second / 1e9:,.0f})",
    )
    table.add_row("model", f"{speed.parameters:,} parameters, {speed.precision}")
    threads = "1 CPU thread" if speed.threads == 1 else f"{speed.threads} CPU threads"
    table.add_row("device", f"{speed.device}, {threads}")
    print_table(table)


def show_translation(
    speeds: Sequence[TranslationSpeed], ratio: dict[int, float], shortlist: int
) -> None:
    from rich.table import Table

    table = Table("", *(f"{each.engine}\nbeam {each.beam_size}" for each in speeds))
    rows: dict[str, list[str]] = {
        "sentences/s": [f"{each.sentences_per_second:,.0f}" for each in speeds],
        "lowest, highest": [f"{each.lowest:,.0f}, {each.highest:,.0f}" for each in speeds],
        "with start-up": [f"{each.with_start:,.0f}" for each in speeds],
        "target tokens/s": [f"{each.target_tokens_per_second:,.0f}" for each in speeds],
        "start-up": [f"{each.start_seconds:.1f} s" for each in speeds],
        "peak memory": [f"{each.peak_memory_mb:,.0f} MB" for each in speeds],
        "BLEU": ["" if each.bleu is None else f"{each.bleu:.2f}" for each in speeds],
    }
    if shortlist:
        rows["shortlist"] = [str(shortlist) if each.engine == "nmt" else "none" for each in speeds]
    for name, cells in rows.items():
        table.add_row(name, *cells)
    caption = "beam {}: {:.2f} times as fast as the other engine"
    print_table(table, *(caption.format(*item) for item in ratio.items()))


if __name__ == "__main__":
    raise SystemExit(guarded(main))
