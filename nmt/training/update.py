"""One step of the optimizer, from batches to changed weights."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch.profiler import record_function

from nmt.config import PAD, TrainingConfig
from nmt.data.batch import Batch
from nmt.device import autocast, pick_dtype
from nmt.errors import require
from nmt.models.seq2seq import Seq2Seq
from nmt.training.loss import translation_loss
from nmt.training.optim import Adam
from nmt.training.progress import Update

log = logging.getLogger(__name__)

# Tokens that pass through the model at a time on a CPU, counted like training.batch_tokens. In two
# such parts, 32,768 take as long but 1.9 GB instead of 3.8. In parts of 8,192 the RNN is slower.
PART = 16384

# A `with` around a part of a step, by its name: forward, loss, backward or optimizer.
Phase = Callable[[str], AbstractContextManager[object]]


class Updater:
    """Updates one model. The phases appear by name in torch's profiler."""

    def __init__(
        self, model: Seq2Seq, config: TrainingConfig, phase: Phase = record_function
    ) -> None:
        self.model = model
        self.config = config
        self.phase = phase
        self.optimizer = Adam(model, config)
        self.dtype = pick_dtype(config.precision, model.device)

    def update(self, batches: Sequence[Batch], rate: float) -> Update:
        """One step at this learning rate on the mean loss over the labels of all the batches.

        If loss or gradient is not finite, weights and optimizer state do not change.
        """
        labels = sum(int((batch.labels != PAD).sum()) for batch in batches)
        sums = self._gradients(batches, labels)
        with self.phase("optimizer"):
            norm = self.optimizer.gradient_norm()
            is_finite = norm.isfinite() & sums.isfinite().all()
            # The same formula as in `clip_grad_norm_`.
            divisor = ((norm + 1e-6) / self.config.clip).clamp_min(1) if self.config.clip else None
            self.optimizer.step(rate, skip=(~is_finite).float(), divisor=divisor)
            self.optimizer.forget_gradients()
        return Update(
            sums=sums,
            gradient_norm=norm,
            learning_rate=rate,
            source_tokens=sum(int((batch.source != PAD).sum()) for batch in batches),
            target_tokens=labels,
            pairs=sum(len(batch.source) for batch in batches),
        )

    def rehearse(self, batch: Batch) -> None:
        """The forward and backward pass of a batch, without any lasting effect."""
        device = self.model.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            self._gradients([batch], 1)
        self.optimizer.forget_gradients()

    def _gradients(self, batches: Sequence[Batch], labels: int) -> Tensor:
        """Computes the gradients of the mean loss over `labels` labels; returns the summed losses.

        If a GPU runs out of memory, the batches are split and all gradients are computed again.
        """
        parts = [part for batch in batches for part in self._parts(batch)]
        while (sums := self._backward(parts, labels)) is None:
            # Not in the `except` block, where the exception would keep the tensors alive.
            self.optimizer.forget_gradients()
            torch.cuda.empty_cache()
            parts = self._halved(parts)
        return sums

    def _parts(self, batch: Batch) -> list[Batch]:
        if self.model.device.type != "cpu":
            return [batch]
        longest = max(side.size(1) for side in batch)
        return batch.split(math.ceil(len(batch.source) * longest / PART))

    def _backward(self, batches: Sequence[Batch], labels: int) -> Tensor | None:
        """Returns None if the GPU runs out of memory. The gradients are then incomplete."""
        sums = torch.zeros(2, device=self.model.device)
        if not self.model.training:
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
            f"not enough memory on {self.model.device} for one sentence pair; use a smaller model "
            "or data.max_pieces",
        )
        log.warning(
            "not enough memory on %s for a batch of %d pairs: splitting it. A new run with less "
            "than %s would be faster",
            *(self.model.device, rows, key),
        )
        return [half for batch in batches for half in batch.split(2)]

    def loss(self, batch: Batch) -> Tensor:
        """(2,): smoothed loss and negative log-likelihood, summed over the batch."""
        with self.phase("forward"), autocast(self.model.device, self.dtype):
            states = self.model(batch.source, batch.decoder_input).states
        with self.phase("loss"):
            return translation_loss(
                states,
                batch.labels,
                self.model.output,
                smoothing=self.config.label_smoothing,
                dtype=self.dtype,
            )
