"""Many sentences, by small real models: what lies around the search changes no translation."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from nmt.config import (
    BOS,
    EOS,
    PAD,
    AttentionConfig,
    DecodingConfig,
    RNNConfig,
    TransformerConfig,
)
from nmt.decoding import translate, translate_ids
from nmt.decoding.beam import Penalties
from nmt.decoding.text import Candidate, Codec, n_best_lines
from nmt.decoding.translate import batches, evaluating
from nmt.errors import UserError
from nmt.models import build_model
from nmt.models.precision import in_precision
from nmt.models.seq2seq import Seq2Seq

SMALL = {
    "transformer": TransformerConfig(
        width=16, feedforward=32, encoder_layers=2, decoder_layers=2, tied_embeddings="none"
    ),
    "rnn": RNNConfig(width=16, embedding=16, encoder_width=8, tied_embeddings="none"),
    "rnn-lstm": RNNConfig(
        width=16,
        embedding=16,
        encoder_width=8,
        cell="lstm",
        decoder_layers=2,
        attention=AttentionConfig(score="dot", heads=2),
    ),
}
CONFIG = DecodingConfig(beam_size=3, batch_tokens=60)


def decided(name: str, vocabulary: int = 20) -> Seq2Seq:
    """Enough that rounding does not turn a choice, with sentences of all lengths."""
    torch.manual_seed(1)
    model = build_model(SMALL[name], vocabulary, vocabulary)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
    return model


@pytest.fixture(params=SMALL)
def model(request: pytest.FixtureRequest) -> Seq2Seq:
    return decided(request.param)


def sentences(count: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(0, 9, (count,), generator=generator).tolist()
    words = [torch.randint(4, 20, (length,), generator=generator) for length in lengths]
    return [[*ids.tolist(), EOS] for ids in words]


STRATEGIES: dict[str, dict[str, Any]] = {
    "greedy": {"beam_size": 1},
    "beam": {"beam_size": 4},
    "diverse": {"beam_size": 6, "groups": 3, "diversity": 0.7},
    "coverage": {"beam_size": 4, "coverage_penalty": 0.3},
    "sample": {"strategy": "sample"},
    "sample-of-some": {"strategy": "sample", "temperature": 1.5, "top_k": 7, "top_p": 0.9},
    "mbr": {"strategy": "mbr", "samples": 5},
}


def companies(count: int) -> dict[str, list[list[int]]]:
    """Sentences of which indices are given together."""
    mixed = random.Random(1).sample(range(count), count)
    return {
        "alone": [[row] for row in range(count)],
        "by seven": [mixed[begin : begin + 7] for begin in range(0, count, 7)],
        "all, backwards": [list(range(count))[::-1]],
    }


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("model", "precision"),
    [*((name, "fp32") for name in SMALL), ("transformer", "int8"), ("rnn", "int8")],
    indirect=["model"],
)
def test_company_and_order_change_nothing(model: Seq2Seq, precision: str, strategy: str) -> None:
    config = replace(CONFIG, max_ratio=1.0, max_extra=2, **STRATEGIES[strategy])
    # The last bit of a float32 can turn a draw that falls between two tokens.
    exact = precision == "fp32" and config.strategy != "beam"
    predictor = model.double() if exact else in_precision(model, precision)
    lines = [" ".join(map(str, source[:-1])) for source in sentences(9)]
    # The last bit of a float decides to which of two integers an input between them is rounded.
    tolerance = 1e-2 if precision == "int8" else 1e-4
    n_best = 1 if strategy == "greedy" else 2

    def translate(chosen: Sequence[str], batch_tokens: int) -> list[list[Candidate]]:
        return n_best_lines(
            predictor,
            chosen,
            replace(config, batch_tokens=batch_tokens),
            Codec(lambda line: [*map(int, line.split()), EOS], lambda ids: " ".join(map(str, ids))),
            n_best=n_best,
        )

    expected = translate(lines, 60)  # several batches by tokens
    for batches_of_rows in companies(len(lines)).values():
        for rows in batches_of_rows:
            for row, found in zip(rows, translate([lines[r] for r in rows], 10**6), strict=True):
                assert [one.tokens for one in found] == [one.tokens for one in expected[row]]
                scores = [one.score for one in expected[row]]
                assert [one.score for one in found] == pytest.approx(scores, abs=tolerance)
    assert len({each[0].text for each in expected}) > 4, "a model that says one thing"


@pytest.mark.parametrize("name", ["transformer", "rnn"])
@pytest.mark.parametrize("beam_size", [1, 3])
@pytest.mark.parametrize(
    ("constants", "values"),
    [
        (["nmt.decoding.beam.LEAVING", "nmt.decoding.search.LEAVING"], (0.0, 1.0)),
        (["nmt.decoding.candidates.WIDE"], (1, 10**9)),
        (["nmt.models.attention.FEW"], (1, 10**9)),
    ],
)
def test_how_the_work_is_split_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
    constants: list[str],
    values: tuple[float, float],
    beam_size: int,
    name: str,
) -> None:
    model, sources = decided(name, 101), sentences(9)
    found = []
    for value in values:
        for constant in constants:
            monkeypatch.setattr(constant, value)
        config = replace(CONFIG, beam_size=beam_size, batch_tokens=10**6)
        found.append(translate_ids(model, sources, config, n_best=beam_size))
    for few, many in zip(*found, strict=True):
        assert [one.tokens for one in few] == [one.tokens for one in many]
        assert [one.score for one in few] == pytest.approx([one.score for one in many], abs=1e-4)


@pytest.mark.parametrize("name", ["transformer", "rnn"])
def test_more_samples_begin_with_the_same(name: str) -> None:
    model, sources = decided(name), sentences(9)
    config = replace(CONFIG, strategy="sample")
    few, many = (translate_ids(model.double(), sources, config, n_best=n) for n in (3, 8))
    for some, others in zip(few, many, strict=True):
        assert len(some) == 3 and len(others) == 8
        left = [one.tokens for one in others]
        for one in some:
            left.remove(one.tokens)  # raises where it is not there as often


def test_the_score_is_the_log_probability_of_teacher_forcing(model: Seq2Seq) -> None:
    sources = sentences(6)
    found = translate_ids(model, sources, CONFIG, n_best=3)
    model.eval()
    for source, hypotheses in zip(sources, found, strict=True):
        assert len(hypotheses) == 3
        for tokens, score, log_prob, *_ in hypotheses:
            labels = torch.tensor([*tokens, EOS])
            states = model(torch.tensor([source]), torch.tensor([[BOS, *tokens]])).states
            log_probs = model.output(states)[0].log_softmax(-1)
            total = log_probs.gather(1, labels[:, None]).sum().item()
            assert log_prob == pytest.approx(total, abs=1e-4)
            expected = total / Penalties(CONFIG.length_penalty).length(len(labels))
            assert score == pytest.approx(expected, abs=1e-4)


def test_translations_keep_to_the_limit(model: Seq2Seq) -> None:
    config = replace(CONFIG, max_ratio=0.5, max_extra=1)
    sources = sentences(9)
    for source, (best,) in zip(sources, translate_ids(model, sources, config), strict=True):
        assert len(best.tokens) <= -(-(len(source) - 1) // 2) + 1
        assert not {PAD, BOS, EOS} & set(best.tokens)


def test_nothing_in_nothing_out(model: Seq2Seq) -> None:
    assert translate_ids(model, [], CONFIG) == []


def test_progress_counts_every_sentence(model: Seq2Seq) -> None:
    told: list[int] = []
    translate_ids(model, sentences(17), CONFIG, told.append)
    assert sum(told) == 17 and len(told) > 1


@pytest.mark.parametrize(("beam_size", "size"), [(1, 12), (3, 4)])
def test_a_batch_holds_so_many_pieces_of_all_hypotheses(
    model: Seq2Seq, beam_size: int, size: int
) -> None:
    told: list[int] = []
    translate_ids(model, [[4] * 5] * 24, replace(CONFIG, beam_size=beam_size), told.append)
    assert told == [size] * (24 // size)


def test_the_training_flag_is_as_before(model: Seq2Seq) -> None:
    for training in (True, False):
        model.train(training)
        with pytest.raises(RuntimeError), evaluating(model):
            assert not model.training
            raise RuntimeError
        assert model.training is training


def test_batches_hold_every_sentence_once_within_the_bound() -> None:
    sources = [[4] * length for length in (3, 50, 1, 7, 7, 2, 90, 4)]
    found = list(batches(sources, 20))
    assert sorted(index for batch in found for index in batch) == list(range(8))
    for batch in found:
        padded = len(batch) * max(len(sources[index]) for index in batch)
        assert padded <= 20 or len(batch) == 1


@pytest.mark.parametrize("strategy", ["beam", "sample", "mbr"])
def test_side_by_side_it_is_the_same(
    model: Seq2Seq, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    config = replace(CONFIG, strategy=strategy, batch_tokens=240)
    sources, told = sentences(23), list[int]()
    expected = translate_ids(model, sources, config, n_best=2)
    monkeypatch.setattr(translate, "WORTHWHILE", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    together, widths = replace(config, workers=3), list[int]()
    padded = translate.pad
    monkeypatch.setattr(
        translate, "pad", lambda rows: widths.append(padded(rows).numel()) or padded(rows)
    )
    found = translate_ids(model.train(), sources, together, told.append, n_best=2)
    assert model.training and sum(told) == 23 and len(told) > 3
    hypotheses = config.beam_size if strategy == "beam" else 2
    assert max(widths) * hypotheses <= 240 // 3, "the batches share the bound"
    for mine, theirs in zip(found, expected, strict=True):
        assert [each.tokens for each in mine] == [each.tokens for each in theirs]


class Small:
    """A device with memory for the search of so many sentences."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
        self.rows, self.search, self.seen = rows, translate.search, list[int]()
        monkeypatch.setattr(translate, "search", self)

    def __call__(
        self, predictor: Seq2Seq, sources: torch.Tensor, *args: Any, **options: Any
    ) -> Any:
        self.seen.append(len(sources))
        if len(sources) > self.rows:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return self.search(predictor, sources, *args, **options)


@pytest.mark.parametrize("strategy", ["beam", "sample"])
def test_what_does_not_fit_is_halved(
    model: Seq2Seq,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    strategy: str,
) -> None:
    config = replace(CONFIG, strategy=strategy, batch_tokens=10**4)
    sources = sentences(7)
    expected = translate_ids(model, sources, config)
    small, told = Small(monkeypatch, rows=2), list[int]()
    with caplog.at_level(logging.WARNING):
        found = translate_ids(model, sources, config, told.append)
    assert small.seen == [7, 3, 1, 2, 4, 2, 2] and sum(told) == 7
    assert (
        "not enough memory on cpu to translate 7 sentences at once: splitting them" in caplog.text
    )
    for mine, theirs in zip(found, expected, strict=True):
        assert [each.tokens for each in mine] == [each.tokens for each in theirs]


def test_a_sentence_that_does_not_fit(model: Seq2Seq, monkeypatch: pytest.MonkeyPatch) -> None:
    Small(monkeypatch, rows=0)
    with pytest.raises(
        UserError, match="not enough memory on cpu to translate this sentence; short"
    ):
        translate_ids(model, sentences(3), CONFIG)
