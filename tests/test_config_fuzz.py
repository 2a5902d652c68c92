"""Any value of any key: a config, or one sentence that names the key. NMT_EXAMPLES searches longer.

Nothing in the config of a run is executed or read from the environment.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.cli import guarded
from nmt.compose import known_keys, load_config, run_config, save_config
from nmt.config import Config, ModelConfig, RNNConfig, TransformerConfig
from nmt.errors import UserError
from nmt.groups import compose_config

CONFIGS = Path(__file__).parents[1] / "configs"
KEYS = st.sampled_from(known_keys(TransformerConfig) + known_keys(RNNConfig))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.floats(),
    st.text(st.characters(), max_size=8),
    st.sampled_from(["", " ", "???", "null", "a" * 5000, "0x10", "1e999", "1_0", "~", "..", "a/b"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    save_config(Config(), folder / "saved.yaml")
    return folder


@pytest.fixture(scope="module")
def text(run: Path) -> str:
    """Of a config that is right."""
    return (run / "saved.yaml").read_text(encoding="utf-8")


def outcome(run: Path, content: str | bytes) -> Config | str:
    path = run / "config.yaml"
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    path.write_bytes(raw)
    try:
        config = run_config(run)
    except UserError as error:
        message = str(error)
        assert len(message.splitlines()) == 1
        return message
    save_config(config, run / "again.yaml")
    assert load_config(run / "again.yaml") == config
    return config


@given(KEYS, VALUES)
def test_any_value_in_a_saved_config(run: Path, text: str, key: str, value: Any) -> None:
    tree = section = yaml.safe_load(text)
    *sections, name = key.split(".")
    for part in sections:
        section = section[part]
    section[name] = value
    found = outcome(run, yaml.dump(tree))  # with the tags and aliases it needs
    assert isinstance(found, Config) or key in found or "config this program wrote" in found


def answered(compose: Callable[[], Config]) -> Config | str:
    """What a script makes of it: the config, or the one line it says before it ends with 2."""
    made: list[Config] = []
    said = io.StringIO()
    with redirect_stderr(said):
        status = guarded(lambda: made.append(compose()))
    if made:
        assert (status, said.getvalue()) == (0, "")
        return made[0]
    message = said.getvalue()
    assert status == 2 and message.startswith("error: ") and message.endswith("\n")
    assert len(message.splitlines()) == 1 and not TECHNICAL.search(QUOTED.sub("", message))
    return message


QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")  # what the user wrote
# Words of tracebacks and of the libraries.
TECHNICAL = re.compile(
    r"Traceback|File \"|Error\b|Exception|\wConfig\b|omegaconf|[Hh]ydra|<class| at 0x|NoneType"
)


def names(key: str, message: str) -> bool:
    """Also where a rule lists keys of one section: `training.max_steps, max_epochs`."""
    section, _, name = key.rpartition(".")
    return re.search(rf"\b{section}\b.*\b{name}\b", message) is not None


def value_of(config: Config, key: str) -> object:
    value: object = config
    for part in key.split("."):
        value = getattr(value, part)
    return value


def changed(before: Config, after: Config) -> set[str]:
    """The options whose values differ."""
    options = [key for key in known_keys(type(before.model)) if key in KINDS]
    return {key for key in options if repr(value_of(before, key)) != repr(value_of(after, key))}


def check_override(before: Config, after: Config | str, key: str) -> None:
    """Refused with its name, or it changes what it names and nothing else."""
    if isinstance(after, str):
        assert names(key, after) or "the overrides cannot be read: " in after  # any of them
        return
    for option in changed(before, after):
        assert option == key or option.startswith(f"{key}.")
        assert type(value_of(after, option)) in KINDS[option]


TEXTS = st.text(st.characters(), max_size=8)
NUMBERS = st.sampled_from(
    ["9" * 5000, "-" + "9" * 400, "nan", "-inf", "1e999", "0x1", "''", "[", "{}"]
)


@given(KEYS, TEXTS | NUMBERS | VALUES.map(str) | VALUES.map(json.dumps))
def test_any_override_of_a_saved_config(run: Path, key: str, value: str) -> None:
    after = answered(lambda: load_config(run / "saved.yaml", [f"{key}={value}"]))
    check_override(Config(), after, key)


@pytest.fixture(scope="module")
def new_run() -> Config:
    return compose_config(CONFIGS, ["model=rnn"])


FEWER = settings(max_examples=settings.default.max_examples // 2)  # Hydra takes 0.1 s to compose


@FEWER
@given(st.sampled_from(["", "+", "++", "~"]), KEYS, TEXTS | NUMBERS | VALUES.map(json.dumps))
def test_any_override_of_a_new_run(new_run: Config, sign: str, key: str, value: str) -> None:
    after = answered(lambda: compose_config(CONFIGS, ["model=rnn", f"{sign}{key}={value}"]))
    if key in ("data.train", "data.validation", "data.test") and isinstance(after, Config):
        # A file decides the source of the corpus, which a file does not change otherwise.
        new_run = compose_config(CONFIGS, ["model=rnn", f"data={after.data.name}"])
    check_override(new_run, after, key)


# --- Values of the right type are held exactly, or refused by the rule of their field ---


def kinds(section: object, prefix: str = "") -> Iterator[tuple[str, tuple[type, ...]]]:
    hints = get_type_hints(type(section))
    for entry in fields(section):
        value = getattr(section, entry.name)
        if is_dataclass(value):
            yield from kinds(value, f"{prefix}{entry.name}.")
        else:
            yield prefix + entry.name, get_args(hints[entry.name]) or (hints[entry.name],)


# The types of each option.
KINDS = dict(kinds(Config(model=RNNConfig()))) | dict(kinds(Config()))
OF_KIND = {
    int: st.integers(-2, 12) | st.integers(-(2**63) + 1, 2**63 - 1),
    float: st.floats(-1, 2) | st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    str: st.text(st.characters().filter(str.isprintable), max_size=8).filter(
        lambda text: "\\" not in text and "${" not in text and text != "???"
    ),
    type(None): st.none(),
}


@st.composite
def settings_of(draw: st.DrawFn, model: type[ModelConfig]) -> tuple[str, object]:
    key = draw(st.sampled_from([key for key in known_keys(model) if key in KINDS]))
    return key, draw(OF_KIND[draw(st.sampled_from(KINDS[key]))])


def replaced(section: Any, key: str, value: object) -> Any:
    """The dataclass with the value put in by hand."""
    name, _, rest = key.partition(".")
    return replace(
        section, **{name: replaced(getattr(section, name), rest, value)} if rest else {name: value}
    )


def check_exact(before: Config, compose: Callable[[str], Config], key: str, value: object) -> None:
    try:
        expected = repr(replaced(before, key, value))
    except UserError as error:
        expected = f"error: {error}\n"
        assert names(key, expected)
    found = answered(lambda: compose(f"{key}={json.dumps(value, ensure_ascii=False)}"))
    assert (found if isinstance(found, str) else repr(found)) == expected


@given(settings_of(TransformerConfig))
def test_a_saved_config_with_a_value(run: Path, setting: tuple[str, object]) -> None:
    check_exact(Config(), lambda override: load_config(run / "saved.yaml", [override]), *setting)


@FEWER
@given(settings_of(RNNConfig))
def test_a_new_run_with_a_value(new_run: Config, setting: tuple[str, object]) -> None:
    def compose(override: str) -> Config:
        return compose_config(CONFIGS, ["model=rnn", override])

    check_exact(new_run, compose, *setting)


PARTS = st.sampled_from(
    [
        "&a ",
        "*a",
        "!!python/name:os.system ",
        "${",
        "}",
        '"\\x24{oc.env:NMT_SECRET}"',
        "- ",
        ": ",
        "\n",
    ]
    + [
        "? ",
        "<<: ",
        "[",
        "{",
        "'",
        '"',
        "|\n",
        "---\n",
        "%YAML 9\n",
        "\x00",
        "\t",
        "#",
        "_target_: x\n",
    ]
)


@given(st.data())
def test_any_damage_to_a_saved_config(run: Path, text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        put = data.draw(PARTS | TEXTS)
        text = text[:start] + put + text[min(stop, start + 8) :]
    outcome(run, text)
