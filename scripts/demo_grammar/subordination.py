"""Subordinate clauses: reasons, conditions, times, what somebody says or asks, infinitives."""

from typing import cast

from .clauses import Mood, clause, frames, set_mood, unmarked_past
from .copulas import be, rain
from .dice import Dice
from .lexicon import (
    Infinitive,
    Judgement,
    Reason,
    adjective,
    adjectives_for,
    adverb,
    determiner,
    matches,
    modal,
    noun,
    pronoun,
    read,
    verb,
)
from .phrases import (
    has,
    noun_phrase,
    pronoun_for,
    subject,
    thing_pronoun,
)
from .tree import (
    AdjectivePhrase,
    Adverb,
    Clause,
    Nominal,
    NounPhrase,
    Pronoun,
    Sentence,
    Subordinate,
    person_of,
)

IF, THAT, WHETHER = ("if", "wenn"), ("that", "dass"), ("whether", "ob")
MOVING = "go come/back drive go/out fall/asleep"


def agent(dice: Dice, wanted: str = "person kin") -> tuple[Nominal, Nominal]:
    """Somebody, and the pronoun to go on with."""
    while True:
        first = subject(dice, wanted, definite=True)
        taken_up = pronoun_for(first)
        if taken_up:
            return first, Pronoun(taken_up)


def joined(dice: Dice, main: Clause, link: Subordinate, before: float) -> Sentence:
    """The subordinate clause in front of the main clause, or behind it.

    Whoever comes first is named, and taken up by a pronoun.
    """
    if dice.chance(before):
        return Sentence(main, before=link)
    named, again = link.clause.subject, main.subject
    if named and isinstance(again, Pronoun) and pronoun_for(named) == again.entry:
        main.subject, link.clause.subject = named, again
    main.complement = link
    return Sentence(main)


def reason(dice: Dice) -> Sentence:
    """ "because she is tired", "although it is raining" """
    row = dice.pick(read(Reason, "reasons"))
    frame = dice.pick(frames(row.verbs, "event"))
    first, again = agent(dice, frame.subject)
    mood: Mood = dice.pick(["progressive", "past"])
    if unmarked_past(frame.verb, first):
        mood = "progressive"
    main = clause(dice, frame, actor=first, mood=mood, extras=0.3, negation=0.0)
    main.time = None
    past = mood == "past"
    phrase = AdjectivePhrase(adjective(dice.pick(row.adjectives.split())))
    phrase.intensifier = "very" if dice.chance(0.2) else ""
    inner = be(again, phrase, past)
    if row.conjunction == "although" and not main.place and dice.chance(0.2):
        inner = rain(dice)
        inner.tense = mood  # type: ignore[assignment]
    main.complement = Subordinate(row.conjunction, row.german, inner)
    return Sentence(main)


def judgement(dice: Dice) -> Sentence:
    """What somebody does with a thing because it is so, or but it is too small."""
    while True:
        row = dice.pick(read(Judgement, "judgements"))
        frame = dice.pick(frames(row.verb))
        mood: Mood = "state" if frame.aspect == "state" else dice.pick(["past", "progressive"])
        first = subject(dice, frame.subject, definite=True)
        if mood == "past" and unmarked_past(frame.verb, first):
            continue
        main = clause(
            dice,
            frame,
            actor=first,
            mood=mood,
            extras=0.0,
            negation=0.0,
            definite=row.verb == "like",
        )
        thing = main.object
        if not isinstance(thing, NounPhrase) or thing.possessor or thing.adjectives:
            continue
        if has(thing, "person animal pet") or main.recipient:
            continue
        words = [a for a in adjectives_for(thing.noun) if a.english in row.adjectives.split()]
        if words:
            break
    phrase = AdjectivePhrase(dice.pick(words))
    inner = be(Pronoun(thing_pronoun(thing)), phrase, mood == "past")
    size = [
        a for a in adjectives_for(thing.noun) if a.english in ("big", "small", "expensive", "heavy")
    ]
    if row.verb == "buy" and size and mood == "past" and dice.chance(0.5):
        inner.predicate = AdjectivePhrase(dice.pick(size), intensifier="too")
        return Sentence(main, conjunction=("but", "aber"), second=inner)
    main.complement = Subordinate(row.conjunction, row.german, inner)
    return Sentence(main)


