"""The report of a model on a split."""

from __future__ import annotations

import logging

import pytest
import torch

from nmt import Translator
from nmt.config import (
    AttentionConfig,
    Config,
    DataConfig,
    DecodingConfig,
    TokenizerConfig,
    TransformerConfig,
)
from nmt.data.corpus import Split
from nmt.data.tokenizer import Tokenizers, learn, word_spans
from nmt.decoding.parts import Splitting
from nmt.evaluation.metrics import Scorer, score
from nmt.evaluation.report import evaluate, head_alignments
from nmt.models import build_model
from nmt.models.seq2seq import Decoded, Decoder, Seq2Seq

SOURCE = ["A dog runs.", "", "It rains today."]
TARGET = ["Ein Hund läuft.", "Nichts.", "Es regnet heute."]
# A Translator of a model takes it as it is: fp32.
DECODING = DecodingConfig(beam_size=2, max_extra=4, max_ratio=1, precision="fp32")


@pytest.fixture(scope="module")
def tokenizers() -> Tokenizers:
    pairs = list(zip(SOURCE, TARGET, strict=True)) * 5
    return learn(pairs, TokenizerConfig(vocabulary=300), seed=1)


@pytest.fixture
def model(tokenizers: Tokenizers) -> Seq2Seq:
    torch.manual_seed(0)
    config = TransformerConfig(
        width=16,
        feedforward=16,
        encoder_layers=1,
        decoder_layers=2,
        attention=AttentionConfig(heads=2),
    )
    return build_model(config, tokenizers.source.size, tokenizers.target.size)


def test_what_is_scored_is_what_is_told(model: Seq2Seq, tokenizers: Tokenizers) -> None:
    told: list[int] = []
    split = Split(SOURCE, TARGET, None)
    scorer = Scorer([TARGET], language="de", ter=True)
    found = evaluate(
        model,
        tokenizers,
        split,
        DECODING,
        splitting=Splitting(50),
        scorer=scorer,
        progress=told.append,
    )
    assert found.hypotheses[1] == ""
    assert found.scores == score(found.hypotheses, TARGET, ter=True)
    assert found.seconds > 0
    assert sum(told) == 3
    assert (found.heads, found.best_head) == ([], None)
    assert model.training  # as it was


def test_twice_is_the_same(model: Seq2Seq, tokenizers: Tokenizers) -> None:
    split = Split(SOURCE, TARGET, [[(0, 0)], [], [(1, 1)]])
    first, second = (
        evaluate(model, tokenizers, split, DECODING, splitting=Splitting(50)) for _ in range(2)
    )
    assert first.hypotheses == second.hypotheses
    assert first.heads == second.heads


@pytest.mark.parametrize("max_pieces", [4, 9, 20])
def test_a_line_of_any_length_is_translated_as_the_translator_does_it(
    model: Seq2Seq,
    tokenizers: Tokenizers,
    caplog: pytest.LogCaptureFixture,
    max_pieces: int,
) -> None:
    source = [*SOURCE, "It rains. " * 9, "w" * 40, " " * 90]
    caplog.set_level(logging.INFO, "nmt.evaluation.report")
    split = Split(source, source, None)
    found = evaluate(model, tokenizers, split, DECODING, splitting=Splitting(max_pieces))
    config = Config(data=DataConfig(max_pieces=max_pieces), decoding=DECODING)
    expected = Translator(model, tokenizers, config).n_best(source)
    assert found.hypotheses == [each.hypotheses[0].text for each in expected]
    long = sum(len(each.parts) > 1 for each in expected)
    assert long >= 2
    assert f"{long} of 6 lines are longer than any in training ({max_pieces} pieces)" in caplog.text


def test_every_head_in_both_readings(model: Seq2Seq, tokenizers: Tokenizers) -> None:
    split = Split(SOURCE, TARGET, [[(0, 0), (1, 1), (2, 2)], [], [(0, 0)]])
    found = evaluate(model, tokenizers, split, DECODING, splitting=Splitting(50))
    places = {(head.layer, head.head, head.reading) for head in found.heads}
    assert len(places) == len(found.heads) == 2 * 2 * 2
    assert found.best_head == min(found.heads, key=lambda head: head.aer)
    whole = Splitting(50)
    assert evaluate(model, tokenizers, split, DECODING, splitting=whole, aer=False).heads == []


class Copying(Seq2Seq):
    """Attends, when it predicts piece i, to piece i of the source."""

    def forward(
        self, source: torch.Tensor, tokens: torch.Tensor, need_weights: bool = False
    ) -> Decoded:
        weights = torch.eye(tokens.size(1), source.size(1)).expand(len(source), 1, 1, -1, -1)
        return Decoded(torch.zeros(0), weights)


def test_a_model_that_looks_where_it_should_has_no_errors(tokenizers: Tokenizers) -> None:
    model = Copying(torch.nn.Identity(), Decoder(), torch.nn.Linear(1, 1))
    true = [[(i, i) for i in range(len(word_spans(text)))] for text in SOURCE]
    heads = head_alignments(model, tokenizers, Split(SOURCE, SOURCE, true))
    rates = {head.reading: head.aer for head in heads}
    assert rates["predicting"] == 0
    assert rates["reading"] > 0.1
