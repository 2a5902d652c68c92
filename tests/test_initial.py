"""What a new run takes from the run that init_from names, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmt.compose import save_config
from nmt.config import AttentionConfig, Config, DataConfig, RNNConfig, TokenizerConfig
from nmt.errors import UserError
from nmt.groups import compose_config
from nmt.initial import inherited_config, origin_of

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The config of an RNN for Spanish into Hindi."""
    folder = tmp_path / "run"
    folder.mkdir()
    attention = AttentionConfig(score="dot", heads=2, dropout=0.1)
    model = RNNConfig(width=64, embedding=32, encoder_width=32, attention=attention)
    data = DataConfig(
        name="mine",
        source="files",
        train="old.tsv",
        source_language="es",
        target_language="hi",
        tokenizer=TokenizerConfig(kind="bpe", vocabulary=1234),
    )
    save_config(Config(model=model, data=data), folder / "config.yaml")
    return folder


def inherited(run: Path, *overrides: str) -> Config:
    given = [f"init_from={run}", *overrides]
    return inherited_config(compose_config(CONFIGS, given), given)


def mistake(run: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        inherited(run, *overrides)
    return str(caught.value)


def test_model_tokenizer_and_languages_are_those_of_the_run(run: Path) -> None:
    config = inherited(run, "data=files", "data.train=new.tsv", "training.max_minutes=2")
    assert isinstance(config.model, RNNConfig) and config.model.width == 64
    assert config.model.attention.score == "dot"
    assert config.data.tokenizer == TokenizerConfig(kind="bpe", vocabulary=1234)
    assert (config.data.source_language, config.data.target_language) == ("es", "hi")
    assert (config.data.train, config.data.name) == ("new.tsv", "files")
    assert config.training.max_minutes == 2
    assert config.init_from == str(run)


def test_without_new_data_they_are_those_of_the_run(run: Path) -> None:
    config = inherited(run, "training.max_steps=9", "data.limit=100", "data.cache=elsewhere")
    assert (config.data.train, config.data.name) == ("old.tsv", "mine")
    assert (config.data.limit, config.data.cache) == (100, "elsewhere")


def test_dropout_may_change(run: Path) -> None:
    config = inherited(run, "model.dropout=0.4", "model.attention.dropout=0.3")
    assert (config.model.dropout, config.model.attention.dropout) == (0.4, 0.3)
    assert config.model.width == 64


def test_the_model_of_an_experiment_does_not_replace_that_of_the_run(run: Path) -> None:
    files = ("data=files", "data.train=new.tsv")
    config = inherited(run, "experiment=multi30k_quick", *files)
    assert config.model.width == 64 and config.training.batch_tokens == 1024


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=transformer"], "has a model with model.name='rnn', but model=transformer"),
        (["model=rnn"], "has a model with model.width=64, but model=rnn makes it 512"),
        (["model.width=128"], "model.width=64, but model.width=128 makes it 128"),
        (["model.attention.score=additive"], "only model.dropout and model.attention.dropout can"),
        (
            ["data.tokenizer.vocabulary=99"],
            "data.tokenizer.vocabulary=1234, which cannot become 99",
        ),
        (
            ["data=files", "data.source_language=hi", "data.target_language=es"],
            "translates es into hi, but the new data are hi into es: set data.source_language=es",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_contradictions(run: Path, overrides: list[str], message: str) -> None:
    told = mistake(run, *overrides)
    assert told.startswith(f"init_from={run} ") and message in told
    assert len(told.splitlines()) == 1


def test_the_same_again_is_no_contradiction(run: Path) -> None:
    same = ("model.width=64", "data.tokenizer.kind=bpe", "data.tokenizer.vocabulary=1234")
    assert inherited(run, *same).model.width == 64


def test_a_run_that_is_not_there(run: Path, tmp_path: Path) -> None:
    assert mistake(tmp_path / "none").startswith("no such run directory")
    (run / "config.yaml").unlink()
    assert "is not a run directory" in mistake(run)


def test_a_checkpoint_after_a_colon(tmp_path: Path) -> None:
    assert origin_of("runs/a:last") == (Path("runs/a"), "last")
    assert origin_of("runs/a") == (Path("runs/a"), "best")
    (tmp_path / "b:1").mkdir()
    assert origin_of(f"{tmp_path}/b:1") == (tmp_path / "b:1", "best")
    assert origin_of(f"{tmp_path}/b:1:200") == (tmp_path / "b:1", "200")
