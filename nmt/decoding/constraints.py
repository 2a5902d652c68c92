"""Constraints on the words of a translation: its beginning, forbidden words and required words.

They hold for the text, however it is split into pieces. Words are whole (`Hund` is not in `Hunde`)
and case-sensitive. In scripts without spaces between words (Chinese, Thai), a phrase may stand
next to any character. n hypotheses, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmt.config import DecodingConfig
from nmt.decoding.candidates import NEVER, Places
from nmt.decoding.phrases import Distances, Phrases
from nmt.decoding.spelling import Spelling, contains, one_line
from nmt.decoding.strategies import BLOCKED
from nmt.errors import require

Flags = NDArray[np.bool_]


class Demands(NamedTuple):
    """The demands on one translation. White space counts as one space, or none around phrases."""

    # The text begins with it; its last word may continue unless a space follows.
    prefix: str = ""
    forbidden: tuple[str, ...] = ()  # words or phrases, none of which is in the text
    required: tuple[str, ...] = ()  # words or phrases, all of which are

    def spelt(self, rule: Callable[[str], str]) -> Demands:
        """The demands with `rule` applied to each text, such as the vocabulary's normalisation."""
        forbidden, required = (tuple(map(rule, each)) for each in (self.forbidden, self.required))
        return Demands(rule(self.prefix), forbidden, required)

    def tidy(self) -> Demands:
        """The demands in the normal form that the search uses."""
        prefix = one_line(self.prefix).lstrip()
        return Demands(prefix, _phrases(self.forbidden), _phrases(self.required))


def _phrases(phrases: Iterable[str]) -> tuple[str, ...]:
    found = dict.fromkeys(one_line(phrase).strip() for phrase in phrases)
    require("" not in found, "a forbidden or required phrase must have a character, but one is ''")
    return tuple(sorted(found))


def complaints(text: str, demands: Demands) -> list[str]:
    """A few words for each demand that the translation does not meet: `lacks 'Hund'`."""
    prefix, forbidden, required = demands.tidy()
    bounded = f" {text}"
    return [
        *([] if text.startswith(prefix) else [f"does not begin with {prefix!r}"]),
        *(f"contains {each!r}" for each in forbidden if contains(bounded, each, ended=True)),
        *(f"lacks {each!r}" for each in required if not contains(bounded, each, ended=True)),
    ]


class Constrain:
    """The demands on many sentences, in the form that `translate_ids` needs.

    `pieces` are those of the target, by id. Raises `UserError` for demands that cannot be met.
    """

    def __init__(
        self, pieces: Sequence[str], demands: Sequence[Demands], config: DecodingConfig
    ) -> None:
        self.spelling = Spelling(pieces)
        self.demands = [each.tidy() for each in demands]
        for each in dict.fromkeys(self.demands):
            _check(each, self.spelling, config)
        self._prefix = lru_cache(maxsize=32)(lambda prefix: Prefix(self.spelling, prefix))
        self._phrases = lru_cache(maxsize=32)(lambda *phrases: Phrases(self.spelling, *phrases))

    def __call__(self, sentences: Sequence[int]) -> Lexical:
        chosen = [self.demands[index] for index in sentences]
        prefixes = [self._prefix(prefix) if prefix else None for prefix, _, _ in chosen]
        phrases = [self._phrases(*some) if any(some) else None for _, *some in chosen]
        return Lexical(prefixes, phrases, len(self.spelling.spelt))


def _check(demands: Demands, spelling: Spelling, config: DecodingConfig) -> None:
    prefix, forbidden, required = demands
    require(
        not required or (config.strategy == "beam" and config.groups == 1),
        "required words need decoding.strategy=beam and decoding.groups=1, but they are "
        f"{config.strategy} and {config.groups}",
    )
    require(
        not prefix or spelling.fewest(prefix.encode(), whole=False) < float("inf"),
        f"no pieces of the vocabulary spell the prefix {prefix!r}",
    )
    for phrase in required:
        spelt = spelling.fewest(f" {phrase}".encode())
        require(spelt < float("inf"), f"no pieces of the vocabulary spell the required {phrase!r}")
        for other in forbidden:
            clash = contains(f" {phrase}", other, ended=True)
            require(not clash, f"the required {phrase!r} has the forbidden {other!r} in it")
    for other in forbidden:
        clash = contains(f" {prefix}", other, ended=False)
        require(not clash, f"the prefix {prefix!r} has the forbidden {other!r} in it")


