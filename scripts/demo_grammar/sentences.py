"""Choosing whole sentences: one function per construction, a table of how often each."""

from collections.abc import Callable

from . import coordination, relatives, subordination
from .clauses import any_frame, clause, frames
from .copulas import age, appointment, comparison, cost, description, existential, weather
from .dice import Dice
from .lexicon import Frame, adverb, determiner, pronoun
from .phrases import has
from .tree import Adverb, Clause, NounPhrase, Pronoun, Sentence

Construction = Callable[[Dice], Sentence]


def statement(dice: Dice) -> Sentence:
    return Sentence(clause(dice, any_frame(dice)))


def negation(dice: Dice) -> Sentence:
    return Sentence(clause(dice, any_frame(dice), negation=0.8, definite=True))


def fronted(dice: Dice) -> Sentence:
    """Time or place at the start; German puts the verb second all the same."""
    while True:
        node = clause(dice, any_frame(dice), extras=2.0)
        if node.time and not (node.frequency or node.time.entry.english == "now"):
            node.front = "time"
        elif node.place and not node.negated and node.verb.english not in ("live", "stay"):
            node.front = "place"
        if node.front:
            return Sentence(node)


def yes_no(dice: Dice) -> Sentence:
    node = asked(dice, any_frame(dice))
    ask_often(node)
    return Sentence(node, "question")


def asked(dice: Dice, frame: Frame, extras: float = 1.0) -> Clause:
    """A clause one may ask about; few people ask what they do themselves."""
    while True:
        node = clause(dice, frame, negation=0.0, definite=True, extras=extras)
        if not (isinstance(node.subject, Pronoun) and node.subject.entry.person[0] == "1"):
            return node


def ask_often(node: Clause) -> None:
    """Nobody asks what somebody rarely does."""
    if node.frequency and "habit" in node.frequency.entry.tenses:
        node.frequency = Adverb(adverb("often"))


def who(dice: Dice) -> Sentence:
    actor = Pronoun(pronoun("who"))
    node = clause(dice, dice.pick(frames()), actor=actor, negation=0.0)
    node.front = "subject"
    return Sentence(node, "question")


def asked_object(dice: Dice) -> Sentence:
    """ "what", "who", "which book" or "how many books" as the object."""
    while True:
        frame = dice.pick(frames())
        if not frame.object.startswith(("acc", "dat")):
            continue
        node = asked(dice, frame, 0.5)
        thing = isinstance(node.object, NounPhrase) and not has(node.object, "person")
        if thing and asked_thing(dice, node, frame):
            break
        if not thing and "person" not in frame.recipient:
            node.object = Pronoun(pronoun("who"))
            break
    node.front = "object"
    ask_often(node)
    return Sentence(node, "question")


def asked_thing(dice: Dice, node: Clause, frame: Frame) -> bool:
    """Ask for the object; says whether that was possible."""
    assert isinstance(node.object, NounPhrase)
    noun = node.object.noun
    if noun.plural == "-" or dice.chance(0.4):
        node.object = Pronoun(pronoun("what"))
        return node.object_case == "accusative" and frame.verb not in ("hate", "speak")
    if dice.chance(0.5):
        node.object = NounPhrase(noun, plural=True, how_many=True)
    else:
        node.object = NounPhrase(noun, determiner=determiner("which"))
    return True


def asked_adverbial(dice: Dice) -> Sentence:
    """where, when or why"""
    word = dice.pick(["where", "when", "why"])
    while True:
        frame = any_frame(dice)
        node = asked(dice, frame, 0.3)
        if word == "where" and (frame.where[0] in "-><" or node.direction or node.time):
            continue
        if word == "when" and (node.tense not in ("past", "future") or node.frequency):
            continue
        break
    if word == "where":
        node.place = None
    if word == "when":
        node.time = None
    node.question = Adverb(adverb(word))
    node.front = "question"
    ask_often(node)
    return Sentence(node, "question")


COMMANDS = (
    "buy cook bake read write look/at open close turn/on turn/off carry put lay hang put/on try/on "
    "wash clean tidy/up draw repair use take bring hide cut throw throw/away feed learn visit "
    "invite pick/up call wake/up ask greet answer help thank follow listen give give/back show "
    "send lend tell offer explain sing dance work wait get/up go come stay get plan prepare cancel "
    "unpack fill/out correct translate order"
)


def imperative(dice: Dice) -> Sentence:
    """A command to one friend."""
    while True:
        frame = dice.pick(frames(COMMANDS, "event"))
        you = Pronoun(pronoun("you"))
        node = clause(
            dice,
            frame,
            actor=you,
            mood="past",
            negation=0.15,
            extras=0.6,
            definite=dice.chance(0.8),
        )
        node.silent_subject, node.time = True, None
        if node.manner and node.manner.entry.english == "late":
            continue
        if not any(isinstance(n, NounPhrase) and n.owner for n in (node.object, node.recipient)):
            return Sentence(node, "imperative", please=dice.chance(0.5) and not node.negated)


CONSTRUCTIONS: dict[Construction, float] = {
    statement: 20,
    fronted: 9,
    negation: 4,
    yes_no: 6,
    who: 2,
    asked_object: 4,
    asked_adverbial: 3,
    imperative: 4,
    description: 7,
    comparison: 3,
    age: 1.6,
    cost: 1.4,
    appointment: 2,
    existential: 2.5,
    weather: 2,
    subordination.reason: 3.5,
    subordination.judgement: 4,
    subordination.condition: 4,
    subordination.when: 4,
    subordination.while_: 3,
    subordination.before: 2.5,
    subordination.after: 2.5,
    subordination.that: 6,
    subordination.indirect_question: 4,
    subordination.infinitive: 3,
    coordination.purpose: 3,
    relatives.relative: 9,
    relatives.whose: 2,
    relatives.relative_phrase: 2.5,
    coordination.sequence: 3,
    coordination.contrast: 3.5,
    coordination.parallel: 2.5,
}


def derive(dice: Dice) -> Sentence:
    """A random sentence, labelled with its construction."""
    construction = dice.weighted(CONSTRUCTIONS)
    result = construction(dice)
    result.label = construction.__name__.rstrip("_")
    return result
