"""What search asks of a model, or of several at once.

B sentences, W hypotheses of each, S source length, T target length, n hypotheses asked about,
V vocabulary, K pieces that a search weighs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from nmt.errors import require
from nmt.models.seq2seq import Prediction, Seq2Seq, State


class Predictor(Protocol):
    """`Seq2Seq` is one, `Ensemble` another; the methods are described there."""

    training: bool

    @property
    def device(self) -> torch.device: ...

    def start(self, source: Tensor) -> State: ...

    def narrowed(self, pieces: Tensor) -> Predictor: ...

    def predict(
        self,
        tokens: Tensor,
        state: State,
        live: Tensor | None,
        *,
        need_attention: bool = False,
        among: Tensor | None = None,
    ) -> Prediction: ...

    def token_log_probs(self, source: Tensor, target: Tensor) -> Tensor: ...

    def train(self, mode: bool = True) -> object: ...

    def eval(self) -> object: ...


class EnsembleState(NamedTuple):
    """The states of the members."""

    members: tuple[State, ...]

    def select(self, rows: Tensor) -> EnsembleState:
        return EnsembleState(tuple(member.select(rows) for member in self.members))


class Ensemble(nn.Module):
    """Several models of the same vocabularies that predict together: the probability of a token is
    the mean of theirs (Sutskever et al. 2014, section 3.6)."""

    def __init__(self, members: Sequence[Seq2Seq]) -> None:
        super().__init__()
        sizes = {member.output.out_features for member in members}
        require(
            len(sizes) == 1, f"an ensemble needs one vocabulary, but has {sorted(sizes)} pieces"
        )
        self.members = nn.ModuleList(members)
        # A new module is in training, and would hand that down where its flag is set back.
        self.train(members[0].training)

    @property
    def device(self) -> torch.device:
        return self._models[0].device

    @property
    def _models(self) -> list[Seq2Seq]:
        return [member for member in self.members if isinstance(member, Seq2Seq)]

    def start(self, source: Tensor) -> EnsembleState:
        return EnsembleState(tuple(member.start(source) for member in self._models))

    def narrowed(self, pieces: Tensor) -> Ensemble:
        return Ensemble([member.narrowed(pieces) for member in self._models])

    def predict(
        self,
        tokens: Tensor,
        state: State,
        live: Tensor | None,
        *,
        need_attention: bool = False,
        among: Tensor | None = None,
    ) -> Prediction:
        """As `Seq2Seq.predict`; the attention is the mean of the members'."""
        assert isinstance(state, EnsembleState)
        found = [
            member.predict(tokens, before, live, need_attention=need_attention, among=among)
            for member, before in zip(self._models, state.members, strict=True)
        ]
        log_probs = _mean([each.logits.log_softmax(-1) for each in found])
        looked = [each.attention for each in found if each.attention is not None]
        attention = torch.stack(looked).mean(0) if looked else None
        return Prediction(log_probs, EnsembleState(tuple(e.state for e in found)), attention)

    def token_log_probs(self, source: Tensor, target: Tensor) -> Tensor:
        return _mean([member.token_log_probs(source, target) for member in self._models])


def _mean(log_probs: list[Tensor]) -> Tensor:
    """Of probabilities, as logarithms."""
    return torch.stack(log_probs).logsumexp(0) - math.log(len(log_probs))
