"""A new run that starts from the weights and the vocabulary of another one: `init_from=RUN`.

The model and the tokenizer are those of the other run; data, training and decoding are new.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from os.path import isdir
from pathlib import Path
from typing import Any, NamedTuple

from nmt.compose import run_config
from nmt.config import Config, DataConfig
from nmt.errors import UserError, require

log = logging.getLogger(__name__)

# Options of the model that do not change the meaning of its weights.
CHANGEABLE = ("dropout", "attention.dropout")
# Keys that name a corpus. If none is on the command line, the data are those of the other run.
CORPUS = ("data", "experiment", "data.source", "data.train", "data.path", "data.hub")


class Origin(NamedTuple):
    """The checkpoint that the weights come from."""

    run: Path
    checkpoint: str  # best, last, averaged or a step


def origin_of(init_from: str) -> Origin:
    """`runs/a` or `runs/a:last`; a folder may have a colon in its name."""
    run, colon, checkpoint = init_from.rpartition(":")
    if colon and run and checkpoint and not isdir(init_from):
        return Origin(Path(run), checkpoint)
    return Origin(Path(init_from), "best")


def inherited_config(config: Config, overrides: Sequence[str]) -> Config:
    """The composed config, with the model, the tokenizer and the languages of the other run.

    `overrides` is the command line. Raises `UserError` if it contradicts the other run.
    """
    init_from = str(config.init_from)
    given = {override.lstrip("+~").partition("=")[0]: override for override in overrides}
    run = origin_of(init_from).run
    saved = run_config(run)
    if "model" in given:
        check_model(init_from, saved, config, given["model"])
    wanted = run_config(run, under("model.", given))
    check_model(init_from, saved, wanted, ", ".join(under("model.", given)))
    check_tokenizer(init_from, saved, run_config(run, under("data.tokenizer.", given)))
    if set(given) & set(CORPUS):
        data = inherited_data(config.data, saved.data, given)
    else:
        data = run_config(run, under("data.", given)).data
    check_languages(init_from, saved.data, data)
    return replace(config, model=wanted.model, data=data)


def under(section: str, given: dict[str, str]) -> list[str]:
    """The overrides of the keys of a section."""
    return [override for key, override in given.items() if key.startswith(section)]


def inherited_data(data: DataConfig, saved: DataConfig, given: dict[str, str]) -> DataConfig:
    """A new corpus with the tokenizer of the other run.

    The user's files are taken to be in its languages, unless the command line sets them.
    """
    sides = ("source_language", "target_language")
    names = {side: getattr(saved, side) for side in sides}
    are_set = any(f"data.{side}" in given for side in sides)
    if data.source != "files" or are_set:
        names = {}
    return replace(data, tokenizer=saved.tokenizer, **names)


def check_start(config: Config) -> None:
    """Raises `UserError` if the model, tokenizer or languages are not those of the other run."""
    init_from = str(config.init_from)
    saved = run_config(origin_of(init_from).run)
    check_model(init_from, saved, config)
    check_tokenizer(init_from, saved, config)
    check_languages(init_from, saved.data, config.data)


def check_model(init_from: str, saved: Config, config: Config, given: str = "") -> None:
    for key, old, new in differences(asdict(saved.model), asdict(config.model)):
        if key not in CHANGEABLE:
            change = f"but {given} makes it {new!r}" if given else f"but it is {new!r} here"
            raise UserError(
                f"init_from={init_from} has a model with model.{key}={old!r}, {change}; only "
                f"{' and '.join(f'model.{each}' for each in CHANGEABLE)} can change"
            )


def check_tokenizer(init_from: str, saved: Config, config: Config) -> None:
    both = asdict(saved.data.tokenizer), asdict(config.data.tokenizer)
    for key, old, new in differences(*both):
        raise UserError(
            f"init_from={init_from} has a vocabulary with data.tokenizer.{key}={old!r}, which "
            f"cannot become {new!r}"
        )


def check_languages(init_from: str, saved: DataConfig, data: DataConfig) -> None:
    """Raises `UserError` for the opposite direction, and warns of other languages."""
    old, new = ((each.source_language, each.target_language) for each in (saved, data))
    require(
        old == new or old != new[::-1],
        f"init_from={init_from} translates {old[0]} into {old[1]}, but the new data are {new[0]} "
        f"into {new[1]}: set data.source_language={old[0]} data.target_language={old[1]}, or train "
        "a new model",
    )
    if old != new:
        log.warning(
            "init_from=%s translates %s into %s, but the new data are %s into %s: its vocabulary "
            "was learnt from other languages",
            *(init_from, *old, *new),
        )


def differences(
    old: dict[str, Any], new: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, object, object]]:
    """The keys, such as `attention.heads`, whose values differ, with both values."""
    for key in dict.fromkeys((*old, *new)):
        one, two = old.get(key), new.get(key)
        if isinstance(one, dict) and isinstance(two, dict):
            yield from differences(one, two, f"{prefix}{key}.")
        elif one != two:
            yield prefix + key, one, two
