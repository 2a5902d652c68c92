"""A cache of keys and values that all hypotheses of a sentence share.

B sentences, W hypotheses of each, H heads, C places for tokens, K of them filled, D width of a
head, L layers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nmt.models.attention import KeyValue
from nmt.models.products import GRAIN


class Written:
    """The number of filled places in a memory that several caches may share.

    Only the cache that wrote last may continue writing in place.
    """

    def __init__(self, count: int) -> None:
        self.count = count


class Cache(NamedTuple):
    """The keys and values of every token of every hypothesis, stored once per sentence.

    The hypotheses are the queries, and `own` records which keys belong to which hypothesis. A
    hypothesis that is continued twice costs two rows of `own`; no key is copied. A cache is a
    value: two caches made from the same one do not affect each other.
    """

    own: Tensor  # (B, W, C): 0 for the tokens of a hypothesis, -inf for all others
    layers: tuple[KeyValue, ...]  # L of (B, H, C, D); empty before the first token
    filled: int  # K, the places that hold keys of this cache
    written: Written  # the places of `layers` in use, by this cache or by one made from it

    @classmethod
    def start(cls, sentences: int, device: torch.device) -> Cache:
        return cls(torch.empty(sentences, 1, 0, device=device), (), 0, Written(0))

    def select(self, rows: Tensor) -> Cache:
        """As `State.select`."""
        sentences, beam, _ = self.own.shape
        chosen = self._replace(own=self.own.flatten(0, 1)[rows])  # (B * W, C) -> (B', W', C)
        if rows.size(0) == sentences:
            return chosen
        kept = rows[:, 0] // beam
        layers = tuple(layer.select(kept) for layer in self.layers)
        return chosen._replace(layers=layers, written=Written(self.filled))

    def with_room(self) -> Cache:
        """The cache with a place, not yet written, for one more token of each hypothesis."""
        width, room = self.own.shape[1:]
        cache = self
        if self.written.count != self.filled or self.filled + width > room:
            cache = self._compact(width)
        own, end = cache.own.clone(), cache.filled + width
        own[:, :, cache.filled : end].diagonal(dim1=1, dim2=2).fill_(0.0)
        cache.written.count = end
        return cache._replace(own=own, filled=end)

    def _compact(self, width: int) -> Cache:
        """A copy in a memory of its own, without keys that belong to no hypothesis any more."""
        alive = (self.own == 0).any(1)  # (B, C)
        count = int(alive.sum(1).max()) if alive.numel() else 0
        room = _room(count, width)
        order = alive.int().argsort(dim=1, descending=True, stable=True)[:, :count]
        own = self.own.new_full((*self.own.shape[:2], room), -math.inf)
        own[:, :, :count] = self.own.gather(2, order[:, None].expand(-1, self.own.size(1), -1))
        places = nn.functional.pad(order, (0, room - count))  # (B, room); empty places copy key 0
        return Cache(
            own, tuple(_moved(each, places) for each in self.layers), count, Written(count)
        )

    def write(self, layer: int, new: KeyValue) -> tuple[KeyValue, Cache]:
        """Writes the `new` keys (B, H, W, D) of a layer after the earlier ones.

        Returns all keys of the layer, and the cache that holds them. In types other than float32,
        unused places follow the keys: a matrix product would copy a part of a memory, which only
        float32 reads in place.
        """
        layers = self.layers
        if layer == len(layers):  # the first token: no layer has a memory yet
            layers = (*layers, KeyValue(*(_empty(part, self.own.size(2)) for part in new)))
        for memory, part in zip(layers[layer], new, strict=True):
            memory[:, :, self.filled - part.size(2) : self.filled] = part
        reach = self.filled if new.key.dtype == torch.float32 else None
        seen = KeyValue(*(memory[:, :, :reach] for memory in layers[layer]))
        return seen, self._replace(layers=layers)


def _room(count: int, width: int) -> int:
    """Places for twice the tokens, rounded up so that a CPU compiles kernels for few sizes."""
    return GRAIN * math.ceil((2 * (count + width)) / GRAIN)


def _empty(like: Tensor, room: int) -> Tensor:
    """Zeros, because unused places take part in the product with a weight of 0."""
    batch, heads, _, width = like.shape
    return like.new_zeros(batch, heads, room, width)


def _moved(layer: KeyValue, places: Tensor) -> KeyValue:
    """The keys at `places` (B, C'), copied to a memory of their own."""
    heads, room = layer.key.shape[1:3]
    starts = room * torch.arange(layer.key.size(0) * heads, device=places.device)  # (B * H,)
    rows = (starts[:, None] + places.repeat_interleave(heads, dim=0)).flatten()
    parts = (part.flatten(0, 2).index_select(0, rows) for part in layer)
    return KeyValue(*(part.view(*layer.key.shape[:2], places.size(1), -1) for part in parts))
