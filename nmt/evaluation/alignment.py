"""How well attention points where the words truly come from: the alignment error rate.

L layers, H heads, T target words, S source words (without </s>).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from nmt.attention_map import AttentionMap
from nmt.config import require

Links = Sequence[tuple[int, int]]  # (source word, target word), both from 0


class HeadAlignment(NamedTuple):
    """The alignment that one head draws, against the true one. `reading` as in `attention_maps`."""

    layer: int  # from 1, as the figures count
    head: int  # from 1
    reading: str
    aer: float  # Och and Ney 2003, every true link sure: 1 - 2 |A and S| / (|A| + |S|)
    precision: float
    recall: float

    @property
    def name(self) -> str:
        return f"layer {self.layer}, head {self.head}, {self.reading} the word"


def links(weights: np.ndarray) -> np.ndarray:
    """Attention over words and </s> (..., T, S + 1) -> which words it links (..., T, S) bool.

    A target word belongs to the source word it attends to most, as in Garg et al. 2019; </s> is no
    word, and takes what attention a final full stop has no use for.
    """
    words = weights[..., :-1]
    highest = words.max(axis=-1, keepdims=True, initial=0.0)
    linked: np.ndarray = (words == highest) & (highest > 0)
    return linked


def align_heads(
    maps: Iterable[AttentionMap], truth: Iterable[Links], reading: str
) -> list[HeadAlignment]:
    """Every head of every layer against the true alignments of the same sentences."""
    proposed = hits = np.zeros((0, 0), dtype=np.int64)  # (L, H)
    true = 0
    for row, (found, sure) in enumerate(zip(maps, truth, strict=True)):
        linked = links(found.weights)  # (L, H, T, S)
        correct = _as_matrix(sure, found, row + 1)
        counts = linked.sum(axis=(-2, -1)), (linked & correct).sum(axis=(-2, -1))
        proposed, hits = counts if row == 0 else (proposed + counts[0], hits + counts[1])
        true += int(correct.sum())
    return [
        _compare(layer, head, reading, int(proposed[layer, head]), int(hits[layer, head]), true)
        for layer, head in np.ndindex(proposed.shape)
    ]


def _as_matrix(sure: Links, words: AttentionMap, pair: int) -> np.ndarray:
    matrix = np.zeros((len(words.target), len(words.source) - 1), dtype=bool)  # (T, S)
    for source, target in sure:
        require(
            0 <= source < matrix.shape[1] and 0 <= target < matrix.shape[0],
            f"the alignment of pair {pair} links {source}-{target}, but the pair has only "
            f"{matrix.shape[1]} source and {matrix.shape[0]} target words (counted from 0)",
        )
        matrix[target, source] = True
    return matrix


def _compare(
    layer: int, head: int, reading: str, proposed: int, hits: int, true: int
) -> HeadAlignment:
    return HeadAlignment(
        layer=layer + 1,
        head=head + 1,
        reading=reading,
        aer=1 - 2 * hits / max(1, proposed + true),
        precision=hits / max(1, proposed),
        recall=hits / max(1, true),
    )
