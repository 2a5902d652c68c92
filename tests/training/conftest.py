"""A corpus, tiny models and runs that take parts of a second."""

from __future__ import annotations

import dataclasses
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from lives import Weights, resumed, weights

from nmt.config import (
    AttentionConfig,
    Config,
    DataConfig,
    ModelConfig,
    RNNConfig,
    TokenizerConfig,
    TrainingConfig,
    TransformerConfig,
)
from nmt.data.encoded import Prepared, prepare
from nmt.training.launch import train

MakeConfig = Callable[..., Config]
LAYERS = {"encoder_layers": 1, "decoder_layers": 1}


def tiny_models() -> dict[str, ModelConfig]:
    return {
        "transformer": TransformerConfig(
            width=16, feedforward=32, attention=AttentionConfig(heads=2), **LAYERS
        ),
        "rnn": RNNConfig(width=16, embedding=8, encoder_width=8, **LAYERS),
    }


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """240 pairs to train on, 12 to validate and 12 to test; the target is the source in capitals
    and backwards."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = random.Random(3)
    words = ["hund", "katze", "haus", "baum", "berg", "fluss", "vogel", "sonne", "tag", "nacht"]
    sentences = dict.fromkeys(
        " ".join(rng.choice(words) for _ in range(rng.randint(2, 9))) for _ in range(500)
    )
    texts = list(sentences)[:264]
    for name, part in {"train": texts[:240], "val": texts[240:252], "test": texts[252:]}.items():
        turned = [" ".join(reversed(text.upper().split())) for text in part]
        for side, lines in (("en", part), ("de", turned)):
            (folder / f"{name}.{side}").write_text("".join(f"{line}\n" for line in lines))
        links = [[f"{i}-{n - 1 - i}" for i in range(n)] for n in map(len, map(str.split, part))]
        text = "".join(" ".join(each) + "\n" for each in links)
        (folder / f"{name}.align").write_text(text)
    tokenizer = TokenizerConfig(vocabulary=340)
    return DataConfig(
        name="tiny", path=str(folder), cache=str(folder / "cache"), tokenizer=tokenizer
    )


@pytest.fixture(scope="session")
def prepared(data: DataConfig) -> Prepared:
    return prepare(data, seed=1)


@pytest.fixture
def make_config(data: DataConfig, tmp_path: Path) -> MakeConfig:
    """A run of 8 updates without dropout; `training` changes its knobs."""

    def make(model: str = "transformer", name: str | None = None, **training: object) -> Config:
        base = TrainingConfig(
            device="cpu",
            precision="fp32",
            batch_tokens=200,
            max_steps=8,
            max_epochs=None,
            patience=None,
            validate_every=4,
            log_every=1,
            schedule="inverse_sqrt",
            warmup_steps=2,
            samples=2,
            average=1,
        )
        config = Config(
            name=name,
            runs=str(tmp_path / "runs"),
            model=tiny_models()[model],
            data=data,
            training=dataclasses.replace(base, **training),
        )
        config.decoding.max_extra, config.decoding.max_ratio = 3, 1.0
        return config

    return make


@pytest.fixture(scope="session")
def trained_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained")


@pytest.fixture
def run(make_config: MakeConfig, trained_runs: Path, tmp_path: Path) -> Path:
    """A copy of a run of 8 updates with checkpoints of steps 4 and 8."""
    trained = trained_runs / "run"
    if not trained.exists():
        shutil.copytree(train(make_config()).run, trained)
    return Path(shutil.copytree(trained, tmp_path / "copy"))


@pytest.fixture
def whole(run: Path, tmp_path: Path) -> Weights:
    """The weights of step 12 where nothing was disturbed."""
    copy = Path(shutil.copytree(run, tmp_path / "whole"))
    resumed(copy, max_steps=12)
    return weights(copy)
