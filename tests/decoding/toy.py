"""A toy decoder whose logits and attention depend on the source and the whole prefix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nmt.config import BOS, PAD
from nmt.decoding import Hypothesis
from nmt.decoding.beam import Penalties
from nmt.decoding.search import search
from nmt.decoding.strategies import Strategy
from nmt.models.seq2seq import Decoder, Encoder, Memory, Seq2Seq, Stepped


class ToyEncoder(Encoder):
    def forward(self, source: Tensor, mask: Tensor, lengths: Tensor) -> Memory:
        return Memory(source[:, :, None].float(), mask)


class ToyState(NamedTuple):
    """`codes` sums up the source and the tokens so far of each hypothesis."""

    codes: Tensor  # (B, W) int64
    memory: Memory

    def select(self, rows: Tensor) -> ToyState:
        sentences = rows // self.codes.size(1)  # (B', W')
        assert (sentences == sentences[:, :1]).all(), "hypotheses of two sentences in one row"
        assert (sentences[1:, 0] > sentences[:-1, 0]).all(), "rows out of order"
        memory = Memory(*(part[sentences[:, 0]] for part in self.memory))
        return ToyState(self.codes.flatten()[rows], memory)


class ToyDecoder(Decoder):
    def __init__(self, bias: Sequence[float], dtype: torch.dtype) -> None:
        super().__init__()
        self.bias = torch.tensor(bias)
        self.dtype = dtype
        self.steps = 0

    def start(self, memory: Memory) -> ToyState:
        return ToyState(memory.states.long().sum((1, 2))[:, None] % 10_007, memory)

    def step(
        self, tokens: Tensor, state: ToyState, need_weights: bool = False
    ) -> Stepped[ToyState]:
        self.steps += 1
        codes = (state.codes * 31 + tokens * 7 + 1) % 10_007
        waves = torch.sin(codes[:, :, None] * torch.arange(1.0, len(self.bias) + 1))
        after = ToyState(codes, state.memory)
        weights = attention(codes, state.memory)[:, None, None] if need_weights else None
        return Stepped((3 * waves + self.bias).to(self.dtype), after, weights)


def attention(codes: Tensor, memory: Memory) -> Tensor:
    """(B, W, S)"""
    places = torch.arange(memory.mask.size(1)) + 1
    waves = torch.sin(codes[:, :, None] * 0.1 * places + memory.states[:, None, :, 0])
    return (3 * waves).masked_fill(~memory.mask[:, None], -torch.inf).softmax(2)


class Following(NamedTuple):
    log_probs: list[float]  # of each token
    attention: list[float]  # to each source token


class Toy(Seq2Seq):
    """Of `len(bias)` tokens: PAD, UNK, BOS, EOS and words. `bias` is added to the logits."""

    def __init__(self, bias: Sequence[float], dtype: torch.dtype = torch.float32) -> None:
        output = nn.Linear(len(bias), len(bias), bias=False)
        nn.init.eye_(output.weight)
        super().__init__(ToyEncoder(), ToyDecoder(bias, dtype), output.to(dtype))
        self.requires_grad_(False)
        self._read = cache(self._step)

    def following(self, source: Sequence[int], prefix: Sequence[int]) -> Following:
        """What may come after the prefix, asked for by itself."""
        return self._read(tuple(source), (BOS, *prefix))[0]

    def _step(self, source: tuple[int, ...], tokens: tuple[int, ...]) -> tuple[Following, ToyState]:
        if len(tokens) == 1:
            state = self.decoder.start(self.encode(torch.tensor([source])))
        else:
            state = self._read(source, tokens[:-1])[1]
        states, state, weights = self.decoder.step(torch.tensor([[tokens[-1]]]), state, True)
        log_probs = self.output(states)[0, 0].float().log_softmax(0)
        return Following(log_probs.tolist(), weights.flatten().tolist()), state

    def search(
        self,
        sources: Sequence[Sequence[int]],
        limits: Sequence[int],
        strategy: Strategy,
        penalties: Penalties,
        n_best: int = 1,
        patience: float = math.inf,
    ) -> list[list[Hypothesis]]:
        longest = max(map(len, sources))
        rows = torch.tensor([[*source, *[PAD] * (longest - len(source))] for source in sources])
        return search(
            self, rows, limits, strategy, penalties=penalties, patience=patience, n_best=n_best
        )
