"""Small models of every kind."""

from __future__ import annotations

from typing import Any, Protocol

import pytest
import torch

from nmt.config import AttentionConfig, ModelConfig, RNNConfig, TransformerConfig
from nmt.models import build_model
from nmt.models.seq2seq import Seq2Seq

VOCABULARY = 20


class Build(Protocol):
    def __call__(self, name: str, **knobs: Any) -> Seq2Seq: ...


def config_of(name: str, score: str = "scaled_dot", heads: int = 4, **knobs: Any) -> ModelConfig:
    """Two layers, width 16; `dropout` is everywhere."""
    dropout = knobs.setdefault("dropout", 0.0)
    attention = AttentionConfig(score=score, heads=heads, dropout=dropout)
    shared = {"width": 16, "encoder_layers": 2, "decoder_layers": 2, "attention": attention}
    if name == "rnn":
        sizes = {"embedding": 12, "encoder_width": 10 if heads != 4 else 8}
        return RNNConfig(**{**shared, **sizes, **knobs})
    return TransformerConfig(**{**shared, "feedforward": 24, **knobs})


@pytest.fixture
def build() -> Build:
    """A model in float64 and evaluation mode, the same each time, with biases that matter."""

    def make(name: str, vocabulary: int = VOCABULARY, **knobs: Any) -> Seq2Seq:
        torch.manual_seed(7)
        model = build_model(config_of(name, **knobs), vocabulary, vocabulary)
        for parameter in model.parameters():
            if parameter.dim() == 1:
                torch.nn.init.normal_(parameter, mean=parameter.mean().item(), std=0.2)
        return model.double().eval()

    return make
