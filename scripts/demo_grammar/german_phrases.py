"""German noun phrases, prepositional phrases, adverbs and predicates."""

import re

from . import german_forms as forms
from .tree import (
    AdjectivePhrase,
    Adverb,
    Case,
    Name,
    Nominal,
    NounPhrase,
    Phrase,
    Pronoun,
    RelativePronoun,
)
from .words import Link, Word, spell

INTENSIFIERS = {"very": "sehr", "too": "zu"}


def gender(phrase: NounPhrase) -> str:
    return "p" if phrase.plural else phrase.noun.gender


def nominal(node: Nominal, case: Case, negation: Link | None = None) -> list[Word]:
    """A noun phrase with everything but its relative clause; ``negation`` turns "ein" to "kein"."""
    match node:
        case Name(entry):
            return spell(entry.german + "s" * (case == "genitive"), (node, "noun"))
        case Pronoun(entry):
            return [Word(getattr(entry, case), ((node, "noun"),), entry.nominative)]
        case RelativePronoun(head):
            form = forms.ARTICLES[gender(head)][case]
            if case == "dative" and head.plural:
                form = "denen"
            return [Word(form, ((node, "noun"),), "d")]
    return noun_phrase(node, case, negation)


def noun_phrase(node: NounPhrase, case: Case, negation: Link | None = None) -> list[Word]:
    words, declension = determiner(node, case, negation)
    if node.numeral:
        words += spell(node.numeral.german, (node.numeral, "numeral"))
    if node.how_many:
        words += [Word("wie", ((node, "how"),)), Word("viele", ((node, "many"),))]
    for phrase in node.adjectives:
        words += intensifier(phrase)
        ending = forms.adjective_ending(declension, gender(node), case)
        form = forms.adjective(phrase.adjective, phrase.degree == "superlative", ending)
        words.append(Word(form, ((phrase, "adjective"),), phrase.adjective.german))
    form = forms.noun(node.noun, node.plural, case)
    words.append(Word(form, ((node, "noun"),), node.noun.german))
    if node.possessor:
        first, *rest = noun_phrase(node.possessor, "genitive")
        words += [first._replace(links=(*first.links, (node.possessor, "of"))), *rest]
    if node.attribute:
        words += phrase_words(node.attribute)
    return words


def determiner(node: NounPhrase, case: Case, negation: Link | None) -> tuple[list[Word], str]:
    """The determiner, and the declension of the adjectives behind it."""
    links: tuple[Link, ...] = ((node, "determiner"),)
    if isinstance(node.owner, Name):
        return [Word(node.owner.entry.german + "s", links, node.owner.entry.german)], "strong"
    if node.owner:  # the head of a relative clause: "whose"
        whose = "dessen" if gender(node.owner) in "mn" else "deren"
        return [Word(whose, links)], "strong"
    stem, declension = "", "strong"
    if node.determiner:
        stem, declension = node.determiner.german, node.determiner.declension
    if negation and indefinite(node):
        links = (*links, negation) if node.determiner else (negation,)
        stem, declension = "kein", "ein"
    if not stem:
        return [], "strong"
    if declension == "definite":
        return [Word(forms.ARTICLES[gender(node)][case], links, "d")], declension
    form = stem + forms.determiner_ending(declension, gender(node), case)
    return [Word(form, links, stem)], declension


def indefinite(node: Nominal | None) -> bool:
    """Whether a negation turns it to "kein"."""
    return (
        isinstance(node, NounPhrase)
        and (node.determiner is None or node.determiner.name == "a")
        and not (node.owner or node.numeral or node.how_many)
    )


def intensifier(phrase: AdjectivePhrase) -> list[Word]:
    if not phrase.intensifier:
        return []
    return [Word(INTENSIFIERS[phrase.intensifier], ((phrase, "intensifier"),))]


def phrase_words(node: Phrase) -> list[Word]:
    """A preposition and its case; a plain article melts into it: "im"."""
    words = nominal(node.nominal, node.case)
    preposition = Word(node.german, ((node, "preposition"),))
    melted = forms.CONTRACTIONS.get((node.german, words[0].text))
    if melted and isinstance(node.nominal, NounPhrase):
        both = Word(melted, preposition.links + words[0].links, preposition.text)
        return [both, *words[1:]]
    return [preposition, *words]


def adverb(node: Adverb) -> list[Word]:
    parts = node.entry.german.split()
    pairs = [(i, i) for i in range(len(parts))]
    if node.entry.links != "-":
        pairs = [(int(s), int(t)) for s, t in (p.split("-") for p in node.entry.links.split())]
    return [
        Word(
            part,
            tuple((node, str(s)) for s, t in pairs if t == i),
            re.sub("^(jed|letzt|nächst).*", r"\1", part),
        )
        for i, part in enumerate(parts)
    ]


def predicate(node: AdjectivePhrase | NounPhrase) -> list[Word]:
    if isinstance(node, NounPhrase):
        return noun_phrase(node, "nominative")
    entry = node.adjective
    link = (node, "adjective")
    than = nominal(node.than, "nominative") if node.than else []
    match node.degree:
        case "comparative":
            form = Word(entry.german_comparative, (link,), entry.german)
            return [form, Word("als", ((node, "than"),)), *than]
        case "equative":
            words = [Word("so", ((node, "as"),)), Word(entry.german, (link,), entry.german)]
            return [*words, Word("wie", ((node, "than"),)), *than]
    words = intensifier(node)
    if node.age:
        words = [*spell(node.age.german, (node.age, "numeral")), Word("Jahre", ((node, "years"),))]
    return [*words, Word(entry.german, (link,), entry.german)]


def any_phrase(node: Phrase | Adverb | None) -> list[Word]:
    if node is None:
        return []
    return phrase_words(node) if isinstance(node, Phrase) else adverb(node)
