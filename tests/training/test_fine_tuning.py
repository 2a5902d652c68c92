"""init_from=RUN: a new run from another run's weights and tokenizer."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lives import contents, resumed, same, weights

from nmt.config import Config, DataConfig
from nmt.errors import UserError
from nmt.training.checkpoint import checkpoints, find_checkpoint, load_run
from nmt.training.launch import train
from nmt.training.report import Report
from nmt.translator import Translator

MakeConfig = Callable[..., Config]


class Killed(Exception):
    pass


@pytest.fixture
def new_data(data: DataConfig, tmp_path: Path) -> DataConfig:
    """Other pairs with the same validation set, and a character that is no piece."""
    folder = Path(shutil.copytree(str(data.path), tmp_path / "new"))
    (folder / "train.en").write_text("".join(f"katze haus tag {n} ½\n" for n in range(60)))
    (folder / "train.de").write_text("".join(f"½ {n} TAG HAUS KATZE\n" for n in range(60)))
    (folder / "train.align").unlink()
    return dataclasses.replace(data, path=str(folder))


@pytest.fixture
def tuned_config(make_config: MakeConfig, new_data: DataConfig, run: Path) -> Config:
    config = make_config(name="tuned", max_steps=6, validate_every=3, keep=9)
    config.data, config.init_from = new_data, f"{run}:last"
    return config


def validations(run: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["kind"] == "validation"]


def test_it_starts_where_the_other_run_ended(
    tuned_config: Config, run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = contents(run)
    with caplog.at_level("INFO"):
        tuned = Path(train(tuned_config).run)
    assert contents(run) == before
    start = {key: value for key, value in validations(tuned)[0].items() if key != "step"}
    assert start == {key: value for key, value in validations(run)[-1].items() if key != "step"}
    assert [each["step"] for each in validations(tuned)] == [0, 3, 6]
    assert same(weights(run), load_run(tuned, checkpoint="0", device="cpu").model.state_dict())
    assert not same(weights(run), weights(tuned)), "it has learnt"
    assert (tuned / "tokenizer.model").read_bytes() == (run / "tokenizer.model").read_bytes()
    (told,) = (message for message in caplog.messages if message.startswith("starting from "))
    assert "checkpoints/00000008: transformer with" in told and "en into de" in told


def test_it_needs_the_other_run_no_more(tuned_config: Config, run: Path) -> None:
    tuned = Path(train(tuned_config).run)
    assert load_run(tuned).config.init_from == f"{run}:last"
    shutil.rmtree(run)
    resumed(tuned, max_steps=9)
    assert find_checkpoint(tuned, "last").name == "00000009"
    assert Translator.load(tuned, device="cpu").translate(["katze haus"])[0] is not None


@pytest.mark.parametrize("step", [0, 3])
def test_a_killed_one_goes_on_without_the_other(
    tuned_config: Config, run: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Also if it dies in its first validation."""
    whole = Path(train(dataclasses.replace(tuned_config, name="whole")).run)
    log = Report.log

    def failing(self: Report, at: int, values: Any, *, kind: str) -> None:
        log(self, at, values, kind=kind)
        if (at, kind) == (step, "validation"):
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Report, "log", failing)
        train(tuned_config)
    tuned = whole.with_name("tuned")
    assert [folder.name for folder in checkpoints(tuned)] == ["00000000"]
    shutil.rmtree(run)
    resumed(tuned)
    assert same(weights(tuned), weights(whole))
    assert validations(tuned) == validations(whole)


