"""What is the RNN's own: cells, the bidirectional encoder, the initial state."""

from __future__ import annotations

from typing import Any, Protocol

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nmt.config import EOS, PAD, RNNConfig
from nmt.models import build_model, rnn
from nmt.models.rnn import GRUCell, LSTMCell, RNNEncoder
from nmt.models.seq2seq import Seq2Seq

WIDTH = 5
close = torch.testing.assert_close


class Build(Protocol):
    def __call__(self, name: str, **knobs: Any) -> Seq2Seq: ...


def test_gru_is_torchs_own() -> None:
    theirs, ours, proj = nn.GRUCell(3, WIDTH), GRUCell(WIDTH), nn.Linear(3, 3 * WIDTH)
    take_over(theirs, ours, proj, gates=[0, 1, 2])
    x, state = torch.randn(4, 3), torch.randn(4, WIDTH)
    close(ours(proj(x), state), theirs(x, state))


def test_lstm_is_torchs_own() -> None:
    theirs, ours, proj = nn.LSTMCell(3, WIDTH), LSTMCell(WIDTH), nn.Linear(3, 4 * WIDTH)
    take_over(theirs, ours, proj, gates=[0, 1, 3, 2])  # torch's output gate comes last
    x, hidden, cell = torch.randn(4, 3), torch.randn(4, WIDTH), torch.randn(4, WIDTH)
    found = ours(proj(x), torch.cat([hidden, cell], dim=-1))
    close(found, torch.cat(theirs(x, (hidden, cell)), dim=-1))


def take_over(
    theirs: nn.RNNCellBase, ours: GRUCell | LSTMCell, proj: nn.Linear, gates: list[int]
) -> None:
    """Copies torch's weights; `gates` says where each of our gates stands among theirs."""
    for layer, kind in ((proj, "ih"), (ours.recurrent, "hh")):
        for name in ("weight", "bias"):
            parts = getattr(theirs, f"{name}_{kind}").detach().chunk(len(gates))
            getattr(layer, name).data.copy_(torch.cat([parts[gate] for gate in gates]))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_encoder_reads_each_sentence_alone(build: Build, cell: str, layers: int) -> None:
    model = build("rnn", cell=cell, encoder_layers=layers)
    sentences = [[5, 6, EOS], [7, 8, 9, 10, EOS], [EOS]]
    source = torch.tensor([row + [PAD] * (6 - len(row)) for row in sentences])
    memory = model.encode(source)
    assert torch.equal(memory.mask, source != PAD)
    for row, sentence in enumerate(sentences):
        alone = model.encode(torch.tensor([sentence]))
        close(memory.states[row, : len(sentence)], alone.states[0])


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("on_cpu", [True, False])
def test_the_encoder_learns_what_packed_sequences_teach(
    build: Build, cell: str, layers: int, on_cpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rnn, "trains_on_cpu", lambda _: on_cpu and torch.is_grad_enabled())
    encoder = build("rnn", cell=cell, encoder_layers=layers).encoder
    assert isinstance(encoder, RNNEncoder)
    source = torch.tensor([[5, 6, EOS, PAD], [7, 8, 9, EOS], [EOS, PAD, PAD, PAD]])
    mask = source != PAD
    with torch.no_grad():
        unlearning = encoder(source, mask, mask.sum(1)).states
    ours, theirs = encoder(source, mask, mask.sum(1)).states, packed(encoder, source, mask)
    weights = torch.randn_like(ours) * mask[..., None]
    close(ours * mask[..., None], theirs)
    close(unlearning, theirs)
    parameters = list(encoder.parameters())
    found, expected = (
        torch.autograd.grad((states * weights).sum(), parameters) for states in (ours, theirs)
    )
    close(found, expected)


