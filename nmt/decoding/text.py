"""Translation of lines of text with the search; the only place that treats empty lines.

A tokenizer is represented by two functions, for encoding and for decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple
from unicodedata import category

from nmt.config import DecodingConfig
from nmt.decoding.constraints import Constrain, Demands
from nmt.decoding.mbr import Utility, expected_utilities, pick_utility
from nmt.decoding.predictor import Predictor
from nmt.decoding.shortlist import Shortlist
from nmt.decoding.translate import translate_ids

Encode = Callable[[str], list[int]]


class Codec(NamedTuple):
    """The functions and facts of the tokenizers that translating lines needs."""

    encode: Encode  # of the source
    decode: Callable[[Sequence[int]], str]  # of the target
    pieces: Sequence[str] = ()  # of the target's vocabulary; needed for demands
    language: str = ""  # of the target


class Candidate(NamedTuple):
    """A hypothesis as text."""

    text: str
    score: float  # as in `Hypothesis`; with strategy mbr the expected utility, 0 to 100
    log_prob: float
    tokens: list[int]
    cut: bool = False  # as in `Hypothesis`


NOTHING = Candidate("", 0.0, 0.0, [])


def n_best_lines(
    predictor: Predictor,
    lines: Sequence[str],
    config: DecodingConfig,
    codec: Codec,
    *,
    n_best: int = 1,
    demands: Sequence[Demands] = (),
    shortlist: Shortlist | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[list[Candidate]]:
    """Up to `n_best` candidates for each line, with different texts, best first; at least one.

    A line without visible characters (or only with those that the tokenizer drops) gives an empty
    candidate, without the model. With strategy sample, `n_best` samples are drawn; with strategy
    mbr, `config.samples`. `demands` has one entry per line, or is empty.
    """
    encoded = [codec.encode(line.strip()) for line in lines]
    # Lines with more than EOS.
    spoken = [row for row, ids in enumerate(encoded) if len(ids) > 1 and is_visible(lines[row])]
    if progress is not None:
        progress(len(lines) - len(spoken))
    utility = pick_utility(config.utility) if config.strategy == "mbr" else None
    asked = [demands[row] for row in spoken] if demands else []
    found = translate_ids(
        predictor,
        [encoded[row] for row in spoken],
        config,
        progress,
        n_best=n_best if utility is None else config.samples,
        constrain=Constrain(codec.pieces, asked, config) if asked else None,
        shortlist=shortlist,
    )
    candidates = [[NOTHING]] * len(lines)
    for row, hypotheses in zip(spoken, found, strict=True):
        texts = [
            Candidate(codec.decode(each.tokens), each.score, each.log_prob, each.tokens, each.cut)
            for each in hypotheses
        ]
        candidates[row] = best_first(texts if utility is None else by_utility(texts, utility))[
            :n_best
        ]
    return candidates


def is_visible(text: str) -> bool:
    """Whether it has characters other than white space, control and format characters."""
    return any(category(letter) not in ("Cc", "Cf", "Zs", "Zl", "Zp") for letter in text)


def by_utility(samples: Sequence[Candidate], utility: Utility) -> list[Candidate]:
    """The samples, scored by their expected utility."""
    expected = expected_utilities([sample.text for sample in samples], utility)
    return [sample._replace(score=expected[sample.text]) for sample in samples]


def best_first(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Sorted by score, then by probability; only the first of those with the same text."""
    order = sorted(candidates, key=lambda each: (-each.score, -each.log_prob))
    first: dict[str, Candidate] = {}
    for each in order:
        first.setdefault(each.text, each)
    return list(first.values())
