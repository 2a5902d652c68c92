"""Learning a vocabulary of pieces with SentencePiece."""

from __future__ import annotations

import io
import logging
import re
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import regex
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from nmt.config import BOS, EOS, PAD, UNK, TokenizerConfig
from nmt.data.normalization import encodable, normalized, single_spaced
from nmt.data.words import LETTERS, SEAM, UNSPACED
from nmt.errors import UserError

log = logging.getLogger(__name__)

ModelProto: Any = sentencepiece_model_pb2.ModelProto  # type: ignore[attr-defined]
NORMAL: Any = ModelProto.SentencePiece.NORMAL
SPACE = "\u2581"  # how SentencePiece writes it
DELIMITER = "\u241f"  # between neighbours that no piece may join
# The sum over sentences depends on how they are dealt to threads: a fixed number, one result.
THREADS = 4
FOLLOWED = regex.compile(rf"({LETTERS.pattern})(.?)")  # a word and the character after it
LONGEST_PIECE = 24  # characters, with the space in front
RARE = 5  # occurrences of a piece in the sample
LONGEST_LINE = 1000  # characters: SentencePiece passes over what is longer than some kilobytes
BY_SENTENCEPIECE = ("nfkc", "nmt_nfkc")  # the other normalisations are done in Python


def train(texts: Iterable[str], config: TokenizerConfig, what: str) -> bytes:
    """Trains a SentencePiece model on the texts; `what` names it in messages."""
    lines = [line for text in texts for line in training_lines(text, config.normalization)]
    if config.kind == "unigram":
        lines += lone_words(lines, config.vocabulary)
    try:
        proto = ModelProto.FromString(run_trainer(lines, config))
    except RuntimeError as error:
        raise UserError(_explain(str(error), config, what)) from error
    if config.kind == "bpe":
        drop_unrepeated(proto, lines)
    else:
        drop_rare_clauses(proto, lines)
    size = len(proto.pieces)
    if size < config.vocabulary:
        log.info(
            "%s has %d pieces instead of %d, because the corpus is small",
            what,
            size,
            config.vocabulary,
        )
    # A saved model says how its texts are normalised.
    proto.normalizer_spec.name = config.normalization
    return bytes(proto.SerializeToString(deterministic=True))


def training_lines(text: str, normalization: str) -> Iterator[str]:
    """The text in lines that SentencePiece accepts, with a delimiter at each seam."""
    text = encodable(text).replace(DELIMITER, " ")
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


def lone_words(lines: Sequence[str], most: int) -> list[str]:
    """Extra lines that make a piece possible for each of the `most` frequent words.

    The unigram trainer takes its candidates from the inner nodes of a suffix array: it never
    proposes a word that the same character always follows, such as a space. Each such word stands
    once more on a line of its own, because the end of a line counts as another character. So does
    a delimiter; a word that always stands before one is written twice, to be followed by a space.
    In a script without spaces between words, the letters up to the next mark are a clause, which
    must not be rare.
    """
    pairs = Counter(pair for line in lines for pair in FOLLOWED.findall(line))
    counts: Counter[str] = Counter()
    followers: dict[str, set[str]] = {}
    for (word, follower), count in pairs.items():
        counts[word] += count
        followers.setdefault(word, set()).add(follower.replace(DELIMITER, ""))
    common = [
        word
        for word, count in counts.most_common(most)
        if count >= (RARE if UNSPACED.search(word) else 2)
    ]
    lone = [word for word in common if len(followers[word]) == 1 and len(word) < LONGEST_PIECE]
    return [f"{word} {word}" if followers[word] == {""} else word for word in lone]


def run_trainer(lines: Sequence[str], config: TokenizerConfig) -> bytes:
    model = io.BytesIO()
    by_sentencepiece = config.normalization in BY_SENTENCEPIECE
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type=config.kind,
        vocab_size=config.vocabulary,
        hard_vocab_limit=False,  # a small corpus has fewer pieces than were asked for
        normalization_rule_name=config.normalization if by_sentencepiece else "identity",
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


def drop_unrepeated(proto: Any, lines: Sequence[str]) -> None:
    """Removes the pieces that occur only once in the corpus from a BPE model.

    Merges are in the order of falling frequency. For a small corpus in a script without spaces, the
    last ones spell whole sentences, which occur in no other text.
    """
    places = [at for at, piece in enumerate(proto.pieces) if is_merge(piece)]
    text = "\n".join(SPACE + line.replace(" ", SPACE) for line in lines)
    kept = bisect(places, False, key=lambda at: text.count(proto.pieces[at].piece) < 2)
    if kept < len(places):
        del proto.pieces[places[kept] : places[-1] + 1]
        proto.trainer_spec.vocab_size = len(proto.pieces)


def drop_rare_clauses(proto: Any, lines: Sequence[str]) -> None:
    """Takes the rare pieces of scripts without spaces between words out of a unigram model.

    Nothing keeps a piece of Chinese or Thai from spanning several words. In a small corpus many
    pieces would be phrases that occur a few times, too rarely to learn; without them the phrases
    are spelled by their parts.
    """
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    counts = Counter(chain.from_iterable(processor.encode([*lines])))
    for at in reversed(range(len(proto.pieces))):
        piece = proto.pieces[at]
        if is_merge(piece) and counts[at] < RARE and UNSPACED.search(piece.piece):
            del proto.pieces[at]
    proto.trainer_spec.vocab_size = len(proto.pieces)


def is_merge(piece: Any) -> bool:
    return bool(piece.type == NORMAL) and len(piece.piece) > 1


def normalization_of(model: bytes) -> str:
    """The name that `train` wrote, or SentencePiece itself."""
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