def test_where_it_only_hurts_the_start_is_the_best(
    tuned_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nmt.training.validation import Validation, Validator

    validate, values = Validator.__call__, iter([50.0, 3.0, 4.0])

    def worse(self: Validator, *arguments: Any) -> Validation:
        found = validate(self, *arguments)
        return found._replace(metrics={**found.metrics, "chrf": next(values)})

    monkeypatch.setattr(Validator, "__call__", worse)
    assert train(tuned_config).checkpoint == "00000000"


def nothing_was_made(config: Config) -> bool:
    return not Path(config.runs, str(config.name)).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: setattr(config.model, "width", 32), r"model\.width=16, but it is 32"),
        (lambda config: setattr(config.model, "norm", "post"), r"model\.norm='pre', but it is"),
        (
            lambda config: setattr(config.model.attention, "heads", 4),
            r"model\.attention\.heads=2, but it is 4 here; only model\.dropout and",
        ),
        (
            lambda config: setattr(
                config.data, "tokenizer", dataclasses.replace(config.data.tokenizer, kind="bpe")
            ),
            r"has a vocabulary with data\.tokenizer\.kind='unigram'",
        ),
        (
            lambda config: (
                setattr(config.data, "source_language", "de"),
                setattr(config.data, "target_language", "en"),
            ),
            "translates en into de, but the new data are de into en: set data.source_language=en ",
        ),
    ],
    ids=["width", "norm", "heads", "vocabulary", "direction"],
)
def test_what_does_not_fit(
    tuned_config: Config, change: Callable[[Config], object], message: str
) -> None:
    change(tuned_config)
    with pytest.raises(UserError, match=message):
        train(tuned_config)
    assert nothing_was_made(tuned_config)


def test_the_other_model(make_config: MakeConfig, tuned_config: Config) -> None:
    tuned_config.model = make_config("rnn").model
    with pytest.raises(UserError, match=r"model\.name='transformer', but it is 'rnn'"):
        train(tuned_config)


def test_dropout_may_change(tuned_config: Config) -> None:
    tuned_config.model.dropout = tuned_config.model.attention.dropout = 0.3
    tuned = Path(train(tuned_config).run)
    assert load_run(tuned).config.model.dropout == 0.3


def test_other_languages_are_warned_of(
    tuned_config: Config, new_data: DataConfig, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("train", "val", "test"):
        file = Path(str(new_data.path), f"{name}.de")
        file.rename(file.with_suffix(".nl"))
    tuned_config.data = dataclasses.replace(new_data, target_language="nl")
    train(tuned_config)
    assert any(
        "translates en into de, but the new data are en into nl" in m for m in caplog.messages
    )


def damaged(run: Path, kind: str) -> None:
    checkpoint = find_checkpoint(run, "last")
    match kind:
        case "weights":
            (checkpoint / "model.safetensors").write_bytes(b"\0" * 100)
        case "tokenizer":
            (run / "tokenizer.model").write_bytes(b"no model")
        case "config":
            (run / "config.yaml").write_text("model: [1, 2")
        case "vocabulary":
            shutil.rmtree(run)
        case "link":
            (checkpoint / "model.safetensors").unlink()
            (checkpoint / "model.safetensors").symlink_to("/etc/passwd")
        case "checkpoint":
            shutil.rmtree(run / "checkpoints")


@pytest.mark.parametrize(
    "kind", ["weights", "tokenizer", "config", "vocabulary", "link", "checkpoint"]
)
def test_a_run_that_is_damaged(tuned_config: Config, run: Path, kind: str) -> None:
    damaged(run, kind)
    with pytest.raises(UserError, match=str(run)):
        train(tuned_config)
    assert nothing_was_made(tuned_config)


def test_weights_of_another_vocabulary(tuned_config: Config, run: Path, tmp_path: Path) -> None:
    """A run put together from two: each part is sound, but they do not fit."""
    from nmt.data.tokenizer import Tokenizers, learn
    from nmt.training.checkpoint import write_config

    pairs = [(f"ab cd ef {n}", f"gh ij kl {n}") for n in range(100)]
    config = dataclasses.replace(tuned_config.data.tokenizer, vocabulary=300)
    (tokenizer, _) = learn(pairs, config, 1)
    Tokenizers(tokenizer, tokenizer).save(run)
    write_config(load_run_config(run), run)
    with pytest.raises(UserError, match="does not fit the model of config.yaml"):
        train(tuned_config)
    assert nothing_was_made(tuned_config)


def load_run_config(run: Path) -> Config:
    from nmt.compose import run_config

    return run_config(run)
