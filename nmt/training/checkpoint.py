"""A run is a directory, and this is how it is written and read.

    config.yaml  tokenizer.model  metrics.jsonl  summary.json
    checkpoints/<step>/model.safetensors, training.pt
    checkpoints/averaged/model.safetensors
    checkpoints/best, checkpoints/last: files that name one of the folders

It is self-contained and movable. Reading one that a stranger made runs none of their code:
safetensors, YAML through the schema, `torch.load(weights_only=True)`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from nmt.compose import run_config
from nmt.config import Config, UserError, require
from nmt.data.tokenizer import Tokenizers
from nmt.device import pick_device
from nmt.models import build_model
from nmt.models.seq2seq import Seq2Seq

WEIGHTS, TRAINING = "model.safetensors", "training.pt"


class Run(NamedTuple):
    """A trained model with everything it needs."""

    path: Path
    config: Config
    tokenizers: Tokenizers
    model: Seq2Seq  # in evaluation mode, on its device


def load_run(
    path: str | Path,
    *,
    checkpoint: str = "best",
    device: str = "auto",
    overrides: Sequence[str] = (),
) -> Run:
    """Opens a run directory; `checkpoint` is best, last, averaged or a step.

    `overrides` such as `decoding.beam_size=8` go through the schema. Raises `UserError` where the
    run or the checkpoint is missing or damaged.
    """
    run = Path(path)
    config = run_config(run, overrides)
    tokenizers = Tokenizers.load(run)
    model = build_model(config.model, tokenizers.source.size, tokenizers.target.size)
    load_weights(model, find_checkpoint(run, checkpoint))
    return Run(run, config, tokenizers, model.to(pick_device(device)).eval())


def check_name(config: Config) -> None:
    """Raises `UserError` where a run of the name that was given exists already."""
    run = Path(config.runs, config.name or "")
    require(
        config.name is None or not run.exists(),
        f"the run directory {run} exists already; resume={run} continues it, "
        "another name=... starts a new one",
    )


def create_run(config: Config) -> Path:
    """Makes the directory of a new run: runs/<name>, which must not exist yet.

    Without a name it is called after corpus and model, with a number where that is taken.
    """
    check_name(config)
    plain = config.name or f"{config.data.name}-{config.model.name}"
    for number in range(1, 10_000):
        run = Path(config.runs, plain if number == 1 else f"{plain}-{number}")
        try:
            run.mkdir(parents=True)
        except FileExistsError:
            continue
        return run
    raise UserError(f"{config.runs} holds 10,000 runs of this name; choose another with name=...")


def find_checkpoint(run: Path, name: str) -> Path:
    """The folder of a checkpoint: best, last, averaged or a step."""
    folder = run / "checkpoints"
    pointer = folder / name
    target = pointer.read_text(encoding="utf-8").strip() if pointer.is_file() else name
    target = target.zfill(8) if target.isdigit() else target
    found = folder / target
    if Path(target).name != target or not (found / WEIGHTS).is_file():
        there = [each for each in ("best", "last", "averaged") if (folder / each).exists()]
        there += [entry.name for entry in checkpoints(run)]
        listed = f"it has {', '.join(there)}" if there else "no checkpoint was saved yet"
        raise UserError(f"{run} has no checkpoint {name}: {listed}")
    return found


def checkpoints(run: Path) -> list[Path]:
    """The folders of the saved steps, oldest first."""
    folder = run / "checkpoints"
    steps = [entry for entry in folder.glob("*") if entry.name.isdigit() and entry.is_dir()]
    return sorted(steps, key=lambda entry: int(entry.name))


def save_checkpoint(run: Path, name: str, model: Seq2Seq, training: dict[str, Any] | None) -> Path:
    """Writes a checkpoint beside its place, flushes it and renames it: whole, or not at all."""
    folder = run / "checkpoints" / name
    beside = run / "checkpoints" / f".{name}.part"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    save_file(_untied(model), beside / WEIGHTS)
    if training is not None:
        torch.save(training, beside / TRAINING)
    for file in beside.iterdir():
        _flush(file)
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)
    return folder


def point(run: Path, pointer: str, checkpoint: Path) -> None:
    """Makes `best` or `last` name a checkpoint, at once or not at all."""
    beside = run / "checkpoints" / f".{pointer}.part"
    beside.write_text(checkpoint.name + "\n", encoding="utf-8")
    _flush(beside)
    beside.rename(run / "checkpoints" / pointer)


def prune(run: Path, keep: int) -> None:
    """Removes all but the last `keep` steps and what `best` names."""
    best = run / "checkpoints" / "best"
    kept = best.read_text(encoding="utf-8").strip() if best.is_file() else ""
    for old in checkpoints(run)[:-keep]:
        if old.name != kept:
            shutil.rmtree(old)


def load_weights(model: Seq2Seq, checkpoint: Path) -> None:
    """Fills the model from a checkpoint. Raises `UserError` where the two do not fit."""
    file = checkpoint / WEIGHTS
    try:
        weights = load_file(file)
        # Tied weights are saved once, under the first of their names.
        missing = set(_untied(model)) - set(weights)
        unknown = set(weights) - set(model.state_dict())
        if not missing and not unknown:
            model.load_state_dict(weights, strict=False)
            return
    except (SafetensorError, RuntimeError, OSError) as error:
        raise UserError(f"{file} cannot be loaded: {str(error).splitlines()[0]}") from error
    name = sorted(missing | unknown)[0]
    raise UserError(f"{file} does not fit the model of config.yaml: {name} is in only one of them")


def load_training(checkpoint: Path) -> dict[str, Any]:
    """What `save_checkpoint` was given as `training`, tensors on the CPU."""
    file = checkpoint / TRAINING
    require(
        file.is_file(), f"{file} is missing: a run continues only from a checkpoint that has it"
    )
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is not its own
        reason = (str(error).splitlines() or ["it ends too soon"])[0]
        raise UserError(f"{file} is damaged: {reason}") from error
    return state


def average_weights(model: Seq2Seq, sources: Sequence[Path]) -> None:
    """Fills the model with the mean of several checkpoints' weights."""
    names = _untied(model)
    mean = {name: torch.zeros_like(tensor, device="cpu") for name, tensor in names.items()}
    for source in sources:
        for name, tensor in load_file(source / WEIGHTS).items():
            mean[name] += tensor / len(sources)
    model.load_state_dict(mean, strict=False)


def _untied(model: Seq2Seq) -> dict[str, Tensor]:
    """The state dict with tied weights once, under the first of their names."""
    names = {name for name, _ in model.named_parameters()} | {
        name for name, _ in model.named_buffers()
    }
    return {name: tensor for name, tensor in model.state_dict().items() if name in names}


def _flush(file: Path) -> None:
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
