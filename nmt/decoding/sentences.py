"""Where sentences end, in any language, and how translated sentences are joined.

sentencex knows the abbreviations and the punctuation of some 300 languages. It never loses a
character, and it treats a language that it does not know like English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

ODD_SPACE = re.compile(r"[^\S ]")  # no-break spaces and tabs, on which sentencex 1.0 fails
SURROGATE = re.compile(r"[\ud800-\udfff]")
# Ends of sentences that sentencex does not know: in Khmer and Tibetan (where a space must
# follow the shad), and the Greek question mark.
OTHER_END = re.compile(r"[\u17d4\u17d5\u0f0e\u0df4]\s*|[\u0f0d\u037e]\s+")
# Characters around cuts of sentencex that are not ends of sentences: within a name (`example.Com`),
# and after a quotation within a sentence (`“你好。”他说。`).
GLUED = ".!?\"'”’»」』）)]"
OPENING = "\"'“‘«„「『（([¿¡"

# Languages without spaces between sentences (Thai, Lao, Khmer and Burmese have them).
UNSPACED = frozenset(("zh", "zho", "cmn", "yue", "wuu", "lzh", "ja", "jpn"))


def split_sentences(text: str, language: str = "") -> list[str]:
    """The sentences of a text without the white space around them; a blank text as it is."""
    ends = sentence_ends(text, language)
    parts = [text[begin:end].strip() for begin, end in zip([0, *ends], ends, strict=False)]
    return parts if any(parts) else [text]


def sentence_ends(text: str, language: str = "") -> list[int]:
    """The offset behind each sentence and the white space that follows it, the last len(text).

    `language` is a code such as `de` or `zh-CN`.
    """
    plain = SURROGATE.sub("\ufffd", ODD_SPACE.sub(" ", text))
    ends = sorted({*_segment_ends(plain, base(language)), *_other_ends(plain), len(text)})
    return list(_with_words(plain, [end for end in ends if not _is_glued(plain, end)]))


def base(language: str) -> str:
    """`zh` of `zh-CN` and `ZH_tw`."""
    return re.split("[-_]", language, maxsplit=1)[0].lower()


def joined(texts: Sequence[str], language: str) -> str:
    """Translations of the parts of a line as one line of the target `language`."""
    texts = [text for text in texts if text]
    if base(language) not in UNSPACED:
        return " ".join(texts)
    whole = ""
    for text in texts:
        # Without a space, two Latin words or numbers would become one.
        whole += " " if whole[-1:].isascii() and whole[-1:].isalnum() and text[0].isascii() else ""
        whole += text
    return whole


def _segment_ends(text: str, language: str) -> Iterator[int]:
    from sentencex import segment

    end = 0
    for sentence in segment(language, text):
        end += len(sentence)
        yield end


def _other_ends(text: str) -> Iterator[int]:
    return (match.end() for match in OTHER_END.finditer(text))


def _is_glued(text: str, end: int) -> bool:
    """Whether no white space stands at the end of this sentence, where some should."""
    if end in (0, len(text)) or text[end] in OPENING:
        return False
    return text[end - 1] in GLUED


def _with_words(text: str, ends: Sequence[int]) -> Iterator[int]:
    """The ends of sentences that hold a letter or digit: `1.` and `!!!` belong to the next, at the
    end of the text to the one before."""
    last = 0
    kept: int | None = None
    for end in ends:
        if any(letter.isalpha() for letter in text[last:end]):
            if kept is not None:
                yield kept
            kept = end
            last = end
    yield len(text)
