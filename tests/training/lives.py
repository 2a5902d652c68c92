"""A run that goes on, and what is left of it."""

from __future__ import annotations

from pathlib import Path

import torch

from nmt.compose import load_config
from nmt.training.checkpoint import load_run
from nmt.training.launch import train

Weights = dict[str, torch.Tensor]
WEIGHTS = "model.safetensors"


def weights(run: str | Path) -> Weights:
    return load_run(run, checkpoint="last", device="cpu").model.state_dict()


def resumed(run: Path, **training: object) -> None:
    config = load_config(run / "config.yaml")
    for key, value in training.items():
        setattr(config.training, key, value)
    config.resume = str(run)
    train(config)


def same(mine: Weights, theirs: Weights) -> bool:
    return all(torch.equal(mine[key], theirs[key]) for key in theirs)


def contents(run: Path) -> dict[str, bytes]:
    """Of all that a run that is refused may not change."""
    files = (path for path in sorted(run.rglob("*")) if path.is_file() and path.name != "lock")
    return {str(path.relative_to(run)): path.read_bytes() for path in files}
