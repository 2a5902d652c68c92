"""Telling source and target apart by the names of columns, keys and files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from nmt.data.languages import REGION, Language, find_language, same_language
from nmt.data.readers.pairs import Languages, listed
from nmt.errors import UserError

ROLES = {
    **dict.fromkeys(("source", "src", "original"), 0),
    **dict.fromkeys(("target", "tgt", "trg", "translation"), 1),
}
# What else headers consist of: columns that hold no sentences, and plain words for those that do.
OTHER_HEADINGS = """id ids nr no number index row line score scores similarity url urls uri link
date time lang language languages license licence user username author attribution guid uuid tag
tags deck notetype hash length domain file filename name note notes comment key context"""
HEADINGS = "sentence sentences text texts segment string phrase word term front back side"
NO_SENTENCE, PLAIN = frozenset(OTHER_HEADINGS.split()), frozenset(HEADINGS.split())
WORDS = re.compile(r"[^\W\d_]+")


def side_of(name: str, languages: Languages) -> int | None:
    """0 if a name such as `en`, `English`, `sentence_en` or `src` means the source, 1: the target.

    None where it means neither or holds no sentences, like `target_id`.
    """
    exact = [language.casefold() for language in languages]
    if name.strip().casefold() in exact:
        return exact.index(name.strip().casefold())
    words = words_of(name)
    if NO_SENTENCE & set(words) and len(words) > 1:
        return None
    named = {side for word in words if (side := _side_of_word(word, languages)) is not None}
    return named.pop() if len(named) == 1 else None


def words_of(name: str) -> list[str]:
    """`sentence` and `en` of `sentence_en`; a code with a region stays whole."""
    folded = name.strip().casefold()
    is_code = REGION.fullmatch(folded) and find_language(folded)
    return [folded] if is_code else WORDS.findall(folded)


def _side_of_word(word: str, languages: Languages) -> int | None:
    if word in ROLES:
        return ROLES[word]
    same = [side for side, language in enumerate(languages) if same_language(word, language)]
    return same[0] if len(same) == 1 else None


def language_in(name: str) -> Language | None:
    """The language that a name contains."""
    return next(filter(None, map(find_language, words_of(name))), None)


def is_heading(name: str, languages: Languages) -> bool:
    """Whether a cell consists only of words that occur in headers."""
    words = words_of(name)
    known = ROLES.keys() | NO_SENTENCE | PLAIN
    return bool(words) and all(
        word in known or find_language(word) or _side_of_word(word, languages) is not None
        for word in words
    )


@lru_cache(maxsize=256)
def pair_keys(
    names: tuple[str, ...], languages: Languages, columns: tuple[str, ...] = ()
) -> tuple[str, str] | None:
    """Which of these keys or headings hold source and target; None if that is not clear."""
    if columns:
        return (columns[0], columns[1]) if set(columns) <= set(names) else None
    if languages.source in names and languages.target in names:
        return languages.source, languages.target
    sides = [[name for name in names if side_of(name, languages) == side] for side in (0, 1)]
    return (sides[0][0], sides[1][0]) if list(map(len, sides)) == [1, 1] else None


def foreign_languages(names: Sequence[str], languages: Languages) -> list[str]:
    """The names of languages that are neither source nor target."""
    return [
        name
        for name in names
        if side_of(name, languages) is None
        and (language := language_in(name)) is not None
        and not NO_SENTENCE & set(words_of(name))
        and not any(same_language(language.code, side) for side in languages)
    ]


def check_order(key: str, files: Sequence[str], languages: Languages) -> None:
    """Raises `UserError` if the names of two aligned files contradict the configured languages.

    They are compared where they differ: `train.en` and `train.de`, `en.txt` and `de.txt`.
    """
    names = _difference(files)
    if names is None:
        return
    sides = [side_of(name, languages) for name in names]
    if sides == [1, 0]:
        raise UserError(
            f"{key} names {files[0]} before {files[1]}, but {languages}: name the source "
            f"first, or swap the two languages"
        )
    found = [find_language(name) for name in names]
    if any(foreign_languages(names, languages)) and all(found):
        codes = [language.code for language in found if language]
        raise UserError(
            f"{key} names {files[0]} and {files[1]}, but {languages}: set "
            f"data.source_language={codes[0]} data.target_language={codes[1]}, or rename the files"
        )


def _difference(files: Sequence[str]) -> tuple[str, str] | None:
    """The one part in which two file names differ: `en` and `de`, `pt_BR` and `pt_PT`."""
    for separators in (r"\.", r"[._\s-]+"):
        left, right = (re.split(separators, file) for file in files)
        different = [pair for pair in zip(left, right, strict=False) if pair[0] != pair[1]]
        if len(left) != len(right) or len(different) != 1:
            return None
        if all(language_in(name) or name.casefold() in ROLES for name in different[0]):
            return different[0]
    return different[0]


def header_mistake(place: str, names: Sequence[str], languages: Languages) -> str:
    return (
        f"{place} has the columns {listed(names)}, but {languages}: set the languages, or choose "
        "the columns of source and target with data.columns, such as data.columns=[1,2]"
    )
