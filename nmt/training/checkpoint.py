"""Run directories: how they are written and read.

    config.yaml  tokenizer.model  checksums.json  metrics.jsonl  summary.json  lock
    corpus.json: lengths of the training sentences (see seen.py)
    checkpoints/<step>/model.safetensors, training.pt, checksums.json
    checkpoints/averaged/: the same
    checkpoints/best, checkpoints/last: files that name one of the folders
    checkpoints/<step>.damaged/: damaged checkpoints, set aside
    lexicon/lexicon.safetensors, checksums.json: for shortlists, at the end of training

A run is self-contained and can be moved. Loading the run of a stranger executes no code from it
(safetensors, YAML through the schema, `torch.load(weights_only=True)`) and reads no other files.
"""

from __future__ import annotations

import errno
import io
import logging
import math
import os
import shutil
import zipfile
from collections.abc import Collection, Sequence
from dataclasses import replace
from os.path import exists, isfile
from pathlib import Path
from typing import Any, NamedTuple

import torch

from nmt.compose import run_config, save_config
from nmt.config import Config
from nmt.data.tokenizer import Tokenizers
from nmt.device import pick_device
from nmt.disk import flush
from nmt.errors import UserError, reads_run, require
from nmt.evaluation.metrics import merit
from nmt.models.seq2seq import Seq2Seq
from nmt.training.files import (
    CHECKSUMS,
    check_inside,
    checksums,
    clean_up,
    damage,
    must_write,
    write_folder,
    write_whole,
)
from nmt.training.progress import Progress
from nmt.training.seen import FILE as SEEN
from nmt.training.seen import Seen, load_seen, settled
from nmt.training.weights import WEIGHTS, restore_model, weights_file

log = logging.getLogger(__name__)

TRAINING, CONFIG = "training.pt", "config.yaml"


class Run(NamedTuple):
    """A trained model with everything it needs."""

    path: Path
    config: Config  # with the learnt length limit, unless the user has set one
    tokenizers: Tokenizers
    model: Seq2Seq  # in evaluation mode, on its device
    seen: Seen | None = None  # None for runs of earlier versions


@reads_run
def load_run(
    path: str | Path,
    *,
    checkpoint: str = "best",
    device: str = "auto",
    overrides: Sequence[str] = (),
) -> Run:
    """Opens a run directory; `checkpoint` is best, last, averaged or a step.

    `overrides` such as `decoding.beam_size=8` go through the schema. Raises `UserError` if the
    run or the checkpoint is missing or damaged.
    """
    run = Path(path)
    check_run(run)
    config = run_config(run, overrides)
    tokenizers = Tokenizers.load(run)
    folder = find_checkpoint(run, checkpoint)
    check_sound(run, folder)
    sizes = tokenizers.source.size, tokenizers.target.size
    model = restore_model(config.model, sizes, folder / WEIGHTS)
    seen = load_seen(run)
    config = replace(config, decoding=settled(config.decoding, seen))
    return Run(run, config, tokenizers, model.to(pick_device(device)).eval(), seen)


def check_name(config: Config) -> None:
    """Raises `UserError` where no run of this name can be made."""
    for folder in (Path(config.runs), *Path(config.runs).parents):
        require(not isfile(folder), f"runs={config.runs}: {folder} is a file, not a folder")
    run = Path(config.runs, config.name or "")
    require(
        config.name is None or not exists(run),
        f"the run directory {run} exists already; resume={run} continues it, "
        "another name=... starts a new one",
    )


def create_run(config: Config, tokenizers: Tokenizers, seen: Seen | None = None) -> Path:
    """Makes the directory of a new run: runs/<name>, which must not exist yet.

    Without a name it is called after corpus and model, with a number if that name is taken. It
    appears complete with config and tokenizers, so that it can be resumed from then on.
    """
    check_name(config)
    plain = config.name or f"{config.data.name}-{config.model.name}"
    beside = Path(config.runs, f".{plain}.{os.getpid()}.part")
    try:
        with must_write(beside):
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir(parents=True)
            tokenizers.save(beside)
            if seen is not None:
                (beside / SEEN).write_bytes(seen.to_json())
            for file in beside.iterdir():
                flush(file)
            write_config(config, beside)
            return _named(beside, config.runs, plain)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _named(beside: Path, runs: str, plain: str) -> Path:
    """Renames the finished folder to the first free name."""
    for number in range(1, 10_000):
        run = Path(runs, plain if number == 1 else f"{plain}-{number}")
        if run.exists():
            continue
        try:
            beside.rename(run)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):  # another process was faster
                continue
            raise
        flush(run.parent)
        return run
    raise UserError(f"{runs} holds 10,000 runs of this name; choose another with name=...")


def write_config(config: Config, run: Path) -> None:
    """Writes config.yaml, and the checksums of the files that every checkpoint needs."""
    beside = run / ".config.yaml.part"
    save_config(config, beside)
    write_whole(run / CONFIG, beside.read_bytes())
    needed = (run / CONFIG, *run.glob("tokenizer*.model"))
    write_whole(run / CHECKSUMS, checksums({file.name: file.read_bytes() for file in needed}))


@reads_run
def check_run(run: Path) -> None:
    """Raises `UserError` if a link leads out of the run directory or the tokenizer is damaged.

    For a config that has been edited it only warns: the schema checks the values.
    """
    check_inside(run)
    if not (run / CHECKSUMS).is_file():
        return
    found = damage(run, *(file.name for file in run.glob("tokenizer*.model")))
    if found is not None:
        raise UserError(found)
    if damage(run, CONFIG) is not None:
        log.warning("%s has been modified since it was written", run / CONFIG)


