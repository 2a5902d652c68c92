"""One step of the optimizer, from batches to changed weights."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.profiler import record_function

from nmt.config import PAD, TrainingConfig
from nmt.data.batch import Batch
from nmt.device import autocast, pick_dtype
from nmt.errors import UserError, require
from nmt.models.seq2seq import Seq2Seq
from nmt.training.loss import translation_loss
from nmt.training.optim import build_optimizer
from nmt.training.progress import Update

log = logging.getLogger(__name__)

# A `with` around a part of a step, by its name: forward, loss, backward or optimizer.
Phase = Callable[[str], AbstractContextManager[object]]


class Updater:
    """Makes steps on one model. The phases show up by name in a profile of torch's profiler."""

    def __init__(
        self, model: Seq2Seq, config: TrainingConfig, phase: Phase = record_function
    ) -> None:
        self.model = model
        self.config = config
        self.phase = phase
        self.optimizer = build_optimizer(model, config)
        self.dtype = pick_dtype(config.precision, model.device)

    def update(self, batches: Sequence[Batch], rate: float) -> Update:
        """One step at this learning rate on the mean loss over the labels of all the batches.

        Where loss or gradient is not finite, weights and optimizer stay as they are.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        labels = sum(int((batch.labels != PAD).sum()) for batch in batches)
        sums = self._gradients(batches, labels)
        with self.phase("optimizer"):
            norm = clip_grad_norm_(self.model.parameters(), self.config.clip or float("inf"))
            is_finite = norm.isfinite() & sums.isfinite().all()
            # The library's fused kernel makes no step where this is 1: no host waits for a GPU.
            self.optimizer.found_inf = (~is_finite).float()  # type: ignore[attr-defined]
            self.optimizer.step()
            self.optimizer.zero_grad()
        return Update(
            sums=sums,
            gradient_norm=norm,
            learning_rate=rate,
            source_tokens=sum(int((batch.source != PAD).sum()) for batch in batches),
            target_tokens=labels,
            pairs=sum(len(batch.source) for batch in batches),
        )

    def rehearse(self, batch: Batch) -> None:
        """The forward and the backward pass of a batch, after which weights and gradients are as
        before; beside the optimizer's memory, as in all steps to come."""
        self._reserve()
        device = self.model.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            self._gradients([batch], 1)
        self.optimizer.zero_grad()

    def _reserve(self) -> None:
        """Makes the memory of the optimizer, which the library would do in its first step."""
        for parameter in self.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        self.optimizer.found_inf = torch.ones((), device=self.model.device)  # type: ignore[attr-defined]
        try:
            self.optimizer.step()
        except torch.cuda.OutOfMemoryError as error:
            raise UserError(
                f"{self.model.device} has not the memory for the optimizer: a smaller model would "
                "need less"
            ) from error
        self.optimizer.zero_grad()

    def _gradients(self, batches: Sequence[Batch], labels: int) -> Tensor:
        """Leaves the gradient of the loss over `labels` labels; gives the sums of the `loss`es.

        Batches for which a GPU has not the memory are halved, and all begins again.
        """
        parts = list(batches)
        while (sums := self._backward(parts, labels)) is None:
            # Here, where no exception holds on to what did not fit.
            self.optimizer.zero_grad()
            torch.cuda.empty_cache()
            parts = self._halved(parts)
        return sums

    def _backward(self, batches: Sequence[Batch], labels: int) -> Tensor | None:
        """None where the memory is not enough; gradients are then left half made."""
        sums = torch.zeros(2, device=self.model.device)
        self.model.train()
        try:
            for batch in batches:
                part = self.loss(batch)
                with self.phase("backward"):
                    torch.autograd.backward(part[0] / labels)
                sums += part.detach()
        except torch.cuda.OutOfMemoryError:
            return None
        return sums

    def _halved(self, batches: Sequence[Batch]) -> list[Batch]:
        rows = max(len(batch.source) for batch in batches)
        key = f"training.batch_tokens={self.config.batch_tokens}"
        require(
            rows > 1,
            f"{self.model.device} has not the memory for one sentence pair: a smaller model or "
            "data.max_pieces would need less",
        )
        log.warning(
            "%s has not the memory for a batch of %d pairs: it is halved; a new run with less than "
            "%s would be faster",
            *(self.model.device, rows, key),
        )
        halves = [zip(*(side.tensor_split(2) for side in batch), strict=True) for batch in batches]
        return [Batch(*half) for pair in halves for half in pair if len(half[0])]

    def saved(self) -> dict[int, dict[str, Tensor]]:
        """The optimizer's memory of each parameter, in order; its settings are the config's."""
        state: dict[int, dict[str, Tensor]] = self.optimizer.state_dict()["state"]
        return state

    def load(self, saved: dict[int, dict[str, Tensor]]) -> None:
        """Takes over what `saved` gave. Raises `ValueError` where it does not fit the model."""
        groups = self.optimizer.state_dict()["param_groups"]
        parameters = [each for group in self.optimizer.param_groups for each in group["params"]]
        for index, memory in saved.items():
            # The library does not look, and its kernels would read past the end.
            shapes = {name: (value.shape, value.dtype) for name, value in memory.items()}
            shape = parameters[index].shape
            wanted = {"step": torch.Size([]), "exp_avg": shape, "exp_avg_sq": shape}
            if shapes != {name: (size, torch.float32) for name, size in wanted.items()}:
                raise ValueError(f"the optimizer's memory of parameter {index} does not fit")
        if saved and len(saved) != len(parameters):
            raise ValueError("the optimizer's memory of a parameter is missing")
        whole = {
            index: {name: value.contiguous() for name, value in memory.items()}
            for index, memory in saved.items()
        }
        self.optimizer.load_state_dict({"state": whole, "param_groups": groups})

    def loss(self, batch: Batch) -> Tensor:
        """(2,): smoothed loss and negative log-likelihood, summed over the batch."""
        moved = batch.to(self.model.device)
        with self.phase("forward"), autocast(self.model.device, self.dtype):
            states = self.model(moved.source, moved.decoder_input).states
        with self.phase("loss"):
            return translation_loss(
                states,
                batch.labels,
                self.model.output,
                smoothing=self.config.label_smoothing,
                dtype=self.dtype,
            )
