"""Lines of any length: each is cut into parts that the model can translate at once, and their
translations are joined.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from nmt.config import DecodingConfig
from nmt.decoding.constraints import Demands
from nmt.decoding.predictor import Predictor
from nmt.decoding.segments import Pieces, cut
from nmt.decoding.sentences import joined, split_sentences
from nmt.decoding.shortlist import Shortlist
from nmt.decoding.text import Candidate, Codec, n_best_lines
from nmt.decoding.translate import length_limit

log = logging.getLogger(__name__)


class Translation(NamedTuple):
    """The translation of a line. If the line was translated in parts, each hypothesis joins one of
    every part and adds up their scores."""

    hypotheses: list[Candidate]  # of different text, best first, at least one
    parts: list[tuple[str, str]]  # the texts translated at once, each with its best translation

    @property
    def cut(self) -> bool:
        """Whether the best hypothesis, or one of its parts, was ended by the length limit."""
        return self.hypotheses[0].cut


@dataclass(frozen=True)
class Splitting:
    """How lines are split into parts."""

    longest: int  # pieces of a part
    by_sentence: bool = False  # each sentence is a part of its own
    language: str = ""  # of the lines


def parts_of(lines: Sequence[str], pieces: Pieces, splitting: Splitting) -> list[list[str]]:
    """The parts of each line: the whole line, or its sentences; longer texts are cut."""
    return cut_long([texts_of(line, splitting) for line in lines], pieces, splitting)


def texts_of(line: str, splitting: Splitting) -> list[str]:
    """The texts of a line that are translated separately, if they are not too long."""
    return split_sentences(line, splitting.language) if splitting.by_sentence else [line]


def cut_long(
    lines: Sequence[Sequence[str]], pieces: Pieces, splitting: Splitting
) -> list[list[str]]:
    """The texts of each line. Texts that are longer than a part may be are cut."""
    longest, language = splitting.longest, splitting.language
    return [
        [part for text in texts for part in cut(text, longest, pieces, language)] for texts in lines
    ]


def translate_parts(
    predictor: Predictor,
    lines: Sequence[Sequence[str]],
    config: DecodingConfig,
    codec: Codec,
    *,
    n_best: int = 1,
    demands: Demands | None = None,
    shortlist: Shortlist | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Translation]:
    """Translates lines in parts, with up to `n_best` hypotheses of each; see `n_best_lines`.

    The forbidden words of `demands` hold for every part of a line, the other demands only for the
    first. `progress` counts lines.
    """
    parts_in_all = sum(map(len, lines))
    found = iter(
        n_best_lines(
            predictor,
            [part for parts in lines for part in parts],
            config,
            codec,
            n_best=n_best,
            demands=[] if demands is None else demands_on(demands, lines),
            shortlist=shortlist,
            progress=progress and in_lines(progress, len(lines), parts_in_all),
        )
    )
    return [join(parts, list(islice(found, len(parts))), codec.language) for parts in lines]


def warn_of_cut(cut: int, lines: int, config: DecodingConfig) -> None:
    """Warns that `cut` of the translations of `lines` lines reached the length limit."""
    if cut:
        message = (
            "the length limit (%g x source pieces + %d) cut off %d of %d translations. "
            "If they should be longer, raise decoding.max_ratio or decoding.max_extra; "
            "a model that repeats itself needs more training or decoding.no_repeat_ngram"
        )
        log.warning(message, *length_limit(config), cut, lines)


def in_lines(progress: Callable[[int], None], lines: int, parts: int) -> Callable[[int], None]:
    """A callback that converts a number of finished parts to lines, for `progress`."""
    done, parts = 0, max(parts, 1)

    def tell(more: int) -> None:
        nonlocal done
        before, done = done * lines // parts, done + more
        progress(done * lines // parts - before)

    return tell


def demands_on(demands: Demands, lines: Sequence[Sequence[str]]) -> list[Demands]:
    """The demands on each part of each line."""
    later = Demands(forbidden=demands.forbidden)
    return [later if place else demands for parts in lines for place in range(len(parts))]


def join(parts: Sequence[str], found: Sequence[list[Candidate]], language: str = "") -> Translation:
    """The translation of a line from those of its parts: the best hypothesis from their best.
    `language` is that of the translation."""
    pairs = [(part, each[0].text) for part, each in zip(parts, found, strict=True)]
    if len(parts) == 1:
        return Translation(found[0], pairs)
    ranks = range(max(map(len, found)))
    return Translation(
        [join_rank([c[min(rank, len(c) - 1)] for c in found], language) for rank in ranks], pairs
    )


def join_rank(candidates: Sequence[Candidate], language: str = "") -> Candidate:
    return Candidate(
        text=joined([each.text for each in candidates], language),
        score=sum(each.score for each in candidates),
        log_prob=sum(each.log_prob for each in candidates),
        tokens=[token for each in candidates for token in each.tokens],
        cut=any(each.cut for each in candidates),
    )
