"""What flows from the data to the models.

B batch, S source length, T target length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmt.config import BOS, PAD


class Batch(NamedTuple):
    """Sentence pairs, right-padded. Every sentence ends in EOS; targets begin with BOS."""

    source: Tensor  # (B, S) int64
    target: Tensor  # (B, T) int64

    @property
    def decoder_input(self) -> Tensor:
        return self.target[:, :-1]

    @property
    def labels(self) -> Tensor:
        return self.target[:, 1:]

    def split(self, count: int) -> list[Batch]:
        """As up to `count` batches of about as many pairs, none of them empty."""
        parts = zip(*(side.tensor_split(count) for side in self), strict=True)
        return [Batch(*part) for part in parts if len(part[0])]


Ids = Sequence[int] | NDArray[np.int32]


def pad(sentences: Sequence[Ids], first: int | None = None) -> Tensor:
    """Ids of sentences -> (B, longest) int64, padded on the right, each with `first` before it."""
    lengths = np.array([len(ids) for ids in sentences])
    lead = 0 if first is None else 1
    padded = np.full((len(sentences), lead + lengths.max()), PAD, dtype=np.int64)
    padded[:, :lead] = first or PAD
    # All rows at once: torch's pad_sequence takes 20 times as long.
    padded[:, lead:][np.arange(lengths.max()) < lengths[:, None]] = np.concatenate(sentences)
    return torch.from_numpy(padded)


def collate(sources: Sequence[Ids], targets: Sequence[Ids]) -> Batch:
    """Pieces and EOS of each sentence (as `Tokenizer.encode` gives them) -> a `Batch`."""
    return Batch(pad(sources), pad(targets, first=BOS))
