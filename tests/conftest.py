"""What all tests share: one thread, runs that learnt nothing, and the real corpora where they are
at hand."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from nmt.compose import save_config
from nmt.config import (
    AttentionConfig,
    Config,
    DataConfig,
    TokenizerConfig,
    TrainingConfig,
    TransformerConfig,
)
from nmt.data.tokenizer import learn
from nmt.models import build_model
from nmt.training.checkpoint import point, save_checkpoint

torch.set_num_threads(1)  # tests are small, and several workers share the cores

# The same examples in every run; NMT_EXAMPLES=10000 searches longer.
settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    max_examples=int(os.environ.get("NMT_EXAMPLES", "100")),
)
settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "corpora: needs real corpora; NMT_CORPORA names the folder that has multi30k/"
    )
    config.addinivalue_line("markers", "slow: takes more than a few seconds")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "NMT_CORPORA" not in os.environ:
        skip = pytest.mark.skip(reason="NMT_CORPORA is not set")
        for item in items:
            if item.get_closest_marker("corpora"):
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def logging_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A script that is run within a test sets up the program's logging."""
    monkeypatch.setattr("nmt.screen._screen", None)
    logger = logging.getLogger("nmt")
    level, handlers = logger.level, list(logger.handlers)
    yield
    logger.setLevel(level)
    logger.handlers[:] = handlers


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real corpora, for tests marked `corpora`; one that is named must be there."""
    folder = Path(os.environ["NMT_CORPORA"])
    assert (folder / "multi30k").is_dir(), f"NMT_CORPORA={folder} has no folder multi30k"
    return folder


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Path]:
    """Writes the directory of a Transformer that learnt nothing."""
    pairs = [("A dog runs.", "Ein Hund läuft."), ("It rains today.", "Es regnet heute.")]

    def make(run: Path, seed: int = 1, corpus: list[tuple[str, str]] = pairs) -> Path:
        torch.manual_seed(seed)
        run.mkdir(exist_ok=True)
        model = TransformerConfig(
            width=16,
            feedforward=32,
            encoder_layers=1,
            decoder_layers=1,
            attention=AttentionConfig(heads=2),
        )
        data = DataConfig(tokenizer=TokenizerConfig(vocabulary=300))
        config = Config(model=model, data=data, training=TrainingConfig(max_steps=1))
        save_config(config, run / "config.yaml")
        tokenizers = learn(corpus * 10, data.tokenizer, 1)
        tokenizers.save(run)
        weights = build_model(model, tokenizers.source.size, tokenizers.target.size)
        point(run, "best", save_checkpoint(run, "00000001", weights, None))
        return run

    return make


@pytest.fixture(scope="session")
def untrained_run(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("untrained"))
