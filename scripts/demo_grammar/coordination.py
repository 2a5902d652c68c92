"""Two actions in a row, two people side by side, and what one goes somewhere for."""

from .clauses import Mood, clause, frames, set_mood, unmarked_past
from .copulas import be
from .dice import Dice
from .lexicon import (
    Purpose,
    adjective,
    matches,
    modal,
    noun,
    read,
    tags,
    verb,
)
from .phrases import (
    has,
    location,
    noun_phrase,
    subject,
    thing_pronoun,
    time,
)
from .subordination import activities, agent, silent
from .tree import (
    AdjectivePhrase,
    Clause,
    NounPhrase,
    Pronoun,
    Sentence,
    Subordinate,
)


def errand(dice: Dice, mood: Mood) -> tuple[Clause, Purpose]:
    """Somebody goes somewhere, and what for."""
    row = dice.pick(read(Purpose, "purposes"))
    actor = subject(dice, "adult kin", definite=True)
    main = Clause(verb("go"), actor)
    set_mood(dice, main, mood)
    main.direction = location(dice, dice.pick(row.places.split()), ">")
    return main, row


def purpose(dice: Dice) -> Sentence:
    """um ... zu"""
    moods: list[Mood] = ["past", "progressive", "future", "modal"]
    mood = dice.pick(moods)
    main, row = errand(dice, mood)
    assert main.subject
    if dice.chance(0.3):
        main.time = time(dice, mood)
        main.front = "time"
    inner = silent(dice, row.verb, main.subject, row.objects)
    main.complement = Subordinate("to", "um", inner)
    return Sentence(main)


def sequence(dice: Dice) -> Sentence:
    """ "went to the market and bought apples", "bought an apple and ate it" """
    if dice.chance(0.4):
        return same_object(dice)
    while True:
        main, row = errand(dice, "past")
        assert main.subject
        if not unmarked_past(row.verb, main.subject):
            break
    second = silent(dice, row.verb, main.subject, row.objects)
    second.tense = "past"
    if dice.chance(0.3):
        main.time = time(dice, "past")
        main.front = "time"
    return Sentence(main, conjunction=("and", "und"), second=second)


PAIRS = {
    "buy": "eat drink read put/on unpack try/on",
    "find": "use take",
    "wash": "put/on sell eat",
    "repair": "sell use",
    "open": "close unpack read",
    "bake": "eat",
    "cook": "eat",
    "turn/on": "turn/off",
    "write": "correct translate read",
}


def same_object(dice: Dice) -> Sentence:
    """Two actions on one thing; the second calls it "it"."""
    while True:
        name = dice.pick(list(PAIRS))
        first = dice.pick(frames(name))
        second = dice.pick(frames(dice.pick(PAIRS[name].split())))
        if second.recipient != "-" or second.where[0] == ">":
            continue
        actor = subject(dice, "person kin", definite=True)
        if unmarked_past(first.verb, actor) or unmarked_past(second.verb, actor):
            continue
        main = clause(dice, first, actor=actor, mood="past", extras=0.0, negation=0.0)
        thing = main.object
        if not isinstance(thing, NounPhrase) or not thing.determiner or main.recipient:
            continue
        if matches(tags(thing.noun), second.object[3:]) and not has(thing, "animal person"):
            break
    node = clause(dice, second, actor=actor, mood="past", extras=0.0, negation=0.0)
    node.object, node.silent_subject = Pronoun(thing_pronoun(thing)), True
    return Sentence(main, conjunction=("and", "und"), second=node)


def contrast(dice: Dice) -> Sentence:
    """ "wanted to work, but he was ill", "likes tea, but she does not like coffee" """
    if dice.chance(0.5):
        frame = dice.pick(frames("", "event"))
        first, again = agent(dice, frame.subject)
        main = clause(dice, frame, actor=first, mood="modal_past", extras=0.4, negation=0.0)
        main.modal, main.time = modal("want to"), None
        moods = ["tired", "ill", "nervous"]
        inner = be(again, AdjectivePhrase(adjective(dice.pick(moods))), past=True)
        inner.predicate.intensifier = "too" if dice.chance(0.4) else ""  # type: ignore[union-attr]
        if dice.chance(0.4):
            thing = NounPhrase(noun(dice.pick(["time", "money"])))
            inner = Clause(verb("have"), again, tense="past", negated=True, object=thing)
        return Sentence(main, conjunction=("but", "aber"), second=inner)
    frame = dice.pick(frames(dice.pick(["like", "speak"])))
    first, again = agent(dice, frame.subject)
    kind = dice.pick([tag for tag in frame.object.split()[1:] if tag != "town"])
    one, other = noun_phrase(dice, kind, definite=True), noun_phrase(dice, kind, definite=True)
    if one.noun == other.noun:
        return contrast(dice)
    who = again if dice.chance(0.6) else subject(dice, frame.subject, definite=True)
    main = Clause(verb(frame.verb), first, object=one)
    second = Clause(verb(frame.verb), who, object=other, negated=True)
    return Sentence(main, conjunction=("but", "aber"), second=second)


def parallel(dice: Dice) -> Sentence:
    """ "Anna is reading a book, and Paul is sleeping." """
    first, second = activities(dice)
    return Sentence(first, conjunction=("and", "und"), second=second)
