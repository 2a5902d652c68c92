"""From sentences to files: distinct pairs, disjoint splits, text and alignments."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from . import english, german
from .dice import Dice
from .sentences import derive
from .words import Word, align, to_text

SEED = 1
SIZES = {"train": 20_000, "val": 500, "test": 500}
SHORTEST, LONGEST = 3, 25  # words, punctuation marks included
OFTEN_ENOUGH = 3  # times a word form of val and test occurs in train
CONTENT = ("noun", "verb", "adjective")


class Pair(NamedTuple):
    label: str  # the construction
    source: tuple[Word, ...]
    target: tuple[Word, ...]

    @property
    def sides(self) -> tuple[tuple[Word, ...], tuple[Word, ...]]:
        return self.source, self.target

    @property
    def lines(self) -> tuple[str, str, str]:
        """The pair's lines in the files ``.en``, ``.de`` and ``.align``."""
        links = " ".join(f"{i}-{j}" for i, j in align(self.source, self.target))
        return to_text(self.source), to_text(self.target), links

    @property
    def content(self) -> tuple[str, ...]:
        """Its nouns, verbs and adjectives: what an article or a tense does not change."""
        return tuple(
            word.lemma for word in self.source if any(role in CONTENT for _, role in word.links)
        )


def pairs(seed: int = SEED) -> Iterator[Pair]:
    """Endless pairs; no source and no target comes twice."""
    dice = Dice(seed)
    sources: set[str] = set()
    targets: set[str] = set()
    while True:
        tree = derive(dice)
        source, target = english.spell_sentence(tree), german.spell_sentence(tree)
        if not all(SHORTEST <= len(words) <= LONGEST for words in (source, target)):
            continue
        text, translation = to_text(source), to_text(target)
        if text in sources or translation in targets:
            continue
        sources.add(text)
        targets.add(translation)
        yield Pair(tree.label, tuple(source), tuple(target))


def splits(seed: int = SEED) -> dict[str, list[Pair]]:
    """Train, val and test; the last two combine known words to unknown sentences."""
    stream = pairs(seed)
    train = [next(stream) for _ in range(SIZES["train"])]
    forms = tuple(Counter(w.text for p in train for w in p.sides[side]) for side in (0, 1))
    known = {pair.content for pair in train}
    held_out: list[Pair] = []
    while len(held_out) < SIZES["val"] + SIZES["test"]:
        pair = next(stream)
        familiar = all(
            count[word.text] >= OFTEN_ENOUGH
            for count, words in zip(forms, pair.sides, strict=True)
            for word in words
        )
        if familiar and pair.content not in known:
            known.add(pair.content)
            held_out.append(pair)
    return {"train": train, "val": held_out[: SIZES["val"]], "test": held_out[SIZES["val"] :]}


def files(corpus: dict[str, list[Pair]]) -> dict[str, str]:
    """File names and their contents."""
    result = {}
    for name, chosen in corpus.items():
        columns = zip(*(pair.lines for pair in chosen), strict=True)
        for ending, column in zip(("en", "de", "align"), columns, strict=True):
            result[f"{name}.{ending}"] = "".join(f"{line}\n" for line in column)
    return result


def write(contents: dict[str, str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content.encode("utf-8"))


def differences(contents: dict[str, str], folder: Path) -> list[str]:
    """Names of the files in ``folder`` that are missing or not what the grammar derives."""
    return [
        name
        for name, content in contents.items()
        if not (folder / name).is_file() or (folder / name).read_bytes() != content.encode("utf-8")
    ]


def summary(corpus: dict[str, list[Pair]]) -> str:
    """Figures of the corpus, as README.md reports them."""
    chosen = corpus["train"]
    lines = []
    for language, side in (("English", 0), ("German", 1)):
        sentences: list[Sequence[Word]] = [pair.sides[side] for pair in chosen]
        forms = {w.text for words in sentences for w in words}
        words = [w for sentence in sentences for w in sentence if w.text[0].isalnum()]
        lemmas = Counter(w.lemma or w.text.lower() for w in words)
        free = sum(
            not _linked(w, pair.sides[1 - side]) for pair in chosen for w in pair.sides[side]
        )
        total = sum(map(len, sentences))
        rare = sorted(lemma for lemma, count in lemmas.items() if count < 10)
        lines.append(
            f"{language}: {len(lemmas)} lemmas, {len(forms)} forms, "
            f"{total / len(sentences):.1f} words a sentence "
            f"({min(map(len, sentences))} to {max(map(len, sentences))}), "
            f"{free / total:.1%} of the words unaligned"
        )
        if rare:
            lines.append(f"fewer than 10 times: {', '.join(rare)}")
    for label, count in Counter(pair.label for pair in chosen).most_common():
        lines.append(f"{count / len(chosen):6.1%}  {label}")
    return "\n".join(lines)


def _linked(word: Word, others: Sequence[Word]) -> bool:
    return any(link in other.links for link in word.links for other in others)
