"""English morphology: articles, plurals, finite forms."""

import re

from .lexicon import Noun, Verb

BE = {
    "present": {"1s": "am", "2s": "are", "3s": "is", "1p": "are", "3p": "are"},
    "past": {"1s": "was", "2s": "were", "3s": "was", "1p": "were", "3p": "were"},
}


def article(following: str) -> str:
    """ "a" or "an", by the sound of the next word."""
    spoken_vowel = re.match(r"(?!uni|use|euro|one)[aeiou]|hour|honest", following.lower())
    return "an" if spoken_vowel else "a"


def third_person(base: str) -> str:
    if base == "have":
        return "has"
    if re.search("[^aeiou]y$", base):
        return base[:-1] + "ies"
    return base + ("es" if re.search("(s|sh|ch|x|z|o)$", base) else "s")


def present(base: str, person: str) -> str:
    if base == "be":
        return BE["present"][person]
    return third_person(base) if person == "3s" else base


def past(verb_past: str, person: str) -> str:
    return BE["past"][person] if verb_past == "was" else verb_past


def noun(entry: Noun, plural: bool) -> str:
    return entry.plural if plural else entry.english


def split(verb: Verb) -> tuple[str, str, bool]:
    """The verb, its particle, and whether the particle moves behind a pronoun: "pick him up"."""
    base, mark, particle = re.match(r"([a-z]+)([/ ]?)([a-z]*)$", verb.english).groups()  # type: ignore[union-attr]
    return base, particle, mark == "/"
