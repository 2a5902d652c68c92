"""German morphology: endings of articles, adjectives, nouns and verbs."""

import re

from .lexicon import Adjective, Irregular, Noun, Verb, read
from .tree import Case

CASES: tuple[Case, ...] = ("nominative", "accusative", "dative", "genitive")
STRONG = {  # of "dieser", by gender; p is the plural of all genders
    "m": dict(zip(CASES, ("er", "en", "em", "es"), strict=True)),
    "f": dict(zip(CASES, ("e", "e", "er", "er"), strict=True)),
    "n": dict(zip(CASES, ("es", "es", "em", "es"), strict=True)),
    "p": dict(zip(CASES, ("e", "e", "en", "er"), strict=True)),
}
ARTICLES = {
    "m": dict(zip(CASES, ("der", "den", "dem", "des"), strict=True)),
    "f": dict(zip(CASES, ("die", "die", "der", "der"), strict=True)),
    "n": dict(zip(CASES, ("das", "das", "dem", "des"), strict=True)),
    "p": dict(zip(CASES, ("die", "die", "den", "der"), strict=True)),
}
CONTRACTIONS = {
    ("in", "dem"): "im",
    ("an", "dem"): "am",
    ("bei", "dem"): "beim",
    ("von", "dem"): "vom",
    ("zu", "dem"): "zum",
    ("zu", "der"): "zur",
    ("in", "das"): "ins",
    ("an", "das"): "ans",
}
PERSONS = {"1s": "ich", "2s": "du", "3s": "er", "1p": "wir", "3p": "wir"}


def determiner_ending(declension: str, gender: str, case: Case) -> str:
    """What follows the stem of "dies-" (der) or "ein-" (ein)."""
    bare = gender == "n" if case == "accusative" else gender in "mn"
    if declension == "ein" and bare and case in ("nominative", "accusative"):
        return ""
    return STRONG[gender][case]


def adjective_ending(declension: str, gender: str, case: Case) -> str:
    """Strong where no article shows the case, weak behind one, mixed behind "ein"."""
    if declension == "strong" or (
        declension == "ein" and not determiner_ending("ein", gender, case)
    ):
        # A genitive shows its case on the noun: "kalten Wassers".
        return "en" if case == "genitive" and gender in "mn" else STRONG[gender][case]
    singular = gender != "p" and (case == "nominative" or (case == "accusative" and gender != "m"))
    return "e" if singular else "en"


def adjective(entry: Adjective, superlative: bool, ending: str) -> str:
    return (entry.german_superlative if superlative else entry.stem) + ending


def noun(entry: Noun, plural: bool, case: Case) -> str:
    if plural:
        form = entry.german_plural
        return form + "n" if case == "dative" and form[-1] not in "ns" else form
    if case == "genitive":
        return entry.genitive
    # A masculine whose genitive ends in -n is weak: der Junge, den Jungen.
    weak = entry.gender == "m" and entry.genitive.endswith("n")
    return entry.genitive if weak and case != "nominative" else entry.german


def split(verb: Verb) -> tuple[str, str]:
    """The separable prefix, or nothing, and the rest of the infinitive."""
    prefix, _, base = verb.german.rpartition("|")
    return prefix, base


def infinitive(verb: Verb, zu: bool = False) -> str:
    prefix, base = split(verb)
    return f"{prefix}zu{base}" if zu and prefix else prefix + base


def participle(verb: Verb) -> str:
    return split(verb)[0] + verb.german_participle


def irregular(base: str, tense: str) -> Irregular | None:
    rows = read(Irregular, "irregular")
    return next((row for row in rows if (row.verb, row.tense) == (base, tense)), None)


def finite(base: str, changed: str, tense: str, person: str) -> str:
    """A finite form without its prefix; ``changed`` is the stem of du and er, or "-"."""
    row = irregular(base, tense)
    if row:
        return str(getattr(row, PERSONS[person]))
    if tense != "present":
        raise ValueError(f"irregular.tsv has no {tense} of {base!r}")
    if person in ("1p", "3p"):
        return base
    stem = _stem(base)
    if person == "1s":
        return re.sub("el$", "l", stem) + "e"
    if changed != "-":
        stem = changed
    elif _needs_e(stem):
        stem += "e"
    return stem + ("t" if person == "3s" or stem[-1] in "sßzx" else "st")


def imperative(verb: Verb) -> str:
    """The command to one friend, without the prefix: "Öffne", "Gib", "Mache ... zu"."""
    _, base = split(verb)
    stem = _stem(base)
    if verb.stem != "-" and not set("äö") & set(verb.stem):
        return verb.stem
    if base.endswith(("eln", "ern")):
        return re.sub("el$", "l", stem) + "e"
    strong = verb.german_participle.endswith("en")
    return stem if strong and not _needs_e(stem) else stem + "e"


def _stem(base: str) -> str:
    return base[:-1] if base.endswith(("eln", "ern")) else base[:-2]


def _needs_e(stem: str) -> bool:
    """Whether -t would be hard to say: arbeit-e-t, öffn-e-t, but lern-t and renn-t."""
    return bool(re.search(r"([dt]|(ch|[^aeiouäöürlhmn])[mn])$", stem))
