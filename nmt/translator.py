"""Sentences in, sentences out: a trained model for anybody's program.

from nmt import Translator
Translator.load("runs/my-run").translate(["A dog runs."])
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from nmt.attention_map import AttentionMap, attention_maps
from nmt.config import Config, DecodingConfig
from nmt.data.tokenizer import Tokenizers
from nmt.decoding.text import translate_lines
from nmt.decoding.translate import evaluating
from nmt.device import keep_freed_memory, pick_precision
from nmt.models.precision import in_precision
from nmt.models.seq2seq import Seq2Seq
from nmt.training.checkpoint import load_run

log = logging.getLogger(__name__)


class Translator:
    """A model with its tokenizers; `config` says how it searches where the caller does not."""

    def __init__(self, model: Seq2Seq, tokenizers: Tokenizers, config: Config) -> None:
        self.model = model
        self.tokenizers = tokenizers
        self.config = config

    @classmethod
    def load(
        cls,
        run: str | Path,
        *,
        checkpoint: str = "best",
        device: str = "auto",
        overrides: Sequence[str] = (),
    ) -> Self:
        """Of a run directory: its `best`, its `last` or the checkpoint of a step.

        `overrides` such as "decoding.max_ratio=3" are checked like those of training. Raises
        `UserError` for anything that is wrong with the run, the device or the overrides.
        """
        found = load_run(run, checkpoint=checkpoint, device=device, overrides=overrides)
        keep_freed_memory()
        precision = pick_precision(found.config.decoding.precision, found.model.device)
        return cls(in_precision(found.model, precision), found.tokenizers, found.config)

    def translate(
        self,
        sentences: Sequence[str],
        *,
        beam_size: int | None = None,
        length_penalty: float | None = None,
        first_line: int = 1,
        progress: Callable[[int], None] | None = None,
    ) -> list[str]:
        """One translation of one line for each sentence, in order; of a blank one it is empty.

        None stands for what the run's config says; `beam_size` 1 is greedy. Warnings count lines
        from `first_line`. `progress` is told how many more sentences are done.
        """
        if isinstance(sentences, str):
            raise TypeError("translate takes a list of sentences, not one string")
        self._warn_of_long_ones(sentences, first_line)
        return translate_lines(
            self.model,
            sentences,
            self._decoding(beam_size, length_penalty),
            encode=self.tokenizers.source.encode,
            decode=self.tokenizers.target.decode,
            progress=progress,
        )

    def attention(self, sentence: str, translation: str) -> AttentionMap:
        """Where the model looked in the sentence at each word of a translation, its own or not."""
        with evaluating(self.model):
            return attention_maps(self.model, self.tokenizers, [sentence], [translation])[0]

    def _decoding(self, beam_size: int | None, length_penalty: float | None) -> DecodingConfig:
        """Checked by the schema, as the command line's are."""
        own = self.config.decoding
        return replace(
            own,
            beam_size=own.beam_size if beam_size is None else beam_size,
            length_penalty=own.length_penalty if length_penalty is None else length_penalty,
        )

    def _warn_of_long_ones(self, sentences: Sequence[str], first_line: int) -> None:
        most = self.config.data.max_pieces
        for number, ids in enumerate(self.tokenizers.source.encode_many(sentences), first_line):
            if len(ids) - 1 > most:
                log.warning(
                    "line %d has %d pieces, but training saw at most %d (data.max_pieces): it is "
                    "translated, perhaps badly; shorter sentences would help",
                    *(number, len(ids) - 1, most),
                )