def find_checkpoint(run: Path, name: str) -> Path:
    """The folder of a checkpoint: best, last, averaged or a step."""
    target = _pointed(run, name) or name
    target = target.zfill(8) if target.isdigit() else target
    found = run / "checkpoints" / target
    is_inside = Path(target).name == target and not target.startswith(".")
    if not (is_inside and target and found.is_dir()):
        raise UserError(f"{run} has no checkpoint {name}: {_listed(run)}")
    return found


def _pointed(run: Path, pointer: str) -> str | None:
    """The name in the file `best` or `last`; None for other names, and if there is no file."""
    file = run / "checkpoints" / pointer
    if pointer not in ("best", "last") or not file.is_file():
        return None
    with file.open("rb") as handle:  # that of a stranger may have any size and contents
        return handle.read(100).decode(errors="replace").strip()


def _listed(run: Path) -> str:
    folder = run / "checkpoints"
    there = [each for each in ("best", "last", "averaged") if (folder / each).exists()]
    there += [entry.name for entry in checkpoints(run)]
    return f"it has {', '.join(there)}" if there else "no checkpoint was saved yet"


def checkpoints(run: Path) -> list[Path]:
    """The folders of the saved steps, oldest first."""
    folder = run / "checkpoints"
    steps = [entry for entry in folder.glob("*") if entry.name.isdigit() and entry.is_dir()]
    return sorted(steps, key=lambda entry: int(entry.name))


def check_sound(run: Path, checkpoint: Path) -> None:
    """Raises `UserError` if a checkpoint is damaged. The message names an intact one."""
    found = damage(checkpoint)
    if found is None:
        return
    others = (entry for entry in reversed(checkpoints(run)) if entry != checkpoint)
    sound = next((entry.name for entry in others if damage(entry) is None), None)
    hint = f"checkpoint {sound} is intact" if sound else "the run has no other intact checkpoint"
    raise UserError(f"{found}; {hint}")


def newest_sound(run: Path) -> Path | None:
    """The newest intact checkpoint to resume from; None if none has been saved yet.

    It removes remains of interrupted saves and sets damaged checkpoints aside, so the caller must
    hold the lock of the run. Raises `UserError` if all checkpoints are damaged.
    """
    folder = run / "checkpoints"
    clean_up(run)
    clean_up(folder)
    for entry in reversed(checkpoints(run)):
        if is_sound(entry):
            point(run, "last", entry)
            return entry
    lost = (folder / "last").exists() or any(folder.glob("*.damaged"))
    require(not lost, f"cannot resume {run}: all its checkpoints are damaged")
    return None


def is_sound(checkpoint: Path) -> bool:
    """Whether all its files are as they were written. If not, sets it aside with a warning."""
    found = damage(checkpoint)
    if found is None:
        return True
    aside = checkpoint.with_name(f"{checkpoint.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    checkpoint.rename(aside)
    log.warning("%s; renamed the damaged checkpoint to %s", found, aside.name)
    return False


def named_best(run: Path) -> Path | None:
    """The checkpoint that `best` names; None if it is missing or damaged."""
    try:
        best = find_checkpoint(run, "best")
    except UserError:
        return None
    return best if is_sound(best) else None


def merit_of(checkpoint: Path | None, metric: str) -> float:
    """How good a checkpoint was on the validation set; higher is better.

    The score is that of the last validation at or before the checkpoint. Without a checkpoint, and
    for a metric that was not computed then, it is minus infinity.
    """
    if checkpoint is None:
        return -math.inf
    try:
        scores = Progress.restored(load_training(checkpoint)["progress"]).scores
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(f"{checkpoint / TRAINING} is damaged: it has no scores") from error
    return merit(metric, scores[metric]) if metric in scores else -math.inf


def save_checkpoint(run: Path, name: str, model: Seq2Seq, training: dict[str, Any] | None) -> Path:
    """Writes a checkpoint completely or not at all. Raises `OSError` if that fails."""
    folder = run / "checkpoints" / name
    files = {WEIGHTS: weights_file(model)}
    if training is not None:
        # In memory first, because torch hides the reason if it cannot write a file.
        buffer = io.BytesIO()
        torch.save(training, buffer)
        files[TRAINING] = buffer.getvalue()
    write_folder(folder, files)
    return folder


def point(run: Path, pointer: str, checkpoint: Path) -> None:
    """Makes `best` or `last` name a checkpoint, in one atomic step."""
    write_whole(run / "checkpoints" / pointer, f"{checkpoint.name}\n".encode())


def prune(run: Path, kept: Collection[int]) -> None:
    """Removes all steps except `kept`, the newest and the one that `best` names."""
    best = _pointed(run, "best")
    for old in checkpoints(run)[:-1]:
        if int(old.name) not in kept and old.name != best:
            shutil.rmtree(old)


def load_training(checkpoint: Path) -> dict[str, Any]:
    """The `training` that was passed to `save_checkpoint`, with tensors on the CPU."""
    file = checkpoint / TRAINING
    require(
        file.is_file(),
        f"{file} is missing: a run can be resumed only from a checkpoint that has it",
    )
    try:
        _check_archive(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is not its own
        reason = (str(error).splitlines() or ["it ends too soon"])[0]
        raise UserError(f"{file} is damaged: {reason}") from error
    require(isinstance(state, dict), f"{file} is damaged: it holds no training state")
    return dict(state)


def _check_archive(file: Path) -> None:
    """Raises `ValueError` for a compressed archive, which could expand a thousandfold."""
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    if not stored or sum(entry.file_size for entry in entries) > file.stat().st_size:
        raise ValueError("its uncompressed size exceeds the limit")
