"""The command line of evaluate.py, with a model that learnt nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt import Translator
from nmt.compose import save_config
from nmt.config import (
    AttentionConfig,
    Config,
    DataConfig,
    DecodingConfig,
    TokenizerConfig,
    TrainingConfig,
    TransformerConfig,
)
from nmt.data.tokenizer import learn
from nmt.evaluation.metrics import score
from nmt.models import build_model
from nmt.training.checkpoint import point, save_checkpoint

ROOT = Path(__file__).parents[2]
SOURCE = ["A dog runs.", "", "It rains today.", "The cat sleeps."]
TARGET = ["Ein Hund läuft.", "Nichts.", "Es regnet heute.", "Die Katze schläft."]
ALIGNED = ["0-0 1-1 2-2 3-3", "", "0-0 1-1 2-2 3-3", "0-0 1-1 2-2 3-3"]


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "evaluate.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )


def result(*arguments: str | Path) -> dict[str, Any]:
    done = command(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for split in ("train", "val", "test"):
        write(folder / f"{split}.en", SOURCE)
        write(folder / f"{split}.de", TARGET)
        write(folder / f"{split}.align", ALIGNED)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("untrained")
    config = Config(
        model=TransformerConfig(
            width=16,
            feedforward=16,
            encoder_layers=1,
            decoder_layers=1,
            attention=AttentionConfig(heads=2),
        ),
        data=DataConfig(path=str(corpus), tokenizer=TokenizerConfig(vocabulary=300)),
        training=TrainingConfig(max_steps=1),
        decoding=DecodingConfig(max_ratio=1, max_extra=4),
    )
    save_config(config, folder / "config.yaml")
    tokenizers = learn(list(zip(SOURCE, TARGET, strict=True)) * 5, config.data.tokenizer, 1)
    tokenizers.save(folder)
    model = build_model(config.model, tokenizers.source.size, tokenizers.target.size)
    point(folder, "best", save_checkpoint(folder, "00000001", model, None))
    return folder


def test_a_run_and_its_translations_have_the_same_scores(
    run: Path, corpus: Path, tmp_path: Path
) -> None:
    output = tmp_path / "translated.de"
    done = command(run, "--device", "cpu", "--beam-size", "2", "--output", output, "--json")
    assert f" test: reading {corpus}/test.en and {corpus}/test.de\n" in done.stderr
    found = json.loads(done.stdout)
    lines = output.read_text(encoding="utf-8").split("\n")
    assert len(lines) == len(SOURCE) + 1
    assert lines[1] == ""
    expected = score(lines[:-1], TARGET, ter=True)
    for key, each in expected.items():
        assert (found[key], found["signatures"][key]) == each[:2]
    assert (found["split"], found["sentences"]) == ("test", 4)
    assert [(head["layer"], head["head"]) for head in found["heads"]] == [(1, 1), (1, 2)] * 2
    assert found["aer"] == found["best_head"]["aer"] == min(h["aer"] for h in found["heads"])

    again = result("--hypotheses", output, "--reference", write(tmp_path / "test.de", TARGET))
    assert again.keys() == found.keys()
    for key in ("bleu", "chrf", "ter", "signatures", "sentences"):
        assert again[key] == found[key]
    assert (again["aer"], again["split"], again["heads"]) == (None, None, [])


def test_a_line_longer_than_training_saw_is_translated_as_translate_does_it(
    run: Path, tmp_path: Path
) -> None:
    output, override = tmp_path / "translated.de", "data.max_pieces=4"
    done = command(run, "--device", "cpu", "--set", override, "--output", output)
    assert "of 4 lines are longer than any in training (4 pieces)" in done.stderr
    found = output.read_text(encoding="utf-8").split("\n")[:-1]
    assert found == Translator.load(run, device="cpu", overrides=[override]).translate(SOURCE)
    assert found != Translator.load(run, device="cpu").translate(SOURCE)


def test_own_files_and_the_table(run: Path, corpus: Path) -> None:
    files = ("--source", corpus / "test.en", "--reference", corpus / "test.de")
    done = command(run, *files, "--device", "cpu", "--set", "decoding.beam_size=1")
    assert done.returncode == 0, done.stderr
    (warning,) = done.stderr.splitlines()  # no progress where nobody looks
    assert "the length limit (1 x source pieces + 4) cut off " in warning
    assert "4 sentences" in done.stdout
    for word in ("BLEU", "chrF", "TER", "nrefs:1|case:mixed|eff:no|tok:13a"):
        assert word in done.stdout
    assert "AER" not in done.stdout  # there is no true alignment
    assert "AER" in command(run, "--split", "validation", "--device", "cpu").stdout


def test_files_in_other_scripts_and_several_references(tmp_path: Path) -> None:
    thai = write(tmp_path / "a.th", ["ชายชราเห็นสุนัขตัวเล็ก", "ฝนตกวันนี้"])
    found = result("--hypotheses", thai, "--reference", thai)
    assert (round(found["bleu"], 6), round(found["chrf"], 6), found["ter"]) == (100, 100, None)
    assert "|tok:char|" in found["signatures"]["bleu"]
    lines = ["the OLD man sees a small dog", "it rains today"]
    english, other = write(tmp_path / "a.en", lines), write(tmp_path / "b.en", ["no"] * 2)
    references = ("--reference", write(tmp_path / "c.en", [line.lower() for line in lines]))
    flags = ("--lowercase", "--tokenize", "intl")
    found = result("--hypotheses", english, *references, "--reference", other, *flags)
    assert round(found["bleu"], 6) == 100
    assert found["signatures"]["bleu"].startswith("nrefs:2|case:lc|eff:no|tok:intl|")


def test_a_run_with_several_references_and_another_tokenizer(run: Path, corpus: Path) -> None:
    files = ("--source", corpus / "test.en", *("--reference", corpus / "test.de") * 2)
    found = result(run, *files, "--beam-size", "1", "--tokenize", "char", "--lowercase")
    assert found["signatures"]["bleu"].startswith("nrefs:2|case:lc|eff:no|tok:char|")
    assert found["signatures"]["ter"].startswith("nrefs:2|case:lc|tok:tercom|")


def test_the_head_that_the_run_has_selected_is_reported(
    run: Path, tmp_path: Path, corpus: Path
) -> None:
    """Not the one that is the best on the test set, which is marked as such without a choice."""
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    first = result(copy, "--beam-size", "1")
    worst = max(first["heads"], key=lambda head: head["aer"])
    assert first["head_selected_on"] == "test" and worst["aer"] > first["aer"]
    (copy / "alignment.json").write_text(json.dumps({**worst, "aer": 0.1}))
    found = result(copy, "--beam-size", "1")
    assert (found["aer"], found["best_head"]) == (worst["aer"], worst)
    assert (found["heads"], found["head_selected_on"]) == (first["heads"], "validation")
    table = command(copy, "--beam-size", "1", "--set", "decoding.max_extra=1").stdout
    assert f"{worst['aer']:.3f} *" in table and "* selected on the validation set" in table


def test_control_characters_are_spaces_in_files_that_are_scored(tmp_path: Path) -> None:
    hypotheses = write(
        tmp_path / "h", ["Ein\x0bHund läuft\x00heute .", "Es\u2028regnet\x85sehr\x1bviel ."]
    )
    reference = write(tmp_path / "r", ["Ein Hund läuft heute .", "Es regnet\x07sehr viel ."])
    found = result("--hypotheses", hypotheses, "--reference", reference)
    assert found["bleu"] == pytest.approx(100) and found["ter"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name the run directory to evaluate"),
        (("nowhere",), "no such run directory: nowhere"),
        (("--hypotheses", "a"), "--hypotheses needs --reference, and no RUN or --source"),
        (("RUN", "--source", "a"), "--source and --reference need each other"),
        (("RUN", "--source", "a", "--reference", "b", "--split", "test"), "--split and --source"),
        (("RUN", "--output", "/no/folder/a"), "no such folder: /no/folder"),
        (("RUN", "--beam-size", "0"), "decoding.beam_size must be at least 1, but is 0"),
        (("RUN", "--set", "decoding.beam=2"), "unknown key decoding.beam"),
        (("RUN", "--checkpoint", "7"), "has no checkpoint 7"),
        (("RUN", "--tokenize", "13b"), "evaluation.tokenize must be one of 13a, intl, zh"),
        (
            ("--hypotheses", "CORPUS/test.en", "--reference", "CORPUS/test.de", "--tokenize=x"),
            "evaluation.tokenize must be one of 13a, intl, zh",
        ),
        (("--hypotheses", "CORPUS/test.en", "--reference", "nofile"), "there is no file nofile"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    run: Path, corpus: Path, arguments: tuple[str, ...], message: str
) -> None:
    given = [each.replace("RUN", str(run)).replace("CORPUS", str(corpus)) for each in arguments]
    done = command(*given)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_help_does_not_wait_for_torch() -> None:
    began = time.perf_counter()
    assert command("--help").returncode == 0
    assert time.perf_counter() - began < 2  # 0.1 s on an idle core, where torch takes 3
