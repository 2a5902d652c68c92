"""Translation memories (TMX 1.4), read as a stream.

A file from a stranger cannot make the parser expand or fetch anything: one that declares entities
is refused, and external ones are never opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.parsers import expat

from nmt.config import UserError, require

# Inside these a segment holds the markup of the document it came from, which is no text.
MARKUP = {"bpt", "ept", "it", "ph", "ut", "sub"}


def read_tmx(
    blocks: Iterable[bytes], source: str, target: str, place: str
) -> Iterator[tuple[str, str]]:
    """The units of a TMX that have both languages; `en` is also `EN-US`. `place` names the file."""
    units = _Units(place)
    languages: set[str] = set()
    found = False
    for block in blocks:
        for unit in units.feed(block):
            languages.update(unit)
            pair = _of_language(unit, source), _of_language(unit, target)
            if pair[0] is not None and pair[1] is not None:
                found = True
                yield pair[0], pair[1]
    units.close()
    listed = ", ".join(sorted(languages)) or "none"
    require(
        found,
        f"{place} has no unit in both {source!r} and {target!r}; its languages are: {listed}",
    )


def _of_language(unit: dict[str, str], language: str) -> str | None:
    wanted = language.lower()
    exact = unit.get(wanted)
    variants = (text for code, text in unit.items() if code.split("-")[0] == wanted)
    return next(variants, None) if exact is None else exact


class _Units:
    """A push parser: fed bytes, it gives the units that ended in them, as language -> text."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.done: list[dict[str, str]] = []
        self.unit: dict[str, str] = {}
        self.language = ""
        self.text: list[str] | None = None  # of the segment that is open
        self.markup = 0  # how deep in elements of MARKUP
        self.parser = expat.ParserCreate(namespace_separator=None)
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.EntityDeclHandler = self._entity

    def feed(self, block: bytes, final: bool = False) -> list[dict[str, str]]:
        try:
            self.parser.Parse(block, final)
        except expat.ExpatError as error:
            raise UserError(f"{self.place} is not XML: {error}") from error
        done, self.done = self.done, []
        return done

    def close(self) -> None:
        """Complains if the document did not end. (Its last tag, outside of any unit, is fed.)"""
        self.feed(b"", final=True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "tu":
            self.unit = {}
        elif name == "tuv":
            code = attributes.get("xml:lang") or attributes.get("lang") or ""
            self.language = code.lower().replace("_", "-")
        elif name == "seg":
            self.text = []
        elif name in MARKUP:
            self.markup += 1

    def _end(self, name: str) -> None:
        if name == "tu":
            self.done.append(self.unit)
        elif name == "seg" and self.text is not None:
            self.unit[self.language] = " ".join("".join(self.text).split())
            self.text = None
        elif name in MARKUP:
            self.markup -= 1

    def _characters(self, text: str) -> None:
        if self.text is not None and not self.markup:
            self.text.append(text)

    def _entity(self, name: str, *_: object) -> None:
        raise UserError(
            f"{self.place} line {self.parser.CurrentLineNumber} declares the XML entity {name!r}, "
            "which this program refuses to expand; replace it in the file"
        )
