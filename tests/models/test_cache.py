"""The shared cache of what hypotheses have said: whatever is chosen of them, it is as if each had
been read alone."""

from __future__ import annotations

from typing import Any, Protocol

import pytest
import torch

from nmt.config import BOS
from nmt.models.cache import Cache
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
            torch.testing.assert_close(states, again, rtol=1e-4, atol=1e-5)
            for row, sentence in enumerate(here):
                alone = Memory(
                    *(part[sentence, None].expand(width, -1, *part.shape[2:]) for part in memory)
                )
                expected = model.decoder(said[row], alone).states[:, -1]
                torch.testing.assert_close(states[row], expected, rtol=1e-4, atol=1e-5)
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
