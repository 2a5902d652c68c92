"""The runs of a command with `-m`: they are composed and checked before the first one starts."""

from __future__ import annotations

from collections.abc import Sequence
from os.path import exists
from pathlib import Path
from typing import NamedTuple

from nmt.compose import to_config
from nmt.config import Config
from nmt.errors import UserError
from nmt.groups import composition_error, register_schema, with_files

MULTIRUN = {"-m", "--multirun"}


class Job(NamedTuple):
    number: int  # from 1
    total: int  # the number of jobs; 0: not known
    overrides: tuple[str, ...]  # the overrides that differ between the jobs

    def __str__(self) -> str:
        """`run 2 of 4: model=rnn_tiny model.attention.score=dot`"""
        place = f"run {self.number} of {self.total}" if self.total else f"run {self.number}"
        return ": ".join(filter(None, (place, " ".join(self.overrides))))


def plan_sweep(folder: Path, arguments: Sequence[str]) -> list[Job]:
    """The jobs of a command line with `-m`, each of them composed and checked.

    Empty without `-m`, and with other flags of Hydra, which may change the sweep. Raises a
    `UserError` that names the first job that cannot be trained.
    """
    flags = {argument for argument in arguments if argument.startswith("-")}
    if not flags & MULTIRUN or flags - MULTIRUN:
        return []
    from hydra import compose, initialize_config_dir

    register_schema()
    given = [argument for argument in arguments if argument not in MULTIRUN]
    with initialize_config_dir(str(folder.resolve()), version_base="1.3"):
        with composition_error():
            lists = split(given)
        jobs = [
            Job(number, len(lists), differing(overrides, lists))
            for number, overrides in enumerate(lists, start=1)
        ]
        names: dict[Path, Job] = {}
        for job, overrides in zip(jobs, lists, strict=True):
            try:
                with composition_error():
                    config = with_files(to_config(compose("train", overrides=overrides)), overrides)
                check_name(config, job, names)
            except UserError as error:
                raise UserError(f"{job}: {error}") from error
    return jobs


def split(arguments: Sequence[str]) -> list[list[str]]:
    """The overrides of each job, in the order in which Hydra launches them."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    return BasicSweeper.split_arguments(parser.parse_overrides(list(arguments)), None)[0]


def differing(overrides: Sequence[str], lists: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(
        override for override in overrides if not all(override in other for other in lists)
    )


def check_name(config: Config, job: Job, names: dict[Path, Job]) -> None:
    """Raises `UserError` if another job, or an older run, has the same name."""
    if config.name is None or config.resume is not None:
        return
    run = Path(config.runs, config.name)
    if run in names:
        raise UserError(
            f"run {names[run].number} has the same name={config.name}; omit name=, or "
            "give each run a different one"
        )
    if exists(run):
        raise UserError(f"the run directory {run} exists already; choose another name=...")
    names[run] = job
