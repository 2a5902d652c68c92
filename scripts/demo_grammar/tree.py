"""The abstract syntax both languages are spelled from. Nodes are compared by identity."""

from dataclasses import dataclass, field
from typing import Literal

from .lexicon import Adjective, AdverbEntry, Determiner, Modal, NameEntry, Noun, PronounEntry, Verb

Case = Literal["nominative", "accusative", "dative", "genitive"]
Tense = Literal["present", "progressive", "past", "future", "perfect", "pluperfect"]
Slot = Literal["", "subject", "object", "oblique", "time", "place", "question"]


@dataclass(eq=False)
class Numeral:
    english: str
    german: str


@dataclass(eq=False)
class AdjectivePhrase:
    """Such as "very old", "older than the house", "as old as the house", "the oldest"."""

    adjective: Adjective
    degree: Literal["positive", "comparative", "superlative", "equative"] = "positive"
    intensifier: Literal["", "very", "too"] = ""
    than: "Nominal | None" = None
    age: Numeral | None = None  # "twenty years old"


@dataclass(eq=False)
class NounPhrase:
    noun: Noun
    plural: bool = False
    determiner: Determiner | None = None
    numeral: Numeral | None = None
    how_many: bool = False
    adjectives: list[AdjectivePhrase] = field(default_factory=list)
    possessor: "NounPhrase | None" = None  # "of the old man"
    owner: "Name | NounPhrase | None" = None  # "Anna's"; in a relative clause "whose"
    attribute: "Phrase | None" = None  # "with the red hat"
    relative: "Clause | None" = None


@dataclass(eq=False)
class Pronoun:
    entry: PronounEntry


@dataclass(eq=False)
class Name:
    entry: NameEntry


@dataclass(eq=False)
class RelativePronoun:
    head: NounPhrase


Nominal = NounPhrase | Pronoun | Name | RelativePronoun


@dataclass(eq=False)
class Phrase:
    """A preposition and what it governs."""

    english: str
    german: str
    case: Case
    nominal: Nominal


@dataclass(eq=False)
class Adverb:
    entry: AdverbEntry


@dataclass(eq=False)
class Subordinate:
    """A clause behind a conjunction; "to" and "in order to" stand for infinitives with zu."""

    english: str
    german: str
    clause: "Clause"


Node = Nominal | Phrase | Adverb | AdjectivePhrase


@dataclass(eq=False)
class Clause:
    verb: Verb
    subject: Nominal | None
    tense: Tense = "present"
    modal: Modal | None = None
    negated: bool = False
    existential: bool = False  # "there is", "es gibt"
    silent_subject: bool = False  # agrees with it without saying it: infinitives, "and buys ..."
    object: Nominal | None = None
    object_case: Case = "accusative"
    recipient: Nominal | None = None
    to_recipient: bool = False  # "to the child" behind the object
    oblique: Phrase | None = None
    predicate: AdjectivePhrase | NounPhrase | None = None
    manner: Adverb | None = None
    company: Phrase | None = None
    place: Phrase | Adverb | None = None
    direction: Phrase | Adverb | None = None
    time: Adverb | None = None
    frequency: Adverb | None = None
    question: Adverb | None = None  # where, when, why
    front: Slot = ""  # the slot before the subject
    complement: Subordinate | None = None


@dataclass(eq=False)
class Sentence:
    clause: Clause
    kind: Literal["statement", "question", "imperative"] = "statement"
    please: bool = False
    before: Subordinate | None = None
    conjunction: tuple[str, str] | None = None  # joins ``second``, a main clause
    second: Clause | None = None
    label: str = ""


def person_of(node: Nominal | None) -> str:
    """1s, 2s, 3s, 1p or 3p."""
    if isinstance(node, RelativePronoun):
        node = node.head
    if isinstance(node, Pronoun):
        return node.entry.person
    return "3p" if isinstance(node, NounPhrase) and node.plural else "3s"
