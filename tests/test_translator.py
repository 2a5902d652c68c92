"""The front doors, with a model that learnt nothing: the library's and the command line's."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nmt import Translator
from nmt.compose import save_config
from nmt.config import (
    AttentionConfig,
    Config,
    DataConfig,
    TokenizerConfig,
    TrainingConfig,
    TransformerConfig,
    UserError,
)
from nmt.data.tokenizer import learn
from nmt.models import build_model
from nmt.training.checkpoint import point, save_checkpoint

SCRIPT = Path(__file__).parents[1] / "scripts" / "translate.py"
CORPUS = [("A dog runs.", "Ein Hund läuft."), ("It rains today.", "Es regnet heute.")]
LINES = ["A dog runs.", "", "It rains.", " \t", "The small cat sleeps today.", "\u2028", "🐕!"]
SHORT = ("decoding.max_extra=5", "decoding.max_ratio=1")


@pytest.fixture(scope="module")
def untrained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    run = tmp_path_factory.mktemp("untrained")
    model = TransformerConfig(
        width=16,
        feedforward=32,
        encoder_layers=1,
        decoder_layers=1,
        attention=AttentionConfig(heads=2),
    )
    data = DataConfig(tokenizer=TokenizerConfig(vocabulary=300))
    save_config(
        Config(model=model, data=data, training=TrainingConfig(max_steps=1)), run / "config.yaml"
    )
    tokenizers = learn(CORPUS * 10, data.tokenizer, 1)
    tokenizers.save(run)
    weights = build_model(model, tokenizers.source.size, tokenizers.target.size)
    point(run, "best", save_checkpoint(run, "00000001", weights, None))
    return run


@pytest.fixture
def translator(untrained_run: Path) -> Translator:
    return Translator.load(untrained_run, device="cpu", overrides=SHORT)


def test_one_line_for_each_and_nothing_for_nothing(translator: Translator) -> None:
    found = translator.translate(LINES)
    assert [bool(line) for line in found] == [bool(line.strip()) for line in LINES]
    assert not any("\n" in line for line in found)
    assert translator.translate([]) == []


def test_company_changes_nothing(translator: Translator) -> None:
    alone = [translator.translate([line])[0] for line in LINES]
    assert translator.translate(LINES) == alone


def test_the_callers_word_goes_before_the_runs(untrained_run: Path, translator: Translator) -> None:
    overrides = [*SHORT, "decoding.beam_size=1", "decoding.length_penalty=3"]
    other = Translator.load(untrained_run, device="cpu", overrides=overrides)
    assert other.config.decoding.beam_size == 1
    assert translator.translate(LINES, beam_size=1) == other.translate(LINES)
    with pytest.raises(UserError, match="decoding.beam_size must be at least 1, but is 0"):
        translator.translate(LINES, beam_size=0)


def test_a_long_sentence_is_named_and_translated(
    untrained_run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    overrides = [*SHORT, "data.max_pieces=10"]
    translator = Translator.load(untrained_run, device="cpu", overrides=overrides)
    with caplog.at_level(logging.WARNING):
        found = translator.translate(["A dog.", "A dog runs. " * 5], first_line=41)
    assert all(found)
    (record,) = caplog.records
    assert record.getMessage().startswith("line 42 has ")


def test_progress_counts_every_line(translator: Translator) -> None:
    told: list[int] = []
    translator.translate(LINES, progress=told.append)
    assert sum(told) == len(LINES)


def test_one_string_is_not_a_list_of_sentences(translator: Translator) -> None:
    with pytest.raises(TypeError, match="list of sentences"):
        translator.translate("A dog runs.")


def test_attention_is_between_words(translator: Translator) -> None:
    found = translator.attention("A dog runs.", "Ein Hund läuft.")
    assert found.source == ["A", "dog", "runs", ".", "</s>"]
    assert found.target == ["Ein", "Hund", "läuft", "."]
    assert np.allclose(found.weights.sum(-1), 1, atol=1e-5)


def test_import_is_light() -> None:
    code = "import sys, nmt; print(nmt.__version__, 'torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split()[1] == "False"
    with pytest.raises(AttributeError, match="no attribute 'Translater'"):
        getattr(__import__("nmt"), "Translater")  # noqa: B009


def test_the_command_line_keeps_the_lines(untrained_run: Path, tmp_path: Path) -> None:
    lines = [line + "\r" for line in LINES]
    sets = [word for override in SHORT for word in ("--set", override)]
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), str(untrained_run), "--device=cpu", *sets]
        + [f"--attention={tmp_path / 'map.png'}"],
        input="\n".join(lines).encode(),
        capture_output=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    found = ran.stdout.decode().split("\n")
    assert [bool(line) for line in found] == [*(bool(line.strip()) for line in LINES), False]
    assert len(list(tmp_path.glob("map-[1357].png"))) == 4


def test_a_reader_that_leaves_is_no_error(untrained_run: Path) -> None:
    with subprocess.Popen(
        [sys.executable, SCRIPT, untrained_run, "--device=cpu", "A dog runs."],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as leaving:
        assert leaving.stdout is not None and leaving.stderr is not None
        leaving.stdout.close()
        assert leaving.stderr.read() == b""
