"""How fast a config trains here, where the time goes, and how close that is to the hardware.

python scripts/benchmark.py train
python scripts/benchmark.py train experiment=benchmark_transformer data.path=FOLDER
python scripts/benchmark.py train model=rnn training.threads=1 --steps 50 --json
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.cli import guarded, start_logging
from nmt.compose import compose_config
from nmt.config import require

if TYPE_CHECKING:
    from nmt.training.benchmark import TrainingSpeed

BEGAN = time.perf_counter()
CONFIGS = Path(__file__).parent.parent / "configs"


def main() -> None:
    arguments = parse()
    require(arguments.steps > 0, f"--steps must be at least 1, but is {arguments.steps}")
    start_logging()
    config = compose_config(CONFIGS, arguments.overrides)
    from nmt.training.benchmark import benchmark_training  # torch takes seconds to import

    speed = benchmark_training(config, steps=arguments.steps, began=BEGAN)
    if arguments.json:
        print(json.dumps(speed._asdict()))
    else:
        show(speed)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("what", choices=("train",), help="what to measure")
    add("overrides", nargs="*", metavar="KEY=VALUE", help="as for train.py")
    add("--steps", type=int, default=20, metavar="N", help="to time, after five to warm up (20)")
    add("--json", action="store_true", help="one JSON object on standard output")
    return parser.parse_intermixed_args()


def show(speed: TrainingSpeed) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False)
    source, target = speed.source_tokens_per_second, speed.target_tokens_per_second
    table.add_row("tokens a second", f"{source:,.0f} source, {target:,.0f} target")
    table.add_row("step", f"{1000 * speed.step_seconds:,.0f} ms, median of {speed.steps}")
    table.add_row(
        "of a step", ", ".join(f"{name} {part:.0%}" for name, part in speed.breakdown.items())
    )
    table.add_row("padding", f"{speed.padding:.1%}")
    table.add_row("peak memory", f"{speed.peak_memory_mb:,.0f} MB")
    table.add_row("data ready", f"in {speed.prepare_seconds:.1f} s")
    table.add_row("first step", f"{speed.first_step_seconds:.1f} s after the start")
    table.add_row(
        "matrix products",
        f"{speed.flop_per_second / 1e9:,.0f} GFLOP/s, {speed.flop_utilisation:.0%} of the "
        f"{speed.machine_flop_per_second / 1e9:,.0f} of a large one",
    )
    table.add_row("model", f"{speed.parameters:,} parameters, {speed.precision}")
    table.add_row("device", f"{speed.device}, {speed.threads} CPU threads")
    Console().print(table)


if __name__ == "__main__":
    raise SystemExit(guarded(main))
