"""Several models that predict together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nmt.config import BOS, EOS, PAD, DecodingConfig, RNNConfig, TransformerConfig
from nmt.decoding import translate_ids
from nmt.decoding.predictor import Ensemble
from nmt.errors import UserError
from nmt.models import build_model
from nmt.models.precision import in_precision
from nmt.models.seq2seq import Seq2Seq

CONFIG = DecodingConfig(beam_size=3, batch_tokens=60)
SOURCES = [[4, 5, 6, EOS], [7, EOS], [EOS], [5, 5, 8, 9, 10, EOS], [6, 9, EOS]]
SOURCE = torch.tensor([[4, 5, 6, EOS], [7, EOS, PAD, PAD]])
TARGET = torch.tensor([[BOS, 9, 8, EOS], [BOS, EOS, PAD, PAD]])


def decided(config: TransformerConfig | RNNConfig, seed: int, vocabulary: int = 20) -> Seq2Seq:
    """Enough so that rounding does not turn a choice."""
    torch.manual_seed(seed)
    model = build_model(config, vocabulary, vocabulary).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.mul_(2.0)
    return model


def transformer(seed: int, vocabulary: int = 20) -> Seq2Seq:
    sizes = {"width": 16, "feedforward": 32, "encoder_layers": 1, "decoder_layers": 2}
    return decided(TransformerConfig(**sizes), seed, vocabulary)


def rnn(seed: int, vocabulary: int = 20) -> Seq2Seq:
    return decided(RNNConfig(width=16, embedding=16, encoder_width=8), seed, vocabulary)


@pytest.mark.parametrize("coverage", [0.0, 0.3])
@pytest.mark.parametrize("model", [transformer(1), rnn(1)], ids=["transformer", "rnn"])
def test_of_one_model_it_is_that_model(model: Seq2Seq, coverage: float) -> None:
    config = replace(CONFIG, coverage_penalty=coverage)
    alone = translate_ids(model, SOURCES, config, n_best=2)
    for members in ([model], [model, model]):
        found = translate_ids(Ensemble(members), SOURCES, config, n_best=2)
        for mine, theirs in zip(found, alone, strict=True):
            assert [each.tokens for each in mine] == [each.tokens for each in theirs]
            scores = [each.score for each in theirs]
            assert [each.score for each in mine] == pytest.approx(scores, abs=1e-4)


def test_the_probability_of_a_token_is_the_mean_of_theirs() -> None:
    members = [transformer(1), rnn(2), transformer(3)]
    ensemble = Ensemble(members)
    state = ensemble.start(SOURCE)
    states = [member.start(SOURCE) for member in members]
    for tokens in TARGET[:, :2].T:
        found = ensemble.predict(tokens[:, None], state, None, need_attention=True)
        parts = []
        for index, member in enumerate(members):
            single = member.predict(tokens[:, None], states[index], None, need_attention=True)
            states[index] = single.state
            parts.append(single)
        mean = sum(part.logits.softmax(1) for part in parts) / 3
        torch.testing.assert_close(found.logits.exp(), mean)
        attention = [part.attention for part in parts if part.attention is not None]
        torch.testing.assert_close(found.attention, sum(attention) / 3)
        state = found.state


def test_its_scores_are_its_token_log_probs() -> None:
    ensemble = Ensemble([transformer(1), rnn(2)])
    for source, hypotheses in zip(
        SOURCES, translate_ids(ensemble, SOURCES, CONFIG, n_best=3), strict=True
    ):
        for each in hypotheses:
            target = torch.tensor([[BOS, *each.tokens, EOS]])
            total = ensemble.token_log_probs(torch.tensor([source]), target).sum().item()
            assert each.log_prob == pytest.approx(total, abs=1e-4)


def test_padding_scores_nothing() -> None:
    found = Ensemble([transformer(1), rnn(2), transformer(3)]).token_log_probs(SOURCE, TARGET)
    torch.testing.assert_close(found[1, 1:], torch.zeros(2))
    assert (found[0] < 0).all()


def test_members_in_int8_translate_together() -> None:
    members = [in_precision(each, "int8") for each in (transformer(1), rnn(2))]
    for (one,) in translate_ids(Ensemble(members), SOURCES, CONFIG):
        assert one.log_prob < 0


def test_one_vocabulary_for_all() -> None:
    with pytest.raises(UserError) as caught:
        Ensemble([transformer(1), rnn(2, vocabulary=23)])
    assert str(caught.value) == "an ensemble needs one vocabulary, but has [20, 23] pieces"


def test_translating_leaves_members_without_dropout() -> None:
    members = [transformer(1), rnn(2)]
    translate_ids(Ensemble(members), SOURCES, CONFIG)
    assert not any(member.training for member in members)
