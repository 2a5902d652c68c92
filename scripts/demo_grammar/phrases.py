"""Choosing noun phrases, prepositional phrases and adverbs that make sense where they stand."""

from .dice import Dice
from .lexicon import (
    AdverbEntry,
    Filler,
    NameEntry,
    Noun,
    Place,
    PronounEntry,
    Spot,
    adjectives_for,
    determiner,
    matches,
    noun,
    nouns,
    pronoun,
    read,
    tags,
)
from .tree import (
    AdjectivePhrase,
    Adverb,
    Case,
    Name,
    Nominal,
    NounPhrase,
    Numeral,
    Phrase,
    Pronoun,
    RelativePronoun,
    person_of,
)

POSSESSIVES = {"1s": "my", "2s": "your", "1p": "our", "3p": "their"}
# A template with twelve months in it needs more than one share.
SHARES = {"{month}": 8.0, "{season}": 2.5, "{day}": 3.0, "{hour}": 3.0, "{few}": 1.5}
BARE = "food drink language game sound resource"


def mass(entry: Noun) -> bool:
    return entry.plural == "-"


def has(node: Nominal, wanted: str) -> bool:
    if isinstance(node, RelativePronoun):
        node = node.head
    return isinstance(node, NounPhrase) and matches(tags(node.noun), wanted)


def pronoun_for(node: Nominal) -> PronounEntry | None:
    """The pronoun that takes up a person, where both languages agree on it."""
    if isinstance(node, Pronoun):
        return node.entry if node.entry.name in ["I", "you", "he", "she", "we", "they"] else None
    if isinstance(node, RelativePronoun):
        node = node.head
    if isinstance(node, Name):
        return pronoun("he" if node.entry.kind == "male" else "she")
    if not has(node, "person"):
        return None
    if person_of(node) == "3p":
        return pronoun("they")
    if has(node, "male") or has(node, "female"):
        return pronoun("he" if has(node, "male") else "she")
    return None  # das Mädchen is "es" to grammar and "sie" to most people


def thing_pronoun(node: NounPhrase) -> PronounEntry:
    """ "it", with the gender of the German noun, or "they"."""
    return pronoun("they" if node.plural else f"it.{node.noun.gender}")


def possessive(node: Nominal | None) -> str | None:
    """The determiner that refers back to ``node``."""
    taken_up = pronoun_for(node) if node else None
    if taken_up is None:
        return None
    own = {"he": "his", "she": "her"}
    return own.get(taken_up.name) or POSSESSIVES[taken_up.person]


def adjectives(dice: Dice, entry: Noun, often: float = 0.3) -> list[AdjectivePhrase]:
    """None, one, or two of which the second is a colour."""
    fitting = [a for a in adjectives_for(entry) if a.group != "mood"]
    if not fitting or not dice.chance(often):
        return []
    first = AdjectivePhrase(dice.pick(fitting))
    if dice.chance(0.08) and first.adjective.group in ("size", "quality"):
        first.intensifier = "very"
    colours = [a for a in fitting if a.group == "colour"]
    if colours and first.adjective.group in ("size", "age", "quality") and dice.chance(0.25):
        return [first, AdjectivePhrase(dice.pick(colours))]
    return [first]


def numeral(dice: Dice, slot: str) -> Numeral:
    entry = dice.pick([f for f in read(Filler, "fillers") if f.slot == slot])
    return Numeral(entry.english, entry.german)