def condition(dice: Dice) -> Sentence:
    """ "If it rains tomorrow, we will stay at home." """
    frame = dice.pick(frames("", "event"))
    first, again = agent(dice, frame.subject)
    mood: Mood = dice.pick(["future", "modal"])
    kind = dice.weighted({"rain": 1.5, "weather": 0.8, "have": 2.0, "mood": 1.5, "help": 1.0})
    inner = Clause(verb("have"), first)
    actor = again
    match kind:
        case "rain":
            inner, actor = rain(dice), first
            frame = dice.pick(frames("stay read cook bake play sleep tidy/up go drive"))
            inner.time = Adverb(adverb("tomorrow")) if dice.chance(0.5) else None
        case "weather":
            actor = first
            frame = dice.pick(frames("swim hike go play travel drive work"))
            weather = NounPhrase(noun("weather"), determiner=determiner("the"))
            inner = be(weather, AdjectivePhrase(adjective("beautiful")))
        case "have":
            inner.object = NounPhrase(noun(dice.pick(["time", "money"])))
            if inner.object.noun.english == "money":
                frame = dice.pick(frames("buy travel fly order", "event"))
        case "mood":
            row = dice.pick([r for r in read(Reason, "reasons") if r.conjunction == "because"])
            frame = dice.pick(frames(row.verbs, "event"))
            inner = be(first, AdjectivePhrase(adjective(dice.pick(row.adjectives.split()))))
        case "help":
            actor = Pronoun(pronoun(dice.pick(["I", "we"])))
            helper = subject(dice, "kin", definite=True)
            if isinstance(helper, Pronoun) and helper.entry.person[0] == "1":
                return condition(dice)
            helping = dice.pick(frames("help invite call visit"))
            inner = clause(dice, helping, actor=helper, mood="state", extras=0.0, negation=0.0)
            inner.object = Pronoun(actor.entry)
    if not matches(frame.subject, "person adult young"):
        return condition(dice)
    main = clause(dice, frame, actor=actor, mood=mood, extras=0.4, negation=0.08)
    main.time = None
    if main.modal and main.modal.name in ("want to", "would like to"):
        main.modal = modal("can")
    if main.modal and main.modal.name == "have to" and kind in ("have", "weather"):
        main.modal = modal("can")
    return joined(dice, main, Subordinate(*IF, inner), 0.6)


def when(dice: Dice) -> Sentence:
    """ "When she arrived at the station, she called her mother." """
    first, again = agent(dice)
    if dice.chance(0.15) and person_of(first) == "3s":
        inner = be(first, NounPhrase(noun("child"), determiner=determiner("a")), past=True)
    else:
        names = "arrive come/back see find hear"
        inner = clause(
            dice,
            dice.pick(frames(names)),
            actor=first,
            mood="past",
            extras=0.0,
            negation=0.0,
            definite=True,
        )
    inner.time = None
    main = past_clause(dice, again, other=inner)
    return joined(dice, main, Subordinate("when", "als", inner), 0.6)


def past_clause(
    dice: Dice, actor: Nominal | None = None, extras: float = 0.4, other: Clause | None = None
) -> Clause:
    """An event somebody finished, with another verb than ``other``."""
    while True:
        frame = dice.pick(frames("", "event"))
        who = actor or subject(dice, frame.subject, definite=True)
        again = other is not None and other.verb.english == frame.verb
        if not again and not unmarked_past(frame.verb, who):
            node = clause(dice, frame, actor=who, mood="past", extras=extras, negation=0.0)
            node.time = None
            return node


LASTING = (
    "cook bake read write look watch carry wash clean tidy/up draw paint repair learn work swim "
    "shop wait talk sleep play sing dance feed plant prepare unpack translate correct eat drink"
)


def while_(dice: Dice) -> Sentence:
    """Two people, two activities at the same time."""
    first, second = activities(dice)
    return joined(dice, second, Subordinate("while", "während", first), 0.5)


def activities(dice: Dice) -> tuple[Clause, Clause]:
    """What two different people do, one of them at least with a name or a noun."""
    first, second = activity(dice), activity(dice)
    while isinstance(second.subject, Pronoun) or second.verb == first.verb:
        second = activity(dice)
    return first, second


def activity(dice: Dice) -> Clause:
    frame = dice.pick(frames(LASTING, "event"))
    actor = subject(dice, frame.subject, definite=True)
    node = clause(dice, frame, actor=actor, mood="progressive", extras=0.3, negation=0.0)
    node.time = None
    return node


