"""How many times as fast our step is as that of the same model written with the parts that torch
offers, in alternation in one process.

python tests/training/against_plain_torch.py transformer words
python tests/training/against_plain_torch.py transformer sentences
python tests/training/against_plain_torch.py rnn words

B batch, S source length, T target length, V vocabulary.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.config import (
    PAD,
    AttentionConfig,
    ModelConfig,
    RNNConfig,
    TrainingConfig,
    TransformerConfig,
)
from nmt.data.batch import Batch
from nmt.models import build_model
from nmt.training.update import Updater

# Narrow, as most of the time would else go into products of matrices, which are the same for both
# where a CPU makes them in float32. B, S, T and V: much of the loss, or of attention and dropout.
WORK = {"words": (96, 16, 17, 8000), "sentences": (32, 48, 49, 1000)}
B, S, T, V = WORK[sys.argv[2]]
WIDTH, HEADS, DROPOUT = 64, 4, 0.3
STEPS = 7


class PlainTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(V, WIDTH)
        self.positions = nn.Parameter(torch.zeros(S + T, WIDTH))
        layers = {"num_encoder_layers": 2, "num_decoder_layers": 2, "dim_feedforward": 4 * WIDTH}
        self.body = nn.Transformer(
            WIDTH, HEADS, dropout=DROPOUT, batch_first=True, norm_first=True, **layers
        )
        self.output = nn.Linear(WIDTH, V, bias=False)
        self.output.weight = self.embedding.weight

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """(B, S), (B, T) -> logits (B, T, V)"""
        causal = nn.Transformer.generate_square_subsequent_mask(target.size(1), dtype=torch.bool)
        states = self.body(
            self.embed(source),
            self.embed(target),
            tgt_mask=causal,
            src_key_padding_mask=source == PAD,
            memory_key_padding_mask=source == PAD,
        )
        logits: Tensor = self.output(states)
        return logits

    def embed(self, tokens: Tensor) -> Tensor:
        return F.dropout(self.embedding(tokens) + self.positions[: tokens.size(1)], DROPOUT)


class PlainRNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(V, WIDTH)
        self.encoder = nn.GRU(WIDTH, WIDTH, batch_first=True, bidirectional=True)
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(2 * WIDTH, WIDTH)
        self.energy = nn.Linear(WIDTH, 1, bias=False)
        self.cell = nn.GRUCell(3 * WIDTH, WIDTH)
        self.readout = nn.Linear(4 * WIDTH, WIDTH)
        self.output = nn.Linear(WIDTH, V, bias=False)
        self.output.weight = self.embedding.weight

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """(B, S), (B, T) -> logits (B, T, V)"""
        memory, last = self.encoder(F.dropout(self.embedding(source), DROPOUT))
        state, keys = last[1], self.key(memory)
        steps = []
        for word in F.dropout(self.embedding(target), DROPOUT).unbind(1):
            scores = self.energy(torch.tanh(self.query(state)[:, None] + keys)).squeeze(2)
            weights = scores.masked_fill(source == PAD, -torch.inf).softmax(1)
            context = (weights[:, None] @ memory).squeeze(1)
            state = self.cell(torch.cat([word, context], 1), state)
            steps.append(torch.cat([state, word, context], 1))
        states = torch.tanh(self.readout(torch.stack(steps, 1)))
        logits: Tensor = self.output(F.dropout(states, DROPOUT))
        return logits


def plain_step(model: nn.Module) -> Callable[[Batch], object]:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

    def step(batch: Batch) -> None:
        logits = model(batch.source, batch.decoder_input).flatten(0, 1)
        labels = batch.labels.flatten()
        loss = F.cross_entropy(logits, labels, ignore_index=PAD, label_smoothing=0.1)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def our_step(config: ModelConfig) -> Callable[[Batch], object]:
    updater = Updater(build_model(config, V, V), TrainingConfig(device="cpu"))
    return lambda batch: updater.update([batch], 1e-4)


def models() -> dict[str, tuple[ModelConfig, type[nn.Module]]]:
    small = {"width": WIDTH, "dropout": DROPOUT}
    transformer = TransformerConfig(
        **small,
        encoder_layers=2,
        decoder_layers=2,
        feedforward=4 * WIDTH,
        attention=AttentionConfig(heads=HEADS, dropout=DROPOUT),
    )
    rnn = RNNConfig(**small, embedding=WIDTH, encoder_width=WIDTH)
    return {"transformer": (transformer, PlainTransformer), "rnn": (rnn, PlainRNN)}


def batches() -> list[Batch]:
    """Of the shapes that training sees: a little padding at the ends."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for _ in range(STEPS + 1):
        source = torch.randint(4, V, (B, S), generator=generator)
        target = torch.randint(4, V, (B, T), generator=generator)
        source[: B // 8, -2:], target[: B // 8, -2:] = PAD, PAD
        made.append(Batch(source, target))
    return made


def measure(ours: Callable[[Batch], object], theirs: Callable[[Batch], object]) -> float:
    """How many times as fast ours is: the median over steps in turn, the first to warm up."""
    ratios = []
    for batch in batches():
        times = []
        for step in (ours, theirs):
            began = time.perf_counter()
            step(batch)
            times.append(time.perf_counter() - began)
        ratios.append(times[1] / times[0])
    return statistics.median(ratios[1:])


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(1)
    config, plain = models()[sys.argv[1]]
    print(measure(our_step(config), plain_step(plain().train())))


if __name__ == "__main__":
    main()
