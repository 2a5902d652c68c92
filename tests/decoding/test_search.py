"""Search on a toy decoder: what holds of every search; what it finds is tested beside this."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from toy import Toy

from nmt.config import BOS, EOS, PAD
from nmt.decoding import Hypothesis
from nmt.decoding.beam import Penalties
from nmt.decoding.strategies import BeamSearch, DiverseBeamSearch, Strategy

PENALTIES = Penalties(1.0)


def biased(**logits: float) -> Sequence[float]:
    names = ("pad", "unk", "bos", "eos")
    return [logits.get(name, 0.0) for name in names] + [0.0, 0.0]


SOURCES = [[4, EOS], [5, 5, EOS], [4, 5, 5, EOS], [5, EOS], [EOS], [4] * 9 + [EOS]]


@pytest.mark.parametrize("leaving", [0.0, 1 / 8, 0.6, 1.0])
@pytest.mark.parametrize("strategy", [BeamSearch(1), BeamSearch(5), DiverseBeamSearch(2, 2, 0.5)])
def test_company_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, strategy: Strategy, leaving: float
) -> None:
    """Whenever the sentences leave that are done: at once, together or never."""
    model, limits = Toy(biased(eos=2.0)), [12, 3, 7, 5, 1, 9]
    alone = [
        model.search([source], [limit], strategy, Penalties(1.0, 0.2))[0]
        for source, limit in zip(SOURCES, limits, strict=True)
    ]
    for module in ("beam", "search"):
        monkeypatch.setattr(f"nmt.decoding.{module}.LEAVING", leaving)
    together = model.search(SOURCES, limits, strategy, Penalties(1.0, 0.2))
    for mine, others in zip(together, alone, strict=True):
        assert [each.tokens for each in mine] == [each.tokens for each in others]
        scores = [each.score for each in others]
        assert [each.score for each in mine] == pytest.approx(scores, abs=1e-4)


def test_n_best_is_sorted_and_distinct() -> None:
    limits = [6] * len(SOURCES)
    for hypotheses in Toy(biased()).search(SOURCES, limits, BeamSearch(4), PENALTIES, n_best=4):
        scores = [hypothesis.score for hypothesis in hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert len({tuple(hypothesis.tokens) for hypothesis in hypotheses}) == 4


@pytest.mark.parametrize("beam_size", [1, 3])
def test_at_the_limit_a_hypothesis_is_closed_with_its_true_score(beam_size: int) -> None:
    model, limits = Toy(biased(eos=-30.0)), [1, 2, 5, 3, 4, 2]
    found = model.search(SOURCES, limits, BeamSearch(beam_size), PENALTIES)
    for source, limit, (best,) in zip(SOURCES, limits, found, strict=True):
        assert len(best.tokens) == limit
        steps = enumerate([*best.tokens, EOS])
        parts = [model.following(source, best.tokens[:at]).log_probs[token] for at, token in steps]
        total = sum(parts) / PENALTIES.length(limit + 1)
        assert best.score == pytest.approx(total, abs=1e-3)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_pad_and_bos_are_never_produced(beam_size: int) -> None:
    model = Toy(biased(pad=20.0, bos=20.0))
    for (best,) in model.search(SOURCES, [6] * 6, BeamSearch(beam_size), PENALTIES):
        assert not {PAD, BOS} & set(best.tokens)
        # Not of a vocabulary without them: the score says how unlikely the model found this.
        assert best.score < -10


def test_a_broken_model_gives_nothing_rather_than_an_endless_search() -> None:
    found = Toy(biased(eos=math.nan)).search(SOURCES, [4] * 6, BeamSearch(3), PENALTIES)
    assert found == [[Hypothesis([], -math.inf, -math.inf)]] * 6


def test_the_length_penalty_is_the_papers() -> None:
    assert Penalties(0.6).length(1) == 1.0
    assert Penalties(1.0).length(7) == 2.0
    assert Penalties(0.5).length(19) == 2.0
    assert Penalties(0.0).length(100) == 1.0


def test_the_coverage_penalty_is_the_papers() -> None:
    attended = torch.tensor([[0.5, 1.0, 1.7, 0.25], [0.0, 1.0, 1.0, 9.0]])
    mask = torch.tensor([[True, True, True, False], [True, True, True, False]])
    found = Penalties(beta=0.2).coverage(attended, mask).tolist()
    assert found[0] == pytest.approx(0.2 * math.log(0.5))
    assert -math.inf < found[1] < -4, "what was never looked at costs much, and not everything"
