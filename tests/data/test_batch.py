"""Batches: what flows from the data to the models."""

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from nmt.config import BOS, EOS, PAD
from nmt.data.batch import collate, pad


@pytest.mark.parametrize("kind", [list, np.array])
def test_pad_is_the_librarys(kind):
    rows = [[5, 6, EOS], [EOS], [7, 8, 9, 4, EOS]]
    expected = pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    assert PAD == 0
    assert torch.equal(pad([kind(row) for row in rows]), expected)


def test_collate_shifts_the_target_by_one():
    batch = collate([[5, EOS], [5, 6, EOS]], [[7, 8, EOS], [EOS]])
    assert batch.source.tolist() == [[5, EOS, PAD], [5, 6, EOS]]
    assert batch.decoder_input.tolist() == [[BOS, 7, 8], [BOS, EOS, PAD]]
    assert batch.labels.tolist() == [[7, 8, EOS], [EOS, PAD, PAD]]
