"""Shared by all layers: a typed list, the type of matrix products, a choice of outputs."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn

Layer = TypeVar("Layer", bound=nn.Module)


class Layers(nn.ModuleList, Generic[Layer]):
    """`nn.ModuleList` whose elements have their own type for a type checker."""

    def __iter__(self) -> Iterator[Layer]:
        return cast(Iterator[Layer], super().__iter__())


def for_products(x: Tensor) -> Tensor:
    """`x` in autocast's type, converted once rather than in each matrix product that reads it.

    A residual sum that passes through here is rounded to bf16 as well, see `device.autocast`.
    """
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


def narrowed(layer: nn.Linear, outputs: Tensor) -> nn.Linear:
    """A copy of a linear layer that keeps only these (M',) of its M outputs.

    The outputs must be the first dimension of each of its tensors.
    """
    tensors = (*layer.parameters(), *layer.buffers())
    chosen = {id(tensor): tensor.detach()[outputs] for tensor in tensors}
    found = copy.deepcopy(layer, chosen)  # treats the chosen tensors as copied already
    found.out_features = len(outputs)
    return found
