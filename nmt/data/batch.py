"""What flows from the data to the models.

B batch, S source length, T target length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

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

    def to(self, device: torch.device) -> Batch:
        return Batch(*(part.to(device, non_blocking=True) for part in self))


def pad(sentences: Sequence[Sequence[int]]) -> Tensor:
    """Ids of sentences -> (B, longest) int64, padded on the right."""
    rows = [torch.as_tensor(ids, dtype=torch.int64) for ids in sentences]
    return pad_sequence(rows, batch_first=True, padding_value=PAD)


def collate(sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> Batch:
    """Pieces and EOS of each sentence (as `Tokenizer.encode` gives them) -> a `Batch`."""
    return Batch(pad(sources), pad([[BOS, *ids] for ids in targets]))
