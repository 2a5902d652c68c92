"""Overrides as people type them: paths with commas or spaces need no second pair of quotes.

Hydra reads a comma as a list of runs and refuses `=`, umlauts and most signs outside quotes. The
values of the keys below are paths or lists of columns, so they are quoted before Hydra sees them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

PLAIN = "path|cache|train|validation|test|columns"
KEY = re.compile(rf"(\+{{0,2}})(data\.(?:{PLAIN})|runs|resume|init_from)=(.*)", re.DOTALL)
TEXT = re.compile(r"\.(tsv|csv|jsonl?|parquet|tmx|zip)(\.\w+)?$", re.IGNORECASE)
QUOTED = re.compile(r"""(['"])(.*)\1""", re.DOTALL)
SWEEPS = {"-m", "--multirun"}


def quoted_paths(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command line, with quotes around values that name files or columns."""
    sweeps = bool(SWEEPS & set(arguments))
    return [_quoted(argument, sweeps) for argument in arguments]


def _quoted(argument: str, sweeps: bool) -> str:
    match = KEY.fullmatch(argument)
    if match is None:
        return argument
    sign, key, value = match.groups()
    kept = value in ("", "null", "???") or QUOTED.fullmatch(value) or value.startswith("${")
    if kept or (sweeps and names_runs(key, value)):
        return argument
    escaped = re.sub(r"(\\*)('|$)", _escaped, value)
    return f"{sign}{key}='{escaped}'"


def _escaped(match: re.Match[str]) -> str:
    """Doubles backslashes in front of a quote. Hydra takes others literally."""
    return match[1] * 2 + ("\\'" if match[2] else "")


def names_runs(key: str, value: str) -> bool:
    """Whether -m starts a run for each part of the value. Two aligned text files are one corpus."""
    parts = value.split(",")
    if key not in ("data.train", "data.validation", "data.test"):
        return len(parts) > 1 and key != "data.columns"
    return len(parts) > 1 and all(TEXT.search(part) for part in parts)


def path_override(override: str) -> tuple[str, str] | None:
    """The key and the unquoted value of an override of one of these keys, otherwise None."""
    match = KEY.fullmatch(override)
    if match is None or match[3] in ("", "null", "???"):
        return None
    quotes = QUOTED.fullmatch(match[3])
    if quotes is None:
        return match[2], match[3]
    return match[2], re.sub(rf"(\\+)({quotes[1]}|$)", _unescaped, quotes[2])


def _unescaped(match: re.Match[str]) -> str:
    return "\\" * (len(match[1]) // 2) + match[2]


def names_group(overrides: Iterable[str], group: str) -> bool:
    """Whether one of the overrides chooses in a group, such as `data=multi30k`."""
    return any(re.match(rf"\+{{0,2}}{group}(@\w*)?=", override) for override in overrides)
