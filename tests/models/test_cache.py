"""The shared cache of what hypotheses have said: whatever is chosen of them, it is as if each had
been read alone."""

from __future__ import annotations

import random
from itertools import count
from typing import Any, NamedTuple, Protocol

import pytest
import torch

from nmt.config import BOS
from nmt.models.attention import KeyValue
from nmt.models.cache import Cache
from nmt.models.products import GRAIN
from nmt.models.seq2seq import Memory, Seq2Seq

SOURCE = torch.tensor([[5, 6, 7, 8, 3], [11, 5, 3, 0, 0], [9, 3, 0, 0, 0], [4, 4, 4, 3, 0]])
STEPS = 14


class Build(Protocol):
    def __call__(self, name: str, **knobs: Any) -> Seq2Seq: ...


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("transformer", {}),
        ("transformer", {"score": "additive", "positions": "rotary"}),
        ("transformer", {"score": "dot", "heads": 1, "norm": "post"}),
        ("rnn", {"score": "additive", "heads": 1}),
    ],
)
def test_random_beams_are_teacher_forcing(
    build: Build, name: str, knobs: dict[str, Any], seed: int
) -> None:
    """Beams that widen, narrow, repeat hypotheses and lose sentences."""
    model, generator = build(name, **knobs), torch.Generator().manual_seed(seed)

    def draw(high: int, *shape: int) -> torch.Tensor:
        return torch.randint(high, shape, generator=generator)

    with torch.no_grad():
        memory = model.encode(SOURCE)
        state, here = model.decoder.start(memory), torch.arange(len(SOURCE))
        said = torch.zeros(len(SOURCE), 1, 0, dtype=torch.int64)  # (B, W, T)
        for step in range(STEPS):
            sentences, width = said.shape[:2]
            tokens = draw(15, sentences, width) + 4 if step else torch.full((sentences, 1), BOS)
            said = torch.cat([said, tokens[:, :, None]], dim=2)
            states, after, _ = model.decoder.step(tokens, state)
            again, _, _ = model.decoder.step(tokens, state)  # a state is a value
            # But for the order of the keys, in a softmax of float32.
            torch.testing.assert_close(states, again, rtol=1e-9, atol=1e-10)
            for row, sentence in enumerate(here):
                alone = Memory(
                    *(part[sentence, None].expand(width, -1, *part.shape[2:]) for part in memory)
                )
                expected = model.decoder(said[row], alone).states[:, -1]
                torch.testing.assert_close(states[row], expected, rtol=1e-9, atol=1e-10)
            kept = torch.arange(sentences)
            if step % 5 == 4 and sentences > 1:
                kept = torch.cat([kept[:1], kept[2:]])
            chosen = draw(width, len(kept), int(draw(4, 1)) + 1)
            here = here[kept]
            said = said[kept].gather(1, chosen[:, :, None].expand(-1, -1, said.size(2)))
            state = after.select(kept[:, None] * width + chosen)


def test_what_is_nobodys_is_forgotten(build: Build) -> None:
    model = build("transformer")
    with torch.no_grad():
        state = model.decoder.start(model.encode(SOURCE))
        rooms = []
        for _ in range(60):
            state = model.decoder.step(torch.full(state.target.own.shape[:2], 7), state).state
            rooms.append(state.target.layers[0].key.size(2))
            state = state.select(
                torch.arange(len(SOURCE))[:, None].expand(-1, 4) * state.target.own.size(1)
            )
    assert isinstance(state.target, Cache)
    assert rooms[-1] < 60 * 4, "four hypotheses that always come of one need not keep all four"


class Branch(NamedTuple):
    """A cache and, in plain lists, what each hypothesis of each sentence has said."""

    cache: Cache
    said: list[list[list[int]]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(12))
def test_every_hypothesis_sees_its_own_keys(seed: int, dtype: torch.dtype) -> None:
    """Whatever is selected, and whichever of several branches is continued."""
    generator, names = random.Random(seed), count()
    branches = [Branch(Cache.start(3, torch.device("cpu")), [[[]], [[]], [[]]])]
    for _ in range(40):
        before = generator.choice(branches[-3:])
        said = [[[*one, next(names)] for one in sentence] for sentence in before.said]
        cache = written(before.cache, said, dtype)
        different = max(len({name for one in sentence for name in one}) for sentence in said)
        # Twice what is alive, of the sentence that has most; as long as that is enough, as before.
        assert room(cache) <= max(2 * different + GRAIN, room(before.cache))
        branches.append(selected(Branch(cache, said), generator))


def written(cache: Cache, said: list[list[list[int]]], dtype: torch.dtype) -> Cache:
    """With a key for the last name of each hypothesis; what is then seen is looked at."""
    cache = cache.with_room()
    last = torch.tensor([[one[-1] for one in sentence] for sentence in said])[:, None, :, None]
    for layer, sign in enumerate((1, -1)):
        new = sign * last.to(dtype)
        seen, cache = cache.write(layer, KeyValue(new, 1000 * new))
        # A product of float32 is of what is written alone, one of another type of all there is.
        assert seen.key.size(2) == (cache.filled if dtype == torch.float32 else room(cache))
        own = cache.own[:, :, : seen.key.size(2)] == 0
        for row, sentence in enumerate(said):
            for mine, one in zip(own[row], sentence, strict=True):
                assert sorted((sign * seen.key[row, 0, mine, 0]).tolist()) == sorted(one)
                assert torch.equal(seen.value[row], 1000 * seen.key[row])
    return cache


def room(cache: Cache) -> int:
    return cache.layers[0].key.size(2) if cache.layers else 0


def selected(branch: Branch, generator: random.Random) -> Branch:
    """As many of the hypotheses as there may be, some of them twice, seldom without a sentence."""
    width, later = len(branch.said[0]), generator.randint(1, 4)
    kept = [row for row in range(len(branch.said)) if row == 0 or generator.random() < 0.95]
    chosen = [[generator.randrange(width) for _ in range(later)] for _ in kept]
    rows = torch.tensor(kept)[:, None] * width + torch.tensor(chosen)
    said = [[branch.said[row][w] for w in ws] for row, ws in zip(kept, chosen, strict=True)]
    return Branch(branch.cache.select(rows), said)


def test_keys_are_not_copied_for_each_token_nor_for_each_hypothesis() -> None:
    """Four hypotheses that have nothing in common but their sentence."""
    cache, steps, width = Cache.start(2, torch.device("cpu")), 200, 4
    memories = set()
    for _ in range(steps):
        before = cache.own.size(1)  # 1, then 4
        new = torch.zeros(2, 1, before, 1)
        _, cache = cache.with_room().write(0, KeyValue(new, new))
        memories.add(cache.layers[0].key.data_ptr())
        rows = torch.arange(2)[:, None] * before + torch.arange(width) % before
        chosen = cache.select(rows)
        assert chosen.layers[0].key is cache.layers[0].key
        cache = chosen
    assert len(memories) < 12, "each time it moves it gets twice the room"
    assert room(cache) <= 2 * width * steps + GRAIN
