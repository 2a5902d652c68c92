"""A Transformer in CTranslate2 is the same model as here."""

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
    AttentionConfig,
    Config,
    DataConfig,
    ModelConfig,
    RNNConfig,
    TokenizerConfig,
    TransformerConfig,
)
from nmt.data.tokenizer import Tokenizers, learn
from nmt.errors import UserError
from nmt.export import export_ctranslate2
from nmt.models import build_model
from nmt.models.precision import in_precision
from nmt.translator import Translator

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


def same_scores(translator: Translator, folder: Path) -> None:
    """The log-probability of every token of translations drawn at random."""
    engine = ctranslate2.Translator(str(folder), device="cpu", compute_type="float32")
    source, target = translator.tokenizers
    sources = sentences(source.size)
    targets = [ids[:-1] for ids in reversed(sentences(target.size))]
    scored = engine.score_batch(
        [source.pieces(each) for each in sources], [target.pieces(each) for each in targets]
    )
    for each, tokens, their in zip(sources, targets, scored, strict=True):
        whole = torch.tensor([[BOS, *tokens, EOS]])
        mine = translator.model.token_log_probs(torch.tensor([each]), whole)[0]
        torch.testing.assert_close(torch.tensor(their.log_probs), mine, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("norm", "activation", "tied"), KINDS)
def test_the_export_scores_alike(norm: str, activation: str, tied: str, tmp_path: Path) -> None:
    translator = translator_of(transformer(norm, activation, tied))
    export_ctranslate2(translator, tmp_path / "made" / "engine")
    same_scores(translator, tmp_path / "made" / "engine")


def test_two_vocabularies(tmp_path: Path) -> None:
    translator = translator_of(transformer(tied="none"), joint=False)
    export_ctranslate2(translator, tmp_path)
    same_scores(translator, tmp_path)


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
    expected = f"CTranslate2 has no {what}: only a standard Transformer can be exported"
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
