"""Configs made to do harm: refused in one sentence; nothing in them is run or read from outside."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import yaml

from nmt.compose import run_config, save_config
from nmt.config import Config
from nmt.errors import UserError
from nmt.groups import compose_config

CONFIGS = Path(__file__).parents[1] / "configs"
SECRET = "of-the-environment"


@pytest.fixture
def text(tmp_path: Path) -> str:
    """Of a config that is right."""
    save_config(Config(), tmp_path / "config.yaml")
    return (tmp_path / "config.yaml").read_text(encoding="utf-8")


def refused(run: Path, content: str) -> str:
    (run / "config.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        run_config(run)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


HOSTILE = {
    "object": ("!!python/object/apply:os.getcwd []", "an anchor, an alias or a tag"),
    "interpolation": ("${oc.env:NMT_SECRET}", "it has an interpolation"),
    "escaped": ('"\\x24{oc.env:NMT_SECRET}"', "it has an interpolation"),
    "escaped twice": ('"\\u0024\\u007boc.env:NMT_SECRET}"', "it has an interpolation"),
    "alias": ("&a [*a]", "an anchor, an alias or a tag"),
    "binary": ("!!binary aGVsbG8=", "an anchor, an alias or a tag"),
    "no date": ("2020-99-99", "month must be in 1..12"),
    "date": ("2020-01-01", "runs: Value 'date'"),
    "nul": ('"a\\0b"', "runs must be one line without control characters, but is 'a\\x00b'"),
    "surrogate": ('"\\ud800"', "runs must be one line without control characters"),
    "section": ("{_target_: os.getcwd}", "unknown key runs._target_"),
    "list": ("[a]", "runs must be text, but is"),
    "deep": ("[" * 5000, "nested too deep"),
    "digits": ("9" * 5000, "Exceeds the limit"),
    "large": ("a" * 10**8, "it is longer than 64 KB"),
}


@pytest.mark.parametrize("value, message", HOSTILE.values(), ids=HOSTILE)
def test_hostile_values(
    tmp_path: Path, text: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NMT_SECRET", SECRET)
    found = refused(tmp_path, text.replace("runs: runs", f"runs: {value}"))
    assert message in found and SECRET not in found and os.getcwd() not in found


def test_aliases_of_aliases_take_no_time(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]" for n in range(1, 9)]
    started = time.monotonic()
    assert "an anchor" in refused(tmp_path, "\n".join([*lines, "model: {name: rnn, x: *a8}"]))
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("section", ["training", "model.attention", "data.tokenizer"])
@pytest.mark.parametrize("value", [None, 3, "abc", [1]])
def test_a_section_is_no_value(tmp_path: Path, text: str, section: str, value: object) -> None:
    tree = inner = yaml.safe_load(text)
    *above, name = section.split(".")
    for part in above:
        inner = inner[part]
    inner[name] = value
    found = refused(tmp_path, yaml.safe_dump(tree))
    assert f"{section} must be a section with options of its own, but is {value!r}" in found


@pytest.mark.parametrize(
    "override, message",
    [
        ("training=null", "the overrides cannot be read: a group such as model needs"),
        ("training=3", "the overrides cannot be read: a group such as model needs"),
        ("model=[null]", "the overrides cannot be read: a group such as model needs"),
        ("training.seed=" + "9" * 5000, "the overrides cannot be read: Exceeds the limit"),
        ("training.seed=" + "9" * 30, "training.seed must be a number below 2^63"),
        ("training.learning_rate=inf", "training.learning_rate must be a finite number, but is"),
        ("~training.seed", "training.seed cannot be removed; set it to another value"),
        ("training.seed=", "training.seed must be a whole number, but is ''"),
        ("training.clip=" + "9" * 400, "the overrides cannot be read: int too large"),
        ("model.attention=dot", "model.attention must be a section with options of its own"),
        ("model.attention=[]", "model.attention must be a section with options of its own"),
        ("~model", "model must have a value, such as model=rnn"),
        ("data.tokenizer=${training}", "unknown key data.tokenizer.seed"),
        ("training.seed=${runs}", "training.seed must be a whole number, but is 'runs'"),
        ("runs=\udce6\udc97\udca5", "runs has characters that this locale cannot read"),
        ('runs="a\nb"', "runs must be one line without control characters, but is 'a\\nb'"),
    ],
    ids=lambda value: value[:20],
)
def test_overrides_that_were_tracebacks(override: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        compose_config(CONFIGS, [override])
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "\ud800"], ids=["nul", "long", "surrogate"])
def test_a_run_that_cannot_be(name: str) -> None:
    with pytest.raises(UserError, match="no such run directory"):
        run_config(Path(name))
