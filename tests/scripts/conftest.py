"""The command lines as a user types them, and one small run trained by them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

ROOT = Path(__file__).parents[2]
Ran = subprocess.CompletedProcess[str]


class Script(Protocol):
    def __call__(self, name: str, *arguments: str | Path, stdin: str = "") -> Ran: ...


@pytest.fixture(scope="session")
def script() -> Script:
    """Runs scripts/<name>.py in the root of the repository."""

    def run(name: str, *arguments: str | Path, stdin: str = "") -> Ran:
        command = [sys.executable, f"scripts/{name}.py", *map(str, arguments)]
        settings = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
        environment = {key: value for key, value in os.environ.items() if key != "NMT_DEBUG"}
        return subprocess.run(
            command,
            cwd=ROOT,
            env=environment | settings,
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )

    return run


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two aligned text files of 300 pairs: train.en and train.de."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = random.Random(3)
    words = {"dog": "Hund", "cat": "Katze", "house": "Haus", "tree": "Baum", "sees": "sieht"}
    words |= {"finds": "findet", "green": "grün", "street": "Straße", "and": "und", "not": "nicht"}
    texts: dict[str, str] = {}
    while len(texts) < 300:
        chosen = rng.choices(list(words), k=rng.randint(3, 8))
        german = " ".join(words[word] for word in reversed(chosen))
        texts[" ".join(chosen).capitalize() + "."] = german + "."
    (folder / "train.en").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    (folder / "train.de").write_text("".join(f"{t}\n" for t in texts.values()), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def settings(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides for a tiny run of 20 updates on the two files, a tenth of them held out twice."""
    return [
        *(f"runs={tmp_path_factory.mktemp('runs')}", f"data.cache={corpus / 'cache'}"),
        *("data=files", f'data.train="{corpus}/train.en,{corpus}/train.de"'),
        *("data.tokenizer.vocabulary=330", "data.hold_out=20"),
        *("model.width=16", "model.encoder_layers=1", "model.decoder_layers=1"),
        *("training.max_steps=20", "training.validate_every=10", "training.samples=1"),
        *("training.batch_tokens=400", "training.warmup_steps=4", "training.learning_rate=0.01"),
        *("training.average=1", "training.device=cpu", "training.threads=1"),
        *("decoding.beam_size=2", "decoding.max_extra=3", "decoding.max_ratio=1"),
    ]


@pytest.fixture(scope="session")
def trained(script: Script, settings: list[str]) -> tuple[Path, Ran]:
    """The directory of a trained Transformer, and what the command said."""
    model = ("model=transformer_tiny", "model.attention.heads=2", "model.feedforward=32")
    ran = script("train", *settings, *model, "name=tiny")
    assert ran.returncode == 0, ran.stderr
    return Path(settings[0].removeprefix("runs="), "tiny"), ran
