"""Trains a model. Every key of nmt/config.py can be set on the command line:

python scripts/train.py model=rnn data=multi30k training.max_minutes=20
python scripts/train.py -m model=rnn,transformer model.attention.score=additive,scaled_dot
python scripts/train.py resume=runs/my-run training.max_epochs=80
python scripts/train.py init_from=runs/my-run data.train=new.tsv training.learning_rate=3e-4

SIGTERM or Ctrl-C saves the run first and ends it with 143 or 130; a second one ends it at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.allocator import start_with_mimalloc
from nmt.cli import guarded, start_logging

if TYPE_CHECKING:
    from omegaconf import DictConfig


CONFIGS = Path(__file__).parent.parent / "configs"


def run(tree: DictConfig) -> None:
    # Guarded here already: Hydra has a word of its own to say of an exception that passes it.
    status = guarded(lambda: start(tree))
    if status:
        raise SystemExit(status)


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
        f"resume={tree.resume} continues a run, init_from={tree.init_from} starts a new one: "
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
    from nmt.training.launch import train  # torch takes seconds to import, --help should not
    from nmt.training.report import print_summary

    print_summary(train(config))


def show_help() -> None:
    """Hydra's own takes seconds, and has not what the keys mean."""
    from nmt.groups import compose_config
    from nmt.help import help_text

    given = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    if {"-m", "--multirun"} & set(sys.argv):
        given = []  # lists of values for many runs are no config of one
    print(help_text(str(__doc__), CONFIGS, compose_config(CONFIGS, given)))


def main() -> None:
    import hydra  # not before the program has perhaps started again

    from nmt.groups import composition_error, register_schema
    from nmt.overrides import quoted_paths

    sys.argv[1:] = quoted_paths(sys.argv[1:])
    # Hydra then lets exceptions through, and they are told in one line.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    start_logging()
    register_schema()
    application = hydra.main(version_base="1.3", config_path="../configs", config_name="train")(run)
    with composition_error():
        application()


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        raise SystemExit(guarded(show_help))
    start_with_mimalloc()
    raise SystemExit(guarded(main))
