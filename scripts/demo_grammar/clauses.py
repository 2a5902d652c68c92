"""Choosing clauses: a frame of the lexicon, filled, with a tense and its adverbials."""

from functools import cache
from typing import Literal

from .dice import Dice
from .lexicon import AdverbEntry, Frame, adverb, matches, modal, pronoun, read, verb
from .phrases import (
    company,
    has,
    location,
    mass,
    noun_phrase,
    other_person,
    subject,
    time,
)
from .tree import Adverb, Case, Clause, Name, Nominal, NounPhrase, Phrase, Pronoun, person_of

Mood = Literal["state", "progressive", "habit", "past", "future", "perfect", "modal", "modal_past"]
MOODS: dict[str, dict[Mood, float]] = {
    "event": {
        "progressive": 4,
        "habit": 2,
        "past": 4,
        "future": 1.5,
        "perfect": 0.8,
        "modal": 2.5,
        "modal_past": 1.5,
    },
    "state": {"state": 3, "past": 1},
    "mishap": {"past": 4, "habit": 0.5, "perfect": 0.8},
    "point": {"past": 4, "habit": 1, "future": 1, "perfect": 0.7},
}
CASES: dict[str, Case] = {"acc": "accusative", "dat": "dative"}


@cache
def frames(wanted: str = "", aspect: str = "", agent: str = "person adult young") -> list[Frame]:
    """Frames of the verbs ``wanted`` (all if empty) that such an ``agent`` can fill."""
    return [
        f
        for f in read(Frame, "frames")
        if (not wanted or f.verb in wanted.split())
        and (not aspect or f.aspect in aspect.split())
        and (not agent or matches(f.subject, agent))
    ]


def any_frame(dice: Dice) -> Frame:
    """Any frame of the lexicon, agents or not."""
    return dice.pick(read(Frame, "frames"))


def quantified(node: Nominal | None) -> bool:
    """Whether a negation beside it could be read in two ways."""
    if isinstance(node, Pronoun):
        return node.entry.name in ("somebody", "nobody", "everyone")
    if not isinstance(node, NounPhrase):
        return False
    names = ("a", "every", "many", "some")
    return (
        node.determiner is None
        and not node.owner
        or bool(node.determiner and node.determiner.name in names)
    )


def clause(
    dice: Dice,
    frame: Frame,
    *,
    actor: Nominal | None = None,
    mood: Mood | None = None,
    extras: float = 1.0,
    negation: float = 0.14,
    definite: bool = False,
) -> Clause:
    """The frame with all its slots filled; ``extras`` scales how many adverbials join."""
    if actor is None:
        actor = subject(dice, frame.subject, definite=definite)
    node = Clause(verb(frame.verb), actor)
    mood = mood or pick_mood(dice, frame, actor)
    set_mood(dice, node, mood)
    may_negate = mood not in ("habit", "perfect") and frame.verb != "hate" and not quantified(actor)
    node.negated = may_negate and dice.chance(negation)
    if node.modal and node.modal.name == "would like to":
        node.negated = False
    fill(dice, node, frame, definite)
    adverbials(dice, node, frame, mood, extras)
    return node


def pick_mood(dice: Dice, frame: Frame, actor: Nominal) -> Mood:
    weights = dict(MOODS[frame.aspect])
    # Things neither want nor may, and the tower is not often red.
    animate = matches(frame.subject, "person adult young animal dog cat bird livestock")
    if not animate:
        weights.pop("modal", None)
        weights.pop("modal_past", None)
        weights.pop("habit", None)
        weights.pop("perfect", None)
        if frame.where.startswith("!"):
            weights.pop("future", None)
    if unmarked_past(frame.verb, actor):
        weights["past"] = 0
    return dice.weighted(weights)


def unmarked_past(name: str, actor: Nominal) -> bool:
    """ "They read": present or past? German would have to know."""
    entry = verb(name)
    return entry.past == entry.english.split("/")[0].split()[0] and person_of(actor) != "3s"


def set_mood(dice: Dice, node: Clause, mood: Mood) -> None:
    match mood:
        case "modal":
            animal = has(node.subject, "animal") if node.subject else False
            names = {"can": 2.0, "have to": 2.0, "want to": 2.0}
            if not animal:
                names |= {"allowed": 1.0, "should": 1.5, "would like to": 1.5}
            node.modal = modal(dice.weighted(names))
        case "modal_past":
            node.modal = modal(
                dice.weighted({"can": 1.0, "have to": 1.5, "want to": 1.5, "allowed": 0.7})
            )
            node.tense = "past"
        case "state" | "habit":
            node.tense = "present"
        case "progressive" | "past" | "future" | "perfect":
            node.tense = mood


