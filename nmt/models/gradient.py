"""A mark for hand-written gradients that have no second derivative."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")


def once_differentiable(backward: Callable[..., Result]) -> Callable[..., Result]:
    """Makes the `backward` of an `autograd.Function` refuse `create_graph=True`.

    torch's decorator of the same name is not enough: `torch.autograd.grad(..., inputs)` passes by
    its error and silently leaves this function out of the second derivative.
    """

    @functools.wraps(backward)
    def checked(ctx: Any, *gradients: Any) -> Result:
        if torch.is_grad_enabled():
            name = backward.__qualname__.removesuffix(".backward")
            raise RuntimeError(f"{name} has no second derivative: create_graph=True is refused")
        return backward(ctx, *gradients)

    return checked
