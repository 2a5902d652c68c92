"""What every model is to the rest of the program: an encoder, a decoder and a projection.

Search and training know these types and no model. States are values: nothing is stored on a
module between calls.

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

CHUNK = 1024  # rows of logits that exist at once where translations are scored
PART = 4096  # source tokens that a CPU encodes at once where it translates


class Memory(NamedTuple):
    """What an encoder hands over. True in the mask means "may be attended to"."""

    states: Tensor  # (B, S, M)
    mask: Tensor  # (B, S) bool


class State(Protocol):
    """All a decoder remembers of the tokens so far, of W hypotheses of each of B sentences."""

    def select(self, rows: Tensor) -> Self:
        """The state of the chosen hypotheses.

        `rows` (B', W') int64 holds indices into the B * W hypotheses, sentence by sentence: entry
        b * W + w is hypothesis w of sentence b. The entries of one row must belong to the same
        sentence and the rows keep the order of the sentences; a sentence that is named by no row
        leaves the state.
        """
        ...


StateT = TypeVar("StateT", bound=State)


class Decoded(NamedTuple):
    """What teacher forcing gives for a whole target."""

    states: Tensor  # (B, T, N)
    weights: Tensor | None  # (B, L, H, T, S) cross-attention, where asked for


class Stepped(NamedTuple, Generic[StateT]):
    """What reading one more token of each hypothesis gives."""

    states: Tensor  # (B, W, N), from which the next token is predicted
    state: StateT
    weights: Tensor | None  # (B, L, H, W, S) cross-attention, where asked for


class Prediction(NamedTuple):
    """What may come next, of the n hypotheses that were asked about."""

    logits: Tensor  # (n, V) float32, or (n, K)
    state: State
    attention: Tensor | None  # (B, W, S) mean of all layers and heads, where asked for


class Encoder(nn.Module):
    """The interface of an encoder; `RNNEncoder` and `TransformerEncoder` fill it."""

    def forward(self, source: Tensor, mask: Tensor, lengths: Tensor) -> Memory:
        """`source` (B, S) int64, right-padded; `mask` (B, S) bool, False for padding; `lengths`
        (B,) int64 without it, which may be on the CPU."""
        raise NotImplementedError


class Decoder(nn.Module, Generic[StateT]):
    """The interface of a decoder and its `State`; `RNNDecoder` and `TransformerDecoder` fill it."""

    def forward(self, tokens: Tensor, memory: Memory, need_weights: bool = False) -> Decoded:
        """Teacher forcing: the states from which tokens[:, 1:] and one more are predicted.

        `tokens` (B, T) int64 begins with BOS.
        """
        raise NotImplementedError

    def start(self, memory: Memory) -> StateT:
        """The state before the first token, with one hypothesis of each sentence (W = 1)."""
        raise NotImplementedError

    def step(self, tokens: Tensor, state: StateT, need_weights: bool = False) -> Stepped[StateT]:
        """Reads one token of each hypothesis: `tokens` (B, W) int64."""
        raise NotImplementedError


class Seq2Seq(nn.Module):
    """An encoder, a decoder and the vocabulary projection, which stands apart from the decoder:
    the loss skips padding, and search projects only what is alive."""

    def __init__(self, encoder: Encoder, decoder: Decoder[Any], output: nn.Linear) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.output = output  # N -> V

    def encode(self, source: Tensor) -> Memory:
        """`source` (B, S) int64, right-padded with PAD; on the CPU it spares a GPU that the lengths
        are waited for."""
        mask = source != PAD
        here = self.device
        memory = self.encoder(send(source, here), send(mask, here), mask.sum(1))
        assert isinstance(memory, Memory)
        return memory

    def forward(self, source: Tensor, tokens: Tensor, need_weights: bool = False) -> Decoded:
        """Teacher forcing over `tokens` (B, T), which may be on the CPU as `source` may;
        `self.output` makes logits of the states."""
        memory = self.encode(source)
        decoded = self.decoder(send(tokens, memory.states.device), memory, need_weights)
        assert isinstance(decoded, Decoded)
        return decoded

    def start(self, source: Tensor) -> State:
        """The state of one hypothesis of each sentence of `source` (B, S), before any token."""
        in_parts = self.device.type == "cpu" and source.numel() > PART
        memory = self._encode_in_parts(source) if in_parts else self.encode(source)
        state: State = self.decoder.start(memory)
        return state

    def _encode_in_parts(self, source: Tensor) -> Memory:
        """As `encode`, a part of the sentences at a time, each as wide as its longest: most of the
        padding is spared where they stand by length, the longest first."""
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
        """The same encoder and decoder, predicting these (U,) of the vocabulary alone."""
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
        """Reads one token of each hypothesis, `tokens` (B, W), and says what may come next.

        `live` (n,) int64 holds those of the B * W hypotheses to be asked about; None: all.
        `among` (n, K) int64 says which of the vocabulary are weighed; -1 gives a logit of -inf.
        """
        states, after, weights = self.decoder.step(tokens, state, need_attention)
        asked = states.flatten(0, 1)  # (B, W, N) -> (B * W, N)
        logits = self.output(asked if live is None else asked[live])
        if among is not None:
            logits = logits.gather(1, among.clamp(min=0)).masked_fill(among < 0, float("-inf"))
        attention = None if weights is None else weights.mean((1, 2))
        return Prediction(logits.float(), after, attention)

    def token_log_probs(self, source: Tensor, target: Tensor) -> Tensor:
        """log p of each token of `target` (B, T), BOS first, but BOS: (B, T - 1) float32, 0 for
        PAD."""
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
    """Trainable numbers, tied ones once."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
