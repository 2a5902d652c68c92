"""Which training pairs are dropped, and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b

from nmt.config import DataConfig
from nmt.data.corpus import Corpus
from nmt.data.readers import Pair

# The ratio of two lengths says little where both are short.
FEW_WORDS = 6
# Chinese and Japanese characters, which stand without spaces and count as words.
CHARACTER = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")

# Why a pair is dropped: a TMX unit lacks one of the languages, nothing in it, its length, and so
# on; `pieces` is told after tokenization.
REASONS = ("language", "empty", "length", "ratio", "duplicate", "leak", "pieces")


def clean(corpus: Corpus, config: DataConfig, counts: Counter[str]) -> Iterator[Pair]:
    """The training pairs that are good to learn from.

    Counts `read` and the reason of each pair that is dropped; what comes out is not counted here.
    """
    checks = (badly_sized(config), repeated(config), leaked(corpus, config))
    for pair in corpus.train(counts):
        counts["read"] += 1
        reason = next(filter(None, (check(pair) for check in checks)), None)
        if reason is None:
            yield pair
        else:
            counts[reason] += 1


Check = Callable[[Pair], str | None]  # the reason to drop a pair


def badly_sized(config: DataConfig) -> Check:
    def check(pair: Pair) -> str | None:
        short, long = sorted(map(words, pair))
        if short == 0:
            return "empty"
        if short < config.min_length or long > config.max_length:
            return "length"
        if long > FEW_WORDS and long > config.max_ratio * short:
            return "ratio"
        return None

    return check


def repeated(config: DataConfig) -> Check:
    seen: set[int] = set()

    def check(pair: Pair) -> str | None:
        key = digest("\n".join(map(folded, pair)))
        if key in seen:
            return "duplicate"
        seen.add(key)
        return None

    return check if config.deduplicate else keep


def leaked(corpus: Corpus, config: DataConfig) -> Check:
    """Either side in validation or test, up to case and spaces."""
    held = (corpus.validation, corpus.test)
    sources = hashes(text for split in held for text in split.source)
    targets = hashes(text for split in held for text in split.target)

    def check(pair: Pair) -> str | None:
        source, target = (digest(folded(side)) for side in pair)
        return "leak" if source in sources or target in targets else None

    return check if config.drop_leaks else keep


def keep(pair: Pair) -> str | None:
    return None


def hashes(texts: Iterable[str]) -> set[int]:
    return {digest(folded(text)) for text in texts}


def words(text: str) -> int:
    return len((text if text.isascii() else CHARACTER.sub(" x ", text)).split())


def folded(text: str) -> str:
    """Equal for texts that differ only in case and spaces."""
    return " ".join(text.casefold().split())


def digest(text: str) -> int:
    """8 bytes that stand for a text: among a million, two share them once in 10^7 corpora."""
    raw = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(raw, digest_size=8).digest(), "little")
