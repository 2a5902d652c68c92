"""Inspection of a new corpus: its first pairs, and whether it is in the languages of the config.

The script of the letters is checked, and py3langid guesses the languages. It warns only if most of
a long enough sample contradicts the config, and not about short texts, close languages or languages
that py3langid does not know.
"""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from nmt.config import DataConfig
from nmt.data.languages import Language, are_close, find_language
from nmt.data.readers import Languages, Pair

log = logging.getLogger(__name__)

SHOWN = 3  # pairs
WIDTH = 100  # characters shown of each text
SAMPLE = 1000  # pairs
LETTERS = 20_000  # number of letters whose script is looked up
FEWEST = 200  # letters needed for a judgement
FOREIGN = 0.9  # share of letters of another script that is a contradiction
PART = 200  # letters per guess: a few sentences
PARTS = (5, 60)  # the fewest and the most guesses for a judgement
SURE = 0.7  # least probability of a guess that counts
MOST = 0.8  # share of the parts that must be in other languages for a contradiction,
HALF = 0.5  # and share that must be in one other language or languages close to it

Known = tuple[Language | None, Language | None]  # those of the config, None if not in the table


class Finding(NamedTuple):
    """What the texts of one side look like, and whether they fit each language of the config."""

    looks: str
    fits: tuple[bool, bool]


class Look(NamedTuple):
    """The first pairs of a corpus, shortened, and what contradicts the languages of the config."""

    first: list[list[str]]
    warning: str | None

    def log(self) -> None:
        for number, (source, target) in enumerate(self.first, start=1):
            log.info("training pair %d: %s  ->  %s", number, source, target)
        if self.warning:
            log.warning("%s", self.warning)


def inspect(pairs: Iterator[Pair], config: DataConfig) -> Look:
    """What a look at the first pairs shows."""
    sample = list(islice(pairs, SAMPLE))
    languages = Languages(config.source_language, config.target_language)
    first = [[shown(text) for text in pair] for pair in sample[:SHOWN]]
    return Look(first, contradiction(sample, languages))


def shown(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def contradiction(pairs: Sequence[Pair], languages: Languages) -> str | None:
    """One sentence that says which side is not in the language of the config."""
    known = (find_language(languages.source), find_language(languages.target))
    sides = [[source for source, _ in pairs], [target for _, target in pairs]]
    cut = [list(islice(parts(texts), PARTS[1])) for texts in sides]
    is_long = any(known) and min(map(len, cut)) >= PARTS[0]
    guesser = load_guesser() if is_long else None
    source, target = (
        find(texts, some, known, guesser) for texts, some in zip(sides, cut, strict=True)
    )
    looks = (f"the source looks like {source.looks}", f"the target looks like {target.looks}")
    wrong = [not source.fits[0], not target.fits[1]]
    if not any(wrong):
        return None
    advice = "check data.source_language, data.target_language and data.columns"
    findings = " and ".join(text for text, is_wrong in zip(looks, wrong, strict=True) if is_wrong)
    swapped = all(wrong) and source.fits[1] and target.fits[0]
    start = "source and target seem to be swapped: " if swapped else ""
    return f"{start}{findings}, but {languages}; {advice}"


def find(texts: Sequence[str], cut: Sequence[str], known: Known, guesser: Any) -> Finding:
    scripts = letters_by_script(texts)
    guesses = guess(cut, guesser)
    fits = [
        script_fits(scripts, language) and guess_fits(guesses, language, guesser)
        for language in known
    ]
    first, times = guesses.most_common(1)[0] if guesses else ("", 0)
    language = find_language(first) if times > HALF * guesses.total() else None
    script = max(scripts, key=lambda name: scripts[name], default="no")
    looks = language.name if language else f"text in {script.capitalize()} letters"
    return Finding(looks, (fits[0], fits[1]))


def letters_by_script(texts: Sequence[str]) -> Counter[str]:
    """How often each script of Unicode occurs, such as LATIN or CJK."""
    characters = (character for text in texts for character in text if character.isalpha())
    names = (unicodedata.name(character, "") for character in islice(characters, LETTERS))
    return Counter(name.partition(" ")[0] for name in names if name)


def script_fits(scripts: Counter[str], language: Language | None) -> bool:
    total = scripts.total()
    if language is None or total < FEWEST:
        return True
    return sum(scripts[script] for script in language.scripts) > (1 - FOREIGN) * total


def guess(cut: Sequence[str], guesser: Any) -> Counter[str]:
    """The languages of parts of a text; "" for a part without a clear one."""
    ranked = (guesser.classify(part) for part in (cut if guesser else ()))
    return Counter(code if probability > SURE else "" for code, probability in ranked)


def parts(texts: Sequence[str]) -> Iterator[str]:
    """Joins texts until they are long enough for a guess."""
    part: list[str] = []
    length = 0
    for text in texts:
        part.append(text)
        length += sum(map(str.isalpha, text))
        if length >= PART:
            yield " ".join(part)
            part, length = [], 0


def load_guesser() -> Any:
    """Loads py3langid, which takes a second and 100 MB."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    guesser = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    guesser.set_languages([code for code in guesser.labels if find_language(code)])
    return guesser


def guess_fits(guesses: Counter[str], language: Language | None, guesser: Any) -> bool:
    """Whether the guesses do not contradict a language."""
    if language is None or not guesses:
        return True
    if not any(are_close(language.code, label) for label in guesser.labels):
        return True
    total = guesses.total()
    others = {code: n for code, n in guesses.items() if code and not are_close(code, language.code)}
    if sum(others.values()) < MOST * total:
        return True
    first = max(others, key=lambda code: others[code])
    return sum(n for code, n in others.items() if are_close(code, first)) < HALF * total
