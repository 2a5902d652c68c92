"""Train a model. Every key below can be set on the command line:

python scripts/train.py model=rnn data=multi30k training.max_minutes=20
python scripts/train.py -m model=rnn,transformer model.attention.score=additive,scaled_dot
python scripts/train.py resume=runs/my-run training.max_epochs=80
python scripts/train.py init_from=runs/my-run data.train=new.tsv training.learning_rate=3e-4

Ctrl-C or SIGTERM saves the run and exits with status 130 or 143; a second one exits immediately.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.allocator import start_with_mimalloc
from nmt.cli import MISTAKE, guarded, silence_output
from nmt.commands import evaluate_command
from nmt.errors import UserError
from nmt.screen import start_logging

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from nmt.sweep import Job


log = logging.getLogger("nmt.train")
CONFIGS = Path(__file__).parent.parent / "configs"


failures: list[Job] = []
planned: list[Job] = []  # the jobs of a sweep


def run(tree: DictConfig) -> None:
    """Trains one run. A sweep continues after a run that failed, but not after Ctrl-C."""
    start_logging()  # a launcher may have started a new process for this run
    job = this_job()
    # Guarded here as well, because Hydra adds its own message to an exception that reaches it.
    status = guarded(lambda: start(tree) if job is None else start_named(tree, job))
    if status == MISTAKE and job is not None:
        failures.append(job)
    elif status:
        raise SystemExit(status)


def this_job() -> Job | None:
    """Which job of a sweep this run is; None without a sweep."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN:
        return None
    number = int(hydra.job.num)
    from nmt.sweep import Job

    return planned[number] if planned else Job(number + 1, 0, tuple(hydra.overrides.task))


def start_named(tree: DictConfig, job: Job) -> None:
    log.info("%s", job)
    try:
        start(tree)
    except UserError as error:
        raise UserError(f"{job}: {error}") from error
    except Exception:
        log.error("%s failed", job)  # Hydra shows the reason after the last run
        raise


def start(tree: DictConfig) -> None:
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from nmt.compose import require_run, resumed_config, to_config
    from nmt.errors import require
    from nmt.groups import with_files
    from nmt.initial import inherited_config, origin_of
    from nmt.training.files import check_inside

    given = HydraConfig.get().overrides.task
    for key in ("resume", "init_from"):
        require(not OmegaConf.is_missing(tree, key), f"{key} must name a run directory")
    require(
        tree.resume is None or tree.init_from is None,
        f"resume={tree.resume} continues a run, but init_from={tree.init_from} starts a new one: "
        "give one of them",
    )
    if tree.init_from is not None:
        origin = origin_of(tree.init_from)
        require_run(origin.run)
        check_inside(origin.run)
        config = inherited_config(with_files(to_config(tree), given), given)
    elif tree.resume is None:
        config = with_files(to_config(tree), given)
    else:
        changed = [override for override in given if not override.startswith("resume=")]
        check_inside(Path(tree.resume))
        config = resumed_config(Path(tree.resume), changed)
        config.resume = tree.resume
    from nmt.training.ending import saved_anyway
    from nmt.training.launch import train  # torch takes seconds to import
    from nmt.training.report import print_summary

    summary = train(config)
    with saved_anyway("the table of results", redo=evaluate_command(summary.run)):
        print_summary(summary)
    silence_output()  # otherwise, the end of the program would fail as the table did


def show_help() -> None:
    """Prints the help. Hydra's own takes seconds and does not explain the keys."""
    from nmt.groups import compose_config
    from nmt.help import help_text

    given = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    if {"-m", "--multirun"} & set(sys.argv):
        given = []  # lists of values for several runs are not one config
    print(help_text(str(__doc__), CONFIGS, compose_config(CONFIGS, given)))


def main() -> int:
    import hydra  # only here: start_with_mimalloc may restart the program first

    from nmt.groups import composition_error, register_schema
    from nmt.overrides import quoted_paths
    from nmt.sweep import plan_sweep

    sys.argv[1:] = quoted_paths(sys.argv[1:])
    # With this, Hydra lets exceptions through, and `guarded` prints them in one line.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    start_logging()
    planned.extend(plan_sweep(CONFIGS, sys.argv[1:]))
    register_schema()
    application = hydra.main(version_base="1.3", config_path="../configs", config_name="train")(run)
    with composition_error():
        application()
    if len(planned) > 1:
        failed = "; ".join(map(str, failures)) or "none"
        log.info("all %d runs have ended; failed: %s", len(planned), failed)
    return MISTAKE if failures else 0


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        raise SystemExit(guarded(show_help))
    start_with_mimalloc()
    raise SystemExit(guarded(main))
