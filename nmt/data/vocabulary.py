"""Learning a vocabulary of pieces with SentencePiece."""

from __future__ import annotations

import io
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import regex
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from nmt.config import BOS, EOS, PAD, UNK, TokenizerConfig
from nmt.data.normalization import normalized, single_spaced
from nmt.data.words import LETTERS, SEAM
from nmt.errors import UserError

log = logging.getLogger(__name__)

ModelProto: Any = sentencepiece_model_pb2.ModelProto  # type: ignore[attr-defined]
DELIMITER = "\u241f"  # between neighbours that no piece may join
# The sum over sentences depends on how they are dealt to threads: a fixed number, one result.
THREADS = 4
FOLLOWED = regex.compile(rf"({LETTERS.pattern})(.?)")  # a word and the character after it
LONGEST_PIECE = 24  # characters, with the space in front
LONGEST_LINE = 1000  # characters: SentencePiece passes over what is longer than some kilobytes
# The normalisations that SentencePiece does; it does nothing to a text that is in NFC already.
BY_SENTENCEPIECE = ("nmt_nfkc", "nfkc")


def train(texts: Iterable[str], config: TokenizerConfig, what: str) -> bytes:
    """A SentencePiece model of the texts; `what` names it in messages."""
    lines = [line for text in texts for line in prepared(text, config.normalization)]
    if config.kind == "unigram":
        lines += once_more(lines, config.vocabulary)
    try:
        return named(fitting(lines, config, what), config.normalization)
    except RuntimeError as error:
        raise UserError(_explain(str(error), config, what)) from error


def prepared(text: str, normalization: str) -> Iterator[str]:
    """A text in lines to learn from, with a delimiter at each seam."""
    text = text.encode("utf-8", "replace").decode("utf-8").replace(DELIMITER, " ")
    text = single_spaced(normalized(text) if normalization == "nfc" else text)
    return (SEAM.sub(DELIMITER, line) for line in cut(text, LONGEST_LINE))


def cut(text: str, longest: int) -> Iterator[str]:
    """Parts of at most `longest` characters: cut between words, where there is a space."""
    begin = 0
    while len(text) - begin > longest:
        space = text.rfind(" ", begin + 1, begin + longest + 1)
        end = space if space > 0 else begin + longest
        yield text[begin:end]
        begin = end
    yield text[begin:]


def once_more(lines: Sequence[str], most: int) -> list[str]:
    """The `most` frequent words, each as a line, as far as one character alone ever follows them.

    The unigram trainer proposes only substrings that two different characters follow (the inner
    nodes of a suffix array), and the end of a line or a delimiter counts as one. Without these
    lines a common word that always stands before a space would be no piece.
    """
    pairs = Counter(pair for line in lines for pair in FOLLOWED.findall(line))
    counts: Counter[str] = Counter()
    followers: dict[str, set[str]] = {}
    for (word, follower), count in pairs.items():
        counts[word] += count
        followers.setdefault(word, set()).add(follower.replace(DELIMITER, ""))
    common = (word for word, count in counts.most_common(most) if count > 1)
    lone = [word for word in common if len(followers[word]) == 1 and len(word) < LONGEST_PIECE]
    return [word if followers[word] != {""} else f"{word} {word}" for word in lone]


def fitting(lines: Sequence[str], config: TokenizerConfig, what: str) -> bytes:
    """A model of `config.vocabulary` pieces, or of as many as the corpus has."""
    try:
        return learnt(lines, config, config.vocabulary)
    except RuntimeError as error:
        most = re.search(r"too high .*value <= (\d+)", str(error))
        if most is None:
            raise
    size = int(most[1])
    wanted = "data.tokenizer.vocabulary"
    log.info(
        "the corpus is too small for %d pieces: %d in %s (%s)",
        config.vocabulary,
        size,
        what,
        wanted,
    )
    return learnt(lines, config, size)


def learnt(lines: Sequence[str], config: TokenizerConfig, size: int) -> bytes:
    model = io.BytesIO()
    own = config.normalization in BY_SENTENCEPIECE
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type=config.kind,
        vocab_size=size,
        # A small corpus has fewer pieces than were asked for; BPE cannot give fewer.
        hard_vocab_limit=config.kind == "bpe",
        normalization_rule_name=config.normalization if own else "identity",
        byte_fallback=config.byte_fallback,
        character_coverage=config.character_coverage,
        split_digits=True,
        pretokenization_delimiter=DELIMITER,
        max_sentencepiece_length=LONGEST_PIECE,
        max_sentence_length=16 * LONGEST_LINE,  # bytes, with delimiters
        pad_id=PAD,
        unk_id=UNK,
        bos_id=BOS,
        eos_id=EOS,
        num_threads=THREADS,
        minloglevel=2,
    )
    return model.getvalue()


def named(model: bytes, normalization: str) -> bytes:
    """The model with the name of the normalisation in it, so that its file says all."""
    proto = ModelProto.FromString(model)
    proto.normalizer_spec.name = normalization
    return bytes(proto.SerializeToString(deterministic=True))


def normalization_of(model: bytes) -> str:
    """The name that `named` wrote."""
    return str(ModelProto.FromString(model).normalizer_spec.name)


def _explain(message: str, config: TokenizerConfig, what: str) -> str:
    key = f"data.tokenizer.vocabulary (of {what}, kind {config.kind})"
    least = re.search(r"smaller than required_chars. \d+ vs (\d+)", message)
    if least:
        fewest = int(least[1]) + 1
        return f"{key} must be at least {fewest} for this corpus, but is {config.vocabulary}"
    if "sentences_.empty()" in message:
        return f"{what} cannot be learnt: the corpus has no text"
    return f"{what} cannot be learnt: {message}"
