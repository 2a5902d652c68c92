"""Sentences in, sentences out: a trained model, or several, for anybody's program.

from nmt import Translator
Translator.load("runs/my-run").translate(["A dog runs."])
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Self

from nmt.allocator import keep_freed_memory
from nmt.attention_map import AttentionMap, attention_maps
from nmt.config import Config, DecodingConfig
from nmt.data.readers import one_line
from nmt.data.tokenizer import Tokenizers
from nmt.decoding.constraints import Demands, complaints
from nmt.decoding.parts import Translation, cut_long, texts_of, translate_parts, warn_of_cut
from nmt.decoding.predictor import Ensemble, Predictor
from nmt.decoding.scoring import Scored, score_ids
from nmt.decoding.shortlist import Shortlist
from nmt.decoding.text import Codec
from nmt.decoding.translate import evaluating
from nmt.device import bound_kernel_cache, pick_precision
from nmt.errors import require
from nmt.evaluation.alignment import Aligner, load_aligner
from nmt.models.precision import in_precision
from nmt.models.seq2seq import Seq2Seq
from nmt.training.checkpoint import Run, load_run
from nmt.training.lexicon import shortlist_of
from nmt.training.seen import Seen, settled, splitting_of

log = logging.getLogger(__name__)


class Translator:
    """A model with its tokenizers; `config` says how it searches where the caller does not.

    `others` predict together with the model, as an ensemble that averages their probabilities;
    attention is the model's own. Without a `shortlist` the whole vocabulary is weighed, whatever
    the config says. `seen` says what training was like, where that is known.
    """

    def __init__(
        self,
        model: Seq2Seq,
        tokenizers: Tokenizers,
        config: Config,
        *,
        others: Sequence[Seq2Seq] = (),
        aligner: Aligner | None = None,
        shortlist: Shortlist | None = None,
        seen: Seen | None = None,
    ) -> None:
        self.model = model
        self.predictor: Predictor = Ensemble([model, *others]) if others else model
        self.tokenizers = tokenizers
        self.config = replace(config, decoding=settled(config.decoding, seen))
        self.splitting = splitting_of(config, seen)
        self.knows_training = seen is not None
        self.aligner = aligner or Aligner()
        self.shortlist = shortlist

    @classmethod
    def load(
        cls,
        run: str | Path | Sequence[str | Path],
        *,
        checkpoint: str = "best",
        device: str = "auto",
        overrides: Sequence[str] = (),
    ) -> Self:
        """Loads a checkpoint of a run directory: `best`, `last`, `averaged` or a step.

        Several runs are an ensemble with the config of the first; they must have been trained
        with the same tokenizer. `overrides` such as "decoding.max_ratio=3" are checked like those
        of training. Raises `UserError` for mistakes in a run, the device or the overrides.
        """
        bound_kernel_cache()
        paths = [run] if isinstance(run, str | Path) else run
        runs = [
            load_run(path, checkpoint=checkpoint, device=device, overrides=overrides)
            for path in paths
        ]
        first = runs[0]
        for other in runs[1:]:
            check_tokenizers(first, other)
        keep_freed_memory()
        precision = pick_precision(first.config.decoding.precision, first.model.device)
        model, *others = (in_precision(found.model, precision) for found in runs)
        return cls(
            model,
            first.tokenizers,
            first.config,
            others=others,
            aligner=load_aligner(first.path, first.config.model),
            shortlist=shortlist_of(first),
            seen=first.seen,
        )

    def translate(
        self,
        sentences: Sequence[str],
        *,
        beam_size: int | None = None,
        length_penalty: float | None = None,
        first_line: int = 1,
        progress: Callable[[int], None] | None = None,
    ) -> list[str]:
        """One translation, on one line, for each sentence, in order. Blank sentences give "".

        None means the value in the run's config; `beam_size` 1 is greedy search. Warnings count
        lines from `first_line`. `progress` is called with the number of sentences just finished.
        """
        found = self.n_best(
            sentences,
            beam_size=beam_size,
            length_penalty=length_penalty,
            first_line=first_line,
            progress=progress,
        )
        warn_of_cut(sum(each.cut for each in found), len(found), self.config.decoding)
        return [translation.hypotheses[0].text for translation in found]

    def n_best(
        self,
        sentences: Sequence[str],
        n_best: int = 1,
        *,
        beam_size: int | None = None,
        length_penalty: float | None = None,
        one_by_one: bool | None = None,
        demands: Demands | None = None,
        first_line: int = 1,
        progress: Callable[[int], None] | None = None,
    ) -> list[Translation]:
        """Like `translate`, with up to `n_best` hypotheses per sentence.

        `one_by_one` says whether the sentences of a line are translated one by one; None: as in
        decoding.split_sentences. A sentence longer than any in training is always translated in
        parts. The forbidden words of `demands` hold for every part, its other demands for the first
        part; translations that do not meet them cause a warning. With a shortlist, scores come from
        probabilities among its pieces.
        """
        if isinstance(sentences, str):
            raise TypeError("translation needs a list of sentences, not one string")
        config = self._decoding(beam_size, length_penalty)
        check_n_best(config, n_best)
        demands = demands and demands.spelt(self.tokenizers.target.normalized)
        lines = self._parts(sentences, one_by_one, first_line)
        source, target = self.tokenizers
        demands = demands and on_one_line(demands)
        pieces, language = target.pieces(range(target.size)), self.config.data.target_language
        translations = translate_parts(
            self.predictor,
            lines,
            config,
            Codec(source.encode, target.decode, pieces, language),
            n_best=n_best,
            demands=demands,
            shortlist=self.shortlist,
            progress=progress,
        )
        if demands is not None:
            warn_of_unmet(demands, translations, first_line)
        return translations

    def score(
        self,
        sentences: Sequence[str],
        translations: Sequence[str],
        progress: Callable[[int], None] | None = None,
    ) -> list[Scored]:
        """How likely each translation is, given its sentence. It uses the whole vocabulary and the
        arithmetic of decoding.precision (in bf16, logits have 8 significant bits)."""
        return score_ids(
            self.predictor,
            self.tokenizers.source.encode_many([one_line(text).strip() for text in sentences]),
            self.tokenizers.target.encode_many([one_line(text).strip() for text in translations]),
            self.config.decoding,
            progress,
        )

    def align(self, translations: Sequence[Translation]) -> list[list[AttentionMap]]:
        """The attention (1, 1, T, S) of the best-aligning head, by translation and part."""
        pairs = [pair for translation in translations for pair in translation.parts]
        with evaluating(self.model):
            maps = iter(
                attention_maps(
                    self.model,
                    self.tokenizers,
                    [source for source, _ in pairs],
                    [target for _, target in pairs],
                    reading=self.aligner.reading,
                    keep=self.aligner.pick,
                )
            )
        return [list(islice(maps, len(translation.parts))) for translation in translations]

    def attention(self, sentence: str, translation: str) -> AttentionMap:
        """The attention of the model for a sentence and any translation of it."""
        pair = [one_line(sentence)], [one_line(translation)]
        with evaluating(self.model):
            return attention_maps(self.model, self.tokenizers, *pair)[0]

    def _decoding(self, beam_size: int | None, length_penalty: float | None) -> DecodingConfig:
        """The config of the search. The schema checks the values."""
        own = self.config.decoding
        return replace(
            own,
            beam_size=own.beam_size if beam_size is None else beam_size,
            length_penalty=own.length_penalty if length_penalty is None else length_penalty,
        )

    def _parts(
        self, sentences: Sequence[str], one_by_one: bool | None, first_line: int
    ) -> list[list[str]]:
        """The parts of each line that are translated separately."""
        splitting = self.splitting
        if one_by_one is not None:
            splitting = replace(splitting, by_sentence=one_by_one)
        tokenizer = self.tokenizers.source
        texts = [texts_of(one_line(text), splitting) for text in sentences]
        lines = cut_long(texts, tokenizer, splitting)
        known = "" if self.knows_training else " at most (data.max_pieces)"
        for line, (whole, parts) in enumerate(zip(texts, lines, strict=True), first_line):
            if len(parts) > len(whole):
                longest = max(len(tokenizer.encode(text)) - 1 for text in whole)
                log.warning(
                    "line %d has a sentence of %d pieces, but the longest in training had %d%s: "
                    "translating it in parts",
                    *(line, longest, splitting.longest, known),
                )
        return lines


def on_one_line(demands: Demands) -> Demands:
    """The demands without control characters, which no translation contains."""
    prefix, forbidden, required = demands
    return Demands(
        one_line(prefix), tuple(map(one_line, forbidden)), tuple(map(one_line, required))
    )


def warn_of_unmet(demands: Demands, translations: Sequence[Translation], first_line: int) -> None:
    for line, translation in enumerate(translations, first_line):
        best = translation.hypotheses[0]
        for complaint in complaints(best.text, demands) if best.tokens else ():
            log.warning("the translation of line %d violates a constraint: %s", line, complaint)


def check_tokenizers(first: Run, other: Run) -> None:
    same = all(
        mine.model == theirs.model
        for mine, theirs in zip(first.tokenizers, other.tokenizers, strict=True)
    )
    require(
        same,
        f"an ensemble needs runs with the same tokenizer, but those of {first.path} and "
        f"{other.path} differ",
    )


def check_n_best(config: DecodingConfig, n_best: int) -> None:
    require(n_best >= 1, f"the number of hypotheses must be at least 1, but is {n_best}")
    most = {"beam": ("beam_size", config.beam_size), "mbr": ("samples", config.samples)}
    key, size = most.get(config.strategy, ("", n_best))
    require(
        n_best <= size,
        f"{n_best} hypotheses need decoding.{key}={n_best} or more (now {size})",
    )
