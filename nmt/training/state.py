"""The complete state of training, and its conversion to and from a checkpoint."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import torch

from nmt.config import Config
from nmt.data.encoded import Prepared
from nmt.models.seq2seq import Seq2Seq
from nmt.training.pace import Pace
from nmt.training.progress import Progress, Update, Window
from nmt.training.update import Updater


class State:
    """The model with its optimizer, its progress, and the updates that are not logged yet."""

    def __init__(self, config: Config, model: Seq2Seq) -> None:
        self.updater = Updater(model, config.training)
        self.progress = Progress()
        self.pace = Pace()
        self.window = Window()

    @property
    def model(self) -> Seq2Seq:
        return self.updater.model

    def saved(self) -> dict[str, Any]:
        """Everything but the weights, in plain types and tensors: training continues bit for bit
        as if it had not stopped."""
        device = self.model.device
        return {
            "progress": dataclasses.asdict(self.progress),
            "pace": dataclasses.asdict(self.pace),
            "optimizer": self.updater.optimizer.saved(),
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
            "window": {
                "updates": [tuple(on("cpu", update)) for update in self.window.updates],
                "seconds": self.window.seconds,
                "waited": self.window.waited,
            },
        }

    def load(self, saved: dict[str, Any]) -> None:
        """Restores the result of `saved`. Raises one of many errors for anything else."""
        progress, window = Progress.restored(saved["progress"]), saved["window"]
        device = self.model.device
        pace = Pace(**saved.get("pace", {}))  # checkpoints of earlier versions have none
        pace.check()
        updates = [on(device, Update(*update)) for update in window["updates"]]
        self.updater.optimizer.load(saved["optimizer"])
        torch.set_rng_state(saved["random"])
        if device.type == "cuda" and saved["cuda_random"] is not None:
            torch.cuda.set_rng_state(saved["cuda_random"], device)
        self.progress, self.pace = progress, pace
        self.window = Window(updates, float(window["seconds"]), float(window["waited"]))


def on(device: torch.device | str, update: Update) -> Update:
    sums, norm = update.sums.to(device), update.gradient_norm.to(device)
    return update._replace(sums=sums, gradient_norm=norm)


def corpus_key(prepared: Prepared) -> dict[str, str]:
    """Hashes of the pairs that a run trains on, and of those that select its checkpoint."""
    validation = repr((prepared.validation.source, prepared.validation.target))
    return {
        "training": prepared.contents,
        "validation": hashlib.sha256(validation.encode("utf-8", "surrogatepass")).hexdigest(),
    }


def changed_parts(saved: object, prepared: Prepared) -> list[str]:
    """Which of the training and validation pairs differ from `corpus_key` in a checkpoint.

    Earlier versions of this program saved a hash of the lengths of the training pairs alone.
    """
    if isinstance(saved, str):
        return [] if saved == lengths_key(prepared) else ["training"]
    known = saved if isinstance(saved, dict) else {}
    return [part for part, key in corpus_key(prepared).items() if known.get(part) != key]


def lengths_key(prepared: Prepared) -> str:
    digest = hashlib.sha256(prepared.source_lengths.tobytes())
    digest.update(prepared.target_lengths.tobytes())
    return digest.hexdigest()
