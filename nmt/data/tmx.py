"""Translation memories (TMX 1.4), read as a stream in bounded memory.

A file from a stranger cannot make the parser expand or fetch anything: a DOCTYPE that declares
something is refused, and external ones are never opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, NoReturn
from xml.parsers import expat

from nmt.data.files import LONGEST, LONGEST_TOLD
from nmt.errors import UserError

# Inside these a segment holds the markup of the document it came from, which is no text.
MARKUP = {"bpt", "ept", "it", "ph", "ut", "sub"}
PARENTS = {"tu": "body", "tuv": "tu", "seg": "tuv"}
DEEPEST = 100  # elements in each other
LISTED = 20  # languages, in a message


class Unit(NamedTuple):
    """The texts of a translation unit, None where it has none in the language."""

    source: str | None
    target: str | None


def read_tmx(blocks: Iterable[bytes], source: str, target: str, place: str) -> Iterator[Unit]:
    """Every unit of a TMX; `place` names the file.

    `en` is also `EN-US`, where the unit has no `en`. Of several texts in one language the first is
    taken. Spaces and line breaks in a row are one space. Some unit must have both languages.
    """
    parser = _Parser(place, source, target)
    found = False
    for block in blocks:
        for unit in parser.feed(block):
            found = found or None not in unit
            yield unit
    parser.feed(b"", final=True)  # complains if the document did not end
    if not found:
        languages = ", ".join(sorted(parser.languages)) or "none"
        raise UserError(
            f"{place} has no unit in both {source!r} and {target!r}; its languages are: {languages}"
        )


class _Parser:
    """A push parser: fed bytes, it gives the units that ended in them."""

    def __init__(self, place: str, source: str, target: str) -> None:
        self.place = place
        self.wanted = (_code(source), _code(target))
        self.languages: set[str] = set()  # the first `LISTED` of the file
        self.done: list[Unit] = []
        self.texts: dict[str, str] = {}  # of the unit: by `en`, and by `en-` for its variants
        self.language: str | None = None  # of the <tuv> that is open and has had no <seg>
        self.open: list[str] = []  # elements, the innermost last
        self.text: list[str] | None = None  # of the segment that is open
        self.length = 0  # of that text
        self.markup = 0  # how deep in elements of MARKUP
        self.fed = 0  # bytes
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.SkippedEntityHandler = self._skipped

    def feed(self, block: bytes, final: bool = False) -> list[Unit]:
        try:
            self.parser.Parse(block, final)
        except expat.ExpatError as error:
            raise UserError(f"{self.place} is not XML: {error}") from error
        except (ValueError, LookupError) as error:  # of the encoding that the file declares
            raise UserError(
                f"{self.place} is in an encoding that cannot be read ({error}); "
                "convert it to UTF-8, for example with iconv"
            ) from error
        self.fed += len(block)
        if self.fed - self.parser.CurrentByteIndex > LONGEST:
            self._refuse(f"has a tag or comment that is {LONGEST_TOLD}")
        done, self.done = self.done, []
        return done

    def _refuse(self, what: str) -> NoReturn:
        raise UserError(f"{self.place} line {self.parser.CurrentLineNumber} {what}")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        self._check_place(name)
        self.open.append(name)
        if name == "tu":
            self.texts = {}
        elif name == "tuv":
            self.language = _code(attributes.get("xml:lang") or attributes.get("lang") or "")
            if not self.language:
                self._refuse("has a <tuv> without xml:lang")
            if len(self.languages) < LISTED:
                self.languages.add(self.language)
        elif name == "seg":
            self.text, self.length = [], 0
        elif name in MARKUP:
            self.markup += 1

    def _check_place(self, name: str) -> None:
        parent = self.open[-1] if self.open else "the file"
        rule = PARENTS.get(name, parent)
        if parent != rule:
            self._refuse(f"has a <{name}> in <{parent}>, but it belongs in <{rule}>")
        if name == "seg" and self.language is None:
            self._refuse("has a second <seg> in one <tuv>")
        if len(self.open) == DEEPEST:
            self._refuse(f"has more than {DEEPEST} elements in each other")

    def _end(self, _: str) -> None:
        name = self.open.pop()
        if name == "tu":
            self.done.append(Unit(*map(self._text_in, self.wanted)))
        elif name == "seg" and self.text is not None and self.language is not None:
            language, base = self.language, self.language.split("-")[0]
            if language in self.wanted or base in self.wanted:
                key = language if language in self.wanted else f"{base}-"
                self.texts.setdefault(key, " ".join("".join(self.text).split()))
            self.text = self.language = None
        elif name in MARKUP:
            self.markup -= 1

    def _text_in(self, language: str) -> str | None:
        return self.texts.get(language, self.texts.get(f"{language}-"))

    def _characters(self, text: str) -> None:
        if self.text is not None and not self.markup:
            self.text.append(text)
            self.length += len(text)
            if self.length > LONGEST:
                self._refuse(f"has a text that is {LONGEST_TOLD}")

    def _doctype(self, name: str, system: str | None, public: str | None, declares: int) -> None:
        if declares:
            self._refuse(
                "declares entities or the like in its DOCTYPE, which this program refuses to "
                "expand; replace them in the file"
            )

    def _skipped(self, name: str, is_parameter: bool) -> None:
        self._refuse(f"has &{name}; which XML does not know: write the character itself")


def _code(language: str) -> str:
    """`en-us` of `EN_US`."""
    return language.strip().lower().replace("_", "-")
