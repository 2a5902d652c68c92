"""The lexicon: one frozen dataclass per TSV file, its fields the file's columns."""

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

FOLDER = Path(__file__).parent / "lexicon"


@dataclass(frozen=True)
class Noun:
    english: str
    plural: str  # "-": has no plural, stands without an article
    german: str
    gender: str  # m, f, n
    genitive: str
    german_plural: str
    tags: str


@dataclass(frozen=True)
class Adjective:
    english: str
    comparative: str
    superlative: str
    german: str
    stem: str  # before an ending: teuer, but teur-er
    german_comparative: str
    german_superlative: str
    group: str
    tags: str


@dataclass(frozen=True)
class Verb:
    english: str  # "look for": the particle stays; "pick/up": it moves behind a pronoun
    past: str
    participle: str
    ing: str
    german: str  # "auf|machen" is separable
    stem: str  # of du and er where the vowel changes
    german_participle: str  # without the separable prefix
    auxiliary: str  # of the Perfekt


@dataclass(frozen=True)
class Frame:
    """How a verb is used; the slots hold tags of nouns and kinds of places."""

    verb: str
    aspect: str  # event, state, point (no progressive)
    subject: str
    object: str  # case, then tags
    recipient: str
    oblique: str  # English preposition, German preposition, case, tags
    where: str  # first letter: "!" obligatory, ">" direction, "<" origin
    how: str


@dataclass(frozen=True)
class Place:
    noun: str
    where: str
    german_where: str
    to: str
    german_to: str
    german_from: str
    kinds: str


@dataclass(frozen=True)
class Spot:
    noun: str
    english: str
    german: str
    kinds: str


@dataclass(frozen=True)
class AdverbEntry:
    english: str
    german: str
    links: str
    kind: str
    tenses: str


@dataclass(frozen=True)
class Filler:
    slot: str
    english: str
    german: str


@dataclass(frozen=True)
class NameEntry:
    english: str
    german: str
    kind: str


@dataclass(frozen=True)
class PronounEntry:
    name: str
    english: str
    object: str
    nominative: str
    accusative: str
    dative: str
    person: str


@dataclass(frozen=True)
class Determiner:
    name: str
    plural: str
    german: str
    declension: str


@dataclass(frozen=True)
class Modal:
    name: str
    english: str
    past: str
    auxiliary: str  # "yes": needs no do-support
    german: str


@dataclass(frozen=True)
class Irregular:
    verb: str
    tense: str
    ich: str
    du: str
    er: str
    wir: str


@dataclass(frozen=True)
class Reason:
    """Which moods of its subject explain an action, or make it surprising."""

    conjunction: str
    german: str
    verbs: str
    adjectives: str


@dataclass(frozen=True)
class Purpose:
    """What one goes to a place for."""

    places: str
    verb: str
    objects: str


@dataclass(frozen=True)
class Judgement:
    """Which properties of a thing explain what somebody does with it."""

    conjunction: str
    german: str
    verb: str
    adjectives: str


@dataclass(frozen=True)
class Infinitive:
    """Which verbs a verb takes as infinitives with zu."""

    verb: str
    moods: str
    inner: str


Entry = TypeVar("Entry")


def read(kind: type[Entry], name: str) -> tuple[Entry, ...]:
    """The entries of ``lexicon/<name>.tsv``; a ValueError names a line that does not fit."""
    return cast(tuple[Entry, ...], _read(cast(Any, kind), name))


@cache
def _read(kind: Any, name: str) -> tuple[Any, ...]:
    path = FOLDER / f"{name}.tsv"
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    columns = [field.name for field in fields(kind)]
    if header.split("\t") != columns:
        raise ValueError(f"{path}:1: expected the columns {columns}, but found {header!r}")
    entries = []
    for number, line in enumerate(lines, start=2):
        cells = line.split("\t")
        if len(cells) != len(columns):
            raise ValueError(f"{path}:{number}: expected {len(columns)} cells, not {len(cells)}")
        entries.append(kind(*cells))
    return tuple(entries)


@cache
def matches(tags: str, wanted: str) -> bool:
    """Whether ``tags`` has one of ``wanted``; "a:b" wants both."""
    own = tags.split()
    return any(all(part in own for part in tag.split(":")) for tag in wanted.split())


@cache
def nouns(wanted: str) -> list[Noun]:
    """The nouns that carry a tag of ``wanted``; their own name is one of their tags."""
    return [n for n in read(Noun, "nouns") if matches(tags(n), wanted)]


@cache
def tags(entry: Noun) -> str:
    return f"{entry.tags} {entry.english.replace(' ', '_')}"


@cache
def adjectives_for(entry: Noun) -> list[Adjective]:
    """The adjectives that can be said of the noun."""
    return [a for a in read(Adjective, "adjectives") if matches(tags(entry), a.tags)]


@cache
def noun(english: str) -> Noun:
    return next(n for n in read(Noun, "nouns") if n.english == english)


@cache
def verb(english: str) -> Verb:
    return next(v for v in read(Verb, "verbs") if v.english == english)


@cache
def adjective(english: str) -> Adjective:
    return next(a for a in read(Adjective, "adjectives") if a.english == english)


@cache
def determiner(name: str) -> Determiner:
    return next(d for d in read(Determiner, "determiners") if d.name == name)


@cache
def pronoun(name: str) -> PronounEntry:
    return next(p for p in read(PronounEntry, "pronouns") if p.name == name)


@cache
def modal(name: str) -> Modal:
    return next(m for m in read(Modal, "modals") if m.name == name)


@cache
def adverb(english: str) -> AdverbEntry:
    return next(a for a in read(AdverbEntry, "adverbs") if a.english == english)