def fill(dice: Dice, node: Clause, frame: Frame, definite: bool) -> None:
    """Object, recipient and prepositional object."""
    actor = node.subject
    plain = node.negated
    if frame.object != "-":
        case, _, wanted = frame.object.partition(" ")
        owner = None if case.endswith("!") else actor
        some = case.endswith("+")
        case = case.rstrip("!+")
        node.object_case = CASES[case]
        sure = definite or (plain and case == "dat")
        people = matches(wanted, "person kin job young") and "person" not in frame.recipient
        if people and dice.chance(0.8):
            people_tags = " ".join(t for t in wanted.split() if t in PEOPLE)
            node.object = other_person(dice, people_tags, actor, sure or plain)
        else:
            while True:
                thing = noun_phrase(dice, wanted, owner=owner, definite=sure, plain=plain)
                if not some or mass(thing.noun) or has(thing, "kin"):
                    break
                sure = False
                if thing.determiner is None or thing.determiner.name == "a":
                    break
            if frame.verb in ("like", "hate") and has(thing, "food") and not mass(thing.noun):
                thing = NounPhrase(thing.noun, plural=True)
            node.object = thing
    recipient = frame.recipient
    if recipient.endswith("?"):
        recipient = recipient[:-1] if dice.chance(0.2) else "-"
    if recipient != "-":
        node.to_recipient = recipient.startswith("to ")
        wanted = recipient.removeprefix("to ")
        node.recipient = other_person(dice, wanted, actor, True)
        if isinstance(node.recipient, Pronoun) and node.to_recipient:
            node.recipient = noun_phrase(dice, wanted, owner=actor, definite=True)
    if frame.oblique != "-":
        english, german, case, wanted = frame.oblique.split(" ", 3)
        if matches(wanted, "person kin"):
            governed = other_person(dice, wanted, actor, True)
        else:
            governed = noun_phrase(dice, wanted, owner=actor, plain=plain)
        node.oblique = Phrase(english, german, CASES[case], governed)


PEOPLE = ("person", "kin", "job", "young", "adult", "guest:adult")


def adverbials(dice: Dice, node: Clause, frame: Frame, mood: Mood, extras: float) -> None:
    """Direction or place, manner, company, time; never many at once."""
    goal, kinds = "!", frame.where
    if kinds[0] in "!><":
        goal, kinds = kinds[0], kinds[1:]
    obligatory = frame.where[0] in "!>"
    if kinds != "-" and (obligatory or dice.chance(0.4 * extras)):
        place = location(dice, kinds, goal, node.subject)
        if goal == "!":
            node.place = place
        else:
            node.direction = place
    if not node.negated and frame.how != "-" and dice.chance(0.27 * extras):
        manner(dice, node, frame.how)
    time_of(dice, node, mood, frame.how, extras)


def manner(dice: Dice, node: Clause, how: str) -> None:
    assert node.subject
    names = [word for word in how.split() if word not in ("hour", "long")]
    plural = person_of(node.subject) in ("1p", "3p")
    if "together" in names and not plural:
        names.remove("together")
        if dice.chance(0.6) and pronounceable(node.subject):
            node.company = company(dice, node.subject)
            return
    if plural and "alone" in names:
        names.remove("alone")
    if names:
        node.manner = Adverb(adverb(dice.pick(names)))


def pronounceable(node: Nominal) -> bool:
    """Somebody one can keep company."""
    return not quantified(node) and (isinstance(node, Name | Pronoun) or has(node, "person"))


def time_of(dice: Dice, node: Clause, mood: Mood, how: str, extras: float) -> None:
    early = node.manner is not None and node.manner.entry.english in ("early", "late")
    if early:
        how = how.replace("hour", "")
    kinds = " ".join(["time", *(k for k in ("hour", "long") if k in how.split())])
    if mood == "perfect":
        node.frequency = Adverb(adverb("already"))
    elif mood == "habit":
        nobody = isinstance(node.subject, Pronoun) and node.subject.entry == pronoun("nobody")
        if dice.chance(0.5) and not nobody and not quantified(node.subject) and not early:
            entries = read(AdverbEntry, "adverbs")
            often = [a for a in entries if a.kind == "frequency" and a.tenses == "habit"]
            node.frequency = Adverb(dice.pick(often))
        else:
            node.time = time(dice, "habit", kinds)
    elif mood != "state" and dice.chance(0.35 * extras):
        node.time = time(dice, mood, kinds)
