"""Many sentences: sorted by length, translated in batches, and returned in their order."""

from __future__ import annotations

import logging
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, inf

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from nmt.config import PAD, DecodingConfig
from nmt.decoding.beam import Hypothesis, Penalties
from nmt.decoding.predictor import Predictor
from nmt.decoding.rules import rules_of
from nmt.decoding.search import Constraint, search
from nmt.decoding.shortlist import Shortlist
from nmt.decoding.strategies import BeamSearch, DiverseBeamSearch, Sampling, Strategy
from nmt.decoding.workers import side_by_side
from nmt.errors import UserError

log = logging.getLogger(__name__)

# Batches in parallel, unless decoding.workers says how many.
WORKERS = 2
# Tokens of a batch, counted like decoding.batch_tokens, from which two in parallel are faster than
# one after the other. Smaller ones spend most of the time in Python, which runs one at a time.
WORTHWHILE = 3072

# The length limit of a model whose training data are unknown.
MAX_RATIO, MAX_EXTRA = 1.5, 10

# Makes the constraint for a batch, from the indices of its sentences.
Constrain = Callable[[Sequence[int]], Constraint]


def translate_ids(
    predictor: Predictor,
    sources: Sequence[Sequence[int]],
    config: DecodingConfig,
    progress: Callable[[int], None] | None = None,
    *,
    n_best: int = 1,
    constrain: Constrain | None = None,
    shortlist: Shortlist | None = None,
) -> list[list[Hypothesis]]:
    """Up to `n_best` different hypotheses of each sentence, best first; exactly `n_best` samples.

    Sentences are ids that end in EOS. `progress` is called after each batch with its number of
    sentences. If a GPU runs out of memory, the batch is split.
    """
    job = _Job(predictor, sources, config, n_best, constrain, shortlist)
    found: list[list[Hypothesis]] = [[] for _ in sources]
    workers = workers_for(job.hypotheses * sum(map(len, sources)), config, predictor.device)
    planned = list(batches(sources, config.batch_tokens // workers // job.hypotheses, workers))
    with evaluating(predictor):
        for batch, answers in side_by_side(job.search, planned, workers):
            for index, best in zip(batch, answers, strict=True):
                found[index] = best
            if progress is not None:
                progress(len(batch))
    return found


@dataclass
class _Job:
    """The arguments of `translate_ids`, to be searched batch by batch."""

    predictor: Predictor
    sources: Sequence[Sequence[int]]
    config: DecodingConfig
    n_best: int
    constrain: Constrain | None
    shortlist: Shortlist | None

    @property
    def drawn(self) -> bool:
        return self.config.strategy != "beam"

    @property
    def hypotheses(self) -> int:
        return self.n_best if self.drawn else self.config.beam_size

    def search(self, batch: list[int]) -> list[list[Hypothesis]]:
        """The hypotheses of the sentences of these indices."""
        found = self._attempt(batch)
        if found is None:
            # Not in the `except` block, where the exception would keep the tensors alive.
            torch.cuda.empty_cache()
            halves = halved(batch, self.predictor.device)
            return [best for half in halves for best in self.search(half)]
        return found if self.drawn else [distinct(best)[: self.n_best] for best in found]

    def _attempt(self, batch: list[int]) -> list[list[Hypothesis]] | None:
        """Returns None if the GPU runs out of memory."""
        config, device = self.config, self.predictor.device
        chosen = [self.sources[index] for index in batch]
        limits = [longest_translation(source, config) for source in chosen]
        try:
            with torch.inference_mode():
                return search(
                    self.predictor,
                    pad(chosen).to(device),
                    limits,
                    pick_strategy(config, chosen, limits, self.n_best, device),
                    penalties=Penalties(config.length_penalty, config.coverage_penalty),
                    patience=inf if config.patience is None else config.patience,
                    n_best=1 if self.drawn else min(self.n_best, config.beam_size // config.groups),
                    constraint=None if self.constrain is None else self.constrain(batch),
                    shortlist=self.shortlist,
                    rules=rules_of(config),
                )
        except torch.cuda.OutOfMemoryError:
            return None


def workers_for(tokens: int, config: DecodingConfig, device: torch.device) -> int:
    """How many batches are searched in parallel, for `tokens` in total."""
    if device.type != "cpu":
        return 1
    most = config.workers or WORKERS, torch.get_num_threads()
    return max(1, min(*most, min(tokens, config.batch_tokens) // WORTHWHILE))


def halved(batch: list[int], device: torch.device) -> list[list[int]]:
    """The two halves of a batch that does not fit."""
    if len(batch) == 1:
        raise UserError(
            f"not enough memory on {device} to translate this sentence; shorten it or reduce "
            "decoding.beam_size"
        )
    log.warning(
        "not enough memory on %s to translate %d sentences at once: splitting them. A smaller "
        "decoding.batch_tokens would be faster",
        *(device, len(batch)),
    )
    middle = len(batch) // 2
    return [batch[:middle], batch[middle:]]


def pick_strategy(
    config: DecodingConfig,
    sources: Sequence[Sequence[int]],
    limits: Sequence[int],
    samples: int,
    device: torch.device,
) -> Strategy:
    """The strategy for the sentences of a batch."""
    if config.strategy != "beam":
        return Sampling(
            samples,
            sources,
            limits,
            temperature=config.temperature,
            top_k=config.top_k,
            top_p=config.top_p,
            seed=config.seed,
            device=device,
        )
    if config.groups > 1:
        return DiverseBeamSearch(config.groups, config.beam_size // config.groups, config.diversity)
    return BeamSearch(config.beam_size)


def distinct(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """The hypotheses without repetitions, which groups of a beam can produce."""
    first: dict[tuple[int, ...], Hypothesis] = {}
    for each in hypotheses:
        first.setdefault(tuple(each.tokens), each)
    return list(first.values())


def batches(sources: Sequence[Sequence[int]], tokens: int, workers: int = 1) -> Iterator[list[int]]:
    """Indices of sentences of similar length: at most `tokens` padded pieces, or one sentence, per
    batch; if possible, the same number of batches for each of the `workers`.

    The longest come first, so that a lack of memory shows at once.
    """
    order = sorted(range(len(sources)), key=lambda index: -len(sources[index]))

    def filled(tokens: int) -> Iterator[list[int]]:
        begin = 0
        while begin < len(order):
            end = begin + max(1, tokens // len(sources[order[begin]]))
            yield order[begin:end]
            begin = end

    if workers > 1:
        most = workers * ceil(sum(1 for _ in filled(tokens)) / workers)
        sizes = range(1, tokens)
        tokens = 1 + bisect(sizes, False, key=lambda size: sum(1 for _ in filled(size)) <= most)
    return filled(tokens)


def longest_translation(source: Sequence[int], config: DecodingConfig) -> int:
    """The most pieces a translation may have; EOS counts on neither side."""
    ratio, extra = length_limit(config)
    return max(ceil(ratio * (len(source) - 1)) + extra, config.min_length)


def length_limit(config: DecodingConfig) -> tuple[float, int]:
    """The limit as pieces per source piece, and additional pieces."""
    ratio = MAX_RATIO if config.max_ratio is None else config.max_ratio
    return ratio, MAX_EXTRA if config.max_extra is None else config.max_extra


def pad(sources: Sequence[Sequence[int]]) -> Tensor:
    """Ids of sentences -> (B, longest) int64, padded on the right."""
    rows = [torch.as_tensor(source, dtype=torch.int64) for source in sources]
    return pad_sequence(rows, batch_first=True, padding_value=PAD)


@contextmanager
def evaluating(model: nn.Module | Predictor) -> Iterator[None]:
    """Puts the model into evaluation mode (no dropout) and restores its mode at the end."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
