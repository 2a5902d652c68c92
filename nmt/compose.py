"""From YAML and overrides to the dataclasses of `config.py`, by omegaconf; Hydra's groups are in
`groups.py`.

No `_target_`: a config travels with a checkpoint, and instantiating a name from a file that
somebody sent would run their code.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from os.path import isdir, isfile
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from nmt.config import BEFORE, MODELS, Config, ModelConfig
from nmt.errors import UserError, one_of, printable, require, suggestion
from nmt.overrides import path_override
from nmt.plain_yaml import read_sections


def schema(model: type[ModelConfig]) -> DictConfig:
    """The typed tree of all knobs with their defaults, for a run of this model."""
    return cast(DictConfig, OmegaConf.structured(Config(model=model())))


def to_config(tree: DictConfig) -> Config:
    """The plain dataclasses of a composed tree, every value checked."""
    require(not OmegaConf.is_missing(tree, "model"), "model must have a value, such as model=rnn")
    model = OmegaConf.get_type(tree, "model") or ModelConfig
    try:
        # Interpolations are resolved first, so that their values are checked. Keys that Hydra adds
        # with +key=value are outside the schema.
        values = cast(dict[Any, Any], OmegaConf.to_container(tree, resolve=True))
        for mistake in mistakes(values, model):
            raise UserError(mistake)
        return cast(Config, OmegaConf.to_object(OmegaConf.merge(schema(model), values)))
    except OmegaConfBaseException as error:
        raise UserError(explain(error)) from error


# No text a user means: it would break a line, a file name or UTF-8.
UNDECODED = re.compile(r"[\udc80-\udcff]")  # bytes of a command line that Python could not read
UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def mistakes(values: dict[Any, Any], model: type[ModelConfig]) -> Iterator[str]:
    """A message for each key of a tree that is wrong or has a wrong value."""
    known = known_keys(model)
    sections = {key.rpartition(".")[0] for key in known}
    for key, value in _items("", values):
        if key not in known:
            yield unknown_key(key)
        elif key in sections and not isinstance(value, dict) and value != MISSING:
            yield f"{key} must be a section with options of its own, but is {value!r}"
        else:
            yield from flaws(key, value)


def flaws(key: str, value: object) -> Iterator[str]:
    """A message if the value is wrong for any key."""
    if value == MISSING:  # omegaconf would leave the default in its place
        yield f"{key} must have a value, but is {value!r}"
    elif isinstance(value, str) and UNDECODED.search(value):
        yield (
            f"{key} has characters that this locale cannot read ({value!r}): unset PYTHONUTF8, or "
            "set LC_ALL=C.UTF-8"
        )
    elif isinstance(value, str) and UNFIT.search(value):
        yield f"{key} must be one line without control characters, but is {value!r}"
    elif isinstance(value, int) and abs(value) >= 2**63:
        yield f"{key} must be a number below 2^63"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{key} must be a finite number, but is {value}"


def save_config(config: Config, path: Path) -> None:
    """Writes what `load_config` reads."""
    path.write_text(OmegaConf.to_yaml(OmegaConf.structured(config)), encoding="utf-8")


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """The config in a YAML file, with `section.key=value` overrides, through the schema.

    Raises `UserError` for anything the schema does not know; nothing in the file is ever executed.
    """
    values = read_sections(path)
    name = str(values["model"].get("name"))
    one_of(f"{path}: model.name", name, tuple(MODELS))
    for mistake in mistakes(values, MODELS[name]):
        raise UserError(f"{path}: {mistake}")
    try:
        tree = cast(DictConfig, OmegaConf.merge(schema(MODELS[name]), earlier(values), values))
    except OmegaConfBaseException as error:
        raise UserError(f"{path}: {explain(error)}") from error
    for override in overrides:
        tree = apply_override(tree, override)
    return to_config(tree)


def earlier(values: dict[Any, Any]) -> DictConfig:
    """The values of `BEFORE` for the keys that a saved config lacks."""
    there = {key for key, _ in _items("", values)}
    tree = OmegaConf.create()
    for key, value in BEFORE.items():
        if key not in there:
            OmegaConf.update(tree, key, value)
    return tree


def apply_override(tree: DictConfig, override: str) -> DictConfig:
    """The tree with `section.key=value`, the value in YAML."""
    key, equals, _ = override.partition("=")
    require(bool(key and equals), f"cannot read {override!r}: write key=value")
    options = [known for known in _all_keys() if known.startswith(key + ".")]
    require(
        not options,
        f"{key} is a section, but {override!r} gives it a value: set one of its options, "
        f"such as {next((option for option in options if not option.endswith('.name')), key)}",
    )
    try:
        given = _given(override)
        for found, value in _items("", cast(dict[Any, Any], OmegaConf.to_container(given))):
            for mistake in flaws(found, value):
                raise UserError(mistake)
        return cast(DictConfig, OmegaConf.merge(tree, given))
    except ConfigKeyError as error:
        raise UserError(unknown_key(key)) from error
    except OmegaConfBaseException as error:
        raise UserError(explain(error)) from error
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"cannot read the value of {override!r}: put it in quotes") from error


def _given(override: str) -> DictConfig:
    """The tree of one override. Paths are taken literally, not as YAML."""
    path = path_override(override)
    if path is None:
        return OmegaConf.from_dotlist([override])
    tree = OmegaConf.create()
    OmegaConf.update(tree, *path)
    return tree


# The type a value should have: omegaconf's word and ours. The first match counts, because the
# message may also name the type of the value ("Value 'abc' of type 'str' could not be converted to
# Integer").
KINDS = {
    "Integer": "a whole number",
    "'int'": "a whole number",
    "Float": "a number",
    "'float'": "a number",
    "bool": "true or false",
    "string": "text",
    "'str'": "text",
}


def explain(error: BaseException) -> str:
    """An error of omegaconf in one line, with the full key and the nearest known one."""
    key = str(getattr(error, "full_key", None) or "")
    text = str(getattr(error, "msg", None) or error).strip().splitlines()
    first = text[0] if text else type(error).__name__
    if key and ("not in" in first or "struct" in first):
        return unknown_key(key)
    if key and "not Optional" in first:
        return f"{key} must have a value, but is null"
    if key and "support deletion" in first:
        return f"{key} cannot be removed; set it to another value"
    if key and ("not a subclass" in first or "Cannot merge DictConfig" in first):
        return f"{key} must be a section with options of its own"
    kind = next((ours for theirs, ours in KINDS.items() if theirs in first), None)
    value = re.search(r"[Vv]alue '(.*)' (?:of type|for field|is not)|: '(.*)'", first)
    if key and kind and value:
        given = value[1] if value[2] is None else value[2]
        return f"{key} must be {kind}, but is {'null' if given == 'None' else repr(given)}"
    return f"{key}: {first}" if key and key not in first else first


def unknown_key(key: str) -> str:
    """`unknown key model.widht; did you mean 'model.width'?`, or the model that has it."""
    owners = [name for name, model in MODELS.items() if key in known_keys(model)]
    if owners:
        return f"{key} is an option of model={owners[0]}, not of the selected model"
    known = _all_keys()
    last_parts = {full.rpartition(".")[2]: full for full in reversed(known)}
    near = get_close_matches(key.rpartition(".")[2], last_parts, n=1)
    return f"unknown key {printable(key)}" + (
        suggestion(key, known) or suggestion(last_parts[near[0]] if near else "", known)
    )


def _all_keys() -> list[str]:
    return list(dict.fromkeys(known for model in MODELS.values() for known in known_keys(model)))


def known_keys(model: type[ModelConfig]) -> list[str]:
    """Every key a user may set for a run of this model, such as `model.attention.heads`."""
    return list(_walk("", Config(model=model())))


def _walk(prefix: str, section: Any) -> Iterator[str]:
    for entry in fields(section):
        value = getattr(section, entry.name)
        yield prefix + entry.name
        if is_dataclass(value):
            yield from _walk(f"{prefix}{entry.name}.", value)


def _items(prefix: str, section: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        yield f"{prefix}{key}", value
        if isinstance(value, dict):
            yield from _items(f"{prefix}{key}.", value)


# The corpus may be moved before a run is resumed; whether it is the same one is checked.
MOVABLE = ("data.path", "data.train", "data.validation", "data.test", "data.cache")


def resumed_config(run: Path, overrides: Sequence[str]) -> Config:
    """The config of a run to resume, with the changes of the command line.

    Raises `UserError` for changes of the model, the data or the tokenizer.
    """
    for override in overrides:
        key = override.lstrip("+~").split("=", 1)[0]
        section = key.split(".", 1)[0]
        fixed = section in ("model", "data", "evaluation", "experiment") or "." not in key
        if fixed and key not in MOVABLE:
            raise UserError(
                f"cannot change {override!r} when resuming {run}; only training.*, decoding.* and "
                f"the paths {', '.join(MOVABLE)} can change"
            )
    check_files(run, run_config(run).data.source, overrides)
    return run_config(run, overrides)


def check_files(run: Path, source: str, overrides: Sequence[str]) -> None:
    """Raises `UserError` for files if the run does not read files: they would have no effect."""
    for override in overrides:
        is_file = override.lstrip("+").startswith(("data.train=", "data.validation=", "data.test="))
        require(
            source == "files" or not is_file,
            f"resume={run} continues with the corpus of the run (data.source={source}), so "
            f"{override!r} would have no effect; to train on other data, start a new run with "
            f"init_from={run}",
        )


def run_config(run: Path, overrides: Sequence[str] = ()) -> Config:
    """The config of a run directory."""
    require_run(run)
    return load_config(run / "config.yaml", overrides)


def require_run(run: Path) -> None:
    """Raises `UserError` for a path that is no run directory."""
    require(not isfile(run), f"{run} is a file, not a run directory")
    require(isdir(run), f"no such run directory: {run} (create one with scripts/train.py)")
    found = isfile(run / "config.yaml")
    require(found, f"{run} is not a run directory: it has no config.yaml")
