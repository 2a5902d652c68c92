"""Lines of text in, lines of text out, over the one search: the only place that knows what an
empty line is. It takes the two directions of a tokenizer as functions and knows no tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nmt.config import DecodingConfig
from nmt.decoding.translate import translate_ids
from nmt.models.seq2seq import Seq2Seq

Encode = Callable[[str], list[int]]
Decode = Callable[[Sequence[int]], str]


def translate_lines(
    model: Seq2Seq,
    lines: Sequence[str],
    config: DecodingConfig,
    *,
    encode: Encode,
    decode: Decode,
    progress: Callable[[int], None] | None = None,
) -> list[str]:
    """The best translation of each line. A line with nothing in it but white space (or what the
    tokenizer drops) gives an empty line, without asking the model."""
    encoded = [encode(line.strip()) for line in lines]
    spoken = [row for row, ids in enumerate(encoded) if len(ids) > 1]  # more than EOS
    if progress is not None:
        progress(len(lines) - len(spoken))
    translations = [""] * len(lines)
    found = translate_ids(model, [encoded[row] for row in spoken], config, progress)
    for row, hypotheses in zip(spoken, found, strict=True):
        translations[row] = decode(hypotheses[0].tokens)
    return translations
