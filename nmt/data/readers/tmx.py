"""Translation memories (TMX 1.4), read as a stream in bounded memory.

A unit that is damaged is skipped and counted. A file from a stranger cannot make the parser expand
or fetch anything: a DOCTYPE that declares something is refused, and external ones are never opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from xml.parsers import expat

from nmt.data.files import LONGEST, LONGEST_TOLD, TO_UTF_8, File, utf8_blocks
from nmt.data.readers.pairs import Languages, Pair, Reading
from nmt.data.readers.units import Place, Unclosed, Unit, Units
from nmt.errors import UserError

# Where reading can start again after damage: behind the unit that has it, or at the next one.
END = rb"</(?:[\w.-]+:)?tu\s*>"
RESTART = re.compile(END + rb"|(?=<(?:[\w.-]+:)?tu[\s>])")
LAST = re.compile(rb"</(?:[\w.-]+:)?tmx\s*>\s*")
OVERLAP = 256  # bytes of the block before, in case a tag is divided
UTF_16 = re.compile(rb"\s*<\?xml[^>]*encoding\s*=\s*[\"'](utf-?16|ucs-?2|unicode)", re.IGNORECASE)

CODES = expat.errors.codes
WHY = {
    CODES[expat.errors.XML_ERROR_INVALID_TOKEN]: "a character or sign that may not stand there",
    CODES[expat.errors.XML_ERROR_BAD_CHAR_REF]: "a control character, which XML does not allow",
    CODES[expat.errors.XML_ERROR_TAG_MISMATCH]: "an element that is not closed, or closed twice",
    CODES[expat.errors.XML_ERROR_UNDEFINED_ENTITY]: "a name such as &nbsp; that XML does not know",
    CODES[expat.errors.XML_ERROR_DUPLICATE_ATTRIBUTE]: "an attribute that is given twice",
}


def read_tmx(file: File, reading: Reading) -> Iterator[Pair]:
    """The pairs of a TMX. Units that lack a language are counted as `language`.

    `en` is also `EN-US`, where the unit has no `en`. If a unit has several texts in one language,
    the first counts. Spaces and line breaks in a row are one space. Some unit must have both
    languages.
    """
    source, target = reading.languages
    feed = Feed(str(file), reading.languages)
    found = damaged = 0
    for unit in feed.read(utf8_blocks(file)):
        if unit is None:
            damaged += 1
            reading.drop("damaged")
        elif unit.source is None or unit.target is None:
            reading.drop("language")
        else:
            found += 1
            yield unit.source, unit.target
    first = f"{damaged} damaged, the first at {feed.units.damage}"
    if not found:
        languages = ", ".join(sorted(feed.units.languages)) or "none"
        raise UserError(
            f"{file} has no intact unit in both {source!r} and {target!r}; its languages are: "
            + languages
            + (f"; units skipped: {first}" if damaged else "")
        )
    if damaged:
        reading.note(f"{file}: units skipped: {first}")


class Feed:
    """A parser that is fed blocks and, after damage, starts again at the next unit."""

    def __init__(self, file: str, languages: Languages) -> None:
        self.file = file
        self.units = Units(file, languages, self._place)
        self.encoding: str | None = None  # that the file declares
        self.line = 0  # lines before those that the parser of now was fed
        self.fed = 0  # bytes, to this parser
        self.previous = b""  # the last of them; while it looks for a unit, of what it looked at
        self.searching = False  # for a unit to start again at
        self.outside: list[str] = []  # the elements to open then
        self.parser = self._new_parser()

    def _place(self) -> Place:
        return Place(self.line + self.parser.CurrentLineNumber, self.parser.CurrentByteIndex)

    def where(self) -> str:
        return f"{self.file} line {self._place().line}"

    def _new_parser(self, encoding: str | None = None) -> expat.XMLParserType:
        parser = expat.ParserCreate(encoding)
        self.units.attach(parser)
        parser.XmlDeclHandler = self._declared
        return parser

    def _declared(self, version: str, encoding: str | None, standalone: int) -> None:
        self.encoding = encoding

    def read(self, blocks: Iterator[bytes]) -> Iterator[Unit | None]:
        first = next(blocks, b"")
        if UTF_16.match(first):  # it was, or never has been, as the declaration can be read
            self.parser = self._new_parser("utf-8")
        for block in chain([first], blocks):
            while block:
                block = self._search(block) if self.searching else self._parse(block)
            yield from self._done()
        self._finish()
        yield from self._done()

    def _done(self) -> list[Unit | None]:
        done, self.units.done = self.units.done, []
        return done

    def _parse(self, block: bytes) -> bytes:
        """What of the block is not parsed, because there is damage in it."""
        try:
            self.parser.Parse(block, False)
        except expat.ExpatError as error:
            return self._damaged(error, block)
        except Unclosed as error:
            return self._give_up("a <tu> in a <tu>, which is not closed", block, error.place)
        except (ValueError, LookupError) as error:  # of the encoding that the file declares
            raise UserError(
                f"{self.file} is in an encoding that cannot be read ({error}); {TO_UTF_8}"
            ) from error
        self.fed += len(block)
        self.previous = (self.previous + block)[-OVERLAP:]
        if self.fed - self.parser.CurrentByteIndex > LONGEST:
            raise UserError(f"{self.where()} has a tag or comment that is {LONGEST_TOLD}")
        return b""

    def _damaged(self, error: expat.ExpatError, block: bytes) -> bytes:
        why = WHY.get(error.code, f"what cannot be read ({expat.ErrorString(error.code)})")
        if not self.units.has_body:
            raise UserError(f"{self.where()} is not TMX that can be read: it has {why}") from error
        if not self.units.open:
            raise UserError(f"{self.where()} has more after the end of the TMX") from error
        left = self._give_up(why, block, self._place())
        # Not at the same tag again.
        return left if re.match(END, left) else left[:1].replace(b"<", b" ") + left[1:]

    def _give_up(self, why: str, block: bytes, place: Place) -> bytes:
        """Abandons the open unit. Returns the rest of the block, from `place` on."""
        self.outside = self.units.abandon(why)
        start = place.byte - self.fed + len(self.previous)
        left = (self.previous + block)[max(0, start) :]
        self.line = place.line - 1
        self.previous = b""
        self.searching = True
        return left

    def _search(self, block: bytes) -> bytes:
        """What of the block comes after the damage."""
        data = self.previous + block
        match = RESTART.search(data)
        if match is None:
            self.previous = data[-OVERLAP:]
            self.line += data.count(b"\n", 0, -OVERLAP)
            return b""
        self.line += data.count(b"\n", 0, match.end())
        self.searching, self.previous = False, b""
        encoding = "utf-8" if self._is_utf_8() else self.encoding
        self.parser = self._new_parser(encoding)
        opening = "".join(f"<{name}>" for name in self.outside).encode(encoding or "utf-8")
        self.parser.Parse(opening, False)
        self.fed = len(opening)
        return data[match.end() :]

    def _is_utf_8(self) -> bool:
        return self.encoding is None or self.encoding.lower().startswith(("utf", "ucs"))

    def _finish(self) -> None:
        """Complains if the document has not ended."""
        whole = self.searching and LAST.search(self.previous) is not None
        try:
            if not self.searching:
                self.parser.Parse(b"", True)
                whole = True
        except expat.ExpatError:
            whole = False
        if not whole:
            damage = f"; before that, {self.units.damage}" if self.units.damage else ""
            what = "ends before the TMX does: it is cut off" if self.units.has_body else "is no TMX"
            raise UserError(f"{self.file} {what}{damage}")
