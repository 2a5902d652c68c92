"""Saved configs in YAML. Only plain sections and values are read, whoever wrote the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from nmt.errors import UserError, printable, require

LONGEST = 1 << 16  # bytes; what this program writes has about 1.3 KB
DEEPEST = 10  # nested sections


def read_sections(path: Path) -> dict[Any, Any]:
    """The sections of a saved config. Their keys and values are not checked here."""
    strange = f"{path} is not a config this program wrote"
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST + 1)
        require(len(data) <= LONGEST, f"{strange}: it is longer than {LONGEST >> 10} KB")
        text = data.decode("utf-8")
        check_plain(text, strange)
        values = yaml.safe_load(text)
        check_unique(yaml.compose(text, yaml.SafeLoader), path)
    except OSError as error:
        raise UserError(f"the config {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{strange}: {str(error).splitlines()[0]}") from error
    if not isinstance(values, dict) or not isinstance(values.get("model"), dict):
        raise UserError(f"{strange}: it has no section 'model'")
    return values


def check_plain(text: str, strange: str) -> None:
    """Raises `UserError`, beginning with `strange`, for YAML that is more than plain values.

    It checks the text after the parser has resolved escapes, because "\\x24{" is a ${.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        require(depth <= DEEPEST, f"{strange}: its sections are nested too deep")
        # Aliases of aliases make a small file a huge tree; tags make objects.
        named = getattr(event, "anchor", None) or getattr(event, "tag", None)
        require(named is None, f"{strange}: it has an anchor, an alias or a tag, {named!r}")
        # A saved config holds values. `${oc.env:...}` would read variables of whoever loads it.
        value = getattr(event, "value", "")
        require("${" not in value, f"{strange}: it has an interpolation, ${{...}}")


def check_unique(node: yaml.Node | None, path: Path, section: str = "") -> None:
    """Raises `UserError` for a repeated key in a section: the parser would take the last one."""
    if not isinstance(node, yaml.MappingNode):
        return
    seen = set()
    for key, value in node.value:
        name, place = f"{section}{key.value}", f"{path} line {key.start_mark.line + 1}"
        require(name not in seen, f"{place}: {printable(name)} occurs twice; keep one of them")
        seen.add(name)
        check_unique(value, path, f"{name}.")
