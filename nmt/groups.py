"""Hydra's config groups, such as model=rnn: their schema, and messages for mistakes in them."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nmt.compose import explain, to_config
from nmt.config import MODELS, Config, DataConfig, DecodingConfig, TrainingConfig
from nmt.errors import UserError, suggestion
from nmt.overrides import names_group, quoted_paths


def register_schema() -> None:
    """Makes the dataclasses the base of Hydra's config groups, so that every key is typed."""
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    base = OmegaConf.structured(Config)
    base.model = MISSING  # the group fills it; one model's defaults do not merge into another's
    store.store(name="base_config", node=base)
    store.store(group="data", name="base_data", node=DataConfig)
    store.store(group="training", name="base_training", node=TrainingConfig)
    store.store(group="decoding", name="default", node=DecodingConfig)
    for name, model in MODELS.items():
        store.store(group="model", name=f"base_{name}", node=model)


def compose_config(folder: Path, overrides: Sequence[str]) -> Config:
    """The config of train.yaml in a folder of YAML groups, with these overrides."""
    from hydra import compose, initialize_config_dir

    register_schema()
    given = quoted_paths(overrides)
    with (
        composition_error(),
        initialize_config_dir(str(folder.resolve()), version_base="1.3"),
    ):
        return with_files(to_config(compose("train", overrides=given)), given)


def with_files(config: Config, overrides: Sequence[str]) -> Config:
    """The config, with `data=files` if the overrides name files but no choice of `data`.

    So the files of the user take precedence over the default corpus. Hydra must be initialized.
    """
    from hydra import compose

    files = (config.data.train, config.data.validation, config.data.test)
    reads_files = config.data.source == "files" or files == (None, None, None)
    if reads_files or names_group(overrides, "data"):
        return config
    return to_config(compose("train", overrides=[*overrides, "data=files"]))


@contextmanager
def composition_error() -> Iterator[None]:
    """Turns the exceptions of Hydra for a wrong override or group into a `UserError`."""
    from hydra.errors import HydraException, MissingConfigException, OverrideParseException

    try:
        yield
    except MissingConfigException as error:
        raise UserError(_unknown_choice(error.missing_cfg_file, error.options)) from error
    except OverrideParseException as error:
        raise UserError(
            f"cannot read {error.override!r}: write key=value, and quote values with spaces or "
            "commas twice: \"name='a, b'\""
        ) from error
    except HydraException as error:
        if message := _ambiguous(str(error)):
            raise UserError(message) from error
        cause = error.__cause__
        raise UserError(
            explain(cause if isinstance(cause, OmegaConfBaseException) else error)
        ) from error
    except OmegaConfBaseException as error:
        raise UserError(explain(error)) from error
    except (ValueError, OverflowError, TypeError) as error:
        if not raised_in(error, ("hydra.", "omegaconf.")):
            raise
        reason = str(error).partition("\n")[0]
        # A TypeError comes from a value in a group's list, such as model=[null].
        if reason.startswith("Config group override") or isinstance(error, TypeError):
            reason = "a group such as model needs the name of one of its choices"
        raise UserError(f"the overrides cannot be read: {reason}") from error


def _ambiguous(message: str) -> str | None:
    """One sentence instead of Hydra's `Ambiguous value for argument 'k=a,b'` and its advice."""
    match = re.match(r"Ambiguous value for argument '(.*)'$", message.partition("\n")[0])
    if match is None:
        return None
    key, _, value = match[1].partition("=")
    if "." not in key:  # a config group: a run takes one choice of it
        return f"{match[1]} names several choices: add -m to run once per choice"
    if re.fullmatch(r"-?\d+,\d+", value):
        point = f", or write {value.replace(',', '.')} if the comma is a decimal point"
    else:
        point = ""
    return (
        f"{match[1]} is a list of values: quote it twice (\"{key}='{value}'\") if it is one value, "
        f"or add -m to run once per value{point}"
    )


def raised_in(error: Exception, packages: tuple[str, ...]) -> bool:
    """Whether code of these packages raised the error itself, not a function that it called."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__")).startswith(packages)


def _unknown_choice(file: str | None, choices: Sequence[str] | None) -> str:
    """`there is no model=rnm: ...` for the missing file `model/rnm` and the choices there are."""
    group, _, name = str(file).rpartition("/")
    there = [choice for choice in choices or () if not choice.startswith("base_")]
    return (
        f"there is no {group}={name}: the choices are {', '.join(there)}{suggestion(name, there)}"
    )
