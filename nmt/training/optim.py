"""The optimizer and the learning rate."""

from __future__ import annotations

import math

import torch
from torch import nn

from nmt.config import TrainingConfig


def build_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba 2015) or AdamW (Loshchilov and Hutter 2019), in the library's one kernel.

    Weight decay leaves out vectors: biases and the gains of normalisations.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    betas = (config.beta1, config.beta2)
    return kind(groups, lr=config.learning_rate, betas=betas, eps=1e-9, fused=True)


def learning_rate(config: TrainingConfig, step: int, progress: float) -> float:
    """The rate of update `step` (the first is 1); `progress` is the share of a limit used.

    Linear warm-up, then inverse square root (Vaswani et al. 2017, equation 3, scaled so that
    `learning_rate` is its peak), half a cosine to zero (Loshchilov and Hutter 2017), or constant.
    """
    warmup = max(config.warmup_steps, 1)
    rate = config.learning_rate * min(1.0, step / warmup)
    match config.schedule:
        case "inverse_sqrt":
            return rate * math.sqrt(warmup / max(step, warmup))
        case "cosine":
            return rate * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return rate
