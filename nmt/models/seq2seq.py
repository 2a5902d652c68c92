"""The interface of every model: an encoder, a decoder and a vocabulary projection.

Search and training use these types and never a particular model. States are values: modules store
nothing between calls.

B sentences, W hypotheses of each, S source length, T target length, N width of a decoder state,
M width of the memory, V vocabulary, K pieces that a search weighs, L decoder layers, H heads.
"""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.config import PAD
from nmt.device import send
from nmt.models.layers import narrowed

CHUNK = 1024  # rows of logits that exist at the same time when translations are scored
PART = 4096  # source tokens that a CPU encodes at once when it translates


class Memory(NamedTuple):
    """The output of an encoder. True in the mask means "may be attended to"."""

    states: Tensor  # (B, S, M)
    mask: Tensor  # (B, S) bool


class State(Protocol):
    """Everything a decoder remembers of the tokens so far: B sentences, W hypotheses of each."""

    def select(self, rows: Tensor) -> Self:
        """The state of the chosen hypotheses.

        `rows` (B', W') int64 holds indices into the B * W hypotheses: b * W + w is hypothesis w of
        sentence b. The entries of one row must belong to the same sentence, and the rows keep the
        order of the sentences. A sentence without a row leaves the state.
        """
        ...


StateT = TypeVar("StateT", bound=State)


class Decoded(NamedTuple):
    """The result of teacher forcing for a whole target."""

    states: Tensor  # (B, T, N)
    weights: Tensor | None  # (B, L, H, T, S) cross-attention; None unless requested


class Stepped(NamedTuple, Generic[StateT]):
    """The result of reading one more token of each hypothesis."""

    states: Tensor  # (B, W, N), from which the next token is predicted
    state: StateT
    weights: Tensor | None  # (B, L, H, W, S) cross-attention; None unless requested


class Prediction(NamedTuple):
    """The predictions of the next token of n hypotheses."""

    logits: Tensor  # (n, V) or (n, K) float32; rounded to bf16 before if the model is of that type
    state: State
    attention: Tensor | None  # (B, W, S) mean of all layers and heads; None unless requested


class Encoder(nn.Module):
    """The interface that `RNNEncoder` and `TransformerEncoder` implement."""

    def forward(self, source: Tensor, mask: Tensor, lengths: Tensor) -> Memory:
        """Encodes `source` (B, S) int64, padded on the right.

        `mask` (B, S) bool is False for padding; `lengths` (B,) int64 do not count it and may be on
        the CPU.
        """
        raise NotImplementedError


class Decoder(nn.Module, Generic[StateT]):
    """The interface that `RNNDecoder` and `TransformerDecoder` implement, each with its `State`."""

    def forward(self, tokens: Tensor, memory: Memory, need_weights: bool = False) -> Decoded:
        """Teacher forcing: the state at position t predicts the token at t + 1.

        `tokens` (B, T) int64 begins with BOS.
        """
        raise NotImplementedError

    def start(self, memory: Memory) -> StateT:
        """The state before the first token, with one hypothesis per sentence (W = 1)."""
        raise NotImplementedError

    def step(self, tokens: Tensor, state: StateT, need_weights: bool = False) -> Stepped[StateT]:
        """Reads one token of each hypothesis: `tokens` (B, W) int64."""
        raise NotImplementedError


class Seq2Seq(nn.Module):
    """An encoder, a decoder and the vocabulary projection.

    The projection is separate from the decoder because the loss skips padding and search projects
    only live hypotheses.
    """

    def __init__(self, encoder: Encoder, decoder: Decoder[Any], output: nn.Linear) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.output = output  # N -> V

    def encode(self, source: Tensor) -> Memory:
        """Encodes `source` (B, S) int64, padded on the right with PAD.

        A source on the CPU avoids waiting for a GPU to count the lengths.
        """
        mask = source != PAD
        here = self.device
        memory = self.encoder(send(source, here), send(mask, here), mask.sum(1))
        assert isinstance(memory, Memory)
        return memory

    def forward(self, source: Tensor, tokens: Tensor, need_weights: bool = False) -> Decoded:
        """Teacher forcing over `tokens` (B, T); `self.output` turns the states into logits.

        Both arguments may be on the CPU.
        """
        memory = self.encode(source)
        decoded = self.decoder(send(tokens, memory.states.device), memory, need_weights)
        assert isinstance(decoded, Decoded)
        return decoded

    def start(self, source: Tensor) -> State:
        """The state before the first token, with one hypothesis per sentence of `source` (B, S)."""
        in_parts = self.device.type == "cpu" and source.numel() > PART
        memory = self._encode_in_parts(source) if in_parts else self.encode(source)
        state: State = self.decoder.start(memory)
        return state

    def _encode_in_parts(self, source: Tensor) -> Memory:
        """Like `encode`, but one part of the sentences at a time, each as wide as its longest.

        This avoids most of the padding if the sentences are sorted by length, the longest first.
        """
        lengths = (source != PAD).sum(1).tolist()
        begin, found = 0, list[Tensor]()
        while begin < len(source):
            end = begin + max(1, PART // max(lengths[begin], 1))
            longest = max(lengths[begin:end])
            states = self.encode(source[begin:end, :longest]).states
            found.append(F.pad(states, (0, 0, 0, source.size(1) - longest)))
            begin = end
        return Memory(torch.cat(found), source != PAD)

    def narrowed(self, pieces: Tensor) -> Seq2Seq:
        """The same encoder and decoder, predicting only these `pieces` (U,) of the vocabulary."""
        output = narrowed(self.output, pieces)
        return Seq2Seq(self.encoder, self.decoder, output).train(self.training)

    def predict(
        self,
        tokens: Tensor,
        state: State,
        live: Tensor | None,
        *,
        need_attention: bool = False,
        among: Tensor | None = None,
    ) -> Prediction:
        """Reads one token of each hypothesis, `tokens` (B, W), and predicts the next.

        `live` (n,) int64 selects some of the B * W hypotheses; None: all. `among` (n, K) int64
        selects pieces of the vocabulary for each of them; -1 gives a logit of -inf.
        """
        states, after, weights = self.decoder.step(tokens, state, need_attention)
        asked = states.flatten(0, 1)  # (B, W, N) -> (B * W, N)
        logits = self.output(asked if live is None else asked[live])
        if among is not None:
            logits = logits.gather(1, among.clamp(min=0)).masked_fill(among < 0, float("-inf"))
        attention = None if weights is None else weights.mean((1, 2))
        return Prediction(logits.float(), after, attention)

    def token_log_probs(self, source: Tensor, target: Tensor) -> Tensor:
        """log p of each token of `target` (B, T) after BOS: (B, T - 1) float32, 0 for PAD.

        A model of type bf16 rounds the logits first; score with an fp32 model for exact values.
        """
        tokens, labels = target[:, :-1], target[:, 1:]
        there = labels != PAD
        states = torch.split(self(source, tokens).states[there], CHUNK)  # (CHUNK, N) each
        found = [
            -F.cross_entropy(self.output(part).float(), wanted, reduction="none")
            for part, wanted in zip(states, torch.split(labels[there], CHUNK), strict=True)
        ]
        log_probs = torch.zeros(labels.shape, device=labels.device)
        return log_probs.masked_scatter(there, torch.cat(found))

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device


def count_parameters(module: nn.Module) -> int:
    """The number of trainable parameters; tied ones count once."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
