"""The translation units in the events of an XML parser."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, NoReturn
from xml.parsers import expat

from nmt.data.files import LONGEST, LONGEST_TOLD
from nmt.data.readers.markup import ELEMENTS_OF_BREAKS, MARKUP, filled, gap
from nmt.data.readers.pairs import Languages
from nmt.errors import UserError

PARENTS = {"tu": "body", "tuv": "tu", "seg": "tuv"}
DEEPEST = 100  # elements in each other
LISTED = 20  # languages, in a message


class Unit(NamedTuple):
    """The texts of a translation unit, None where it has none in the language."""

    source: str | None
    target: str | None


class Place(NamedTuple):
    """Where the parser is: the line, and the byte of those it was fed."""

    line: int
    byte: int


class Unclosed(Exception):
    """A unit begins, at this place, before the one that is open has ended."""

    def __init__(self, line: int, byte: int) -> None:
        super().__init__()
        self.place = Place(line, byte)


class Markup(NamedTuple):
    """An element of `MARKUP` that is open, the outermost."""

    name: str
    attributes: dict[str, str]
    content: list[str]


class Units:
    """Takes the events of a TMX and keeps the units that have ended, None for a damaged one.

    `where` gives the place of an event. It raises `UserError` for what is no damage but harmful or
    another kind of file.
    """

    def __init__(self, file: str, languages: Languages, where: Callable[[], Place]) -> None:
        self.file = file
        self.wanted = tuple(map(language_code, languages))
        self.where = where
        self.languages: set[str] = set()  # the first `LISTED` of the file
        self.damage = ""  # the first: where and what
        self.done: list[Unit | None] = []
        self.open: list[str] = []  # elements, the innermost last
        self.has_body = False
        self.is_stray = False  # whether there has been damage between units
        self._forget_unit()

    def _forget_unit(self) -> None:
        self.start: int | None = None  # of the unit that is open, its place in `open`
        self.is_bad = False
        self.texts: dict[str, str] = {}  # by `en`, and by `en-` for its variants
        self.language: str | None = None  # of the <tuv> that is open and has had no <seg>
        self.text: list[str] | None = None  # of the segment that is open
        self.length = 0  # of that text
        self.markup: Markup | None = None
        self.depth = 0  # in elements of MARKUP

    def attach(self, parser: expat.XMLParserType) -> None:
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._doctype
        parser.SkippedEntityHandler = self._skipped

    def abandon(self, reason: str) -> list[str]:
        """Gives up the unit that is open; returns the elements around it, which are to be opened
        again."""
        self._damaged(reason)
        if self.start is not None:
            self.done.append(None)
            self.is_stray = True
        outside = [name for name in self.open if local(name) in ("tmx", "body")]
        self._forget_unit()
        self.open = []
        return outside

    def _damaged(self, reason: str) -> None:
        self.damage = self.damage or f"line {self.where().line}, which has {reason}"
        if self.start is None and not self.is_stray:
            self.done.append(None)
            self.is_stray = True  # what follows belongs to the same one, up to the next
        self.is_bad = self.start is not None

    def _refuse(self, what: str) -> NoReturn:
        raise UserError(f"{self.file} line {self.where().line} {what}")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        element = local(name)
        if not self.open and element != "tmx":
            self._refuse(f"is not the beginning of a TMX file: it has <{element[:50]}>, not <tmx>")
        if len(self.open) == DEEPEST:
            self._refuse(f"has more than {DEEPEST} elements in each other")
        parent = PARENTS.get(element)
        if element == "tu":
            if self.start is not None:
                raise Unclosed(*self.where())
            self.start, self.is_stray = len(self.open), False
        elif element == "body":
            self.has_body = True
        self.open.append(name)
        if parent and local(self.open[-2]) != parent:
            self._damaged(f"a <{element}> in <{local(self.open[-2])}>, not in <{parent}>")
        elif self.start is not None and not self.is_bad:
            self._start_in_unit(element, attributes)

    def _start_in_unit(self, element: str, attributes: dict[str, str]) -> None:
        if element == "tuv":
            self._start_variant(attributes.get("xml:lang") or attributes.get("lang") or "")
        elif element == "seg" and self.language is None:
            self._damaged("a second <seg> in one <tuv>")
        elif element == "seg":
            self.text, self.length = [], 0
        elif self.text is not None and element in MARKUP:
            self.markup = self.markup or Markup(element, attributes, [])
            self.depth += 1
        elif self.text is not None and element in ELEMENTS_OF_BREAKS and self.markup is None:
            self.text.append(" ")

    def _start_variant(self, language: str) -> None:
        self.language = language_code(language)
        if not self.language:
            self._damaged("a <tuv> without xml:lang")
        elif len(self.languages) < LISTED:
            self.languages.add(self.language)

    def _end(self, name: str) -> None:
        self.open.pop()
        if self.start == len(self.open):
            unit = Unit(*map(self._text_in, self.wanted))
            self.done.append(None if self.is_bad else unit)
            self._forget_unit()
        elif not self.is_bad and self.text is not None:
            self._end_in_segment(local(name), self.text)

    def _end_in_segment(self, element: str, text: list[str]) -> None:
        if element == "seg" and self.language is not None:
            language, base = self.language, self.language.split("-")[0]
            if language in self.wanted or base in self.wanted:
                key = language if language in self.wanted else f"{base}-"
                self.texts.setdefault(key, " ".join(filled("".join(text)).split()))
            self.text = self.language = None
        elif element in MARKUP and self.markup is not None:
            self.depth -= 1
            if self.depth == 0:
                name, attributes, content = self.markup
                text.append(gap(name, attributes, "".join(content)))
                self.markup = None

    def _text_in(self, language: str) -> str | None:
        return self.texts.get(language, self.texts.get(f"{language}-"))

    def _characters(self, text: str) -> None:
        if self.text is None or self.is_bad:
            return
        (self.text if self.markup is None else self.markup.content).append(text)
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
        self._damaged(f"&{name}; which XML does not know: write the character itself")


def local(name: str) -> str:
    """`tu` of `t:tu`."""
    return name.rpartition(":")[2] if ":" in name else name


def language_code(language: str) -> str:
    """`en-us` of `EN_US`."""
    return language.strip().lower().replace("_", "-")
