"""One attention module: what it computes, that its paths agree, what it may see.

B batch, Q queries, K keys, H heads, D width of a head, N width.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models.attention import Attention, KeyValue
from nmt.models.scores import build_score

SCORES = ("additive", "dot", "scaled_dot")
PRODUCTS = ("dot", "scaled_dot")
WIDTH, HEADS, B, K = 16, 4, 3, 7
close = torch.testing.assert_close


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(3)


def attention(score: str, heads: int = HEADS, **options: bool) -> Attention:
    module = Attention.multi_head(WIDTH, score=score, heads=heads, **options)
    return module.double().eval()


def words(*shape: int) -> Tensor:
    return torch.randn(*shape, WIDTH, dtype=torch.float64)


def lengths_mask(*lengths: int) -> Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


MASK = lengths_mask(K, 4, 1)


def reference(attention: Attention) -> nn.MultiheadAttention:
    """torch's own with the same weights."""
    other = nn.MultiheadAttention(WIDTH, attention.heads, batch_first=True).double()
    names = ("query_proj", "key_proj", "value_proj")
    projections = [getattr(attention, name) for name in names]
    with torch.no_grad():
        other.in_proj_weight.copy_(torch.cat([each.weight for each in projections]))
        other.in_proj_bias.copy_(torch.cat([each.bias for each in projections]))
        other.out_proj.weight.copy_(attention.output_proj.weight)
        other.out_proj.bias.copy_(attention.output_proj.bias)
    return other


@pytest.mark.parametrize("heads", [1, 4, 16])
@pytest.mark.parametrize("causal", [False, True], ids=["whole", "causal"])
@pytest.mark.parametrize("mask", [None, MASK], ids=["unmasked", "masked"])
def test_equal_to_torchs_own(heads: int, causal: bool, mask: Tensor | None) -> None:
    ours = attention("scaled_dot", heads)
    theirs = reference(ours)
    x, y = words(B, K).requires_grad_(), words(B, K).requires_grad_()
    memory = x if causal else y
    ahead = torch.ones(K, K, dtype=torch.bool).triu(1) if causal else None
    expected, weights = theirs(
        x,
        memory,
        memory,
        key_padding_mask=None if mask is None else ~mask,
        attn_mask=ahead,
        average_attn_weights=False,
    )
    found = ours(x, ours.project(memory), mask=mask, causal=causal, need_weights=True)
    close(found.context, expected)
    close(found.weights, weights, rtol=1e-9, atol=1e-10)

    names = ("query_proj", "key_proj", "value_proj", "output_proj")
    inner = [x, memory, *(getattr(ours, name).weight for name in names)]
    outer = [x, memory, theirs.in_proj_weight, theirs.out_proj.weight]
    upstream = torch.randn_like(expected)
    mine = torch.autograd.grad(found.context, inner, upstream)
    other = torch.autograd.grad(expected, outer, upstream)
    close(mine[:2], other[:2], rtol=1e-9, atol=1e-10)
    close(torch.cat(mine[2:5]), other[2], rtol=1e-9, atol=1e-10)
    close(mine[5], other[3], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("heads", [1, 4])
@torch.no_grad()
def test_additive_is_the_formula_of_the_paper(heads: int) -> None:
    module = attention("additive", heads)
    query, memory = words(2, 3), words(2, 5)
    found = module(query, module.project(memory), need_weights=True)
    width = WIDTH // heads
    w, u, values = module.query_proj(query), module.key_proj(memory), module.value_proj(memory)
    for b in range(2):
        for i in range(3):
            pieces = []
            for h in range(heads):
                part = slice(h * width, (h + 1) * width)
                energy = [
                    sum(
                        module.score.energy[h, d] * math.tanh(w[b, i, part][d] + u[b, j, part][d])
                        for d in range(width)
                    )
                    for j in range(5)
                ]
                total = sum(math.exp(e) for e in energy)
                alpha = [math.exp(e) / total for e in energy]
                close(
                    found.weights[b, h, i].double(), torch.tensor(alpha).double(), atol=1e-6, rtol=0
                )
                pieces.append(sum(alpha[j] * values[b, j, part] for j in range(5)))
            expected = module.output_proj(torch.cat(pieces))
            close(found.context[b, i], expected, atol=1e-6, rtol=0)


def test_dot_is_unscaled() -> None:
    query, key = torch.randn(B, HEADS, 2, 5), torch.randn(B, HEADS, K, 5)
    close(build_score("dot", HEADS, 5)(query, key), torch.einsum("bhqd,bhkd->bhqk", query, key))
    scaled = build_score("scaled_dot", HEADS, 5)(query, key)
    close(scaled * math.sqrt(5), build_score("dot", HEADS, 5)(query, key))
    module = attention("dot")
    x, memory = words(B, 2), module.project(words(B, K))
    queries = module.query_proj(x).view(B, 2, HEADS, -1).transpose(1, 2)
    context = F.scaled_dot_product_attention(queries, *memory, scale=1.0)
    expected = module.output_proj(context.transpose(1, 2).reshape(B, 2, WIDTH))
    close(module(x, memory).context, expected, rtol=1e-9, atol=1e-10)


def test_an_unknown_score_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="'general'"):
        build_score("general", 1, 4)


