"""The optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim.adam import adam

from nmt.config import TrainingConfig
from nmt.errors import UserError

# As in Vaswani et al. 2017, section 5.3. With so small a value, a parameter whose true gradient is
# 0 takes full steps in the direction of the rounding noise. The key bias of a scaled dot product is
# such a parameter; it drifts, but no output depends on it.
EPSILON = 1e-9


class Memory(NamedTuple):
    """Adam's state of one parameter."""

    step: Tensor  # () the number of updates
    exp_avg: Tensor  # the running mean of the gradient, in its shape
    exp_avg_sq: Tensor  # the running mean of its square


def zeros(like: Tensor) -> Memory:
    return Memory(
        torch.zeros((), device=like.device), torch.zeros_like(like), torch.zeros_like(like)
    )


class Adam:
    """Adam (Kingma and Ba 2015) or AdamW (Loshchilov and Hutter 2019) with torch's fused kernel.

    It calls the kernel as `torch.optim.Adam` does. That class would import torch's compiler, which
    takes a second or two and 75 MB. Weight decay does not apply to vectors: biases and gains of
    normalisations.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig) -> None:
        learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.config = config
        self.matrices = [parameter for parameter in learnt if parameter.dim() > 1]
        self.parameters = self.matrices + [each for each in learnt if each.dim() <= 1]
        try:
            self.memory = [zeros(parameter.detach()) for parameter in self.parameters]
        except torch.cuda.OutOfMemoryError as error:
            raise UserError(
                "not enough GPU memory for the optimizer; use a smaller model"
            ) from error

    @torch.no_grad()
    def step(self, rate: float, *, skip: Tensor, divisor: Tensor | None = None) -> None:
        """Updates the parameters with the gradients divided by `divisor` (), unless `skip` () is 1.

        Only the kernel reads the two, so the program does not wait for a GPU, and scaling the
        gradients takes no pass of its own.
        """
        for begin, end, decay in (
            (0, len(self.matrices), self.config.weight_decay),
            (len(self.matrices), None, 0.0),
        ):
            self._step(slice(begin, end), rate, decay, skip, divisor)

    def _step(
        self, part: slice, rate: float, decay: float, skip: Tensor, divisor: Tensor | None
    ) -> None:
        pairs = zip(self.parameters[part], self.memory[part], strict=True)
        rows = [(each, each.grad, *memory) for each, memory in pairs if each.grad is not None]
        if not rows:
            return
        if divisor is not None and divisor.is_cpu and divisor == 1:
            divisor = None  # with a divisor, the kernel would also write the gradients
        parameters, gradients, steps, averages, squares = map(list, zip(*rows, strict=True))
        adam(
            parameters,
            gradients,
            averages,
            squares,
            [],
            steps,
            fused=True,
            grad_scale=divisor,
            found_inf=skip,
            decoupled_weight_decay=self.config.optimizer == "adamw",
            amsgrad=False,
            beta1=self.config.beta1,
            beta2=self.config.beta2,
            lr=rate,
            weight_decay=decay,
            eps=EPSILON,
            maximize=False,
        )

    @torch.no_grad()
    def gradient_norm(self) -> Tensor:
        """The norm () of all gradients together."""
        gradients = [each.grad for each in self.parameters if each.grad is not None]
        # All vectors are joined, because starting a norm takes longer than computing it.
        vectors = [each for each in gradients if each.dim() <= 1]
        joined = [each for each in gradients if each.dim() > 1]
        joined += [torch.cat([each.flatten() for each in vectors])] if vectors else []
        if not joined or not joined[0].is_cpu:
            return get_total_norm(joined)
        # On a CPU this is faster than torch's norm of each.
        squares = [torch.dot(each, each) for each in map(torch.flatten, joined)]
        return torch.stack(squares).sum().sqrt()

    def forget_gradients(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    def saved(self) -> dict[int, dict[str, Tensor]]:
        """The state of each parameter, in order; everything else comes from the config."""
        return {index: memory._asdict() for index, memory in enumerate(self.memory)}

    def load(self, saved: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Restores what `saved` returned. Raises `ValueError` if it does not fit the model."""
        if set(saved) != set(range(len(self.memory))):
            raise ValueError("the optimizer state belongs to other parameters")
        for index, memory in enumerate(self.memory):
            shapes = [
                {name: (x.shape, x.dtype) for name, x in each.items()}
                for each in (saved[index], memory._asdict())
            ]
            if shapes[0] != shapes[1]:
                raise ValueError(f"the optimizer state of parameter {index} does not fit")
            for name, value in memory._asdict().items():
                value.copy_(saved[index][name])
