"""Facts about the training data: the lengths of the sentences, and whether lines held several.

They are stored as corpus.json in the run. Runs of earlier versions do not have it.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from nmt.config import Config, DataConfig, DecodingConfig
from nmt.data.encoded import Prepared
from nmt.data.ids import Ids
from nmt.decoding.parts import Splitting
from nmt.decoding.sentences import split_sentences
from nmt.errors import require

FILE = "corpus.json"
SAMPLE = 2000  # pairs in which sentences are counted
# If at most this share of the training pairs holds several sentences, the model translates sentence
# by sentence.
FEW = 0.1
SLACK, EXTRA = 1.2, 5  # factor and pieces by which the length limit exceeds the training data


class Seen(NamedTuple):
    """Lengths are in pieces, without EOS."""

    longest_source: int
    longest_target: int
    # The learnt length limit of a translation: max_ratio * source + max_extra pieces.
    max_ratio: float
    max_extra: int
    several_sentences: float  # share of the training pairs whose sides both have more than one

    @property
    def single_sentences(self) -> bool:
        return self.several_sentences <= FEW

    @classmethod
    def of(cls, prepared: Prepared, data: DataConfig) -> Self:
        sources, targets = prepared.source_lengths - 1, prepared.target_lengths - 1
        ratio, extra = length_limit(sources, targets)
        several = share_of_several(prepared, data)
        return cls(int(sources.max()), int(targets.max()), ratio, extra, several)

    def to_json(self) -> bytes:
        return (json.dumps(self._asdict(), indent=2) + "\n").encode()


def length_limit(sources: NDArray[np.int32], targets: NDArray[np.int32]) -> tuple[float, int]:
    """Slope and intercept of a line above nearly all training pairs, with some room to spare.

    The slope comes from the longer half of the pairs, whose ratios vary least. The few pairs that
    are not translations of each other have no influence.
    """
    long = sources >= max(1, np.median(sources))
    slope = float(np.quantile(targets[long] / sources[long], 0.99))
    rest = float(np.quantile(targets - slope * sources, 0.999))
    extra = math.ceil(SLACK * max(rest, 0.0)) + EXTRA
    return min(round(SLACK * slope, 3), 100.0), min(extra, 10_000)  # what the schema allows


def share_of_several(prepared: Prepared, data: DataConfig) -> float:
    rows = np.unique(np.linspace(0, len(prepared.train) - 1, SAMPLE).astype(np.int64))
    several = np.ones(len(rows), dtype=np.bool_)
    languages = (data.source_language, data.target_language)
    for side, tokenizer, language in zip(
        ("source", "target"), prepared.tokenizers, languages, strict=True
    ):
        texts = (tokenizer.decode(ids.tolist()) for ids in Ids(prepared.train, side).take(rows))
        several &= [len(split_sentences(text, language)) > 1 for text in texts]
    return round(float(several.mean()), 4)


def load_seen(run: Path) -> Seen | None:
    """Reads corpus.json; None if the run has none. Raises `UserError` if it is damaged."""
    file = run / FILE
    if not file.is_file():
        return None
    try:
        with file.open("rb") as handle:  # that of a stranger may have any size
            seen = Seen(**json.loads(handle.read(10_000)))
        sound = all(_is_sound(value) for value in seen)
    except (OSError, ValueError, TypeError, RecursionError):
        sound = False
    require(sound, f"{file} is damaged: delete it to translate with default limits instead")
    return seen


def _is_sound(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1e6  # type: ignore[operator]


def settled(decoding: DecodingConfig, seen: Seen | None) -> DecodingConfig:
    """The config with the learnt length limit, unless the user has set one."""
    if seen is None:
        return decoding
    ratio, extra = decoding.max_ratio, decoding.max_extra
    return replace(
        decoding,
        max_ratio=seen.max_ratio if ratio is None else ratio,
        max_extra=seen.max_extra if extra is None else extra,
    )


def splitting_of(config: Config, seen: Seen | None, *, whole: bool = False) -> Splitting:
    """How lines are split. With `whole`, only on request, because they are like training lines."""
    split = config.decoding.split_sentences
    if split is None:
        split = seen is not None and seen.single_sentences and not whole
    longest = config.data.max_pieces if seen is None else seen.longest_source
    return Splitting(max(1, longest), split, config.data.source_language)
