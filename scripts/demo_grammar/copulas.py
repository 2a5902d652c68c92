"""Sentences around be: descriptions, comparisons, ages, prices, "there is", the weather."""

from .dice import Dice
from .lexicon import (
    Adjective,
    Noun,
    adjective,
    adjectives_for,
    adverb,
    determiner,
    noun,
    pronoun,
    read,
    verb,
)
from .phrases import filled, has, location, noun_phrase, numeral, subject, time
from .tree import AdjectivePhrase, Adverb, Clause, Nominal, NounPhrase, Phrase, Pronoun, Sentence

# What two things may be compared as, with what they are compared by.
COMPARED = (
    "kin job",
    "pet livestock wild",
    "vehicle",
    "clothes",
    "fruit",
    "text",
    "home",
    "furniture",
)


def be(actor: Nominal, predicate: AdjectivePhrase | NounPhrase, past: bool = False) -> Clause:
    tense = "past" if past else "present"
    return Clause(verb("be"), actor, tense=tense, predicate=predicate)  # type: ignore[arg-type]


def described(dice: Dice, wanted: str) -> NounPhrase:
    """A definite noun phrase without adjectives, of which something can be said."""
    while True:
        phrase = noun_phrase(dice, wanted, definite=True)
        phrase.adjectives = []
        if phrase.determiner or phrase.owner:
            return phrase


def quality(dice: Dice, entry: Noun) -> AdjectivePhrase:
    """Any adjective that fits, now and then with "very" or "too"."""
    phrase = AdjectivePhrase(dice.pick(adjectives_for(entry)))
    if phrase.adjective.comparative != "-" and phrase.adjective.group not in ("colour", "state"):
        phrase.intensifier = dice.weighted({"": 6.0, "very": 2.0})
        if phrase.adjective.group == "size" and dice.chance(0.3):
            phrase.intensifier = "too"
    return phrase


def description(dice: Dice) -> Sentence:
    """ "The soup is very hot.", "Is your sister ill?" """
    # Starting from the adjective gives the rare ones their share.
    chosen = dice.pick([a for a in read(Adjective, "adjectives") if a.group != "mood"])
    actor = described(dice, chosen.tags)
    phrase = quality(dice, actor.noun)
    if dice.chance(0.7):
        phrase = AdjectivePhrase(chosen)
    node = be(actor, phrase, past=dice.chance(0.3))
    node.negated = dice.chance(0.15)
    if dice.chance(0.3):
        return mood_of_person(dice)
    return Sentence(node, "question" if not node.negated and dice.chance(0.15) else "statement")


def mood_of_person(dice: Dice) -> Sentence:
    actor = subject(dice, "person kin job", definite=True)
    moods = [a for a in read(Adjective, "adjectives") if a.group == "mood"]
    phrase = AdjectivePhrase(dice.pick(moods))
    phrase.intensifier = "very" if dice.chance(0.2) else ""
    past = dice.chance(0.4)
    node = be(actor, phrase, past)
    node.negated = dice.chance(0.15)
    if dice.chance(0.3):
        node.time = time(dice, "past" if past else "progressive")
    return Sentence(node, "question" if not node.negated and dice.chance(0.15) else "statement")


def comparison(dice: Dice) -> Sentence:
    """ "older than", "as old as" """
    while True:
        wanted = dice.pick(COMPARED)
        first, second = described(dice, wanted), described(dice, wanted)
        if first.plural != second.plural or (first.noun == second.noun):
            continue
        options = [
            a
            for a in adjectives_for(first.noun)
            if a in adjectives_for(second.noun)
            and a.group in ("age", "size", "quality")
            and a.comparative != "-"
        ]
        if options:
            break
    degree = dice.weighted({"comparative": 3.0, "equative": 1.0})
    second.possessor = first.possessor = None
    phrase = AdjectivePhrase(dice.pick(options), degree=degree, than=second)  # type: ignore[arg-type]
    return Sentence(be(first, phrase))


