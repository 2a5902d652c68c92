"""A bidirectional recurrent layer over sentences of different lengths.

B sentences, S source length, E width of the input, M width of the output (both directions).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nmt.device import has_bf16_kernels, send


def read_packed(layer: nn.RNNBase, x: Tensor, lengths: Tensor) -> Tensor:
    """x (B, S, E), lengths (B,) -> (B, S, M), with zeros after the end of each sentence.

    It sorts the sentences itself: torch would wait for the GPU when it copies the order there.
    """
    lengths, order = lengths.cpu().sort(descending=True)
    packed = pack_padded_sequence(
        x.index_select(0, send(order, x.device)), lengths, batch_first=True
    )
    packed, _ = layer(packed)
    states = pad_packed_sequence(packed, batch_first=True, total_length=x.size(1))[0]
    return states.index_select(0, send(order.argsort(), x.device))


def read_padded(layer: nn.RNNBase, x: Tensor, lengths: Tensor) -> Tensor:
    """Like `read_packed`, except that the states after the end of a sentence are not zero."""
    weights, backward_weights = layer.all_weights
    turned = _turned(lengths, x.size(1))
    forth = _read_forth(layer, x, weights)
    back = _read_forth(layer, _rearranged(x, turned), backward_weights)
    return torch.cat([forth, _rearranged(back, turned)], dim=-1)


def _read_forth(layer: nn.RNNBase, x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """The direction of the layer that has these weights: (B, S, E) -> (B, S, M / 2)."""
    start = x.new_zeros(1, len(x), layer.hidden_size)
    settings = (True, 1, 0.0, layer.training, False, True)  # one layer of one direction
    if isinstance(layer, nn.LSTM):
        # Autocast would choose bf16 also on CPUs whose library has no kernel for it.
        enabled = torch.is_autocast_enabled("cpu") and has_bf16_kernels()
        with torch.autocast("cpu", enabled=enabled):
            return torch.lstm(x, (start, start), [*weights], *settings)[0]
    return torch.gru(x, start, [*weights], *settings)[0]


def _turned(lengths: Tensor, longest: int) -> Tensor:
    """(B,) -> (B, S): the positions of each sentence in reverse order, then those of padding."""
    places, lengths = torch.arange(longest, device=lengths.device), lengths[:, None]
    return torch.where(places < lengths, lengths - 1 - places, places)


def _rearranged(x: Tensor, places: Tensor) -> Tensor:
    """The entries of x (B, S, E) at these positions (B, S) of each sentence."""
    starts = x.size(1) * torch.arange(len(x), device=x.device)[:, None]
    return x.flatten(0, 1).index_select(0, (starts + places).flatten()).view_as(x)
