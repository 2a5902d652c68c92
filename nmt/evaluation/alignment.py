"""Word alignments from attention, and their error rate against true alignments.

A run stores the head that aligns best on the validation set in alignment.json.

L layers, H heads, T target words, S source words (without </s>).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nmt.attention_map import READINGS, AttentionMap
from nmt.config import ModelConfig
from nmt.errors import UserError, reads_run, require

Links = Sequence[tuple[int, int]]  # (source word, target word), both from 0


class HeadAlignment(NamedTuple):
    """The quality of the alignment by one head. `reading` is that of `attention_maps`."""

    layer: int  # from 1, as the figures count
    head: int  # from 1
    reading: str
    aer: float  # Och and Ney 2003, every true link sure: 1 - 2 |A and S| / (|A| + |S|)
    precision: float
    recall: float

    @property
    def name(self) -> str:
        return f"layer {self.layer}, head {self.head}, {self.reading} the word"


class Aligner(NamedTuple):
    """The attention that aligns words. Without numbers: the mean of all heads of the last layer."""

    layer: int | None = None  # from 1
    head: int | None = None  # from 1
    reading: str = "predicting"
    split: str = "validation"  # the split that selected the head

    def pick(self, weights: np.ndarray) -> np.ndarray:
        """(L, H, I, J) -> (1, 1, I, J)"""
        layer = weights[-1 if self.layer is None else self.layer - 1]  # (H, I, J)
        one: np.ndarray = layer.mean(axis=0) if self.head is None else layer[self.head - 1]
        return one[None, None]


def select_head(heads: Sequence[HeadAlignment]) -> HeadAlignment | None:
    """The head with the lowest error rate; None if no true alignments were known."""
    return min(heads, key=lambda head: head.aer, default=None)


def same_head(heads: Sequence[HeadAlignment], selected: Aligner) -> HeadAlignment | None:
    """The selected head among those of another split."""
    place = selected[:3]
    return next((head for head in heads if (head.layer, head.head, head.reading) == place), None)


def save_aligner(run: Path, head: HeadAlignment, split: str) -> None:
    """Stores the head that a split has selected, with its error rate there."""
    text = json.dumps(head._asdict() | {"split": split}, indent=2) + "\n"
    (run / "alignment.json").write_text(text, encoding="utf-8")


@reads_run
def load_aligner(run: Path, model: ModelConfig) -> Aligner:
    """The head that the run has selected, or the mean of the last layer if it has none."""
    file = run / "alignment.json"
    if not file.is_file():
        return Aligner()
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        aligner = Aligner(
            int(found["layer"]),
            int(found["head"]),
            str(found["reading"]),
            str(found.get("split", "validation")),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is damaged: layer, head or reading is missing or wrong") from error
    layers, heads = model.decoder_layers, model.attention.heads
    require(
        1 <= (aligner.layer or 0) <= layers and 1 <= (aligner.head or 0) <= heads,
        f"{file} names layer {aligner.layer} and head {aligner.head}, but the model has {layers} "
        f"layers of {heads} heads",
    )
    require(aligner.reading in READINGS, f"{file}: reading must be one of {', '.join(READINGS)}")
    return aligner


def pharaoh(parts: Iterable[AttentionMap]) -> str:
    """The links of one head, `0-0 1-2`: source word, target word, from 0, in this order.

    A text may have been translated in parts. Words are those of `unit_spans`: punctuation marks
    are words too, and so are the pieces of scripts without spaces between words.
    """
    found: list[tuple[int, int]] = []
    sources = targets = 0
    for part in parts:
        linked = links(part.weights)[0, 0]  # (T, S)
        found += [(sources + source, targets + target) for source, target in np.argwhere(linked.T)]
        sources += linked.shape[1]
        targets += linked.shape[0]
    return " ".join(f"{source}-{target}" for source, target in found)


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
