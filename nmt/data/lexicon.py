"""What each source piece is likely translated by: IBM Model 1 (Brown et al. 1993), learnt from the
ids of a corpus.

The source's EOS, which every sentence has, is the empty word of the model. T target pieces of all
pairs, L links: each of these with each source piece of its pair. E entries of the table.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmt.config import CANDIDATES, EOS
from nmt.data.encoded import Prepared
from nmt.data.ids import Ids

LINKS = 8_000_000  # at most, by which memory is bounded; of a larger corpus a sample is read
ITERATIONS = 5
FREQUENT = 256


class Lexicon(NamedTuple):
    candidates: NDArray[np.int32]  # (source vocabulary, CANDIDATES), likeliest first; EOS: no more
    frequent: NDArray[np.int32]  # (FREQUENT,) or the whole vocabulary: the commonest target pieces


class Links(NamedTuple):
    """Ids are in the smallest type that holds them: those of 16 bits are sorted twice as fast."""

    source: NDArray[np.unsignedinteger]  # (L,)
    target: NDArray[np.unsignedinteger]  # (T,)
    places: NDArray[np.int32]  # (L,) which of the target pieces


class Table(NamedTuple):
    """What has a probability; all other entries are 0."""

    source: NDArray[np.int64]  # (E,) rising
    target: NDArray[np.int64]  # (E,)
    probability: NDArray[np.float64]  # (E,) p(target | source)


def build_lexicon(prepared: Prepared, seed: int) -> Lexicon:
    """Of the training pairs, or of a sample that `seed` draws."""
    sizes = prepared.tokenizers.source.size, prepared.tokenizers.target.size
    lengths = prepared.source_lengths.astype(np.int64), prepared.target_lengths.astype(np.int64)
    rows = sample(lengths[0] * (lengths[1] - 1), seed)
    links = read_links(prepared, rows)
    frequency = np.bincount(links.target, minlength=sizes[1])
    return Lexicon(
        likeliest(translation_table(links, sizes[1]), sizes[0]),
        np.argsort(-frequency, kind="stable")[:FREQUENT].astype(np.int32),
    )


def sample(links: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The rows of pairs that have at most LINKS links together, rising; `links` (pairs,)."""
    if links.sum() <= LINKS:
        return np.arange(len(links))
    mixed = np.random.default_rng(seed).permutation(len(links))
    return np.sort(mixed[np.cumsum(links[mixed]) <= LINKS])


def read_links(prepared: Prepared, rows: NDArray[np.int64]) -> Links:
    """The links of some pairs; EOS of the target is left out."""
    kinds = [np.min_scalar_type(side.size) for side in prepared.tokenizers]
    targets = [ids[:-1] for ids in Ids(prepared.train, "target").take(rows)]
    source = flat(Ids(prepared.train, "source").take(rows)).astype(kinds[0])
    target = flat(targets).astype(kinds[1])  # (T,)
    widths = prepared.source_lengths[rows]
    heights = prepared.target_lengths[rows] - 1
    counts = np.repeat(widths, heights)  # (T,) links of each
    begins = np.repeat(np.cumsum(widths) - widths, heights)  # (T,) of its sentence, in `source`
    places = np.repeat(np.arange(len(target), dtype=np.int32), counts)
    linked = np.repeat((begins - (np.cumsum(counts) - counts)).astype(np.int32), counts)
    linked += np.arange(len(linked), dtype=np.int32)
    return Links(source[linked], target, places)


def flat(sentences: list[NDArray[np.int32]]) -> NDArray[np.int32]:
    return np.concatenate([np.empty(0, np.int32), *sentences])


def translation_table(links: Links, vocabulary: int) -> Table:
    """After some rounds of expectation maximisation (section 4.1), from equal probabilities."""
    target = links.target[links.places]  # (L,)
    order = np.lexsort((target, links.source))
    places = links.places[order]
    keys = links.source[order].astype(np.int64) * vocabulary + target[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))  # (E,)
    sizes = np.diff(starts, append=len(keys))
    sources, targets = np.divmod(keys[starts], vocabulary)
    probability = np.ones(len(starts))
    for _ in range(ITERATIONS):
        shares = np.repeat(probability, sizes)  # (L,)
        shares /= np.bincount(places, shares)[places]
        expected = np.add.reduceat(shares, starts)
        probability = expected / np.bincount(sources, expected)[sources]
    return Table(sources, targets, probability)


def likeliest(table: Table, vocabulary: int) -> NDArray[np.int32]:
    """The candidates of each source piece, as a lexicon has them."""
    order = np.lexsort((-table.probability, table.source))
    source, target = table.source[order], table.target[order]
    rank = np.arange(len(order)) - np.searchsorted(source, source)
    kept = rank < CANDIDATES
    candidates = np.full((vocabulary, CANDIDATES), EOS, np.int32)
    candidates[source[kept], rank[kept]] = target[kept]
    return candidates
