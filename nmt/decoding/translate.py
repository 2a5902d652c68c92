"""Many sentences: sorted by length, searched in batches, handed back in their order."""

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

# Batches side by side where nobody says how many.
WORKERS = 2
# Tokens of a batch, as decoding.batch_tokens counts them, from which two side by side are sooner
# done than one after the other: in smaller ones Python, which does one thing at a time, is most.
WORTHWHILE = 3072

# The length limit of a model of which nobody knows what its training data were like.
MAX_RATIO, MAX_EXTRA = 1.5, 10

# Demands on the sentences of these indices, together in a batch.
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
    """Up to `n_best` different hypotheses of each sentence, best first; of samples all `n_best`.

    Sentences are ids that end in EOS. `progress` is told, batch by batch, how many more are done.
    A batch for which a GPU has not the memory is halved.
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
    """What `translate_ids` is asked for, batch by batch."""

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
            # Here, where no exception holds on to what did not fit.
            torch.cuda.empty_cache()
            halves = halved(batch, self.predictor.device)
            return [best for half in halves for best in self.search(half)]
        return found if self.drawn else [distinct(best)[: self.n_best] for best in found]

    def _attempt(self, batch: list[int]) -> list[list[Hypothesis]] | None:
        """None where the memory is not enough."""
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
    """How many batches are searched side by side, of `tokens` in all."""
    if device.type != "cpu":
        return 1
    most = config.workers or WORKERS, torch.get_num_threads()
    return max(1, min(*most, min(tokens, config.batch_tokens) // WORTHWHILE))


def halved(batch: list[int], device: torch.device) -> list[list[int]]:
    """The two halves of a batch that does not fit."""
    if len(batch) == 1:
        raise UserError(
            f"{device} has not the memory to translate a sentence: a shorter one or a smaller "
            "decoding.beam_size would need less"
        )
    told = "%s has not the memory to translate %d sentences at once: they are halved; a lower "
    log.warning(told + "decoding.batch_tokens would be faster", device, len(batch))
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
    """The first of those that say the same: groups of a beam can."""
    first: dict[tuple[int, ...], Hypothesis] = {}
    for each in hypotheses:
        first.setdefault(tuple(each.tokens), each)
    return list(first.values())


def batches(sources: Sequence[Sequence[int]], tokens: int, workers: int = 1) -> Iterator[list[int]]:
    """Indices of sentences of like length, at most `tokens` padded pieces or one sentence a batch;
    as many batches for each of the `workers`, where their sizes allow it.

    Longest first: what does not fit into memory fails at once.
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
    """Pieces of the translation per piece of the source, and how many more."""
    ratio = MAX_RATIO if config.max_ratio is None else config.max_ratio
    return ratio, MAX_EXTRA if config.max_extra is None else config.max_extra


def pad(sources: Sequence[Sequence[int]]) -> Tensor:
    """Ids of sentences -> (B, longest) int64, padded on the right."""
    rows = [torch.as_tensor(source, dtype=torch.int64) for source in sources]
    return pad_sequence(rows, batch_first=True, padding_value=PAD)


@contextmanager
def evaluating(model: nn.Module | Predictor) -> Iterator[None]:
    """The model without dropout; its training flag is as before afterwards."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
