"""Lines of any length: one that is longer than training saw is translated in parts, and those are
joined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple

from nmt.config import DecodingConfig
from nmt.decoding.constraints import Demands
from nmt.decoding.predictor import Predictor
from nmt.decoding.segments import cut
from nmt.decoding.shortlist import Shortlist
from nmt.decoding.text import Candidate, Codec, Encode, n_best_lines


class Translation(NamedTuple):
    """Of one line. One translated in parts has their hypotheses joined and their scores added."""

    hypotheses: list[Candidate]  # of different text, best first, at least one
    parts: list[tuple[str, str]]  # what was translated at once, and its best translation


def parts_of(lines: Sequence[Sequence[str]], most: int, encode: Encode) -> list[list[str]]:
    """What of each line is translated at once: its texts, those of more than `most` pieces cut."""
    return [
        [part for text in texts for part in cut(text, most, lambda text: len(encode(text)) - 1)]
        for texts in lines
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
    """Of lines in parts, with up to `n_best` hypotheses of each; what else is as `n_best_lines`
    says.

    Of `demands` on the words of each translation, all parts but the first heed the forbidden words
    alone. `progress` counts lines, those in parts too.
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
    return [join(parts, list(islice(found, len(parts)))) for parts in lines]


def in_lines(progress: Callable[[int], None], lines: int, parts: int) -> Callable[[int], None]:
    """Told how many more of the parts are done, tells `progress` of as large a share of lines."""
    done, parts = 0, max(parts, 1)  # of nothing, nothing is told

    def tell(more: int) -> None:
        nonlocal done
        before, done = done * lines // parts, done + more
        progress(done * lines // parts - before)

    return tell


def demands_on(demands: Demands, lines: Sequence[Sequence[str]]) -> list[Demands]:
    """What is demanded of each part of each line."""
    later = Demands(forbidden=demands.forbidden)
    return [later if place else demands for parts in lines for place in range(len(parts))]


def join(parts: Sequence[str], found: Sequence[list[Candidate]]) -> Translation:
    """The translation of a line from those of its parts, the first hypothesis from their first."""
    pairs = [(part, each[0].text) for part, each in zip(parts, found, strict=True)]
    if len(parts) == 1:
        return Translation(found[0], pairs)
    ranks = range(max(map(len, found)))
    return Translation(
        [join_rank([c[min(rank, len(c) - 1)] for c in found]) for rank in ranks], pairs
    )


def join_rank(candidates: Sequence[Candidate]) -> Candidate:
    return Candidate(
        text=" ".join(each.text for each in candidates if each.text),
        score=sum(each.score for each in candidates),
        log_prob=sum(each.log_prob for each in candidates),
        tokens=[token for each in candidates for token in each.tokens],
    )