def before(dice: Dice) -> Sentence:
    """ "Before he went to the school, he fed the cat." """
    first, again = agent(dice)
    frame = dice.pick(frames(MOVING, "event point", "person adult"))
    inner = clause(dice, frame, actor=first, mood="past", extras=0.0, negation=0.0)
    inner.time = inner.manner = None
    return joined(
        dice, past_clause(dice, again, other=inner), Subordinate("before", "bevor", inner), 0.4
    )


def after(dice: Dice) -> Sentence:
    """The pluperfect: "After she had eaten the soup, she went home." """
    first, again = agent(dice)
    inner = past_clause(dice, first, extras=0.0)
    inner.tense = "pluperfect"
    main = past_clause(dice, again, other=inner)
    if dice.chance(0.3):
        main = Clause(verb(dice.pick(["go", "drive"])), again, tense="past")
        main.direction = Adverb(adverb("home"))
    return joined(dice, main, Subordinate("after", "nachdem", inner), 0.7)


def content(dice: Dice) -> Clause:
    """A clause that somebody may believe, say or ask about."""
    frame = dice.pick(frames("", "", "person adult young animal transit"))
    moods: list[Mood] = ["past", "future", "modal"]
    moods.append("state" if frame.aspect == "state" else "progressive")
    mood = dice.pick(moods)
    if frame.aspect == "state":
        mood = "state"
    if frame.aspect == "point" or not matches(frame.subject, "person adult young animal"):
        mood = dice.pick(["past", "future"])
    actor = subject(dice, frame.subject, definite=True)
    if mood == "past" and unmarked_past(frame.verb, actor):
        mood = "future"
    return clause(dice, frame, actor=actor, mood=mood, extras=0.5, definite=True)


def that(dice: Dice) -> Sentence:
    """ "I believe that ..." """
    main = Clause(
        verb(dice.pick(["say", "believe", "hope", "know"])),
        subject(dice, "adult kin", definite=True),
    )
    inner = content(dice)
    if dice.chance(0.2):
        actor = subject(dice, "kin job", definite=True)
        moods = ["happy", "sad", "tired", "ill", "hungry", "angry", "nervous", "rich", "clever"]
        inner = be(actor, AdjectivePhrase(adjective(dice.pick(moods))), dice.chance(0.3))
    if inner.modal and main.verb.english == "hope":
        main.verb = verb("believe")
    main.complement = Subordinate(*THAT, inner)
    return Sentence(main)


def indirect_question(dice: Dice) -> Sentence:
    """ "Do you know where she lives?", "He asks whether ..." """
    inner = content(dice)
    inner.negated = False
    conjunction = WHETHER
    word = dice.weighted({"whether": 2.0, "why": 1.0, "when": 1.0})
    if word == "when" and inner.tense in ("past", "future"):
        inner.time = None
        inner.question, inner.front, conjunction = Adverb(adverb("when")), "question", ("", "")
    elif word == "why":
        inner.question, inner.front, conjunction = Adverb(adverb("why")), "question", ("", "")
    link = Subordinate(*conjunction, inner)
    if dice.chance(0.35):
        you = Pronoun(pronoun("you"))
        return Sentence(Clause(verb("know"), you, complement=link), "question")
    main = Clause(verb("know"), subject(dice, "adult kin", definite=True), negated=True)
    if dice.chance(0.4):
        main.verb, main.negated = verb("ask"), False
    main.complement = link
    return Sentence(main)


def silent(dice: Dice, name: str, actor: Nominal, objects: str = "-") -> Clause:
    """An infinitive clause without a subject of its own."""
    frame = dice.pick(frames(name))
    node = clause(dice, frame, actor=actor, mood="past", extras=0.0, negation=0.0)
    node.silent_subject, node.time, node.tense = True, None, "present"
    if objects != "-" and isinstance(node.object, NounPhrase):
        node.object = noun_phrase(dice, objects, owner=actor)
    return node


def infinitive(dice: Dice) -> Sentence:
    """ "tried to open the door" """
    row = dice.pick(read(Infinitive, "infinitives"))
    actor = subject(dice, "adult kin", definite=True)
    main = Clause(verb(row.verb), actor)
    mood = cast(Mood, dice.pick(row.moods.split()))
    set_mood(dice, main, mood)
    main.complement = Subordinate("to", "", silent(dice, dice.pick(row.inner.split()), actor))
    return Sentence(main)
