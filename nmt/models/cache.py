"""The keys and values of what has been said, of all hypotheses of a sentence together.

B sentences, W hypotheses of each, H heads, C places, K of them written, D width of a head,
L layers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nmt.models.attention import KeyValue
from nmt.models.products import GRAIN


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

    own: Tensor  # (B, W, C): 0 for the tokens a hypothesis consists of, -inf for others
    layers: tuple[KeyValue, ...]  # L of (B, H, C, D); empty before the first token
    filled: int  # K, of the places that hold keys of this cache
    written: Written  # places of `layers` that hold keys, of this cache or of one that came of it

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
        """Of these hypotheses, each with one more token: the place of its key is there and not yet
        written."""
        width, room = self.own.shape[1:]
        cache = self
        if self.written.count != self.filled or self.filled + width > room:
            cache = self._compact(width)
        own, end = cache.own.clone(), cache.filled + width
        own[:, :, cache.filled : end].diagonal(dim1=1, dim2=2).fill_(0.0)
        cache.written.count = end
        return cache._replace(own=own, filled=end)

    def _compact(self, width: int) -> Cache:
        """In a memory of its own, without the keys that are nobody's any more."""
        alive = (self.own == 0).any(1)  # (B, C)
        count = int(alive.sum(1).max()) if alive.numel() else 0
        room = _room(count, width)
        order = alive.int().argsort(dim=1, descending=True, stable=True)[:, :count]
        own = self.own.new_full((*self.own.shape[:2], room), -math.inf)
        own[:, :, :count] = self.own.gather(2, order[:, None].expand(-1, self.own.size(1), -1))
        places = nn.functional.pad(order, (0, room - count))  # (B, room); any, where nothing is
        return Cache(
            own, tuple(_moved(each, places) for each in self.layers), count, Written(count)
        )

    def write(self, layer: int, new: KeyValue) -> tuple[KeyValue, Cache]:
        """The keys of all tokens in a layer, those `new` (B, H, W, D) at the end; and the cache
        that holds them.

        Of other types than float32 places follow that are nobody's yet: their products would copy
        a part of a memory, while those of float32 read it where it is.
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
    """Places for twice what is there; of few sizes, for which a CPU has to make few kernels."""
    return GRAIN * math.ceil((2 * (count + width)) / GRAIN)


def _empty(like: Tensor, room: int) -> Tensor:
    """Zeros, as what is nobody's is multiplied all the same: by 0."""
    batch, heads, _, width = like.shape
    return like.new_zeros(batch, heads, room, width)


def _moved(layer: KeyValue, places: Tensor) -> KeyValue:
    """The keys of `places` (B, C'), in a memory of their own."""
    heads, room = layer.key.shape[1:3]
    starts = room * torch.arange(layer.key.size(0) * heads, device=places.device)  # (B * H,)
    rows = (starts[:, None] + places.repeat_interleave(heads, dim=0)).flatten()
    parts = (part.flatten(0, 2).index_select(0, rows) for part in layer)
    return KeyValue(*(part.view(*layer.key.shape[:2], places.size(1), -1) for part in parts))