@pytest.mark.parametrize("score", PRODUCTS)
@pytest.mark.parametrize("queries", [1, 3, K])
@pytest.mark.parametrize("causal", [False, True], ids=["whole", "causal"])
@pytest.mark.parametrize("mask", [None, MASK], ids=["unmasked", "masked"])
def test_fused_is_explicit(
    monkeypatch: pytest.MonkeyPatch, score: str, queries: int, causal: bool, mask: Tensor | None
) -> None:
    module = attention(score, rotary=True)
    x, memory = words(B, queries), module.project(words(B, K))
    calls = []
    fused = F.scaled_dot_product_attention

    def counted(*arguments: Tensor, **options: Tensor) -> Tensor:
        calls.append(arguments)
        return fused(*arguments, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", counted)
    monkeypatch.setattr("nmt.models.attention.FEW", 1)
    with torch.no_grad():
        explicit = module(x, memory, mask=mask, causal=causal, need_weights=True).context
        assert not calls
        found = module(x, memory, mask=mask, causal=causal)
    assert len(calls) == 1 and found.weights is None
    close(found.context, explicit, rtol=1e-9, atol=1e-10)
    trained = module(x, memory, mask=mask, causal=causal)
    assert len(calls) == 1, "the fused kernel's backward is slow on a CPU"
    close(trained.context, explicit, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("queries", [3, 9])
def test_a_mask_of_every_query_may_be_added_to_the_scores(score: str, queries: int) -> None:
    module = attention(score)
    x, memory = words(B, queries), module.project(words(B, K))
    seen = torch.rand(B, queries, K) > 0.5
    seen[:, :, 0] = True
    added = torch.zeros(seen.shape).masked_fill(~seen, -math.inf)
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            found = [module(x, memory, mask=mask).context for mask in (seen, added)]
        close(*found, rtol=1e-9, atol=1e-10)
    for row in range(queries):
        alone = module(x[:, row, None], memory, mask=seen[:, row]).context
        close(found[0][:, row, None], alone, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("queries", [1, 3, K])
@pytest.mark.parametrize("whole", [False, True], ids=["keys", "keys of each query"])
@pytest.mark.parametrize("grad", [False, True])
def test_causal_with_a_mask_of_floats(score: str, queries: int, whole: bool, grad: bool) -> None:
    module = attention(score)
    x, memory = words(B, queries), module.project(words(B, K))
    seen = MASK[:, None].repeat(1, queries, 1) if whole else MASK
    added = torch.zeros(seen.shape, dtype=torch.float64).masked_fill(~seen, -math.inf)
    with torch.set_grad_enabled(grad):
        found, expected = (module(x, memory, mask=mask, causal=True) for mask in (added, seen))
    close(found.context, expected.context, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("need_weights", [False, True])
def test_causal_with_cached_keys_is_the_end_of_the_square(
    score: str, queries: int, need_weights: bool
) -> None:
    module = attention(score, rotary=score != "additive")
    x = words(B, K)
    old, new = x[:, :-queries], x[:, -queries:]
    with torch.no_grad():
        whole = module(x, module.project(x), causal=True, need_weights=True)
        parts = module.project(old), module.project(new, torch.arange(K - queries, K))
        cached = KeyValue(*(torch.cat(sides, dim=2) for sides in zip(*parts, strict=True)))
        found = module(new, cached, causal=True, need_weights=need_weights)
    close(found.context, whole.context[:, -queries:], rtol=1e-9, atol=1e-10)
    if need_weights:
        close(found.weights, whole.weights[:, :, -queries:])


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("grad", [False, True])
def test_no_query_looks_ahead(score: str, grad: bool) -> None:
    module = attention(score)
    x = words(1, K)
    changed = x.clone()
    changed[:, 4:] += 10
    with torch.set_grad_enabled(grad):
        one, two = (module(y, module.project(y), causal=True).context for y in (x, changed))
    assert torch.equal(one[:, :4], two[:, :4])
    assert not torch.allclose(one[:, 4:], two[:, 4:])


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("heads", [1, 4])
def test_padding_changes_nothing(score: str, grad: bool, heads: int) -> None:
    module = attention(score, heads)
    query, memory = words(B, 2), words(B, K)
    with torch.set_grad_enabled(grad):
        found = module(query, module.project(memory), mask=MASK).context
        for row, length in enumerate(MASK.sum(1).tolist()):
            alone = module(query[row, None], module.project(memory[row, None, :length])).context
            close(found[row], alone[0], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("score", SCORES)
def test_weights_are_shares_of_what_may_be_seen(score: str) -> None:
    module = attention(score)
    x = words(B, K)
    weights = module(x, module.project(x), mask=MASK, causal=True, need_weights=True).weights
    assert weights.shape == (B, HEADS, K, K)
    close(weights.sum(-1), torch.ones(B, HEADS, K, dtype=torch.float64))
    seen = MASK[:, None, None, :] & torch.ones(K, K, dtype=torch.bool).tril()
    assert (weights[~seen.expand_as(weights)] == 0).all()
    assert (weights[seen.expand_as(weights)] > 0).all()


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_autocast_keeps_the_softmax_exact(score: str, dtype: torch.dtype) -> None:
    module = attention(score).float()
    x = words(B, K).float()
    exact = module(x, module.project(x), mask=MASK, need_weights=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        found = module(x, module.project(x), mask=MASK, need_weights=True)
    assert found.weights.dtype == torch.float32
    close(found.weights.sum(-1), torch.ones(B, HEADS, K))
    close(found.context.float(), exact.context, rtol=0, atol=0.05)


def test_dropout_leaves_out_weights_in_training_only() -> None:
    module = Attention.multi_head(WIDTH, score="scaled_dot", heads=HEADS, dropout=0.5)
    x = torch.randn(B, K, WIDTH)
    memory = module.project(x)
    with torch.no_grad():
        trained = [module.train()(x, memory).context for _ in range(2)]
        explicit = [module(x, memory, need_weights=True).context for _ in range(2)]
        still = [module.eval()(x, memory, need_weights=each).context for each in (True, False)]
    assert not torch.allclose(*trained) and not torch.allclose(*explicit)
    close(*still, rtol=1e-5, atol=1e-6)
    weights = module.train()(x, memory, need_weights=True).weights
    close(weights.sum(-1), torch.ones(B, HEADS, K))  # what is drawn is what the model computed


@pytest.mark.parametrize("score", PRODUCTS)
def test_a_bias_of_the_keys_changes_no_output_of_a_product(score: str) -> None:
    """So its true gradient is 0, and wherever Adam takes it does not matter."""
    module = attention(score)
    query, memory = words(B, 2), words(B, K)
    before = module(query, module.project(memory), mask=MASK).context
    nn.init.normal_(module.key_proj.bias)
    close(module(query, module.project(memory), mask=MASK).context, before)


def test_keys_are_selected() -> None:
    key, value = torch.randn(B, HEADS, K, 4), torch.randn(B, HEADS, K, 5)
    whole = KeyValue(key, value)
    chosen = whole.select(torch.tensor([2, 0, 0]))
    assert all(torch.equal(part, old[[2, 0, 0]]) for part, old in zip(chosen, whole, strict=True))


def test_a_model_without_projections() -> None:
    """Luong's dot attention adds none: the values are the memory itself."""
    same = {f"{name}_proj": nn.Identity() for name in ("query", "key", "value", "output")}
    module = Attention(build_score("dot", 1, WIDTH), **same)
    assert not list(module.parameters())
    query, memory = torch.randn(B, 2, WIDTH), torch.randn(B, K, WIDTH)
    found = module(query, module.project(memory), need_weights=True)
    close(found.weights[:, 0], (query @ memory.mT).softmax(-1))
    close(found.context, found.weights[:, 0] @ memory)
