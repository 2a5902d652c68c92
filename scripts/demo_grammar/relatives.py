"""Relative clauses, and main clauses around the nouns that have one."""

from .clauses import clause, frames, unmarked_past
from .copulas import be, quality
from .dice import Dice
from .lexicon import (
    adjectives_for,
    determiner,
    matches,
    noun,
    nouns,
    tags,
)
from .phrases import (
    has,
)
from .tree import (
    NounPhrase,
    Phrase,
    Pronoun,
    RelativePronoun,
    Sentence,
)


def relative(dice: Dice) -> Sentence:
    """A relative clause around the subject or the object of its own clause."""
    head = relative_head(dice)
    return around(dice, head)


def relative_head(dice: Dice) -> NounPhrase:
    """A noun with its relative clause, the pronoun as subject or object."""
    while True:
        by_subject = dice.chance(0.45)
        entry = dice.pick(nouns("person animal" if by_subject and dice.chance(0.8) else HEADS))
        head = NounPhrase(entry, plural=dice.chance(0.15), determiner=determiner("the"))
        gap = RelativePronoun(head)
        everything = frames(agent="")
        if by_subject:
            options = [f for f in everything if matches(tags(entry), f.subject)]
            if not options or matches(entry.tags, "kin"):
                continue
            frame = dice.pick(options)
            if unmarked_past(frame.verb, gap):
                continue
            head.relative = clause(dice, frame, actor=gap, extras=0.6, negation=0.03)
            head.relative.front = "subject"
            return head
        options = [f for f in everything if matches(tags(entry), f.object[3:])]
        if not options or matches(entry.tags, "kin"):
            continue
        frame = dice.pick(options)
        if "person" in frame.recipient and "person" in entry.tags:
            continue
        node = clause(dice, frame, extras=0.4, negation=0.03, definite=True)
        if has(node.subject, entry.english) if node.subject else False:
            continue
        node.object, node.front = gap, "object"
        head.relative = node
        return head


HEADS = (
    "person pet good text food:dish fruit clothes vehicle art building song film idea told home "
    "lying standing furniture"
)
SEEKING = "see look like need buy find sell show love invite visit ask thank help give trust"


def around(dice: Dice, head: NounPhrase) -> Sentence:
    """Put the noun with its relative clause into a main clause."""
    words = adjectives_for(head.noun)
    past = head.relative is not None and head.relative.tense == "past"
    people = has(head, "person")
    if words and dice.chance(0.5):
        return Sentence(be(head, quality(dice, head.noun), past=past and dice.chance(0.7)))
    options = [
        f
        for f in frames(SEEKING)
        if matches(tags(head.noun), f.object[3:]) and f.recipient in ("-", "kin?")
    ]
    if options and dice.chance(0.7):
        node = clause(dice, dice.pick(options), extras=0.0, negation=0.1, definite=True)
        node.recipient = node.time = None
        node.frequency = node.place = None
        if node.tense != "perfect" and not isinstance(node.object, Pronoun | None):
            node.object = head
            return Sentence(node)
    if people:
        node = clause(dice, dice.pick(frames("", "event")), actor=head, extras=0.3)
        return Sentence(node)
    if words:
        return Sentence(be(head, quality(dice, head.noun)))
    return relative(dice)


def whose(dice: Dice) -> Sentence:
    """ "The boy whose father works in the city is clever." """
    head = NounPhrase(dice.pick(nouns("job male:adult young:person")), determiner=determiner("the"))
    while matches(head.noun.tags, "kin"):
        head.noun = dice.pick(nouns("job young:person"))
    owned = NounPhrase(dice.pick(nouns("kin")), owner=head)
    frame = dice.pick(frames("", "event state", "adult person kin"))
    head.relative = clause(dice, frame, actor=owned, extras=0.5, negation=0.0, definite=True)
    return around(dice, head)


def relative_phrase(dice: Dice) -> Sentence:
    """ "the house in which we live", "the bus for which she is waiting" """
    while True:
        head = NounPhrase(noun("house"))
        frame = dice.pick(
            frames("live sit sleep wait work talk dream stay laugh lie stand", agent="")
        )
        node = clause(dice, frame, extras=0.5, negation=0.0, definite=True)
        phrase = node.oblique or node.place
        if not isinstance(phrase, Phrase) or not isinstance(phrase.nominal, NounPhrase):
            continue
        if phrase.english == "with" or has(phrase.nominal, "kin"):
            continue
        head = NounPhrase(
            phrase.nominal.noun, plural=phrase.nominal.plural, determiner=determiner("the")
        )
        if adjectives_for(head.noun):
            break
    phrase.nominal = RelativePronoun(head)
    node.front = "oblique" if phrase is node.oblique else "place"
    head.relative = node
    return around(dice, head)