class Prefix:
    """A text that a translation must begin with."""

    def __init__(self, spelling: Spelling, prefix: str) -> None:
        self.spelling = spelling
        self.prefix = prefix.encode()
        self._following = lru_cache(maxsize=256)(self._open)

    def allowed(self, tokens: Sequence[int]) -> Flags | None:
        """Which pieces may follow the tokens: (V,); None: any."""
        text = b""
        for token in tokens:
            spelt = self.spelling.spelt[token]
            text += spelt.lstrip() if text.endswith(b" ") or not text else spelt
            if len(text.rstrip()) >= len(self.prefix):
                return None
        after_space = text.endswith(b" ") or not text
        return self._following(self.prefix[len(text) :], after_space, not tokens)

    def _open(self, rest: bytes, after_space: bool, first: bool) -> Flags:
        """Which pieces continue along `rest`: (V,). After a space, another space changes no text. A
        piece that is only a space is allowed `first` alone, or it could repeat for ever."""
        allowed = np.zeros(len(self.spelling.spelt), dtype=np.bool_)
        tokens = self.spelling.whole.meeting(rest)
        if after_space:
            tokens |= self.spelling.whole.meeting(b" " + rest)
            if not first:
                tokens.difference_update(self.spelling.whole.tokens.get(b" ", ()))
        allowed[list(tokens)] = True
        return allowed


class Lexical:
    """The demands on the sentences of a batch; a `Constraint` of the search."""

    def __init__(
        self, prefixes: Sequence[Prefix | None], phrases: Sequence[Phrases | None], size: int
    ) -> None:
        self.prefixes = prefixes
        self.phrases = phrases
        self._anything = np.ones(size, dtype=np.bool_)
        self._nothing_lacking = np.zeros(size, dtype=np.int16)

    def restrict(
        self, log_probs: Tensor, prefixes: Sequence[Sequence[int]], places: Places
    ) -> Tensor | None:
        rows = list(zip(places.sentences.tolist(), prefixes, strict=True))
        allowed = [self._allowed(*row) for row in rows]
        if any(each is not self._anything for each in allowed):
            log_probs.masked_fill_(~_stack(allowed, log_probs.device), NEVER)
        if not any(self.phrases):
            return None
        lacking = _stack([self._lacking(*row) for row in rows], log_probs.device)
        log_probs.masked_fill_(lacking == BLOCKED, NEVER)
        return lacking if any(each.required for each in self.phrases if each) else None

    def _allowed(self, sentence: int, tokens: Sequence[int]) -> Flags:
        """Which pieces the prefix allows next: (V,)"""
        prefix = self.prefixes[sentence]
        allowed = None if prefix is None else prefix.allowed(tokens)
        return self._anything if allowed is None else allowed

    def _lacking(self, sentence: int, tokens: Sequence[int]) -> Distances:
        """How much of the phrases each next piece would leave missing: (V,)"""
        phrases = self.phrases[sentence]
        if phrases is None:
            return self._nothing_lacking
        return phrases.distances(phrases.progress(tokens))


def _stack(rows: Sequence[NDArray[Any]], device: torch.device) -> Tensor:
    """n rows (V,), few of them different -> (n, V)"""
    different = {id(row): row for row in rows}
    places = {key: place for place, key in enumerate(different)}
    stacked = torch.from_numpy(np.stack(list(different.values()))).to(device)
    return stacked[torch.tensor([places[id(row)] for row in rows], device=device)]
