"""The RNN encoder-decoder of Bahdanau et al. 2015 on the one attention module.

B sentences, W hypotheses of each, S source length, T target length, N decoder width,
M memory width (both directions of the encoder), E embedding width, G gates, L decoder layers.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from nmt.config import RNNConfig
from nmt.models.attention import Attention, KeyValue
from nmt.models.dropout import Dropout
from nmt.models.layers import Layers
from nmt.models.linear import trains_on_cpu
from nmt.models.recurrent import read_packed, read_padded
from nmt.models.scores import build_score
from nmt.models.seq2seq import Decoded, Decoder, Encoder, Memory, Seq2Seq, Stepped

# Projections to several vectors at once: the inputs of the gates, or the first state of each cell.
STACKED = ("weight_ih", "embedding_proj", "context_proj", "upper_proj", "initial")
# A cell adds up two biases. The forget gate is the second one, in torch's LSTM as in `LSTMCell`.
FORGET_BIASES = ("bias_ih_l0", "bias_ih_l0_reverse", "recurrent.bias")


class RNNEncoder(Encoder):
    """A bidirectional GRU or LSTM (section 3.2); its Memory has the width M = 2 * width.

    The second half of the first state is the last state of the backward direction, which has read
    the whole sentence.
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
        # On a CPU, the backward pass through a packed sequence fills a gradient of the whole
        # sequence at each step.
        read = read_padded if trains_on_cpu(source) else read_packed
        x = self.dropout(self.embedding(source))
        for layer in self.layers:
            x = self.dropout(read(layer, x, lengths))
        return Memory(x, mask)


class Cell(nn.Module):
    """One recurrent step whose input is already projected: gates (R, G), state (R, C) -> (R, C).

    Under autocast to bf16, the states are rounded to bf16 as well, an LSTM's cell included.
    """

    gates: int
    parts: int = 1  # vectors of the cell's width in a state

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.recurrent = nn.Linear(width, self.gates * width)

    def forward(self, projected: Tensor, state: Tensor) -> Tensor:
        raise NotImplementedError


class GRUCell(Cell):
    """Cho et al. 2014, with the reset gate applied after the product, as in cuDNN."""

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
    """Hochreiter and Schmidhuber 1997 with a forget gate; a state is the output, then the cell."""

    gates = 4
    parts = 2

    def forward(self, projected: Tensor, state: Tensor) -> Tensor:
        output, cell = state.chunk(2, dim=-1)
        total = projected + self.recurrent(output)
        into, forget, out, new = total.split(self.width, dim=-1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(into) * torch.tanh(new)
        return torch.cat([torch.sigmoid(out) * torch.tanh(cell), cell], dim=-1)


class Recurred(NamedTuple):
    """The results of one step of the recurrence."""

    output: Tensor  # (B, W, N), the top layer's
    context: Tensor  # (B, W, M)
    hidden: Tensor  # (B, W, L * C)
    weights: Tensor | None  # (B, H, W, S)


class RNNState(NamedTuple):
    """The hidden states of each hypothesis, and the source keys, once per sentence."""

    hidden: Tensor  # (B, W, L * C); C is the width of one cell's state
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
    """s_i = f(s_{i-1}, y_{i-1}, c_i), where s_{i-1} is the query of the context c_i (section 3.1).

    The vocabulary projection reads a tanh layer over s_i, y_{i-1} and c_i; the paper uses maxout.
    Further layers are cells stacked on the first.
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
        projected = self.embedding_proj(embedded)  # (B, T, G), all steps in one product
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
        """One step; `inputs` (B, W, G) is the projected last token of each hypothesis."""
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
        """The input (B, T, E) of the vocabulary projection.

        `outputs` (B, T, N), `embedded` (B, T, E), `contexts` (B, T, M).
        """
        read = self.readout(torch.cat([outputs, embedded, contexts], dim=-1))
        states: Tensor = self.dropout(torch.tanh(read))
        return states


def build_rnn(config: RNNConfig, source_vocabulary: int, target_vocabulary: int) -> Seq2Seq:
    """A freshly initialised RNN model."""
    tables = [
        nn.Embedding(size, config.embedding) for size in (source_vocabulary, target_vocabulary)
    ]
    source_table = tables[1] if config.tied_embeddings == "all" else tables[0]
    output = nn.Linear(config.embedding, target_vocabulary, bias=False)
    model = Seq2Seq(RNNEncoder(config, source_table), RNNDecoder(config, tables[1]), output)
    _initialise(model, config)
    for table in (source_table, tables[1], output):
        nn.init.normal_(table.weight, std=config.embedding**-0.5)
    if config.tied_embeddings != "none":
        output.weight = tables[1].weight
    return model


@torch.no_grad()
def _initialise(model: Seq2Seq, config: RNNConfig) -> None:
    """Draws all weights except embeddings, which are N(0, 1/E), and the additive score's.

    Recurrent weights are orthogonal, as in the paper. The others are Xavier, where the paper draws
    from N(0, 0.01^2). Each gate is drawn as a matrix of its own. Biases are 0, except 1 for the
    forget gate of an LSTM, which then remembers from the start (Jozefowicz et al. 2015).
    """
    for name, parameter in model.named_parameters():
        width = config.encoder_width if name.startswith("encoder") else config.width
        recurrent = any(part in name for part in ("weight_hh", "recurrent"))
        if parameter.dim() == 1:
            parameter.zero_()
            if config.cell == "lstm" and name.endswith(FORGET_BIASES):
                parameter[width : 2 * width] = 1
        elif "energy" not in name:
            draw = nn.init.orthogonal_ if recurrent else nn.init.xavier_uniform_
            stacked = recurrent or any(part in name for part in STACKED)
            for matrix in torch.split(parameter, width if stacked else len(parameter)):
                draw(matrix)


def _attention(config: RNNConfig) -> Attention:
    """The paper's attention: W and U are the query and key projections, the values the states."""
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
