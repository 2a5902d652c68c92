"""The RNN encoder-decoder of Bahdanau et al. 2015 on the one attention module.

B sentences, W hypotheses of each, S source length, T target length, N decoder width,
M memory width (both directions of the encoder), E embedding width, G gates, L decoder layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nmt.config import RNNConfig
from nmt.device import has_bf16_kernels, send
from nmt.models.attention import Attention, KeyValue
from nmt.models.dropout import Dropout
from nmt.models.layers import Layers
from nmt.models.linear import trains_on_cpu
from nmt.models.scores import build_score
from nmt.models.seq2seq import Decoded, Decoder, Encoder, Memory, Seq2Seq, Stepped


class RNNEncoder(Encoder):
    """Bidirectional GRU or LSTM (3.2), to a Memory of M = 2 * width.

    The last half of the first state is the backward encoder's last one, which has read it all.
    """

    def __init__(self, config: RNNConfig, embedding: nn.Embedding) -> None:
        super().__init__()
        self.embedding = embedding
        self.dropout = Dropout(config.dropout)
        kind = nn.GRU if config.cell == "gru" else nn.LSTM
        width, layers = config.encoder_width, config.encoder_layers
        depths = [config.embedding] + [2 * width] * (layers - 1)
        self.layers = Layers[nn.RNNBase](
            kind(depth, width, batch_first=True, bidirectional=True) for depth in depths
        )

    def forward(self, source: Tensor, mask: Tensor, lengths: Tensor) -> Memory:
        # On a CPU the way back through a packed sequence fills a gradient of it all at each step.
        read = _read_padded if trains_on_cpu(source) else _read_packed
        x = self.dropout(self.embedding(source))
        for layer in self.layers:
            x = self.dropout(read(layer, x, lengths))
        return Memory(x, mask)


class Cell(nn.Module):
    """One recurrent step whose input was projected before: gates (R, G), state (R, C) -> (R, C)."""

    gates: int
    parts: int = 1  # a state is that many vectors of the cell's width

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.recurrent = nn.Linear(width, self.gates * width)

    def forward(self, projected: Tensor, state: Tensor) -> Tensor:
        raise NotImplementedError


class GRUCell(Cell):
    """Cho et al. 2014, with the reset gate behind the product as in cuDNN."""

    gates = 3

    def forward(self, projected: Tensor, state: Tensor) -> Tensor:
        recurrent = self.recurrent(state)
        split = [2 * self.width, self.width]
        gate_in, new_in = torch.split(projected, split, dim=-1)
        gate_state, new_state = torch.split(recurrent, split, dim=-1)
        reset, update = torch.sigmoid(gate_in + gate_state).chunk(2, dim=-1)
        new = torch.tanh(torch.addcmul(new_in, reset, new_state))
        return torch.lerp(new, state.to(new.dtype), update)


class LSTMCell(Cell):
    """Hochreiter and Schmidhuber 1997 with a forget gate. A state is the output, then the cell."""

    gates = 4
    parts = 2

    def forward(self, projected: Tensor, state: Tensor) -> Tensor:
        output, cell = state.chunk(2, dim=-1)
        total = projected + self.recurrent(output)
        into, forget, out, new = total.split(self.width, dim=-1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(into) * torch.tanh(new)
        return torch.cat([torch.sigmoid(out) * torch.tanh(cell), cell], dim=-1)


class Recurred(NamedTuple):
    """What one step of the recurrence gives."""

    output: Tensor  # (B, W, N) of the top layer
    context: Tensor  # (B, W, M)
    hidden: Tensor  # (B, W, L * C)
    weights: Tensor | None  # (B, H, W, S)


class RNNState(NamedTuple):
    """The hidden states of each hypothesis, and the source keys once a sentence."""

    hidden: Tensor  # (B, W, L * C), C the numbers in one cell's state
    source: KeyValue  # (B, H, S, D)
    mask: Tensor  # (B, S) bool

    def select(self, rows: Tensor) -> RNNState:
        sentences, beam, _ = self.hidden.shape
        hidden = self.hidden.flatten(0, 1)[rows]  # (B * W, L * C) -> (B', W', L * C)
        if rows.size(0) == sentences:
            return self._replace(hidden=hidden)
        kept = rows[:, 0] // beam
        return RNNState(hidden, self.source.select(kept), self.mask[kept])


class RNNDecoder(Decoder[RNNState]):
    """s_i = f(s_{i-1}, y_{i-1}, c_i), with c_i the context that s_{i-1} asks for (section 3.1).

    What the vocabulary projection reads is a tanh of s_i, y_{i-1} and c_i, in place of the paper's
    maxout. Further layers are cells stacked on the first.
    """

    def __init__(self, config: RNNConfig, embedding: nn.Embedding) -> None:
        super().__init__()
        width, memory, depth = config.width, 2 * config.encoder_width, config.embedding
        kind = GRUCell if config.cell == "gru" else LSTMCell
        self.embedding = embedding
        self.attention = _attention(config)
        self.cells = Layers[Cell](kind(width) for _ in range(config.decoder_layers))
        self.embedding_proj = nn.Linear(depth, kind.gates * width)
        self.context_proj = nn.Linear(memory, kind.gates * width, bias=False)
        self.upper_proj = Layers[nn.Linear](
            nn.Linear(width, kind.gates * width) for _ in range(config.decoder_layers - 1)
        )
        self.initial = nn.Linear(config.encoder_width, config.decoder_layers * kind.parts * width)
        self.readout = nn.Linear(width + depth + memory, depth)
        self.dropout = Dropout(config.dropout)
        self.width = width

    def forward(self, tokens: Tensor, memory: Memory, need_weights: bool = False) -> Decoded:
        embedded = self.dropout(self.embedding(tokens))  # (B, T, E)
        projected = self.embedding_proj(embedded)  # (B, T, G): all steps in one product
        state = self.start(memory)
        steps = []
        for inputs in torch.split(projected, 1, dim=1):
            stepped = self._advance(inputs, state, need_weights)
            state = state._replace(hidden=stepped.hidden)
            steps.append(stepped)
        outputs = torch.cat([step.output for step in steps], dim=1)  # (B, T, N)
        contexts = torch.cat([step.context for step in steps], dim=1)  # (B, T, M)
        states = self._read_out(outputs, embedded, contexts)
        if not need_weights:
            return Decoded(states, None)
        maps = [step.weights for step in steps if step.weights is not None]
        return Decoded(states, torch.cat(maps, dim=2)[:, None])  # (B, 1, H, T, S)

    def start(self, memory: Memory) -> RNNState:
        backward = memory.states[:, 0, memory.states.size(-1) // 2 :]  # (B, M / 2)
        hidden = torch.tanh(self.initial(backward))[:, None]  # (B, 1, L * C)
        return RNNState(hidden, self.attention.project(memory.states), memory.mask)

    def step(
        self, tokens: Tensor, state: RNNState, need_weights: bool = False
    ) -> Stepped[RNNState]:
        embedded = self.dropout(self.embedding(tokens))  # (B, W, E)
        recurred = self._advance(self.embedding_proj(embedded), state, need_weights)
        states = self._read_out(recurred.output, embedded, recurred.context)
        weights = None if recurred.weights is None else recurred.weights[:, None]
        return Stepped(states, state._replace(hidden=recurred.hidden), weights)

    def _advance(self, inputs: Tensor, state: RNNState, need_weights: bool) -> Recurred:
        """`inputs` (B, W, G), the projected embedding of the last token of each hypothesis."""
        layers = state.hidden.chunk(len(self.cells), dim=-1)
        query = layers[0][..., : self.width]
        context, weights = self.attention(
            query, state.source, mask=state.mask, need_weights=need_weights
        )
        hidden = [self.cells[0](inputs + self.context_proj(context), layers[0])]
        for cell, project, before in zip(self.cells[1:], self.upper_proj, layers[1:], strict=True):
            below = self.dropout(hidden[-1][..., : self.width])
            hidden.append(cell(project(below), before))
        output = hidden[-1][..., : self.width]
        return Recurred(output, context, torch.cat(hidden, dim=-1), weights)

    def _read_out(self, outputs: Tensor, embedded: Tensor, contexts: Tensor) -> Tensor:
        """(B, T, N), (B, T, E), (B, T, M) -> (B, T, E), what the vocabulary projection reads."""
        read = self.readout(torch.cat([outputs, embedded, contexts], dim=-1))
        states: Tensor = self.dropout(torch.tanh(read))
        return states


def build_rnn(config: RNNConfig, source_vocabulary: int, target_vocabulary: int) -> Seq2Seq:
    """A freshly initialised RNN model: orthogonal recurrent weights as in the paper, Xavier for the
    others, where the paper draws from N(0, 0.01^2)."""
    tables = [
        nn.Embedding(size, config.embedding) for size in (source_vocabulary, target_vocabulary)
    ]
    source_table = tables[1] if config.tied_embeddings == "all" else tables[0]
    output = nn.Linear(config.embedding, target_vocabulary, bias=False)
    model = Seq2Seq(RNNEncoder(config, source_table), RNNDecoder(config, tables[1]), output)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            nn.init.zeros_(parameter)
        elif "weight_hh" in name or "recurrent" in name:
            for gate in torch.split(parameter.data, parameter.size(1)):
                nn.init.orthogonal_(gate)
        elif "energy" not in name:
            nn.init.xavier_uniform_(parameter)
    for table in (source_table, tables[1], output):
        nn.init.normal_(table.weight, std=config.embedding**-0.5)
    if config.tied_embeddings != "none":
        output.weight = tables[1].weight
    return model


def _read_packed(layer: nn.RNNBase, x: Tensor, lengths: Tensor) -> Tensor:
    """x (B, S, E), lengths (B,) -> (B, S, M), zeros behind the end of each sentence.

    Sorted here, as the library would wait for a GPU in sending the order there.
    """
    lengths, order = lengths.cpu().sort(descending=True)
    packed = pack_padded_sequence(
        x.index_select(0, send(order, x.device)), lengths, batch_first=True
    )
    packed, _ = layer(packed)
    states = pad_packed_sequence(packed, batch_first=True, total_length=x.size(1))[0]
    return states.index_select(0, send(order.argsort(), x.device))


def _read_padded(layer: nn.RNNBase, x: Tensor, lengths: Tensor) -> Tensor:
    """As `_read_packed`, but for what is behind the ends, which may not be attended to."""
    weights, backward_weights = layer.all_weights
    turned = _turned(lengths, x.size(1))
    forth = _read_forth(layer, x, weights)
    back = _read_forth(layer, _rearranged(x, turned), backward_weights)
    return torch.cat([forth, _rearranged(back, turned)], dim=-1)


def _read_forth(layer: nn.RNNBase, x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """One direction of the layer, that of these weights: (B, S, E) -> (B, S, M / 2)."""
    start = x.new_zeros(1, len(x), layer.hidden_size)
    settings = (True, 1, 0.0, layer.training, False, True)  # one layer of one direction
    if isinstance(layer, nn.LSTM):
        # Autocast would have it in bf16 of a library that has none on some CPUs.
        enabled = torch.is_autocast_enabled("cpu") and has_bf16_kernels()
        with torch.autocast("cpu", enabled=enabled):
            return torch.lstm(x, (start, start), [*weights], *settings)[0]
    return torch.gru(x, start, [*weights], *settings)[0]


def _turned(lengths: Tensor, longest: int) -> Tensor:
    """(B,) -> (B, S): each sentence's own places from the last to the first, then the padding's."""
    places, lengths = torch.arange(longest, device=lengths.device), lengths[:, None]
    return torch.where(places < lengths, lengths - 1 - places, places)


def _rearranged(x: Tensor, places: Tensor) -> Tensor:
    """(B, S, E), (B, S) -> what of each sentence stood at these places."""
    starts = x.size(1) * torch.arange(len(x), device=x.device)[:, None]
    return x.flatten(0, 1).index_select(0, (starts + places).flatten()).view_as(x)


def _attention(config: RNNConfig) -> Attention:
    """W and U of the paper are the query and the key projection; the values are the states."""
    settings, memory = config.attention, 2 * config.encoder_width
    return Attention(
        build_score(settings.score, settings.heads, config.width // settings.heads),
        query_proj=nn.Linear(config.width, config.width, bias=False),
        key_proj=nn.Linear(memory, config.width),
        value_proj=nn.Identity(),
        output_proj=nn.Identity(),
        heads=settings.heads,
        dropout=settings.dropout,
    )
