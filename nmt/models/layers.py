"""What layers of every kind share: a typed list of them, the type of their products, and a part of
their outputs."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn

Layer = TypeVar("Layer", bound=nn.Module)


class Layers(nn.ModuleList, Generic[Layer]):
    """`nn.ModuleList`, but iterating gives layers of their own type to a type checker."""

    def __iter__(self) -> Iterator[Layer]:
        return cast(Iterator[Layer], super().__iter__())


def for_products(x: Tensor) -> Tensor:
    """`x` as autocast would convert it in each matrix product: once for all that read it."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


def narrowed(layer: nn.Linear, outputs: Tensor) -> nn.Linear:
    """A copy of a linear layer with these (M',) of its M outputs alone, which are the first
    dimension of each of its tensors."""
    tensors = (*layer.parameters(), *layer.buffers())
    chosen = {id(tensor): tensor.detach()[outputs] for tensor in tensors}
    found = copy.deepcopy(layer, chosen)  # takes what is chosen as copied already
    found.out_features = len(outputs)
    return found
