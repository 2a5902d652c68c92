"""What search and training rely on, of both models in every combination."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, Protocol

import pytest
import torch
from torch import Tensor

from nmt.config import BOS, EOS, PAD
from nmt.models import linear, recurrent, seq2seq
from nmt.models.seq2seq import Memory, Seq2Seq, State

Knobs = dict[str, Any]
SCORES = ("additive", "dot", "scaled_dot")
TRANSFORMERS: list[Knobs] = [
    {"norm": norm, "positions": positions, "activation": activation, "tied_embeddings": tied}
    for norm, positions, (activation, tied) in product(
        ("pre", "post"),
        ("sinusoidal", "rotary"),
        (("relu", "none"), ("gelu", "target"), ("relu", "all")),
    )
]
RNNS: list[Knobs] = [
    {"cell": cell, "decoder_layers": layers, "encoder_layers": layers, "tied_embeddings": tied}
    for cell, layers, tied in product(("gru", "lstm"), (1, 2), ("none", "target", "all"))
]
KINDS = [("transformer", knobs) for knobs in TRANSFORMERS] + [("rnn", knobs) for knobs in RNNS]
ALL = [
    pytest.param(
        name,
        {"score": score, "heads": heads, **knobs},
        id="-".join(map(str, (name, score, heads, *knobs.values()))),
    )
    for (name, knobs), score, heads in product(KINDS, SCORES, (1, 4))
]
FEW = [
    pytest.param(name, {"score": score, **knobs}, id=f"{name}-{score}-{knobs['tied_embeddings']}")
    for name, score, knobs in (
        ("transformer", "scaled_dot", TRANSFORMERS[0]),
        ("transformer", "additive", TRANSFORMERS[3]),
        ("transformer", "dot", TRANSFORMERS[-1]),
        ("rnn", "additive", RNNS[0]),
        ("rnn", "scaled_dot", RNNS[-1]),
    )
]
every = pytest.mark.parametrize(("name", "knobs"), ALL)
# Five shares no factor with the numbers of choices, so each choice is among these.
every_fifth = pytest.mark.parametrize(("name", "knobs"), ALL[::5])
few = pytest.mark.parametrize(("name", "knobs"), FEW)


class Build(Protocol):
    def __call__(self, name: str, **knobs: Any) -> Seq2Seq: ...


def close(found: Tensor | None, expected: Tensor | None) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


def padded(*rows: Sequence[int]) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in rows])


SOURCES = ([5, 6, 7, 8, 9, 10, EOS], [11, 5, EOS], [EOS])
TARGETS = ([BOS, 9, 8, 7, 12, 13, 14], [BOS, 15, 9], [BOS])
SOURCE, TARGET = padded(*SOURCES), padded(*TARGETS)


def read(model: Seq2Seq, memory: Memory, prefixes: Sequence[Sequence[int]]) -> tuple[Tensor, State]:
    """The last state of each of B prefixes, one token at a time, and what the decoder remembers."""
    state = model.decoder.start(memory)
    for tokens in torch.tensor(prefixes).T:
        states, state, _ = model.decoder.step(tokens[:, None], state)
    return states, state


@every
def test_step_by_step_is_teacher_forcing(build: Build, name: str, knobs: Knobs) -> None:
    model = build(name, **knobs)
    with torch.no_grad():
        memory = model.encode(SOURCE)
        state = model.decoder.start(memory)
        steps = []
        for column in TARGET.T:
            states, state, _ = model.decoder.step(column[:, None], state)
            steps.append(states)
        close(torch.cat(steps, dim=1), model(SOURCE, TARGET).states)
    with torch.enable_grad():
        close(torch.cat(steps, dim=1), model(SOURCE, TARGET).states.detach())


@every_fifth
def test_padding_and_batch_size_change_nothing(build: Build, name: str, knobs: Knobs) -> None:
    model = build(name, **knobs)
    together = model(SOURCE, TARGET).states
    wider = model(padded(*SOURCES, [5] * 11)[:3], padded(*TARGETS, [BOS] * 9)[:3]).states
    for row, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        alone = model(torch.tensor([source]), torch.tensor([target])).states[0]
        close(together[row, : len(target)], alone)
        close(wider[row, : len(target)], alone)


@few
@pytest.mark.parametrize(("order", "widths"), [((0, 1, 2), [7, 3, 1]), ((2, 0, 1), [7])])
def test_sources_encoded_in_parts(
    build: Build,
    name: str,
    knobs: Knobs,
    order: Sequence[int],
    widths: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, tokens, seen = build(name, **knobs).eval(), torch.full((3, 1), BOS), list[int]()
    source = padded(*(SOURCES[row] for row in order), [5] * 11)[:3]
    whole = model.predict(tokens, model.start(source), None, need_attention=True)
    model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].size(1)))
    monkeypatch.setattr(seq2seq, "PART", 5)
    parts = model.predict(tokens, model.start(source), None, need_attention=True)
    assert seen == widths
    close(parts.logits, whole.logits)
    close(parts.attention, whole.attention)


@every
def test_selected_hypotheses_go_on_as_if_run_anew(build: Build, name: str, knobs: Knobs) -> None:
    model = build(name, **knobs)
    with torch.no_grad():
        check_selection(model)


def check_selection(model: Seq2Seq) -> None:
    """One hypothesis of 3 sentences -> 3 each -> other 2 each, and a sentence leaves -> 1 each."""
    memory = model.encode(SOURCE)
    step = model.decoder.step
    states, state = read(model, memory, [[BOS]] * 3)
    # None leaves: the first of each sentence three times.
    state = state.select(torch.tensor([[0] * 3, [1] * 3, [2] * 3]))
    states, state, _ = step(torch.tensor([[5, 6, 7], [8, 9, 10], [11, 12, 13]]), state)
    assert states.shape[:2] == (3, 3)
    # Sentence 1 leaves; of the others remain hypotheses 2 and 0, and 1 twice.
    kept = state.select(torch.tensor([[2, 0], [7, 7]]))
    states, kept, _ = step(torch.tensor([[14, 15], [16, 17]]), kept)
    prefixes = [[[BOS, 7, 14], [BOS, 5, 15]], [[BOS, 12, 16], [BOS, 12, 17]]]
    for row, sentence in enumerate((0, 2)):
        for place in range(2):
            alone, _ = read(model, rows(memory, sentence), [prefixes[row][place]])
            close(states[row, place], alone[0, 0])
    # One sentence and one hypothesis of it are left.
    states, _, _ = step(torch.tensor([[18]]), kept.select(torch.tensor([[3]])))
    alone, _ = read(model, rows(memory, 2), [[BOS, 12, 17, 18]])
    close(states, alone)
    # A state is a value: the one before can go on as well, all its hypotheses in another order.
    back = state.select(torch.tensor([[1, 0, 2], [5, 4, 3], [6, 8, 7]]))
    states, _, _ = step(torch.tensor([[14, 15, 16]] * 3), back)
    last = [[6, 5, 7], [10, 9, 8], [11, 13, 12]]
    for sentence, place in product(range(3), range(3)):
        prefix = [BOS, last[sentence][place], 14 + place]
        alone, _ = read(model, rows(memory, sentence), [prefix])
        close(states[sentence, place], alone[0, 0])


def rows(memory: Memory, sentence: int) -> Memory:
    return Memory(*(part[sentence, None] for part in memory))


@few
def test_sentences_can_leave_before_the_first_token(build: Build, name: str, knobs: Knobs) -> None:
    model = build(name, **knobs)
    memory = model.encode(SOURCE)
    state = model.decoder.start(memory).select(torch.tensor([[1], [2]]))
    states, _, _ = model.decoder.step(torch.tensor([[BOS], [BOS]]), state)
    close(states[0], read(model, rows(memory, 1), [[BOS]])[0][0])


@every_fifth
def test_weights_cost_nothing_but_time(build: Build, name: str, knobs: Knobs) -> None:
    model = build(name, **knobs)
    decoded = model(SOURCE, TARGET, need_weights=True)
    plain = model(SOURCE, TARGET)
    assert plain.weights is None
    close(decoded.states, plain.states)
    layers = knobs.get("decoder_layers", 2) if name == "transformer" else 1
    assert decoded.weights is not None
    assert decoded.weights.shape == (3, layers, knobs["heads"], TARGET.size(1), SOURCE.size(1))
    close(decoded.weights.sum(-1), torch.ones_like(decoded.weights[..., 0]))
    hidden = (SOURCE == PAD)[:, None, None, None, :].expand_as(decoded.weights)
    assert (decoded.weights[hidden] == 0).all()


@few
def test_later_tokens_are_not_seen(build: Build, name: str, knobs: Knobs) -> None:
    model = build(name, **knobs)
    changed = TARGET.clone()
    changed[0, 4:] = 17
    before, after = (model(SOURCE, target).states for target in (TARGET, changed))
    assert torch.equal(before[0, :4], after[0, :4])
    assert not torch.isclose(before[0, 4:], after[0, 4:]).all()


@few
def test_earlier_tokens_and_the_source_are_seen(build: Build, name: str, knobs: Knobs) -> None:
    model = build(name, **knobs)
    target, source = TARGET.clone(), SOURCE.clone()
    target[0, 1], source[0, 5] = 17, 17
    plain = model(SOURCE, TARGET).states[0, -1]
    assert not torch.allclose(model(SOURCE, target).states[0, -1], plain)
    assert not torch.allclose(model(source, TARGET).states[0, -1], plain)


@few
def test_a_call_leaves_nothing_on_the_model(build: Build, name: str, knobs: Knobs) -> None:
    model = build(name, dropout=0.5, **knobs).train()
    before = [snapshot(module) for module in model.modules()]
    first = model(SOURCE, TARGET, need_weights=True)
    first.states.sum().backward()
    read(model, model.encode(SOURCE), [[BOS, 5, 6]] * 3)
    assert [snapshot(module) for module in model.modules()] == before


def snapshot(module: torch.nn.Module) -> dict[str, Any]:
    """The attributes of a module; what is a module or a parameter stays the same object."""
    held = {**vars(module), **module._parameters, **module._buffers, **module._modules}
    plain = (bool, int, float, str, type(None))
    return {key: value if isinstance(value, plain) else id(value) for key, value in held.items()}


@few
def test_dropout_acts_in_training_alone(build: Build, name: str, knobs: Knobs) -> None:
    model = build(name, dropout=0.5, **knobs)
    assert torch.equal(model(SOURCE, TARGET).states, model(SOURCE, TARGET).states)
    close(model(SOURCE, TARGET).states, build(name, dropout=0.0, **knobs)(SOURCE, TARGET).states)
    model.train()
    torch.manual_seed(1)
    first, second = (model(SOURCE, TARGET).states for _ in range(2))
    assert not torch.allclose(first, second)
    torch.manual_seed(1)
    assert torch.equal(model(SOURCE, TARGET).states, first)


@few
def test_every_parameter_learns(build: Build, name: str, knobs: Knobs) -> None:
    model = build(name, **knobs)
    model.output(model(SOURCE, TARGET).states).square().sum().backward()
    idle = [key for key, value in model.named_parameters() if value.grad is None]
    still = [key for key, value in model.named_parameters() if not value.grad.abs().any()]
    assert not idle
    # A key's bias adds the same to every score of a query.
    assert all("key_proj.bias" in key for key in still)


@few
@pytest.mark.parametrize("any_cpu", [False, True])
def test_mixed_precision_is_close(
    build: Build, name: str, knobs: Knobs, any_cpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if any_cpu:  # as on one for which the library has no bf16
        for module in (linear, recurrent):
            monkeypatch.setattr(module, "has_bf16_kernels", lambda: False)
    model = build(name, **knobs).float()
    exact = model(SOURCE, TARGET).states
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model(SOURCE, TARGET).states
        model.output(mixed).float().square().sum().backward()
        stepped, _ = read(model, model.encode(SOURCE), [[BOS]] * 3)
    scale = exact.abs().max()
    assert (mixed - exact).abs().max() < 0.05 * scale
    assert (stepped[:, 0] - exact[:, 0]).abs().max() < 0.05 * scale
    assert all(each.grad.dtype == torch.float32 for each in model.parameters())
