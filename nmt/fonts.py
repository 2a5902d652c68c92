"""Fonts for the letters in pictures, chosen by the characters that they have."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from functools import cache, lru_cache
from typing import NamedTuple

log = logging.getLogger(__name__)

FIRST = "DejaVu Sans"  # comes with matplotlib
MISSING = "□"
SYMBOLS = "emoji and other symbols"
EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC", "FULLWIDTH")
_told: set[str] = set()  # the scripts that a warning has named


WIDE, NARROW = 1.0, 0.62  # width of East Asian letters and of most others, at most, in ems


def width(text: str) -> float:
    """About how wide a text is, in ems."""
    return sum(map(letter_width, text))


def letter_width(letter: str) -> float:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0.0
    is_wide = letter in "mwMW@%" or unicodedata.east_asian_width(letter) in ("W", "F")
    return WIDE if is_wide else NARROW


def shortened(text: str, longest: float) -> str:
    """The text, cut to about `longest` ems with `…` at its end if it is longer."""
    total, most = 0.0, int(5 * longest)  # letters: marks have no width, however many there are
    for place, letter in enumerate(text):
        total += letter_width(letter)
        if total > longest or place >= most:
            return text[: max(0, place - 1)] + "…"
    return text


class Fonts(NamedTuple):
    """Font families that together show a text. Each letter is in the first family that has it."""

    families: list[str]
    letters: frozenset[str]  # the letters that at least one of them has

    def show(self, text: str) -> str:
        """The text with a box for each visible letter that no font has."""
        kept = (letter for letter in text if letter in self.letters or not is_invisible(letter))
        return "".join(letter if letter in self.letters else MISSING for letter in kept)


def fonts_for(texts: Iterable[str]) -> Fonts:
    """A few fonts for all these texts. Warns once of each script without a font."""
    letters = frozenset("".join(texts)) | {MISSING, "…"}
    families, missing = [FIRST], letters - covered(FIRST)
    visible = frozenset(letter for letter in missing if not is_invisible(letter))
    for family in families_for(visible):
        families.append(family)
        missing -= covered(family)
    warn(letter for letter in missing if not is_invisible(letter))
    return Fonts(families, letters - missing)


def is_invisible(letter: str) -> bool:
    """Whether it is a joiner, a variation selector or a control character, which needs no font."""
    return unicodedata.category(letter) in ("Cf", "Cc", "Cs") or "\ufe00" <= letter <= "\ufe0f"


@lru_cache(maxsize=256)
def families_for(letters: frozenset[str]) -> tuple[str, ...]:
    """Fonts that together have all these letters, except those that no font has."""
    chosen: list[str] = []
    scripts = {script_of(letter) for letter in letters}
    # Fonts named after the scripts come first, because reading all fonts takes seconds.
    for family in sorted(candidates(), key=lambda name: not scripts & set(name.split())):
        if not letters:
            break
        if letters & covered(family):
            chosen.append(family)
            letters -= covered(family)
    return tuple(chosen)


@lru_cache(maxsize=1)
def candidates() -> tuple[str, ...]:
    """All families with a regular face, the plainest first."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    # matplotlib's saved list of fonts lacks those that were installed later.
    for file in set(findSystemFonts()) - {each.fname for each in fontManager.ttflist}:
        with suppress(OSError, RuntimeError, ValueError):
            fontManager.addfont(file)
    regular = {
        each.name
        for each in fontManager.ttflist
        if each.style == "normal"
        and str(each.weight) in ("400", "normal", "regular", "book")
        and not each.name.startswith("Last Resort")  # has a box for every character
    }
    return tuple(sorted(regular - {FIRST}, key=lambda name: (plainness(name), len(name), name)))


def plainness(name: str) -> int:
    """Lower for fonts that suit labels on a screen in any language."""
    if "Noto Sans" in name:
        return 1 if "Mono" in name or "Display" in name else 0
    return 2 if "Sans" in name else 3


@cache
def covered(family: str) -> frozenset[str]:
    """The characters of a font; none if it cannot be read."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    try:
        file = findfont(FontProperties(family=[family]), fallback_to_default=False)
        return frozenset(map(chr, get_font(file).get_charmap()))
    except (OSError, RuntimeError, ValueError) as error:
        log.debug("the font %s cannot be used: %s", family, error)
        return frozenset()


def warn(letters: Iterable[str]) -> None:
    """Warns of the scripts of letters that no font has, once per script and process."""
    scripts = {script_of(letter) for letter in letters} - _told
    if not scripts:
        return
    _told.update(scripts)
    log.warning(
        "no installed font has letters for %s: attention pictures show boxes instead; "
        "install one (on Debian and Ubuntu: apt install %s)",
        ", ".join(sorted(scripts)),
        " ".join(sorted(set(map(package, scripts)))),
    )


def script_of(letter: str) -> str:
    """`Devanagari` of `DEVANAGARI LETTER KA`; `CJK` of Chinese, Japanese and Korean; `symbols` of
    emoji and the like."""
    if unicodedata.category(letter) == "So":
        return SYMBOLS
    word = unicodedata.name(letter, "unknown").split()[0].partition("-")[0]
    return "CJK" if word in EAST_ASIAN else word.capitalize()


def package(script: str) -> str:
    """The Debian package of a font for the script."""
    return {"CJK": "fonts-noto-cjk", SYMBOLS: "fonts-symbola"}.get(script, "fonts-noto-core")
