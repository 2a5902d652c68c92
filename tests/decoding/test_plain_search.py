"""Every search by beams against what its paper says, written out in loops for one sentence."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import pytest
import torch
from toy import Toy

from nmt.config import EOS, UNK
from nmt.decoding import Hypothesis
from nmt.decoding.beam import Penalties
from nmt.decoding.strategies import BeamSearch, DiverseBeamSearch

WORDS = (UNK, 4, 5)  # what can go on, in a vocabulary of six
MANY = (UNK, *range(4, 12))  # in one of twelve
SOURCES = [[4, EOS], [5, 5, EOS], [4, 5, 5, EOS], [5, EOS], [EOS], [4] * 9 + [EOS]]
Scored = tuple[float, list[int]]


def biased(eos: float, words: int = 2) -> list[float]:
    return [0.0, 0.0, 0.0, eos, *[0.0] * words]


def length_penalty(length: int, alpha: float) -> float:
    """Wu et al. 2016, equation 14; EOS counts."""
    return (5 + length) ** alpha / (5 + 1) ** alpha


def coverage_penalty(steps: Sequence[Sequence[float]], beta: float) -> float:
    """The same; `steps` are the attentions of the tokens, EOS too."""
    return beta * sum(math.log(min(sum(column), 1.0)) for column in zip(*steps, strict=True))


def every_translation(
    model: Toy, source: Sequence[int], limit: int, penalties: Penalties
) -> list[Scored]:
    """All of at most `limit` tokens, best first, in plain recursion."""
    alpha, beta = penalties

    def grow(
        prefix: list[int], log_prob: float, steps: list[list[float]]
    ) -> list[tuple[float, list[int]]]:
        log_probs, attention = model.following(source, prefix)
        steps = [*steps, attention]
        closed = (log_prob + log_probs[EOS]) / length_penalty(len(prefix) + 1, alpha)
        found = [(closed + coverage_penalty(steps, beta), prefix)]
        if len(prefix) < limit:
            for token in WORDS:
                found += grow([*prefix, token], log_prob + log_probs[token], steps)
        return found

    return sorted(grow([], 0.0, []), reverse=True)


class Plain(NamedTuple):
    """What a search written in loops found."""

    finished: list[Scored]  # best first
    steps: int  # after which no live hypothesis could come among the n_best
    first: int  # tokens of the hypothesis that was finished first


def patient_search(
    model: Toy,
    source: Sequence[int],
    limit: int,
    *,
    width: int,
    alpha: float,
    n_best: int,
    patience: float = math.inf,
) -> Plain:
    """Beam search that stops at the limit, or where its patience ends."""
    beam: list[Scored] = [(0.0, [])]
    finished: list[Scored] = []
    steps = limit + 1
    for length in range(limit + 1):
        tokens = (EOS,) if length == limit else (EOS, *WORDS)
        found = continued(model, source, beam, tokens)
        penalty = length_penalty(length + 1, alpha)
        finished += [(s / penalty, t[:-1]) for s, t in found[:width] if t[-1] == EOS]
        beam = [(s, t) for s, t in found if t[-1] != EOS][:width]
        if len(finished) >= n_best and beam:
            worst = sorted(finished, reverse=True)[n_best - 1][0]
            if beam[0][0] / length_penalty(limit + 1, alpha) <= worst:
                steps = min(steps, length + 1)
        if len(finished) >= max(n_best, patience * width):
            steps = min(steps, length + 1)
            break
    first = min(len(tokens) for _, tokens in finished)
    return Plain(sorted(finished, reverse=True), steps, first)


def continued(
    model: Toy, source: Sequence[int], beam: Sequence[Scored], tokens: Sequence[int]
) -> list[Scored]:
    """Each hypothesis by each token, best first."""
    found = []
    for total, prefix in beam:
        log_probs = model.following(source, prefix).log_probs
        found += [(total + log_probs[token], [*prefix, token]) for token in tokens]
    return sorted(found, reverse=True)


def same(found: list[Hypothesis], expected: list[Scored]) -> None:
    assert [hypothesis.tokens for hypothesis in found] == [tokens for _, tokens in expected]
    scores = [hypothesis.score for hypothesis in found]
    assert scores == pytest.approx([score for score, _ in expected], abs=1e-4)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_beam_as_wide_as_everything_is_exhaustive_search(
    alpha: float, dtype: torch.dtype
) -> None:
    model, limit = Toy(biased(eos=0.0), dtype), 3
    exhaustive(model, limit, Penalties(alpha), n_best=40)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("beta", [0.3, 2.0])
@pytest.mark.parametrize("n_best", [1, 40])
def test_exhaustive_search_with_the_coverage_penalty(
    alpha: float, beta: float, n_best: int
) -> None:
    best = exhaustive(Toy(biased(eos=0.0)), 3, Penalties(alpha, beta), n_best)
    plain = exhaustive(Toy(biased(eos=0.0)), 3, Penalties(alpha), n_best)
    assert best != plain, "a penalty that changes nothing"


def exhaustive(model: Toy, limit: int, penalties: Penalties, n_best: int = 1) -> list[list[int]]:
    """The best translation of each source, after the comparison."""
    limits, everything = [limit] * len(SOURCES), sum(3**length for length in range(limit + 1))
    found = model.search(SOURCES, limits, BeamSearch(everything), penalties, n_best)
    for source, hypotheses in zip(SOURCES, found, strict=True):
        same(hypotheses, every_translation(model, source, limit, penalties)[:n_best])
    return [hypotheses[0].tokens for hypotheses in found]


@pytest.mark.parametrize("alpha", [0.0, 1.0, 4.0])
def test_a_beam_of_one_is_greedy(alpha: float) -> None:
    model = Toy(biased(eos=1.0))
    found = model.search(SOURCES, [8] * len(SOURCES), BeamSearch(1), Penalties(alpha))
    for source, hypotheses in zip(SOURCES, found, strict=True):
        greedy: Scored = (0.0, [])
        while EOS not in greedy[1]:
            allowed = (EOS,) if len(greedy[1]) == 8 else (EOS, *WORDS)
            greedy = continued(model, source, [greedy], allowed)[0]
        total, tokens = greedy
        same(hypotheses, [(total / length_penalty(len(tokens), alpha), tokens[:-1])])


@pytest.mark.parametrize("n_best", [1, 3])
@pytest.mark.parametrize("alpha", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("eos", [0.0, 2.0, 4.0])
def test_stopping_early_misses_nothing(n_best: int, alpha: float, eos: float) -> None:
    model, limits = Toy(biased(eos=eos)), [12, 11, 10, 12, 9, 12]
    found = model.search(SOURCES, limits, BeamSearch(3), Penalties(alpha), n_best)
    for source, limit, hypotheses in zip(SOURCES, limits, found, strict=True):
        expected = patient_search(model, source, limit, width=3, alpha=alpha, n_best=n_best)
        same(hypotheses, expected.finished[:n_best])


@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_a_longer_translation_wins_over_one_that_was_finished_before(alpha: float) -> None:
    """With room for everything, and one to be found, the search may stop and must not too soon."""
    best = exhaustive(Toy(biased(eos=1.0)), 4, Penalties(alpha))
    assert sum(map(bool, best)) > 1, "the empty one, which is finished first, always won"


@pytest.mark.parametrize("n_best", [1, 2])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_the_search_stops_as_soon_as_no_live_hypothesis_can_win(alpha: float, n_best: int) -> None:
    model, limit = Toy(biased(eos=2.0)), 20
    steps, later = [], 0
    for source in SOURCES:
        expected = patient_search(model, source, limit, width=3, alpha=alpha, n_best=n_best)
        before = model.decoder.steps
        model.search([source], [limit], BeamSearch(3), Penalties(alpha), n_best)
        assert model.decoder.steps - before == expected.steps
        steps.append(expected.steps)
        later += len(expected.finished[0][1]) > expected.first
    assert min(steps) <= limit // 2 and len(set(steps)) > 1
    assert later > 0, "the first that was finished always won"


@pytest.mark.parametrize("n_best", [1, 3])
@pytest.mark.parametrize("patience", [0.3, 1.0, 1.7, 4.0])
@pytest.mark.parametrize("alpha", [0.0, 1.0, 3.0])
def test_with_patience_it_stops_after_so_many_are_finished(
    alpha: float, patience: float, n_best: int
) -> None:
    model, limits = Toy(biased(eos=2.0)), [12, 11, 10, 12, 9, 12]
    width, penalties = BeamSearch(3), Penalties(alpha)
    found = model.search(SOURCES, limits, width, penalties, n_best, patience)
    for source, limit, hypotheses in zip(SOURCES, limits, found, strict=True):
        expected = patient_search(
            model, source, limit, width=3, alpha=alpha, n_best=n_best, patience=patience
        )
        same(hypotheses, expected.finished[:n_best])
        before = model.decoder.steps
        model.search([source], [limit], width, penalties, n_best, patience)
        assert model.decoder.steps - before == expected.steps


def diverse_search(
    model: Toy,
    source: Sequence[int],
    limit: int,
    strategy: DiverseBeamSearch,
    alpha: float,
    n_best: int,
) -> list[Scored]:
    """Vijayakumar et al. 2018, algorithm 1, with the Hamming diversity of section 4."""
    beams: list[list[Scored]] = [[(0.0, [])] for _ in range(strategy.groups)]
    finished: list[list[Scored]] = [[] for _ in beams]
    highest = length_penalty(limit + 1, alpha)
    for length in range(limit + 1):
        tokens = (EOS,) if length == limit else (EOS, *MANY)
        used: Counter[int] = Counter()
        for group, beam in enumerate(beams):
            costs = dict(used)
            found = continued(model, source, beam, tokens)
            found.sort(key=lambda one: one[0] - strategy.strength * costs.get(one[1][-1], 0))
            ranked = found[::-1]
            used.update(prefix[-1] for _, prefix in ranked[: strategy.width])
            penalty = length_penalty(length + 1, alpha)
            ended = [one for one in ranked[: strategy.width] if one[1][-1] == EOS]
            finished[group] += [(total / penalty, prefix[:-1]) for total, prefix in ended]
            finished[group] = sorted(finished[group], reverse=True)[:n_best]
            beams[group] = [one for one in ranked if one[1][-1] != EOS][: strategy.width]
            if len(finished[group]) == n_best:
                # What cannot win goes on no more; with one hypothesis, nothing does.
                worst = finished[group][-1][0] if strategy.width > 1 else 0.0
                beams[group] = [one for one in beams[group] if one[0] / highest > worst]
    return sorted((one for group in finished for one in group), reverse=True)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("groups", "width", "n_best"), [(3, 1, 1), (2, 2, 1), (3, 3, 2)])
def test_diverse_beams_are_those_of_the_paper(
    groups: int, width: int, n_best: int, seed: int
) -> None:
    model, generator = Toy(biased(eos=1.0, words=8)), random.Random(seed)
    sources = [generator.choices(MANY, k=length) for length in (1, 3, 7, 2, 5)]
    limits = [5, 7, 3, 6, 4]
    found = {}
    for strength in (0.0, 0.7, 3.0):
        strategy = DiverseBeamSearch(groups, width, strength)
        found[strength] = model.search(sources, limits, strategy, Penalties(1.0), n_best)
        for source, limit, hypotheses in zip(sources, limits, found[strength], strict=True):
            same(hypotheses, diverse_search(model, source, limit, strategy, 1.0, n_best))
    assert found[0.0] != found[3.0], "a strength that changes nothing"
