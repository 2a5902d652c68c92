"""From a config to a model: which weights are the same, how large it is, how it begins."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Protocol

import pytest
import torch

from nmt.config import AttentionConfig, ModelConfig, RNNConfig, TransformerConfig
from nmt.errors import UserError
from nmt.models import build_model
from nmt.models.seq2seq import Seq2Seq, count_parameters
from nmt.models.transformer import Embedding, sinusoids


class Build(Protocol):
    def __call__(self, name: str, **knobs: Any) -> Seq2Seq: ...


MODELS = ("transformer", "rnn")
BUILDERS = {"transformer": TransformerConfig, "rnn": RNNConfig}


def tables(model: Seq2Seq) -> tuple[torch.nn.Parameter, ...]:
    """Of the source, of the target, of the output."""
    embeddings = [side.embedding for side in (model.encoder, model.decoder)]
    inner = [each.tokens if isinstance(each, Embedding) else each for each in embeddings]
    return inner[0].weight, inner[1].weight, model.output.weight


@pytest.mark.parametrize("name", MODELS)
def test_tied_tables_are_one_object_and_counted_once(build: Build, name: str) -> None:
    sizes = {}
    for tied, same in (("none", 3), ("target", 2), ("all", 1)):
        model = build(name, tied_embeddings=tied)
        source, target, output = tables(model)
        assert len({id(table) for table in (source, target, output)}) == same
        assert (target is output) == (tied != "none")
        assert (source is target) == (tied == "all")
        sizes[tied] = count_parameters(model)
        assert len(list(model.parameters())) == len({id(each) for each in model.parameters()})
    table = source.numel()
    assert sizes["none"] - sizes["target"] == sizes["target"] - sizes["all"] == table


@pytest.mark.parametrize("name", MODELS)
def test_two_vocabularies(name: str) -> None:
    kind = BUILDERS[name]
    with pytest.raises(UserError) as caught:
        build_model(kind(tied_embeddings="all"), 20, 30)
    message = str(caught.value)
    assert "model.tied_embeddings=all needs one vocabulary for both languages" in message
    assert "data.tokenizer.joint=false made two, of 20 and 30" in message
    assert "set model.tied_embeddings=target" in message
    small = {"width": 16, "tied_embeddings": "target"}
    model = build_model(kind(**small), 20, 30)
    source, target, output = tables(model)
    assert (len(source), len(target), len(output)) == (20, 30, 30)
    with torch.no_grad():
        assert (
            model.output(model(torch.tensor([[19, 3]]), torch.tensor([[2, 29]])).states).size(2)
            == 30
        )


def test_a_config_of_no_model_is_our_own_mistake() -> None:
    with pytest.raises(TypeError, match="ModelConfig"):
        build_model(ModelConfig(tied_embeddings="none"), 20, 20)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("score", ["additive", "dot", "scaled_dot"])
def test_first_logits_are_near_uniform(name: str, score: str) -> None:
    torch.manual_seed(1)
    attention = AttentionConfig(score=score, heads=4, dropout=0.0)
    config = dataclasses.replace(BUILDERS[name](), width=64, attention=attention)
    model = build_model(config, 500, 500).eval()
    tokens = torch.randint(4, 500, (8, 12))
    with torch.no_grad():
        logits = model.output(model(tokens, tokens).states)
    assert 0.01 < logits.std() < 2
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.randint(500, (96,)))
    assert abs(loss - math.log(500)) < 1.5


@pytest.mark.parametrize("name", MODELS)
def test_the_same_seed_gives_the_same_model(name: str) -> None:
    config = dataclasses.replace(BUILDERS[name](), width=16)
    models = []
    for _ in range(2):
        torch.manual_seed(4)
        models.append(build_model(config, 20, 20).state_dict())
    assert all(torch.equal(models[0][key], models[1][key]) for key in models[0])
    assert all(value.isfinite().all() for value in models[0].values())


def test_sinusoids_are_those_of_the_paper() -> None:
    table = sinusoids(torch.arange(3, 12), 6)
    for row, position in enumerate(range(3, 12)):
        for i in range(3):
            angle = position / 10_000 ** (2 * i / 6)
            expected = torch.tensor([math.sin(angle), math.cos(angle)])
            torch.testing.assert_close(table[row, 2 * i : 2 * i + 2], expected)


@pytest.mark.parametrize("positions", ["sinusoidal", "rotary"])
def test_the_transformer_knows_the_order(build: Build, positions: str) -> None:
    model = build("transformer", positions=positions)
    source = torch.tensor([[5, 6, 7, 8, 3]])
    target = torch.tensor([[2, 9]])
    turned = source[:, [2, 1, 0, 3, 4]]
    assert not torch.allclose(model(source, target).states, model(turned, target).states)