def age(dice: Dice) -> Sentence:
    """ "twenty-one years old" """
    actor: Nominal = described(dice, "church tower castle bridge house theatre tree")
    if dice.chance(0.7):
        actor = subject(dice, "kin job", definite=True)
    slot = "grown"
    if has(actor, "young"):
        slot = "hour"
    elif has(actor, "parent building plant"):
        slot = "old"
    phrase = AdjectivePhrase(adjective("old"), age=numeral(dice, slot))
    return Sentence(be(actor, phrase))


def appointment(dice: Dice) -> Sentence:
    """ "The concert is on Monday.", "My birthday is in May." """
    actor = described(dice, "timed celebrated")
    actor.plural = False
    if has(actor, "birthday"):
        actor.determiner = determiner(dice.pick(["my", "his", "her", "your"]))
    choices = {"in {month}": 4.0, "on {day}": 1.0, "at {hour} o'clock": 1.5, "tomorrow": 0.3}
    if has(actor, "birthday"):
        choices = {"in {month}": 4.0, "on {day}": 1.0, "in {season}": 2.0}
    node = Clause(verb("be"), actor)
    node.time = Adverb(filled(dice, adverb(dice.weighted(choices))))
    return Sentence(node, "question" if dice.chance(0.15) else "statement")


def cost(dice: Dice) -> Sentence:
    actor = described(dice, "clothes good furniture")
    actor.possessor = actor.owner = None
    price = NounPhrase(noun("euro"), plural=True, numeral=numeral(dice, "many"))
    node = Clause(verb("cost"), actor, object=price)
    return Sentence(node, "question" if dice.chance(0.15) else "statement")


def existential(dice: Dice) -> Sentence:
    """ "There is a bottle on the table.", "In the village there is no ..." is left out."""
    while True:
        wanted, kinds = dice.pick(
            [
                ("standing", "top inside"),
                ("lying", "top inside"),
                ("building:public building:sight", "settlement"),
                ("standing furniture", "home"),
                ("bird livestock", "animals"),
                ("wild", "zoo"),
                ("plant", "plants"),
            ]
        )
        thing = noun_phrase(dice, wanted)
        place = location(dice, kinds, "!")
        assert isinstance(place, Phrase)
        definite = thing.determiner and thing.determiner.name not in ("a", "many", "some")
        if not definite and not thing.owner and not has(place.nominal, thing.noun.english):
            break
    if isinstance(place.nominal, NounPhrase):
        place.nominal.determiner = determiner("the")
    node = Clause(verb("be"), None, existential=True, object=thing, place=place)
    node.tense = "past" if dice.chance(0.2) else "present"
    kind = "question" if dice.chance(0.15) else "statement"
    plain = thing.determiner is not None and thing.determiner.name == "a"
    if kind == "statement" and plain and dice.chance(0.2):
        thing.determiner = determiner("no")
    return Sentence(node, kind)  # type: ignore[arg-type]


def weather(dice: Dice) -> Sentence:
    """Rain, snow, and "the weather"."""
    mood = dice.pick(["progressive", "past", "future"])
    when = time(dice, mood, "time long") if dice.chance(0.6) else None
    if dice.chance(0.4):
        actor = NounPhrase(noun("weather"), determiner=determiner("the"))
        words = ["beautiful", "cold", "warm"]
        node = be(actor, AdjectivePhrase(adjective(dice.pick(words))), mood == "past")
        if mood == "future":
            node.tense = "future"
    else:
        node = rain(dice)
        node.tense = mood  # type: ignore[assignment]
    node.time = when
    if when and dice.chance(0.3) and when.entry.english != "now":
        node.front = "time"
    node.negated = dice.chance(0.15)
    return Sentence(node)


def rain(dice: Dice) -> Clause:
    return Clause(verb(dice.pick(["rain", "snow"])), Pronoun(pronoun("it.n")))
