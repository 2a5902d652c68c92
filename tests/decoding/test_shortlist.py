"""Searches that weigh only what may translate a sentence."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from nmt.config import BOS, EOS, PAD, DecodingConfig, RNNConfig, TransformerConfig
from nmt.decoding import Hypothesis, translate_ids
from nmt.decoding.constraints import Constrain, Demands
from nmt.decoding.predictor import Ensemble, Predictor
from nmt.decoding.shortlist import SPECIAL, Shortlist
from nmt.models import build_model
from nmt.models.precision import Int8Linear, in_precision
from nmt.models.seq2seq import Seq2Seq

V = 40
CONFIG = DecodingConfig(beam_size=3, batch_tokens=60, max_ratio=1.0, max_extra=4)
SMALL = {
    "transformer": TransformerConfig(
        width=16, feedforward=32, encoder_layers=1, decoder_layers=2, tied_embeddings="all"
    ),
    "rnn": RNNConfig(width=16, embedding=16, encoder_width=8, tied_embeddings="none"),
}
STRATEGIES: dict[str, dict[str, Any]] = {
    "greedy": {"beam_size": 1},
    "beam": {"beam_size": 4},
    "wider-than-there-are-pieces": {"beam_size": 12},
    "diverse": {"beam_size": 6, "groups": 3, "diversity": 0.7},
    "coverage": {"beam_size": 4, "coverage_penalty": 0.3},
    "sample": {"strategy": "sample"},
    "sample-of-some": {"strategy": "sample", "temperature": 1.5, "top_k": 7, "top_p": 0.9},
    "mbr": {"strategy": "mbr", "samples": 5},
}
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)


def decided(name: str, seed: int = 1) -> Seq2Seq:
    """Enough that rounding does not turn a choice."""
    torch.manual_seed(seed)
    model = build_model(SMALL[name], V, V).requires_grad_(False)
    for parameter in model.parameters():
        parameter.mul_(2.0)
    return model


def predictors() -> dict[str, Predictor]:
    # The last bit of a float32 can turn a draw that falls between two tokens.
    models = {name: decided(name).double() for name in SMALL}
    return {
        **models,
        "transformer-int8": in_precision(decided("transformer"), "int8"),
        "ensemble": Ensemble([decided("transformer").double(), decided("rnn", 2).double()]),
    }


@pytest.fixture(params=["transformer", "rnn", "transformer-int8", "ensemble"])
def predictor(request: pytest.FixtureRequest) -> Predictor:
    return predictors()[request.param]


@pytest.fixture
def shortlist() -> Shortlist:
    torch.manual_seed(1)
    candidates = torch.randint(4, V, (V, 2))
    candidates[PAD] = EOS
    return Shortlist(candidates, torch.tensor([7, 30, 11]), V)


SOURCES = [
    [*random.Random(row).choices(range(4, V), k=length), EOS]
    for row, length in enumerate((3, 0, 8, 1, 5, 5, 2, 7, 4))
]


def own(shortlist: Shortlist, source: Sequence[int]) -> set[int]:
    """What a sentence may be translated by, without a batch."""
    named = {int(piece) for each in source for piece in shortlist.candidates[each]}
    return named | set(shortlist.frequent.tolist()) | set(SPECIAL)


def tokens(found: list[list[Hypothesis]]) -> list[list[list[int]]]:
    return [[each.tokens for each in hypotheses] for hypotheses in found]


def scores(found: list[list[Hypothesis]]) -> list[float]:
    return [each.score for hypotheses in found for each in hypotheses]


def most(strategy: str) -> int:
    return {"greedy": 1, "mbr": 5}.get(strategy, 2)


def test_each_sentence_has_its_own(shortlist: Shortlist) -> None:
    longest = max(map(len, SOURCES))
    source = torch.tensor([[*ids, *[PAD] * (longest - len(ids))] for ids in SOURCES])
    pieces, columns = shortlist.choose(source)
    for row, ids in zip(columns, SOURCES, strict=True):
        found = pieces[row[row >= 0]].tolist()
        assert found == sorted(own(shortlist, ids)) and found[:4] == SPECIAL
    assert pieces.tolist() == sorted(set.union(*(own(shortlist, ids) for ids in SOURCES)))


@every_strategy
def test_of_the_whole_vocabulary_it_changes_nothing(predictor: Predictor, strategy: str) -> None:
    config = replace(CONFIG, **STRATEGIES[strategy])
    whole = Shortlist(torch.arange(V).expand(V, -1), torch.arange(3), V)
    plain = translate_ids(predictor, SOURCES, config, n_best=most(strategy))
    found = translate_ids(predictor, SOURCES, config, n_best=most(strategy), shortlist=whole)
    assert tokens(found) == tokens(plain) and scores(found) == scores(plain)


@every_strategy
@pytest.mark.parametrize("name", [*SMALL, "ensemble"])
def test_it_is_the_search_of_a_model_that_has_no_other_pieces(
    name: str, shortlist: Shortlist, strategy: str
) -> None:
    config = replace(CONFIG, **STRATEGIES[strategy])
    predictor = predictors()[name]
    found = translate_ids(predictor, SOURCES, config, n_best=most(strategy), shortlist=shortlist)
    for source, hypotheses in zip(SOURCES, found, strict=True):
        other = without_others(predictor, own(shortlist, source))
        expected = translate_ids(other, [source], config, n_best=most(strategy))
        assert tokens([hypotheses]) == tokens(expected)
        assert scores([hypotheses]) == pytest.approx(scores(expected), abs=1e-5)
        for each in hypotheses:
            assert set(each.tokens) <= own(shortlist, source)
    plain = translate_ids(predictor, SOURCES, config, n_best=most(strategy))
    assert tokens(plain) != tokens(found), "a shortlist that costs nothing"


def without_others(predictor: Predictor, pieces: set[int]) -> Predictor:
    """Whose models give all other pieces a logit of -inf."""
    found = copy.deepcopy(predictor)
    never = torch.full((V,), -torch.inf, dtype=torch.float64)
    never[list(pieces)] = 0.0
    for module in found.modules():
        if isinstance(module, Seq2Seq):
            module.output.bias = nn.Parameter(never)
    return found


@every_strategy
def test_company_and_order_change_nothing(
    predictor: Predictor, shortlist: Shortlist, strategy: str
) -> None:
    config = replace(CONFIG, **STRATEGIES[strategy])

    def translate(rows: Sequence[int], batch_tokens: int) -> list[list[Hypothesis]]:
        return translate_ids(
            predictor,
            [SOURCES[row] for row in rows],
            replace(config, batch_tokens=batch_tokens),
            n_best=most(strategy),
            shortlist=shortlist,
        )

    everyone = range(len(SOURCES))
    expected = translate(everyone, 60)  # several batches by tokens
    mixed = random.Random(1).sample(everyone, len(SOURCES))
    # The last bit of a float decides to which of two integers an input between them is rounded.
    rounded = any(isinstance(module, Int8Linear) for module in predictor.modules())
    tolerance = 1e-2 if rounded else 1e-4
    for rows in ([[row] for row in everyone], [mixed[:7], mixed[7:]], [everyone[::-1]]):
        for some in rows:
            found = translate(some, 10**6)
            wanted = [expected[row] for row in some]
            assert tokens(found) == tokens(wanted)
            assert scores(found) == pytest.approx(scores(wanted), abs=tolerance)


def test_demands_have_the_whole_vocabulary(shortlist: Shortlist) -> None:
    pieces = ["<pad>", "<unk>", "<s>", "</s>", *(f"▁w{place}" for place in range(4, V))]
    model = decided("transformer")
    for source in SOURCES:
        absent = next(piece for piece in range(4, V) if piece not in own(shortlist, source))
        demands = Demands(required=(pieces[absent][1:],))
        found = translate_ids(
            model,
            [source],
            CONFIG,
            constrain=Constrain(pieces, [demands], CONFIG),
            shortlist=shortlist,
        )
        assert absent in found[0][0].tokens


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_narrowed_model_has_those_logits(precision: str, training: bool) -> None:
    model = in_precision(decided("transformer"), precision).train(training)
    pieces = torch.tensor([0, 1, 2, 3, 9, 17, 38])
    before = torch.get_rng_state()
    narrow = model.narrowed(pieces)
    assert torch.equal(torch.get_rng_state(), before), "training would draw other numbers"
    assert narrow.training is model.training is training and model.output.out_features == V
    model.eval()
    start = torch.tensor([[BOS]])
    state = model.start(torch.tensor([SOURCES[0]]))
    found = narrow.predict(start, state, None).logits
    torch.testing.assert_close(found, model.predict(start, state, None).logits[:, pieces])
