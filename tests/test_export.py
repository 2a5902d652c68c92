"""A Transformer in CTranslate2 translates as it does here."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import ctranslate2
import pytest
import torch

from nmt.config import (
    BOS,
    EOS,
    PAD,
    AttentionConfig,
    Config,
    DataConfig,
    DecodingConfig,
    ModelConfig,
    RNNConfig,
    TokenizerConfig,
    TransformerConfig,
    UserError,
)
from nmt.data.tokenizer import Tokenizers, learn
from nmt.decoding import translate_ids
from nmt.export import export_ctranslate2
from nmt.models import build_model
from nmt.models.precision import in_precision
from nmt.translator import Translator

LONGEST = 12
CONFIG = DecodingConfig(beam_size=1, length_penalty=0.0, max_ratio=0.0, max_extra=LONGEST)
PAIRS = [("A dog runs.", "Ein Hund läuft."), ("It rains today.", "Es regnet heute.")] * 10
SIZES = {"width": 16, "encoder_layers": 2, "decoder_layers": 1}
KINDS = list(product(("pre", "post"), ("relu", "gelu"), ("none", "target", "all")))


def sides(*, joint: bool) -> Tokenizers:
    return learn(PAIRS, TokenizerConfig(vocabulary=300 if joint else 290, joint=joint), 1)


def translator_of(model: ModelConfig, *, joint: bool = True) -> Translator:
    """Untrained, but decided: no weight, gain or bias is that of another."""
    torch.manual_seed(1)
    tokenizers = sides(joint=joint)
    built = build_model(model, tokenizers.source.size, tokenizers.target.size)
    built.eval().requires_grad_(False)
    for parameter in built.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=0.3)
    data = DataConfig(tokenizer=TokenizerConfig(joint=joint))
    return Translator(built, tokenizers, Config(model=model, data=data))


def transformer(norm: str = "pre", activation: str = "relu", tied: str = "target") -> ModelConfig:
    knobs = {"norm": norm, "activation": activation, "tied_embeddings": tied}
    return TransformerConfig(feedforward=24, attention=AttentionConfig(heads=2), **SIZES, **knobs)


def sentences(vocabulary: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(2)
    lengths = torch.randint(0, 9, (20,), generator=generator).tolist()
    words = [torch.randint(4, vocabulary, (length,), generator=generator) for length in lengths]
    return [[*ids.tolist(), EOS] for ids in words]


def same_translations(translator: Translator, folder: Path) -> None:
    """Greedy ones, and the log-probabilities of their tokens."""
    engine = ctranslate2.Translator(str(folder), device="cpu", compute_type="float32")
    source, target = translator.tokenizers
    ids = sentences(source.size)
    pieces = [source.pieces(each) for each in ids]
    never = [[piece] for piece in target.pieces((PAD, BOS))]
    ours = [best.tokens for (best,) in translate_ids(translator.model, ids, CONFIG)]
    assert len(set(map(tuple, ours))) > 3, "a model that says one thing"
    theirs = engine.translate_batch(
        pieces, beam_size=1, max_decoding_length=LONGEST, suppress_sequences=never
    )
    for mine, their in zip(ours, theirs, strict=True):
        assert target.pieces(mine) == their.hypotheses[0]
    scored = engine.score_batch(pieces, [target.pieces(each) for each in ours])
    for each, tokens, their in zip(ids, ours, scored, strict=True):
        whole = torch.tensor([[BOS, *tokens, EOS]])
        mine = translator.model.token_log_probs(torch.tensor([each]), whole)[0]
        torch.testing.assert_close(torch.tensor(their.log_probs), mine, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("norm", "activation", "tied"), KINDS)
def test_the_export_translates_alike(norm: str, activation: str, tied: str, tmp_path: Path) -> None:
    translator = translator_of(transformer(norm, activation, tied))
    export_ctranslate2(translator, tmp_path / "made" / "engine")
    same_translations(translator, tmp_path / "made" / "engine")


def test_two_vocabularies(tmp_path: Path) -> None:
    translator = translator_of(transformer(tied="none"), joint=False)
    export_ctranslate2(translator, tmp_path)
    same_translations(translator, tmp_path)


def test_quantizing_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    translator = translator_of(transformer())
    before = {key: value.clone() for key, value in translator.model.state_dict().items()}
    export_ctranslate2(translator, tmp_path / "int8", quantization="int8")
    for key, value in translator.model.state_dict().items():
        assert torch.equal(value, before[key])
    export_ctranslate2(translator, tmp_path / "float32")
    sizes = [(tmp_path / kind / "model.bin").stat().st_size for kind in ("int8", "float32")]
    assert sizes[0] < 0.9 * sizes[1]


@pytest.mark.parametrize(
    ("model", "what"),
    [
        (RNNConfig(width=16, embedding=16, encoder_width=8), "model=rnn"),
        (
            TransformerConfig(attention=AttentionConfig(score="additive"), **SIZES),
            "model.attention.score=additive",
        ),
        (
            TransformerConfig(attention=AttentionConfig(score="dot"), **SIZES),
            "model.attention.score=dot",
        ),
        (TransformerConfig(positions="rotary", **SIZES), "model.positions=rotary"),
    ],
)
def test_what_ctranslate2_lacks(model: ModelConfig, what: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        export_ctranslate2(translator_of(model), tmp_path / "engine")
    expected = f"CTranslate2 has no {what}: only a Transformer of the paper goes there"
    assert str(caught.value) == expected
    assert not (tmp_path / "engine").exists()


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_rounded_weights_are_not_exported(precision: str, tmp_path: Path) -> None:
    translator = translator_of(transformer())
    translator.model = in_precision(translator.model, precision)
    with pytest.raises(UserError, match="load the run with decoding.precision=fp32"):
        export_ctranslate2(translator, tmp_path)


def test_without_ctranslate2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2.specs", None)
    with pytest.raises(UserError) as caught:
        export_ctranslate2(translator_of(transformer()), tmp_path)
    assert str(caught.value) == "CTranslate2 is not installed: pip install 'nmt[export]'"
