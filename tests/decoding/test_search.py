"""Search on a toy decoder whose logits depend on the source and the whole prefix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from nmt.config import BOS, EOS, PAD, UNK
from nmt.decoding import Hypothesis
from nmt.decoding.beam import Penalties
from nmt.decoding.search import search as search_batch
from nmt.decoding.strategies import BeamSearch
from nmt.models.seq2seq import Decoder, Memory, Seq2Seq, Stepped

VOCABULARY = 6  # PAD, UNK, BOS, EOS and two words: three tokens that go on


class ToyEncoder(nn.Module):
    def forward(self, source: Tensor, mask: Tensor) -> Memory:
        return Memory(source[:, :, None].float(), mask)


class ToyState(NamedTuple):
    """`codes` sums up the source and the tokens so far of each hypothesis."""

    codes: Tensor  # (B, W) int64

    def select(self, rows: Tensor) -> ToyState:
        sentences = rows // self.codes.size(1)  # (B', W')
        assert (sentences == sentences[:, :1]).all(), "hypotheses of two sentences in one row"
        assert (sentences[1:, 0] > sentences[:-1, 0]).all(), "rows out of order"
        return ToyState(self.codes.flatten()[rows])


class ToyDecoder(Decoder):
    def __init__(self, bias: Sequence[float], dtype: torch.dtype) -> None:
        super().__init__()
        self.bias = torch.tensor(bias)
        self.dtype = dtype
        self.steps = 0

    def start(self, memory: Memory) -> ToyState:
        return ToyState(memory.states.long().sum((1, 2))[:, None] % 10_007)

    def step(
        self, tokens: Tensor, state: ToyState, need_weights: bool = False
    ) -> Stepped[ToyState]:
        self.steps += 1
        codes = (state.codes * 31 + tokens * 7 + 1) % 10_007
        waves = torch.sin(codes[:, :, None] * torch.arange(1.0, VOCABULARY + 1))
        return Stepped((3 * waves + self.bias).to(self.dtype), ToyState(codes), None)


def toy(bias: Sequence[float] = (0.0,) * VOCABULARY, dtype: torch.dtype = torch.float32) -> Seq2Seq:
    output = nn.Linear(VOCABULARY, VOCABULARY, bias=False)
    nn.init.eye_(output.weight)
    return Seq2Seq(ToyEncoder(), ToyDecoder(bias, dtype), output.to(dtype)).requires_grad_(False)


def biased(**logits: float) -> Sequence[float]:
    names = ("pad", "unk", "bos", "eos")
    return [logits.get(name, 0.0) for name in names] + [0.0, 0.0]


SOURCES = [[4, EOS], [5, 5, EOS], [4, 5, 5, EOS], [5, EOS], [EOS], [4] * 9 + [EOS]]


def search(
    model: Seq2Seq,
    sources: Sequence[Sequence[int]],
    limits: Sequence[int],
    *,
    beam_size: int,
    alpha: float,
    n_best: int = 1,
) -> list[list[Hypothesis]]:
    longest = max(map(len, sources))
    rows = torch.tensor([[*source, *[PAD] * (longest - len(source))] for source in sources])
    penalties = Penalties(alpha)
    return search_batch(
        model, rows, limits, BeamSearch(beam_size), penalties=penalties, n_best=n_best
    )


def length_penalty(length: int, alpha: float) -> float:
    return Penalties(alpha).length(length)


def next_log_probs(model: Seq2Seq, source: Sequence[int], prefix: Sequence[int]) -> list[float]:
    state = model.decoder.start(model.encode(torch.tensor([source])))
    for token in (BOS, *prefix):
        states, state, _ = model.decoder.step(torch.tensor([[token]]), state)
    found: list[float] = model.output(states)[0, 0].float().log_softmax(0).tolist()
    return found


Scored = tuple[float, list[int]]


def every_translation(
    model: Seq2Seq, source: Sequence[int], limit: int, alpha: float
) -> list[Scored]:
    """All of at most `limit` tokens, best first, in plain recursion."""

    def grow(prefix: list[int], log_prob: float) -> list[Scored]:
        following = next_log_probs(model, source, prefix)
        closed = (log_prob + following[EOS]) / length_penalty(len(prefix) + 1, alpha)
        found = [(closed, prefix)]
        if len(prefix) < limit:
            for token in (UNK, 4, 5):
                found += grow([*prefix, token], log_prob + following[token])
        return found

    return sorted(grow([], 0.0), reverse=True)


def patient_search(
    model: Seq2Seq, source: Sequence[int], limit: int, *, width: int, alpha: float
) -> list[Scored]:
    """Beam search of one sentence in loops, which never stops before the limit."""
    beam: list[Scored] = [(0.0, [])]
    finished: list[Scored] = []
    for length in range(limit + 1):
        following = [
            (total, prefix, next_log_probs(model, source, prefix)) for total, prefix in beam
        ]
        tokens = (EOS,) if length == limit else (UNK, EOS, 4, 5)
        found = [(t + row[token], [*p, token]) for t, p, row in following for token in tokens]
        found.sort(reverse=True)
        penalty = length_penalty(length + 1, alpha)
        finished += [(s / penalty, t[:-1]) for s, t in found[:width] if t[-1] == EOS]
        beam = [(s, t) for s, t in found if t[-1] != EOS][:width]
    return sorted(finished, reverse=True)


def same(found: list[Hypothesis], expected: list[Scored]) -> None:
    assert [hypothesis.tokens for hypothesis in found] == [tokens for _, tokens in expected]
    scores = [hypothesis.score for hypothesis in found]
    assert scores == pytest.approx([score for score, _ in expected], abs=1e-4)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_beam_as_wide_as_everything_is_exhaustive_search(
    alpha: float, dtype: torch.dtype
) -> None:
    model, limit = toy(dtype=dtype), 3
    everything = sum(3**length for length in range(limit + 1))  # 40
    limits = [limit] * len(SOURCES)
    found = search(model, SOURCES, limits, beam_size=everything, alpha=alpha, n_best=everything)
    for source, hypotheses in zip(SOURCES, found, strict=True):
        same(hypotheses, every_translation(model, source, limit, alpha))


@pytest.mark.parametrize("alpha", [0.0, 1.0, 4.0])
def test_a_beam_of_one_is_greedy(alpha: float) -> None:
    model = toy(biased(eos=1.0))
    found = search(model, SOURCES, [8] * len(SOURCES), beam_size=1, alpha=alpha)
    for source, hypotheses in zip(SOURCES, found, strict=True):
        tokens: list[int] = []
        total = 0.0
        while not tokens or tokens[-1] != EOS:
            following = next_log_probs(model, source, tokens)
            allowed = (EOS,) if len(tokens) == 8 else (UNK, EOS, 4, 5)
            tokens.append(max(allowed, key=lambda token: following[token]))  # noqa: B023
            total += following[tokens[-1]]
        same(hypotheses, [(total / length_penalty(len(tokens), alpha), tokens[:-1])])


@pytest.mark.parametrize("n_best", [1, 3])
@pytest.mark.parametrize("alpha", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("eos", [0.0, 2.0, 4.0])
def test_stopping_early_misses_nothing(n_best: int, alpha: float, eos: float) -> None:
    model, limits = toy(biased(eos=eos)), [12, 11, 10, 12, 9, 12]
    found = search(model, SOURCES, limits, beam_size=3, alpha=alpha, n_best=n_best)
    for source, limit, hypotheses in zip(SOURCES, limits, found, strict=True):
        expected = patient_search(model, source, limit, width=3, alpha=alpha)
        same(hypotheses, expected[:n_best])


def test_the_search_stops_when_nothing_can_get_better() -> None:
    model = toy(biased(eos=9.0))
    search(model, SOURCES, [500] * len(SOURCES), beam_size=3, alpha=1.0)
    assert isinstance(model.decoder, ToyDecoder)
    assert model.decoder.steps < 60


@pytest.mark.parametrize("beam_size", [1, 2, 5])
def test_company_changes_nothing(beam_size: int) -> None:
    model, limits = toy(biased(eos=2.0)), [12, 3, 7, 5, 1, 9]
    together = search(model, SOURCES, limits, beam_size=beam_size, alpha=1.0)
    for source, limit, hypotheses in zip(SOURCES, limits, together, strict=True):
        assert search(model, [source], [limit], beam_size=beam_size, alpha=1.0) == [hypotheses]


def test_n_best_is_sorted_and_distinct() -> None:
    found = search(toy(), SOURCES, [6] * len(SOURCES), beam_size=4, alpha=1.0, n_best=4)
    for hypotheses in found:
        scores = [hypothesis.score for hypothesis in hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert len({tuple(hypothesis.tokens) for hypothesis in hypotheses}) == 4


@pytest.mark.parametrize("beam_size", [1, 3])
def test_at_the_limit_a_hypothesis_is_closed_with_its_true_score(beam_size: int) -> None:
    model, limits = toy(biased(eos=-30.0)), [1, 2, 5, 3, 4, 2]
    found = search(model, SOURCES, limits, beam_size=beam_size, alpha=1.0)
    for source, limit, (best,) in zip(SOURCES, limits, found, strict=True):
        assert len(best.tokens) == limit
        steps = enumerate([*best.tokens, EOS])
        parts = [next_log_probs(model, source, best.tokens[:at])[token] for at, token in steps]
        total = sum(parts) / length_penalty(limit + 1, 1.0)
        assert best.score == pytest.approx(total, abs=1e-3)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_pad_and_bos_are_never_produced(beam_size: int) -> None:
    found = search(
        toy(biased(pad=20.0, bos=20.0)), SOURCES, [6] * 6, beam_size=beam_size, alpha=1.0
    )
    for (best,) in found:
        assert not {PAD, BOS} & set(best.tokens)
        # Not of a vocabulary without them: the score says how unlikely the model found this.
        assert best.score < -10


def test_a_broken_model_gives_nothing_rather_than_an_endless_search() -> None:
    found = search(toy(biased(eos=math.nan)), SOURCES, [4] * 6, beam_size=3, alpha=1.0)
    assert found == [[Hypothesis([], -math.inf, -math.inf)]] * 6


def test_the_length_penalty_is_the_papers() -> None:
    assert length_penalty(1, 0.6) == 1.0
    assert length_penalty(7, 1.0) == 2.0
    assert length_penalty(19, 0.5) == 2.0
    assert length_penalty(100, 0.0) == 1.0
