"""The text of `train.py --help`: the choices of each config group, and every key with its note."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from nmt.config import Config

FIELD = re.compile(r" {4}(\w+): [^#]*(?:# (.*))?")
COMMENT = re.compile(r" {4}# (.*)")


class Note(NamedTuple):
    """The comments of a field in nmt/config.py."""

    above: tuple[str, ...]
    beside: str


def help_text(usage: str, folder: Path, config: Config) -> str:
    """`usage`, the groups of YAML files in the folder, and the config."""
    groups = {
        each.name: sorted(file.stem for file in each.glob("*.yaml"))
        for each in sorted(folder.iterdir())
        if each.is_dir()
    }
    choices = [f"{name}={'|'.join(files)}" for name, files in groups.items() if len(files) > 1]
    return "\n".join(
        [
            usage.strip(),
            "\nConfig groups and their choices:\n",
            *choices,
            "\nAll keys, with the values that the arguments above give them "
            "(more flags: --hydra-help):\n",
            *_section(config, ""),
        ]
    )


def _section(section: Any, indent: str) -> Iterator[str]:
    notes = _notes(type(section))
    for each in fields(section):
        value, note = getattr(section, each.name), notes.get(each.name, Note((), ""))
        yield from (f"{indent}# {line}" for line in note.above)
        if is_dataclass(value):
            yield f"{indent}{each.name}:  # {str(value.__doc__).splitlines()[0]}"
            yield from _section(value, indent + "  ")
        else:
            line = yaml.safe_dump({each.name: value}, allow_unicode=True, width=sys.maxsize)
            yield f"{indent}{line.rstrip()}" + (f"  # {note.beside}" if note.beside else "")


def _notes(kind: type) -> dict[str, Note]:
    """The notes of a dataclass by field. A field without one has the note of the base class."""
    notes: dict[str, Note] = {}
    for each in reversed(kind.__mro__[:-1]):
        above: list[str] = []
        for line in inspect.getsource(each).splitlines():
            if comment := COMMENT.fullmatch(line):
                above.append(comment[1])
                continue
            if field := FIELD.fullmatch(line):
                note = Note(tuple(above), field[2] or "")
                notes[field[1]] = note if any(note) else notes.get(field[1], note)
            above = []
    return notes
