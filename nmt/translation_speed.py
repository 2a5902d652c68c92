"""Translation speed of a run on this machine, alone or compared to CTranslate2.

The engines alternate, each in its own processes, so that start-up and memory can be measured and a
change in the speed of the machine affects both.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from nmt.errors import one_of
from nmt.screen import activity

ENGINES = ("nmt", "ctranslate2")
PASSES = 2  # over the sentences, of each process and beam size; the first warms up


class Work(NamedTuple):
    """The task for every engine."""

    run: str
    sentences: list[str]
    beam_sizes: tuple[int, ...]
    threads: int
    precision: str  # of nmt, as in decoding.precision
    quantization: str  # of CTranslate2: int8, float32, ...
    overrides: tuple[str, ...]
    folder: str = ""  # where the model for CTranslate2 is


class Measured(NamedTuple):
    """One engine in one process."""

    start_seconds: float  # from the start of the process until the model can translate
    first: dict[int, float]  # seconds of the first pass, by beam size
    seconds: dict[int, float]  # of the fastest pass
    target_tokens: dict[int, int]  # pieces with EOS
    translations: dict[int, list[str]]
    peak_memory_mb: float


class TranslationSpeed(NamedTuple):
    """One engine with one beam size, medians over its processes."""

    engine: str
    beam_size: int
    sentences_per_second: float
    with_start: float  # sentences per second of the first pass, start-up included
    target_tokens_per_second: float
    start_seconds: float
    peak_memory_mb: float  # of the process, which also runs the other beam sizes
    bleu: float | None  # None without references
    lowest: float  # sentences per second, over the processes
    highest: float


def benchmark_translation(
    work: Work,
    references: Sequence[str] | None,
    *,
    against: str | None = None,
    rounds: int = 2,
) -> list[TranslationSpeed]:
    """The speeds of each engine and beam size; `against` names an engine to run in turn."""
    engines = ["nmt"]
    if against is not None:
        one_of("--against", against, ENGINES[1:])
        engines.append(against)
    with tempfile.TemporaryDirectory() as folder:
        work = work._replace(folder=folder)
        if against is not None:
            _in_process(_export, work)
        found: dict[str, list[Measured]] = {engine: [] for engine in engines}
        with activity("measuring, one process at a time", rounds * len(engines)) as bar:
            for _ in range(rounds):
                for engine in engines:
                    found[engine].append(_in_process(_measure, engine, work, time.time()))
                    bar.advance()
    return [
        _summary(engine, beam_size, found[engine], references)
        for engine in engines
        for beam_size in work.beam_sizes
    ]


def ratios(speeds: Sequence[TranslationSpeed]) -> dict[int, float]:
    """The speed of nmt divided by that of the other engine, by beam size; empty without one."""
    ours = {each.beam_size: each for each in speeds if each.engine == "nmt"}
    return {
        each.beam_size: ours[each.beam_size].sentences_per_second / each.sentences_per_second
        for each in speeds
        if each.engine != "nmt"
    }


def _in_process(function: Any, *arguments: Any) -> Any:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _export(work: Work) -> None:
    from nmt.export import export_ctranslate2
    from nmt.translator import Translator

    translator = Translator.load(work.run, overrides=("decoding.precision=fp32",))
    export_ctranslate2(translator, Path(work.folder), quantization=work.quantization)


def _measure(engine: str, work: Work, began: float) -> Measured:
    """Measures an engine in a fresh process, which was requested at the time `began`."""
    translate = (_ours if engine == "nmt" else _theirs)(work)
    started = time.time() - began
    first, seconds, tokens, translations = {}, {}, {}, {}
    for beam_size in work.beam_sizes:
        passes = []
        for _ in range(PASSES):
            at = time.perf_counter()
            translations[beam_size], tokens[beam_size] = translate(beam_size)
            passes.append(time.perf_counter() - at)
        first[beam_size], seconds[beam_size] = passes[0], min(passes)
    kilo = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = kilo / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return Measured(started, first, seconds, tokens, translations, peak)


def _ours(work: Work) -> Any:
    import torch

    from nmt.translator import Translator

    torch.set_num_threads(work.threads)
    translator = Translator.load(
        work.run, overrides=(*work.overrides, f"decoding.precision={work.precision}")
    )
    target = translator.tokenizers.target

    def translate(beam_size: int) -> tuple[list[str], int]:
        translations = translator.translate(work.sentences, beam_size=beam_size)
        return translations, sum(map(len, target.encode_many(translations)))

    return translate


def _theirs(work: Work) -> Any:
    from nmt.data.tokenizer import Tokenizers
    from nmt.export import load_ctranslate2

    tokenizers = Tokenizers.load(Path(work.run))
    search = load_ctranslate2(Path(work.folder), work.threads, work.quantization)

    def translate(beam_size: int) -> tuple[list[str], int]:
        ids = tokenizers.source.encode_many(work.sentences)
        found = search([tokenizers.source.pieces(each) for each in ids], beam_size)
        translations = [tokenizers.target.join(pieces) for pieces in found]
        return translations, sum(len(pieces) + 1 for pieces in found)

    return translate


def _summary(
    engine: str, beam_size: int, found: Sequence[Measured], references: Sequence[str] | None
) -> TranslationSpeed:
    from nmt.evaluation.metrics import score

    count = len(found[0].translations[beam_size])
    rates = [count / each.seconds[beam_size] for each in found]
    whole = [count / (each.start_seconds + each.first[beam_size]) for each in found]
    tokens = [each.target_tokens[beam_size] / each.seconds[beam_size] for each in found]
    said = found[0].translations[beam_size]
    return TranslationSpeed(
        engine=engine,
        beam_size=beam_size,
        sentences_per_second=statistics.median(rates),
        with_start=statistics.median(whole),
        target_tokens_per_second=statistics.median(tokens),
        start_seconds=statistics.median(each.start_seconds for each in found),
        peak_memory_mb=max(each.peak_memory_mb for each in found),
        bleu=None if references is None else score(said, references)["bleu"].value,
        lowest=min(rates),
        highest=max(rates),
    )
