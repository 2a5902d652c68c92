"""The keys and values of what has been said, of all hypotheses of a sentence together.

B sentences, W hypotheses of each, H heads, C places, K of them written, D width of a head,
L layers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from nmt.models.attention import KeyValue


class Written:
    """How many places of a shared memory are taken: who wrote last may go on writing in place."""

    def __init__(self, count: int) -> None:
        self.count = count


class Cache(NamedTuple):
    """The keys of every token that a hypothesis has read, once a sentence.

    The hypotheses are the queries, and `own` says which keys are whose. So a hypothesis that is
    continued twice costs two rows of `own`, and no key is copied. It is a value: two that come
    from the same one do not disturb each other.
    """

    own: Tensor  # (B, W, K): 0 for the tokens a hypothesis consists of, -inf for others
    layers: tuple[KeyValue, ...]  # L of (B, H, C, D); empty before the first token
    written: Written  # places of `layers` that hold keys, of this cache or of one that came of it

    @classmethod
    def start(cls, sentences: int, device: torch.device) -> Cache:
        return cls(torch.empty(sentences, 1, 0, device=device), (), Written(0))

    def select(self, rows: Tensor) -> Cache:
        """As `State.select`."""
        sentences, beam, _ = self.own.shape
        chosen = self._replace(own=self.own.flatten(0, 1)[rows])  # (B * W, K) -> (B', W', K)
        if rows.size(0) == sentences:
            return chosen
        kept = rows[:, 0] // beam
        layers = tuple(layer.select(kept) for layer in self.layers)
        return Cache(chosen.own, layers, Written(self.own.size(2)))

    def with_room(self) -> Cache:
        """Of these hypotheses, each with one more token: the place of its key is there and not yet
        written."""
        width, count = self.own.shape[1:]
        new = torch.full((width, width), -math.inf, device=self.own.device).fill_diagonal_(0.0)
        room = self.layers[0].key.size(2) if self.layers else 0
        cache = self
        if self.written.count != count or count + width > room:
            cache = self._compact(width)
        own = torch.cat([cache.own, new.expand(len(cache.own), -1, -1)], dim=2)
        cache.written.count += width
        return Cache(own, cache.layers, cache.written)

    def _compact(self, width: int) -> Cache:
        """In a memory of its own, without the keys that are nobody's any more."""
        alive = (self.own == 0).any(1)  # (B, K)
        count = int(alive.sum(1).max()) if alive.numel() else 0
        order = alive.int().argsort(dim=1, descending=True, stable=True)[:, :count]
        own = self.own.gather(2, order[:, None].expand(-1, self.own.size(1), -1))
        room = 2 * (count + width) + 8
        layers = tuple(_moved(layer, order, room) for layer in self.layers)
        return Cache(own, layers, Written(count))

    def write(self, layer: int, new: KeyValue) -> tuple[KeyValue, Cache]:
        """The keys of all tokens in a layer, those `new` (B, H, W, D) at the end, and the cache
        that holds them."""
        count = self.own.size(2)
        layers = self.layers
        if layer == len(layers):  # the first token: no layer has a memory yet
            layers = (*layers, KeyValue(*(_roomy(part, 4 * count) for part in new)))
        width = new.key.size(2)
        for memory, part in zip(layers[layer], new, strict=True):
            memory[:, :, count - width : count] = part
        seen = KeyValue(*(memory[:, :, :count] for memory in layers[layer]))
        return seen, self._replace(layers=layers)


def _roomy(like: Tensor, room: int) -> Tensor:
    batch, heads, _, width = like.shape
    return like.new_empty(batch, heads, room, width)


def _moved(layer: KeyValue, order: Tensor, room: int) -> KeyValue:
    """The keys of the places `order` (B, K'), in a memory with `room`."""
    parts = []
    for part in layer:
        index = order[:, None, :, None].expand(-1, part.size(1), -1, part.size(3))
        memory = _roomy(part, room)
        torch.gather(part, 2, index, out=memory[:, :, : order.size(1)])
        parts.append(memory)
    return KeyValue(*parts)
