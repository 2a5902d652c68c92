"""From command line overrides to a checked config, as scripts/train.py does it; and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from nmt.compose import (
    resumed_config,
    run_config,
    save_config,
    to_config,
)
from nmt.config import Config, DataConfig, RNNConfig, TransformerConfig
from nmt.errors import UserError
from nmt.groups import composition_error, register_schema, with_files
from nmt.overrides import quoted_paths

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    register_schema()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        yield
    GlobalHydra.instance().clear()


def composed(*overrides: str) -> Config:
    with composition_error():
        return to_config(compose("train", list(overrides)))


def mistake(*overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        composed(*overrides)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


def test_without_overrides_it_is_the_dataclasses_own() -> None:
    assert composed("data=files") == Config(data=DataConfig(name="files", source="files"))


@pytest.mark.parametrize("name", choices("model"))
def test_every_model_preset_composes(name: str) -> None:
    config = composed(f"model={name}")
    kind = RNNConfig if name.startswith("rnn") else TransformerConfig
    assert type(config.model) is kind
    if name == config.model.name:
        assert config.model == kind(), "YAML says only what differs"


@pytest.mark.parametrize("name", choices("data"))
def test_every_corpus_composes(name: str) -> None:
    assert composed(f"data={name}").data.name == name


@pytest.mark.parametrize("name", choices("experiment"))
def test_every_experiment_composes(name: str) -> None:
    config = composed(f"experiment={name}")
    assert name.startswith((config.data.name, "benchmark"))
    assert composed(f"experiment={name}", "training.seed=9").training.seed == 9


@pytest.mark.parametrize(("model", "score"), [("rnn", "scaled_dot"), ("transformer", "additive")])
def test_any_score_and_heads_in_any_model(model: str, score: str) -> None:
    attention = (f"model.attention.score={score}", "model.attention.heads=8")
    found = composed(f"model={model}", *attention).model.attention
    assert (found.score, found.heads) == (score, 8)


def test_values_as_a_shell_gives_them() -> None:
    files = "a folder/a=b.en,a folder/a=b.de"
    config = composed("data=files", f'data.train="{files}"', "training.max_minutes=20")
    assert config.data.train == files
    assert config.training.max_minutes == 20.0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("model.widht=3", "unknown key model.widht; did you mean 'model.width'?"),
        ("model.attention.head=3", "did you mean 'model.attention.heads'?"),
        ("trainning.seed=3", "did you mean 'training"),
        ("seed=3", "did you mean 'training.seed'?"),
        ("+foo=1", "unknown key foo"),
        ("+model.foo=1", "unknown key model.foo"),
        ("model=rrn", "there is no model=rrn: the choices are rnn, "),
        ("model=rrn", "did you mean 'rnn'?"),
        ("data=demos", "there is no data=demos: the choices are demo, "),
        ("experiment=nothing", "there is no experiment=nothing: the choices are "),
        ("model.width=250", "model.width must be a multiple of model.attention.heads (4), but is"),
        ("training.max_steps=many", "training.max_steps must be a whole number, but is 'many'"),
        ("training.max_steps=1.5", "training.max_steps must be a whole number, but is '1.5'"),
        ("training.learning_rate=fast", "training.learning_rate must be a number, but is 'fast'"),
        ("data.deduplicate=perhaps", "data.deduplicate must be true or false, but is 'perhaps'"),
        ("model.attention.heads=null", "model.attention.heads must have a value, but is null"),
        ("model=rnn model.positions=rotary", "model.positions is an option of model=transformer"),
        ("model.cell=lstm", "model.cell is an option of model=rnn, not of the selected"),
        ("training.learning_rate=1,5", "training.learning_rate=1,5 is a list of values: quote it"),
        ("training.learning_rate=1,5", "or add -m to run once per value, or write 1.5 if the"),
        ("data.name=a,b", "quote it twice (\"data.name='a,b'\") if it is one value, or add -m"),
        ("model=rnn,transformer", "names several choices: add -m to run once per choice"),
        ("training.seed=[", "cannot read 'training.seed=[': write key=value"),
        ("model", "cannot read 'model': write key=value"),
    ],
    ids=lambda value: str(value).split(", ")[0] if "=" in str(value) else "",
)
def test_mistakes(overrides: str, message: str) -> None:
    assert message in mistake(*overrides.split())


FILES = [
    "a.en,a.de",
    "[a.en,a.de]",
    "a folder/a=b.en,a folder/a=b.de",
    "Überblick/größer.en,Überblick/größer.de",
    'it\'s a "file".tsv',
    "C:\\corpus\\",
    "a (1).tsv",
    "{a}.tsv",
    "50%.tsv",
    "a#b.tsv",
    "ça va?.tsv",
]


@pytest.mark.parametrize("value", FILES)
@pytest.mark.parametrize("key", ["data.train", "data.validation", "data.path", "runs"])
def test_paths_need_no_second_quotes(run: Path, key: str, value: str) -> None:
    """Neither for Hydra nor when a run is resumed."""
    (given,) = quoted_paths([f"{key}={value}"])
    for override in (given, f"+{given}", f"++{given}"):
        config = composed("data=files", override.lstrip("+"))
        section = config.data if key.startswith("data.") else config
        assert getattr(section, key.rpartition(".")[2]) == value
    if key != "runs":
        save_config(composed("data=files", "data.train=a.tsv"), run / "config.yaml")
        assert getattr(resumed_config(run, [given]).data, key.rpartition(".")[2]) == value


@pytest.mark.parametrize("value", ["", "null", "'a.en,a.de'", '"a b"', "${data.test}"])
def test_what_is_quoted_already_or_no_path(value: str) -> None:
    assert quoted_paths([f"data.train={value}"]) == [f"data.train={value}"]
    assert quoted_paths(["model=rnn,transformer", "-m"]) == ["model=rnn,transformer", "-m"]


def test_sweeps_over_files() -> None:
    """With -m a comma separates runs, except between two aligned text files."""
    sweep = ["-m", "data.train=a.tsv,b.tmx.gz", "data.path=a,b"]
    assert quoted_paths(sweep) == sweep
    assert quoted_paths(["--multirun", "data.train=a.en,a.de"])[1] == "data.train='a.en,a.de'"


@pytest.mark.parametrize("value", ["[2,3]", "en,de", "2,3"])
def test_columns_need_no_quotes(value: str) -> None:
    assert composed("data=files", *quoted_paths([f"data.columns={value}"])).data.columns == value


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["data.train=my.tsv"], ("files", "files", 8000)),
        (["data.test=my.tsv"], ("files", "files", 8000)),
        (["experiment=multi30k_quick", "data.train=x.tsv"], ("files", "files", 4000)),
        (["data=files", "data.train=my.tsv"], ("files", "files", 8000)),
        (["data=multi30k", "data.train=my.tsv"], ("multi30k", "hub", 8000)),
        (["data.train=null"], ("demo", "demo", 4000)),
    ],
)
def test_a_file_decides_the_source(overrides: list[str], expected: tuple[str, str, int]) -> None:
    with composition_error():
        data = with_files(composed(*overrides), overrides).data
    assert (data.name, data.source, data.tokenizer.vocabulary) == expected


@pytest.fixture
def run(tmp_path: Path) -> Path:
    save_config(composed("model=rnn_tiny", "name=mine"), tmp_path / "config.yaml")
    return tmp_path


def test_a_resumed_run_keeps_what_it_was(run: Path) -> None:
    assert resumed_config(run, []) == composed("model=rnn_tiny", "name=mine")
    changed = resumed_config(run, ["training.max_epochs=80", "decoding.beam_size=2"])
    assert (changed.training.max_epochs, changed.decoding.beam_size) == (80, 2)
    assert changed.model == composed("model=rnn_tiny").model


@pytest.mark.parametrize(
    "override",
    [
        *("model.width=32", "model=rnn", "+model.x=3", "~model", "data=demo", "data.limit=3"),
        *("name=other", "runs=elsewhere", "experiment=demo_rnn", "training=default"),
    ],
)
def test_what_a_resumed_run_cannot_change(run: Path, override: str) -> None:
    with pytest.raises(UserError) as caught:
        resumed_config(run, [override])
    message = str(caught.value)
    assert message.startswith(f"cannot change {override!r} when resuming {run}; only ")


@pytest.mark.parametrize(
    "override", ["data.train=new.tsv", "+data.test=t.tsv", "data.validation=a"]
)
def test_files_have_no_effect_on_a_run_that_reads_none(run: Path, override: str) -> None:
    with pytest.raises(UserError) as caught:
        resumed_config(run, ["training.max_steps=9", override])
    assert str(caught.value) == (
        f"resume={run} continues with the corpus of the run (data.source=demo), so {override!r} "
        f"would have no effect; to train on other data, start a new run with init_from={run}"
    )


def test_files_of_a_resumed_run_may_be_moved(tmp_path: Path) -> None:
    data = DataConfig(source="files", train="old/a.tsv", test="old/t.tsv")
    save_config(Config(data=data), tmp_path / "config.yaml")
    moved = resumed_config(tmp_path, ["data.train=new/a.tsv", "data.path=here"]).data
    assert (moved.train, moved.test, moved.path) == ("new/a.tsv", "old/t.tsv", "here")


def test_a_resumed_run_that_is_not_there(tmp_path: Path) -> None:
    for read in (run_config, resumed_config):
        with pytest.raises(UserError, match="no such run directory: .*none"):
            read(tmp_path / "none", [])
        with pytest.raises(UserError, match="is not a run directory: it has no config.yaml"):
            read(tmp_path, [])