def packed(encoder: RNNEncoder, source: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The states by torch's own way to leave padding out."""
    x = encoder.embedding(source)
    for layer in encoder.layers:
        sequence = pack_padded_sequence(x, mask.sum(1), batch_first=True, enforce_sorted=False)
        x, _ = pad_packed_sequence(layer(sequence)[0], batch_first=True)
    return x


def test_both_directions_read(build: Build) -> None:
    model = build("rnn", encoder_layers=1)
    first, last = torch.tensor([[5, 6, 7, EOS]]), torch.tensor([[5, 6, 9, EOS]])
    one, two = model.encode(first).states, model.encode(last).states
    half = one.size(-1) // 2
    assert torch.equal(one[:, :2, :half], two[:, :2, :half]), "forward: not what comes later"
    assert not torch.isclose(one[:, 0, half:], two[:, 0, half:]).all(), "backward: it all"


def test_the_decoder_begins_where_the_backward_encoder_ended(build: Build) -> None:
    model = build("rnn", encoder_layers=1, decoder_layers=1, cell="gru")
    assert isinstance(model.encoder, RNNEncoder)
    source = torch.tensor([[5, 6, 7, EOS]])
    _, last = model.encoder.layers[0](model.encoder.embedding(source))  # last (2, B, width)
    expected = torch.tanh(model.decoder.initial(last[1]))
    close(model.decoder.start(model.encode(source)).hidden[:, 0], expected)


def test_the_context_enters_the_cell_and_the_output(build: Build) -> None:
    model = build("rnn", decoder_layers=1)
    source, tokens = torch.tensor([[5, 6, 7, EOS]]), torch.tensor([[2, 8, 9]])
    plain = model(source, tokens).states
    for name in ("context_proj", "readout"):
        changed = build("rnn", decoder_layers=1)
        getattr(changed.decoder, name).weight.data[:, -16:] = 0  # a context is 2 * 8 wide
        assert not torch.allclose(changed(source, tokens).states, plain)


def test_recurrent_weights_begin_orthogonal() -> None:
    config = RNNConfig(width=16, embedding=8, encoder_width=8, cell="lstm", decoder_layers=2)
    model = build_model(config, 20, 20)
    found = 0
    for name, parameter in model.named_parameters():
        if "weight_hh" in name or "recurrent.weight" in name:
            for gate in parameter.split(parameter.size(1)):
                close(gate @ gate.T, torch.eye(len(gate)), rtol=0, atol=1e-5)
                found += 1
    assert found == 4 * (2 + 2)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_each_gate_begins_as_a_matrix_of_its_own(cell: str) -> None:
    """Xavier by the size of a gate, whatever it is stacked with."""
    config = RNNConfig(
        width=96, embedding=128, encoder_width=64, cell=cell, encoder_layers=2, decoder_layers=2
    )
    model = build_model(config, 20, 20)
    found = 0
    for name, parameter in model.named_parameters():
        width = 64 if "weight_ih" in name else 96
        if any(part in name for part in rnn.STACKED):
            if parameter.dim() == 1:
                continue
            for gate in parameter.detach().split(width):
                assert gate.shape == (width, parameter.size(1))
                expected = (2 / sum(gate.shape)) ** 0.5
                assert gate.std().item() == pytest.approx(expected, rel=0.05)
                found += 1
        elif "_proj.weight" in name or "readout.weight" in name:
            expected = (2 / sum(parameter.shape)) ** 0.5
            assert parameter.std().item() == pytest.approx(expected, rel=0.05)
    gates, states = (4, 2) if cell == "lstm" else (3, 1)
    assert found == gates * (2 * 2 + 3) + states * 2


def test_an_lstm_begins_by_remembering() -> None:
    """The biases of its forget gates add up to 1, and all others are 0."""
    config = RNNConfig(width=16, embedding=8, encoder_width=8, cell="lstm", decoder_layers=2)
    model = build_model(config, 20, 20)
    assert isinstance(model.encoder, RNNEncoder)
    biases = [
        parameters[2] + parameters[3]
        for layer in model.encoder.layers
        for parameters in layer.all_weights
    ]
    inputs = [model.decoder.embedding_proj, *model.decoder.upper_proj]
    cells = zip(model.decoder.cells, inputs, strict=True)
    biases += [cell.recurrent.bias + projection.bias for cell, projection in cells]
    assert len(biases) == 4
    for bias in biases:
        into, forget, *rest = bias.chunk(4)
        assert (forget == 1).all() and not any(each.any() for each in (into, *rest))
    total = sum(p.sum().item() for p in model.parameters() if p.dim() == 1)
    assert total == 2 * 8 + 2 * 16, "no other bias is set"
    gru = build_model(RNNConfig(width=16, embedding=8, encoder_width=8), 20, 20)
    assert not any(p.any() for p in gru.parameters() if p.dim() == 1)
