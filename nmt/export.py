"""A trained Transformer for other engines: CTranslate2. The only file that imports ctranslate2.

N model width, L layers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from nmt.config import BOS, EOS, UNK, TransformerConfig
from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError, require
from nmt.models.attention import Attention
from nmt.models.transformer import DecoderLayer, EncoderLayer, sinusoids
from nmt.translator import Translator

POSITIONS = 2048  # of the table that CTranslate2 gets
BATCH_TOKENS = 4096  # with which CTranslate2 is the fastest that was seen

Search = Callable[[list[list[str]], int], list[list[str]]]


def export_ctranslate2(translator: Translator, folder: Path, *, quantization: str = "") -> None:
    """Writes the model for `ctranslate2.Translator(folder)`, which reads pieces with EOS.

    `quantization` is a type of CTranslate2 such as "int8"; "" keeps float32. Raises `UserError` if
    CTranslate2 does not support the model or is not installed, or the weights are not float32.
    """
    try:
        from ctranslate2.specs import TransformerSpec, common_spec
    except ImportError as error:
        raise UserError("CTranslate2 is not installed: pip install 'nmt[export]'") from error
    config = translator.config.model
    _check(config)
    output = translator.model.output  # no nn.Linear where it multiplies integers
    require(
        isinstance(output, nn.Linear) and output.weight.dtype == torch.float32,
        "an export needs float32 weights: load the run with decoding.precision=fp32; the argument "
        "`quantization` sets the type in CTranslate2",
    )
    assert isinstance(config, TransformerConfig)
    activation = {"relu": common_spec.Activation.RELU, "gelu": common_spec.Activation.GELU}
    spec = TransformerSpec.from_config(
        (config.encoder_layers, config.decoder_layers),
        config.attention.heads,
        pre_norm=config.norm == "pre",
        activation=activation[config.activation],
    )
    _fill(spec, translator.model, config)
    tokenizers = translator.tokenizers
    spec.register_source_vocabulary(_pieces(tokenizers.source))
    spec.register_target_vocabulary(_pieces(tokenizers.target))
    unknown, begin, end = tokenizers.target.pieces((UNK, BOS, EOS))
    spec.config.unk_token, spec.config.bos_token, spec.config.eos_token = unknown, begin, end
    spec.config.decoder_start_token = begin
    spec.validate()
    spec.optimize(quantization=quantization or None)
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))


def _check(config: Any) -> None:
    """Raises `UserError` for models that CTranslate2 does not support."""
    lacking = (
        (config.name != "transformer", f"model={config.name}"),
        (config.attention.score != "scaled_dot", f"model.attention.score={config.attention.score}"),
        (getattr(config, "positions", "") == "rotary", "model.positions=rotary"),
    )
    for missing, what in lacking:
        if missing:
            raise UserError(
                f"CTranslate2 has no {what}: only a standard Transformer can be exported"
            )


def _fill(spec: Any, model: nn.Module, config: TransformerConfig) -> None:
    encoder: Any = model.encoder
    decoder: Any = model.decoder
    table = sinusoids(torch.arange(POSITIONS), config.width).numpy()
    for side, module in ((spec.encoder, encoder), (spec.decoder, decoder)):
        side.position_encodings.encodings = table
        if config.norm == "pre":
            _norm(side.layer_norm, module.norm)
    spec.encoder.embeddings[0].weight = _array(encoder.embedding.tokens.weight)
    spec.decoder.embeddings.weight = _array(decoder.embedding.tokens.weight)
    spec.decoder.projection.weight = _array(model.get_parameter("output.weight"))
    for target, layer in zip(spec.encoder.layer, encoder.layers, strict=True):
        _encoder_layer(target, layer)
    for target, layer in zip(spec.decoder.layer, decoder.layers, strict=True):
        _decoder_layer(target, layer)


def _encoder_layer(spec: Any, layer: EncoderLayer) -> None:
    _norm(spec.self_attention.layer_norm, layer.around_attention.norm)
    _self_attention(spec.self_attention, layer.attention)
    _feedforward(spec.ffn, layer.feedforward, layer.around_feedforward.norm)


def _decoder_layer(spec: Any, layer: DecoderLayer) -> None:
    _norm(spec.self_attention.layer_norm, layer.around_self.norm)
    _self_attention(spec.self_attention, layer.self_attention)
    _norm(spec.attention.layer_norm, layer.around_source.norm)
    attention = layer.cross_attention
    _linear(spec.attention.linear[0], attention.query_proj)
    _linear(spec.attention.linear[1], attention.key_proj, attention.value_proj)
    _linear(spec.attention.linear[2], attention.output_proj)
    _feedforward(spec.ffn, layer.feedforward, layer.around_feedforward.norm)


def _self_attention(spec: Any, attention: Attention) -> None:
    _linear(spec.linear[0], attention.query_proj, attention.key_proj, attention.value_proj)
    _linear(spec.linear[1], attention.output_proj)


def _feedforward(spec: Any, feedforward: nn.Sequential, norm: nn.Module) -> None:
    _norm(spec.layer_norm, norm)
    _linear(spec.linear_0, feedforward[0])
    _linear(spec.linear_1, feedforward[2])


def _norm(spec: Any, norm: nn.Module) -> None:
    spec.gamma = _array(norm.get_parameter("weight"))
    spec.beta = _array(norm.get_parameter("bias"))


def _linear(spec: Any, *modules: nn.Module) -> None:
    """Several projections of the same input as one product."""
    spec.weight = np.concatenate([_array(each.get_parameter("weight")) for each in modules])
    spec.bias = np.concatenate([_array(each.get_parameter("bias")) for each in modules])


def _array(tensor: torch.Tensor) -> np.ndarray:
    """A copy: CTranslate2 quantizes in place."""
    return tensor.detach().cpu().numpy().copy()


def _pieces(tokenizer: Tokenizer) -> list[str]:
    return tokenizer.pieces(range(tokenizer.size))


def load_ctranslate2(folder: Path, threads: int, quantization: str) -> Search:
    """An exported model as a function: pieces with EOS and a beam size -> pieces of the best."""
    import ctranslate2

    engine = ctranslate2.Translator(
        str(folder),
        compute_type=quantization or "float32",
        inter_threads=1,
        intra_threads=threads,
    )

    def search(sources: list[list[str]], beam_size: int) -> list[list[str]]:
        found = engine.translate_batch(
            sources, beam_size=beam_size, max_batch_size=BATCH_TOKENS, batch_type="tokens"
        )
        return [each.hypotheses[0] for each in found]

    return search
