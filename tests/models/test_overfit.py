"""Every score with any number of heads learns in either model: a handful of sentences by heart."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from nmt.config import (
    EOS,
    PAD,
    AttentionConfig,
    DecodingConfig,
    ModelConfig,
    RNNConfig,
    TransformerConfig,
)
from nmt.data.batch import collate
from nmt.decoding import translate_ids
from nmt.models import build_model

SOURCES = [
    [5, 6, 7, 8, EOS],
    [8, 7, 6, EOS],
    [5, 6, 7, EOS],
    [9, 9, 5, 6, 8, EOS],
    [7, EOS],
    [10, 11, 12, EOS],
]
# Repeated words need a state, equal beginnings need the source.
TARGETS = [[15, 14, EOS], [14, 14, 14, 15, 13, EOS], [15, EOS], [13, 12, 11, 10, 9, EOS]]
TARGETS += [[12, 13, EOS], [11, 15, 11, 15, EOS]]
GREEDY = DecodingConfig(beam_size=1)
MOST = 300  # updates


def transformer(score: str, heads: int) -> ModelConfig:
    attention = AttentionConfig(score=score, heads=heads, dropout=0.0)
    layers = {"encoder_layers": 1, "decoder_layers": 1}
    return TransformerConfig(width=16, feedforward=64, dropout=0.0, attention=attention, **layers)


def rnn(score: str, heads: int) -> ModelConfig:
    attention = AttentionConfig(score=score, heads=heads, dropout=0.0)
    return RNNConfig(width=32, embedding=16, encoder_width=16, dropout=0.0, attention=attention)


@pytest.mark.parametrize("make", [transformer, rnn])
@pytest.mark.parametrize("score", ["additive", "dot", "scaled_dot"])
@pytest.mark.parametrize("heads", [1, 4])
def test_learns_by_heart(make: type[ModelConfig], score: str, heads: int) -> None:
    torch.manual_seed(2)
    model = build_model(make(score, heads), 16, 16)
    adam = torch.optim.Adam(model.parameters(), lr=0.005)
    batch = collate(SOURCES, TARGETS)
    for _ in range(MOST):
        logits = model.output(model(batch.source, batch.decoder_input).states)
        losses = F.cross_entropy(logits.mT, batch.labels, ignore_index=PAD, reduction="none")
        if losses.max() < 0.3:
            break
        adam.zero_grad()
        losses.mean().backward()
        adam.step()
    found = translate_ids(model, SOURCES, GREEDY)
    assert [[*best.tokens, EOS] for best, *_ in found] == TARGETS
