"""What a user may set, and what each mistake is answered with."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from nmt import compose
from nmt.compose import known_keys, load_config, save_config
from nmt.config import (
    Config,
    ModelConfig,
    RNNConfig,
    TrainingConfig,
    TransformerConfig,
)
from nmt.errors import UserError

TRAINING = TrainingConfig(max_steps=10, max_epochs=None, patience=None)
TRANSFORMER = Config(model=TransformerConfig(), training=TRAINING)
RNN = Config(model=RNNConfig(), training=TRAINING)


def saved(folder: Path, config: Config = TRANSFORMER) -> Path:
    path = folder / "config.yaml"
    save_config(config, path)
    return path


def mistake(path: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        load_config(path, overrides)
    message = str(caught.value)
    assert len(message.splitlines()) <= 2
    return message


@pytest.mark.parametrize("config", [TRANSFORMER, RNN], ids=["transformer", "rnn"])
def test_saved_then_loaded_is_the_same(tmp_path: Path, config: Config) -> None:
    assert load_config(saved(tmp_path, config)) == config


def test_a_config_saved_before_a_key_existed_keeps_its_meaning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(compose.BEFORE, "data.tokenizer.kind", "bpe")
    path = saved(tmp_path)
    assert load_config(path).data.tokenizer.kind == TRANSFORMER.data.tokenizer.kind
    path.write_text(re.sub(r" *kind: .*\n", "", path.read_text()))
    assert load_config(path).data.tokenizer.kind == "bpe"
    assert load_config(path, ["data.tokenizer.kind=unigram"]).data.tokenizer.kind == "unigram"


def test_a_run_from_before_the_normalisation_keeps_its_own(tmp_path: Path) -> None:
    path = saved(tmp_path)
    assert load_config(path).data.tokenizer.normalization == "nfc"
    path.write_text(re.sub(r" *normalization: .*\n", "", path.read_text()))
    assert load_config(path).data.tokenizer.normalization == "nmt_nfkc"


def test_overrides_are_typed_by_the_schema(tmp_path: Path) -> None:
    overrides = [
        "decoding.beam_size=8",
        "decoding.length_penalty=1",
        "data.path=/a folder/with=signs,and commas",
        "model.attention.score=additive",
        "training.max_steps=null",
        "training.max_minutes=2.5",
        "training.learning_rate=5e-4",
    ]
    config = load_config(saved(tmp_path), overrides)
    assert config.decoding.beam_size == 8
    assert isinstance(config.decoding.length_penalty, float)
    assert config.data.path == "/a folder/with=signs,and commas"
    assert config.model.attention.score == "additive"
    assert config.training.max_steps is None
    assert config.training.max_minutes == 2.5
    assert config.training.learning_rate == 5e-4


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.widht=3", "unknown key model.widht; did you mean 'model.width'?"),
        ("modle.width=3", "unknown key modle.width; did you mean 'model.width'?"),
        ("beam_sise=3", "unknown key beam_sise; did you mean 'decoding.beam_size'?"),
        (
            "model.attention.scor=dot",
            "unknown key model.attention.scor; did you mean 'model.attention.score'?",
        ),
        ("decoding.zzz=1", "unknown key decoding.zzz"),
        (
            "model.cell=lstm",
            "model.cell is an option of model=rnn, not of the selected model",
        ),
        ("model.width=wide", "model.width must be a whole number, but is 'wide'"),
        ("model.width=2.5", "model.width must be a whole number, but is '2.5'"),
        ("model.width=null", "model.width must be a whole number, but is null"),
        ("training.learning_rate=fast", "training.learning_rate must be a number, but is 'fast'"),
        ("data.deduplicate=maybe", "data.deduplicate must be true or false, but is 'maybe'"),
        ("model.width=0", "model.width must be at least 1, but is 0"),
        (
            "model.width=250",
            "model.width must be a multiple of model.attention.heads (4), but is 250",
        ),
        ("model.dropout=1", "model.dropout must be in [0, 1), but is 1"),
        ("model.dropout=.nan", "model.dropout must be a finite number, but is nan"),
        ("training.learning_rate=0", "training.learning_rate must be above 0, but is 0.0"),
        ("decoding.beam_size=0", "decoding.beam_size must be at least 1, but is 0"),
        ("decoding.shortlist=65", "decoding.shortlist must be in [0, 64], but is 65"),
        (
            "model.attention.score=dott",
            "model.attention.score must be one of additive, dot, scaled_dot, but is 'dott'; "
            "did you mean 'dot'?",
        ),
        (
            "training.precision=int8",
            "training.precision must be one of auto, fp32, bf16, but is 'int8'",
        ),
        (
            "training.max_steps=null",
            "training must end: set training.max_steps, max_epochs, max_minutes or patience",
        ),
        ("name=a/b", "name must be a plain folder name without slashes, but is 'a/b'"),
        ("data.name=a/b", "data.name must be a plain folder name without slashes, but is 'a/b'"),
        ("name=" + "ä" * 101, "name must have at most 200 bytes, but has 202"),
        ("data.name=" + "x" * 300, "data.name must have at most 200 bytes, but has 300"),
        ("training.seed=???", "training.seed must have a value, but is '???'"),
        ("runs='???'", "runs must have a value, but is '???'"),
        ("model.dropout=-" + "9" * 400, "model.dropout must be a number below 2^63"),
        ("data.min_length=500", "data.max_length must be at least data.min_length (500), but is 2"),
        ("model[width]=3.5", "model.width must be a whole number, but is '3.5'"),
        ("model=rnn", "model is a section, but 'model=rnn' gives it a value"),
        ("model.width", "cannot read 'model.width': write key=value"),
        ("=3", "cannot read '=3': write key=value"),
        ("data.name=[", "cannot read the value of 'data.name=[': put it in quotes"),
    ],
)
def test_each_mistake_names_the_key_the_rule_and_the_value(
    tmp_path: Path, override: str, message: str
) -> None:
    assert mistake(saved(tmp_path), override).startswith(message)


def test_each_option_belongs_to_its_model(tmp_path: Path) -> None:
    message = mistake(saved(tmp_path, RNN), "model.positions=rotary")
    assert message == (
        "model.positions is an option of model=transformer, not of the selected model"
    )
    message = mistake(saved(tmp_path, RNN), "model.attention.heads=3", "model.width=513")
    assert message.startswith("2 * model.encoder_width must be a multiple of")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 12, "positions": "rotary"}, "needs an even width per head"),
        ({"width": 12, "heads": 5}, r"model.width must be a multiple of .* \(5\), but is 12"),
    ],
)
def test_impossible_combinations(tmp_path: Path, values: dict[str, int], message: str) -> None:
    overrides = [
        f"model.{'attention.' if key == 'heads' else ''}{key}={value}"
        for key, value in values.items()
    ]
    with pytest.raises(UserError, match=message):
        load_config(saved(tmp_path), overrides)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("width: 256", "width: wide", "model.width must be a whole number, but is 'wide'"),
        ("width: 256", "widht: 256", "unknown key model.widht; did you mean 'model.width'?"),
        ("name: transformer", "name: rnm", "model.name must be one of rnn, transformer"),
        ("name: transformer", "name: [", "is not a config this program wrote"),
        ("model:", "modell:", "is not a config this program wrote: it has no section 'model'"),
        ("runs: runs", "runs: ???", "runs must have a value, but is '???'"),
        ("seed: 1\n", "seed: 1\n  seed: 2\n", ": training.seed occurs twice; keep one"),
        ("model:", "runs: here\nmodel:", " line 5: runs occurs twice; keep one of them"),
        ("runs: runs", '"a\\n": 1\n"a\\n": 2', " line 3: 'a\\n' occurs twice; keep one of them"),
        ("runs: runs", "runs: ${oc.env:HOME}", "it has an interpolation, ${...}"),
        ("runs: runs", "runs: !!python/object/apply:os.getcwd []", "is not a config this program"),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = saved(tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    told = mistake(path)
    assert told.startswith(str(path))
    assert message in told


def test_files_that_are_no_config(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    assert mistake(path) == f"the config {path} cannot be read: No such file or directory"
    path.write_bytes(b"model: \xff")
    assert mistake(path).startswith(f"{path} is not a config this program wrote")
    path.write_text("")
    assert "it has no section 'model'" in mistake(path)


@pytest.mark.parametrize("model", [RNNConfig, TransformerConfig])
def test_every_key_can_be_set_to_what_it_is(tmp_path: Path, model: type[ModelConfig]) -> None:
    config = Config(model=model(), training=TRAINING)
    path = saved(tmp_path, config)
    options = [key for key in known_keys(model) if not hasattr(value_of(config, key), "__dict__")]
    assert {"model.attention.heads", "decoding.beam_size", "data.tokenizer.kind"} <= set(options)
    overrides = [f"{key}={json.dumps(value_of(config, key))}" for key in options]
    assert load_config(path, overrides) == config


def value_of(config: Config, key: str) -> object:
    value: object = config
    for part in key.split("."):
        value = getattr(value, part)
    return value