def noun_phrase(
    dice: Dice,
    wanted: str,
    *,
    owner: Nominal | None = None,
    definite: bool = False,
    plain: bool = False,
) -> NounPhrase:
    """A noun with a tag of ``wanted``; ``owner`` may possess it.

    ``definite`` keeps out "a", "some" and the like; ``plain`` numbers, too: what a negation or
    a question can hold without becoming ambiguous.
    """
    entry = dice.pick(nouns(wanted))
    own = possessive(owner)
    if matches(entry.tags, "person") and not matches(entry.tags, "kin"):
        own = None
    if mass(entry):
        bare = matches(entry.tags, BARE) and not (definite and matches(entry.tags, "food drink"))
        without = bare and dice.chance(0.85 if matches(entry.tags, "food drink") else 1.0)
        phrase = NounPhrase(entry, determiner=None if without else determiner("the"))
        if matches(entry.tags, "food drink meal"):
            phrase.adjectives = adjectives(dice, entry, 0.2)
        return phrase
    if matches(entry.tags, "kin"):
        if owner and has(owner, "young") and matches(entry.english, "son daughter"):
            entry = noun("friend")
        return kin(dice, entry, own)
    phrase = NounPhrase(entry, adjectives=adjectives(dice, entry))
    phrase.plural = matches(entry.tags, "pair") or dice.chance(0.18)
    personal = matches(entry.tags, "personal clothes") and own is not None
    indefinite = 0.0 if definite else 1.2 if phrase.plural else 3.0
    weights = {"the": 4.0, "a": indefinite, "this": 0.4}
    weights["own"] = 0.0 if own is None else 3.0 if personal else 0.6
    if not definite and not plain:
        weights["number"] = 1.0 if phrase.plural and not matches(entry.tags, "pair") else 0.0
        weights["many"] = weights["some"] = 0.4 if phrase.plural else 0.0
    choice = dice.weighted(weights)
    if choice == "number":
        phrase.numeral = numeral(dice, "few")
    elif choice == "own" and own:
        phrase.determiner = determiner(own)
    elif not (choice == "a" and phrase.plural):
        phrase.determiner = determiner(choice)
    decorate(dice, phrase)
    return phrase


def decorate(dice: Dice, phrase: NounPhrase) -> None:
    """Turn some definite phrases to superlatives, or give them a possessor."""
    if phrase.determiner is None or phrase.determiner.name != "the" or phrase.plural:
        return
    first = phrase.adjectives[:1]
    if len(phrase.adjectives) == 1 and first[0].adjective.superlative != "-":
        colour = first[0].adjective.group in ("colour", "state")
        if not colour and not first[0].intensifier and dice.chance(0.12):
            first[0].degree = "superlative"
            return
    if matches(phrase.noun.tags, "pet vehicle:good home clothes luggage") and dice.chance(0.22):
        owner = dice.weighted({"job adult:male:person": 3.0, "kin": 1.0})
        phrase.possessor = noun_phrase(dice, owner, definite=True)
        phrase.possessor.possessor = None


def kin(dice: Dice, entry: Noun, own: str | None) -> NounPhrase:
    """Relatives belong to somebody: "my brother", "Anna's brother"."""
    phrase = NounPhrase(entry, plural=dice.chance(0.15) and not matches(entry.tags, "parent"))
    if dice.chance(0.15):
        phrase.owner = Name(name(dice))
        return phrase
    others = {"my": 3.0, "your": 0.4, "his": 1.5, "her": 1.5, "our": 1.5, "their": 0.8}
    phrase.determiner = determiner(own if own and dice.chance(0.7) else dice.weighted(others))
    phrase.adjectives = adjectives(dice, entry, 0.1)
    return phrase


def name(dice: Dice) -> NameEntry:
    return dice.pick([n for n in read(NameEntry, "names") if n.kind != "land"])


def subject(dice: Dice, wanted: str, *, definite: bool = False, named: bool = True) -> Nominal:
    """Who acts: a pronoun, a name, or a noun phrase."""
    if matches(wanted, "person adult"):
        kind = dice.weighted({"pronoun": 0.3, "name": 0.2, "phrase": 0.5, "any": 0.03})
        if kind == "pronoun":
            weights = {"I": 3.0, "you": 0.7, "he": 2.0, "she": 2.0, "we": 2.0, "they": 1.2}
            return Pronoun(pronoun(dice.weighted(weights)))
        if kind == "name" and named:
            return Name(name(dice))
        if kind == "any" and not definite:
            return Pronoun(pronoun(dice.pick(["somebody", "nobody", "everyone"])))
    phrase = noun_phrase(dice, wanted, definite=definite or dice.chance(0.85))
    if not definite and not phrase.plural and dice.chance(0.03) and has(phrase, "job young"):
        phrase.determiner = determiner("every")
        phrase.possessor, phrase.owner, phrase.adjectives = None, None, []
    return phrase


