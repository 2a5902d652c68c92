"""The files in data.train, data.validation and data.test, and the columns in data.columns."""

from __future__ import annotations

import csv
from os.path import isdir, isfile
from pathlib import Path

from nmt.config import DataConfig
from nmt.data.files import PACKED, expanded
from nmt.data.readers import Languages, check_order
from nmt.errors import require


def columns(config: DataConfig) -> tuple[str, ...]:
    """The two columns in data.columns; none if it is not set."""
    if config.columns is None:
        return ()
    names = tuple(name for name in split_list(config.columns) if name)
    require(
        len(names) == 2 and names[0] != names[1],
        "data.columns must name two columns, the source and the target, such as [1,2] or en,de, "
        f"but is {config.columns!r}",
    )
    return names


def check_source(config: DataConfig) -> None:
    """Raises `UserError` for files that the source of the corpus would ignore."""
    files = {"train": config.train, "validation": config.validation, "test": config.test}
    for split, value in files.items():
        require(
            value is None or config.source == "files",
            f"data.{split}={value} contradicts data={config.name}, which has a corpus of its own "
            f"(data.source={config.source}): use data=files, or omit data.{split}",
        )


def named_paths(key: str, value: str, folder: Path, sides: Languages) -> tuple[Path, ...]:
    """One file, two files, or the two files with a common prefix that end in the languages."""
    whole = folder / expanded(key, value)
    if isfile(whole):
        return (whole,)
    paths = tuple(folder / expanded(key, part) for part in split_list(value))
    require(
        len(paths) in (1, 2), f"{key} must be one file or two joined by a comma, but is {value!r}"
    )
    if len(paths) == 1:
        paths = with_prefix(paths[0], sides) or paths
    for path in paths:
        require(isfile(path), f"{key}: {_missing(path, paths, sides, folder)}")
    if len(paths) == 2:
        check_order(key, [path.name for path in paths], sides)
    return paths


def with_prefix(prefix: Path, sides: Languages) -> tuple[Path, ...]:
    """`train.en` and `train.de` of `train`, also compressed; empty if they do not exist."""
    for end in ("", *PACKED):
        paths = tuple(prefix.with_name(f"{prefix.name}.{side}{end}") for side in sides)
        if prefix.name and any(map(isfile, paths)):
            return paths
    return ()


def _missing(path: Path, paths: tuple[Path, ...], sides: Languages, folder: Path) -> str:
    """`there is no file a.tsv, nor a.tsv.en and a.tsv.de`, and the folder that was searched."""
    if isdir(path):
        return f"{path} is a folder: name a file in it, or use data.path={path}"
    prefix = f", nor {path.name}.{sides.source} and {path.name}.{sides.target}"
    message = f"there is no file {path}" + (prefix if len(paths) == 1 and not path.suffix else "")
    if path.is_absolute():
        return message
    start = "" if str(folder) == "." else " (data.path is relative as well)"
    return f"{message} in {Path.cwd()}, where relative paths start{start}"


def split_list(value: str) -> list[str]:
    """The parts of `a,b`, `[a,b]` or `["a, b","c"]`."""
    text = value.strip()
    text = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        parts = next(csv.reader([text], skipinitialspace=True, strict=True), [])
    except csv.Error:
        parts = text.split(",")
    return [_unquoted(part.strip()) for part in parts]


def _unquoted(part: str) -> str:
    return part[1:-1] if len(part) > 1 and part[0] == part[-1] == "'" else part
