"""The length of texts in words, in any script, and pairs whose lengths do not fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice
from statistics import median

from nmt.config import DataConfig
from nmt.data.readers import Pair

# Up to this length, the ratio of two lengths says little, and equal texts may be equal by chance.
FEW_WORDS = 6
# In a script without spaces, this many letters count as a word. Words in scripts with spaces are
# shorter on average, so that the spaces count there.
LETTERS = 8
# Chinese characters, kana, bopomofo and Yi: each counts as three letters.
WIDE = re.compile(
    "[\u2e80-\u2fdf\u3005-\u3007\u3031-\u3035\u303b\u3041-\u312f\u31a0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\ua000-\ua48c\uf900-\ufaff\uff66-\uff9f\U0001aff0-\U0001b2ff"
    "\U00020000-\U0003ffff]"
)
SAMPLE = 10_000  # pairs from which the typical ratio is taken
ENOUGH = 100  # with fewer pairs of more than a few words, it is taken to be 1

# With `data.rules=1`, each of these characters counts as a word.
CHARACTER = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")

Check = Callable[[Pair], str | None]  # the reason to drop a pair


def words(text: str) -> int:
    """The number of words by spaces, or by letters where that gives more."""
    tokens = text.split()
    letters = sum(map(len, tokens))
    if not text.isascii():
        letters += 2 * len(WIDE.findall(text))
    return max(len(tokens), letters // LETTERS)


def words_by_spaces(text: str) -> int:
    return len((text if text.isascii() else CHARACTER.sub(" x ", text)).split())


def typical_ratio(pairs: Iterable[Pair]) -> float:
    """Target words per source word: the median of the first pairs that are not short."""
    sizes = ((words(source), words(target)) for source, target in islice(pairs, SAMPLE))
    ratios = [
        target / source
        for source, target in sizes
        if min(source, target) > 0 and max(source, target) > FEW_WORDS
    ]
    return median(ratios) if len(ratios) >= ENOUGH else 1.0


def badly_sized(config: DataConfig, pairs: Iterable[Pair]) -> Check:
    """Checks for pairs that are too short, too long or of unequal length.

    The typical ratio is taken from `pairs`.
    """
    measure, ratio = words, 1.0
    if config.rules == 1:
        measure = words_by_spaces
    else:
        ratio = typical_ratio(pairs)

    def check(pair: Pair) -> str | None:
        source, target = map(measure, pair)
        short, long = sorted((source, target))
        if short == 0:
            return "empty"
        if short < config.min_length or long > config.max_length:
            return "length"
        low, high = sorted((source * ratio, target))
        return "ratio" if long > FEW_WORDS and high > config.max_ratio * low else None

    return check
