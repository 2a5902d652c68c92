"""Given translations and found ones are measured with the same ruler."""

from __future__ import annotations

import math

import pytest
import torch

from nmt.config import (
    EOS,
    AttentionConfig,
    DecodingConfig,
    RNNConfig,
    TransformerConfig,
)
from nmt.decoding import translate_ids
from nmt.decoding.predictor import Ensemble, Predictor
from nmt.decoding.scoring import Scored, score_ids
from nmt.models import build_model
from nmt.models.seq2seq import Seq2Seq

CONFIG = DecodingConfig(beam_size=3, batch_tokens=60)


def transformer(seed: int = 1) -> Seq2Seq:
    torch.manual_seed(seed)
    config = TransformerConfig(
        width=16, feedforward=32, encoder_layers=1, decoder_layers=1, tied_embeddings="none"
    )
    return build_model(config, 20, 20)


def rnn() -> Seq2Seq:
    torch.manual_seed(1)
    attention = AttentionConfig(score="additive", heads=1)
    config = RNNConfig(
        width=16, embedding=16, encoder_width=8, tied_embeddings="none", attention=attention
    )
    return build_model(config, 20, 20)


PREDICTORS = {
    "transformer": transformer,
    "rnn": rnn,
    "ensemble": lambda: Ensemble([transformer(), rnn()]),
}


@pytest.fixture(params=PREDICTORS)
def predictor(request: pytest.FixtureRequest) -> Predictor:
    made: Predictor = PREDICTORS[request.param]()
    return made


def sentences(count: int) -> list[list[int]]:
    return [[*(4 + (row * 7 + i) % 16 for i in range(row % 9)), EOS] for row in range(count)]


@pytest.mark.parametrize("strategy", ["beam", "sample"])
def test_a_hypothesis_has_the_log_probability_that_scoring_gives(
    predictor: Predictor, strategy: str
) -> None:
    sources = sentences(12)
    config = DecodingConfig(strategy=strategy, beam_size=3, batch_tokens=60)
    found = translate_ids(predictor, sources, config, n_best=3)
    pairs = [(source, best) for source, each in zip(sources, found, strict=True) for best in each]
    assert len(pairs) == 36
    scored = score_ids(
        predictor,
        [source for source, _ in pairs],
        [[*best.tokens, EOS] for _, best in pairs],
        CONFIG,
    )
    assert [one.log_prob for one in scored] == pytest.approx(
        [best.log_prob for _, best in pairs], abs=1e-4
    )
    assert [one.tokens for one in scored] == [len(best.tokens) + 1 for _, best in pairs]


def test_company_and_order_change_nothing(predictor: Predictor) -> None:
    sources, targets = sentences(17), sentences(20)[3:]
    told: list[int] = []
    together = score_ids(predictor, sources, targets, CONFIG, told.append)
    alone = [
        score_ids(predictor, [source], [target], CONFIG)[0]
        for source, target in zip(sources, targets, strict=True)
    ]
    assert [one.log_prob for one in together] == pytest.approx(
        [one.log_prob for one in alone], abs=1e-4
    )
    assert len({round(one.log_prob, 3) for one in together}) > 10
    assert sum(told) == 17 and len(told) > 1
    assert score_ids(predictor, [], [], CONFIG) == []


def test_how_many_logits_exist_at_once_changes_nothing(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for chunk in (1, 7, 10**6):
        monkeypatch.setattr("nmt.models.seq2seq.CHUNK", chunk)
        scored = score_ids(predictor, sentences(9), sentences(20)[11:], CONFIG)
        found.append([one.log_prob for one in scored])
    assert found[0] == pytest.approx(found[1], abs=1e-4)
    assert found[0] == pytest.approx(found[2], abs=1e-4)


def test_perplexity_is_of_a_piece() -> None:
    assert Scored(4 * math.log(1 / 8), 4).perplexity == pytest.approx(8)
    assert Scored(-1e6, 1).perplexity == math.inf