def other_person(dice: Dice, wanted: str, actor: Nominal | None, definite: bool) -> Nominal:
    """Whom an action concerns: a pronoun other than the actor's, a name, or a noun phrase."""
    taken = person_of(actor)
    kind = dice.weighted({"pronoun": 0.2, "name": 0.15, "phrase": 0.65})
    if kind == "pronoun":
        weights = {"I": 2.0, "you": 0.6, "he": 2.0, "she": 2.0, "we": 1.0, "they": 1.0}
        chosen = pronoun(dice.weighted(weights))
        if chosen.person[0] == "3" or chosen.person[0] != taken[0]:
            return Pronoun(chosen)
    if kind == "name" and not isinstance(actor, Name):
        return Name(name(dice))
    return noun_phrase(dice, wanted, owner=actor, definite=definite)


def location(dice: Dice, kinds: str, goal: str, owner: Nominal | None = None) -> Phrase | Adverb:
    """A place of one of ``kinds``; ``goal`` is "!" (where), ">" (where to) or "<" (from where)."""
    options: list[Place | Spot | NameEntry] = []
    options += [
        p for p in read(Place, "places") if matches(f"{p.kinds} {p.noun.replace(' ', '_')}", kinds)
    ]
    options += [s for s in read(Spot, "spots") if matches(s.kinds, kinds)]
    if "land" in kinds.split():
        options += [n for n in read(NameEntry, "names") if n.kind == "land"]
    chosen = dice.pick(options)
    if isinstance(chosen, NameEntry):
        spoken = {"!": ("in", "in"), ">": ("to", "nach"), "<": ("from", "aus")}[goal]
        return Phrase(*spoken, "dative", Name(chosen))
    entry = noun(chosen.noun)
    phrase = NounPhrase(entry, determiner=determiner("the"))
    own = possessive(owner)
    if own and dice.chance(0.12) and matches(chosen.noun, "garden office house flat desk bag bed"):
        phrase.determiner = determiner(own)
    if dice.chance(0.12):
        phrase.adjectives = adjectives(dice, entry, 1.0)
    if isinstance(chosen, Spot):
        case: Case = "accusative" if goal == ">" else "dative"
        return Phrase(chosen.english, chosen.german, case, phrase)
    if goal == "<":
        return Phrase("from", chosen.german_from, "dative", phrase)
    if goal == "!":
        if matches(chosen.kinds, "living") and dice.chance(0.3):
            phrase.determiner = determiner("a")
        return Phrase(chosen.where, chosen.german_where, "dative", phrase)
    case = "dative" if chosen.german_to == "zu" else "accusative"
    return Phrase(chosen.to, chosen.german_to, case, phrase)


def time(dice: Dice, tense: str, kinds: str = "time") -> Adverb:
    """An expression of time that goes with ``tense``, its number or day filled in.

    ``kinds`` adds "hour" and "long" where the action has an hour, or takes months.
    """
    entries = read(AdverbEntry, "adverbs")
    kind = dice.pick(kinds.split())
    fitting = [a for a in entries if a.kind == kind and tense in a.tenses.split()]
    if not fitting:
        return time(dice, tense)
    weights: dict[AdverbEntry, float] = {}
    for a in fitting:
        weights[a] = next((share for slot, share in SHARES.items() if slot in a.english), 1.0)
    entry = dice.weighted(weights)
    return Adverb(filled(dice, entry))


def filled(dice: Dice, entry: AdverbEntry) -> AdverbEntry:
    start, _, rest = entry.english.partition("{")
    if not rest:
        return entry
    slot = rest.partition("}")[0]
    choice = dice.pick([f for f in read(Filler, "fillers") if f.slot == slot])
    english = entry.english.replace(f"{{{slot}}}", choice.english)
    german = entry.german.replace(f"{{{slot}}}", choice.german)
    return AdverbEntry(english, german, entry.links, entry.kind, entry.tenses)


def company(dice: Dice, actor: Nominal) -> Phrase:
    """ "with her brother"."""
    other: Nominal = Name(name(dice))
    if isinstance(actor, Name) or dice.chance(0.7):
        other = noun_phrase(dice, "kin", owner=actor)
    return Phrase("with", "mit", "dative", other)
