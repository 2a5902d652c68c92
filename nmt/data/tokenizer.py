"""SentencePiece (Kudo and Richardson 2018): text to ids of pieces and back."""

from __future__ import annotations

import io
import logging
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import sentencepiece

from nmt.config import BOS, EOS, PAD, UNK, TokenizerConfig
from nmt.errors import UserError

log = logging.getLogger(__name__)

# Words with inner hyphens and apostrophes; each punctuation mark is a word of its own.
WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*|[^\w\s]")
# Where a punctuation mark touches its neighbour: no piece may be learnt across it.
SEAM = re.compile(r"(?<=[^\w\s])(?=\S)|(?<=\S)(?=[^\w\s])")
DELIMITER = "\u241f"  # survives the normalisation
# The sum over sentences depends on how they are dealt to threads: a fixed number, one result.
THREADS = 4


def word_spans(text: str) -> list[tuple[int, int]]:
    """The characters of each word; the rule the demo corpus' alignments are counted by."""
    return [match.span() for match in WORD.finditer(text)]


class Tokenizer:
    """The pieces of one language, or of both. `model` is a SentencePiece model, serialised."""

    def __init__(self, model: bytes, name: str = "the tokenizer model") -> None:
        self.model = model
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model)
            specials = [str(self._processor.id_to_piece(i)) for i in (PAD, UNK, BOS, EOS)]
        except (RuntimeError, IndexError) as error:
            raise UserError(f"{name} is damaged: SentencePiece cannot load it") from error
        if specials != ["<pad>", "<unk>", "<s>", "</s>"]:
            raise UserError(
                f"{name} was not learnt by this program: its first pieces are {specials}, "
                "where <pad>, <unk>, <s>, </s> should be"
            )

    @property
    def size(self) -> int:
        return int(self._processor.get_piece_size())

    def encode(self, text: str) -> list[int]:
        """The ids of the pieces, then EOS."""
        # Not a list of one, for which SentencePiece starts threads.
        return [int(i) for i in self._processor.encode(_encodable(text), add_eos=True)]

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        encoded = self._processor.encode([_encodable(text) for text in texts], add_eos=True)
        return [list(ids) for ids in encoded]

    def decode(self, ids: Sequence[int]) -> str:
        """The text up to the first EOS, on one line."""
        kept = [int(i) for i in _before_eos(ids) if i not in (PAD, BOS)]
        # A model may spell a line break in bytes.
        return " ".join(str(self._processor.decode(kept)).split())

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The pieces as SentencePiece writes them: `▁Hund`, `<0xC3>`, `</s>`."""
        return [str(self._processor.id_to_piece(int(i))) for i in ids]

    def join(self, pieces: Sequence[str]) -> str:
        """The text of pieces as SentencePiece writes them, as `decode` gives it."""
        return " ".join(str(self._processor.decode_pieces(list(pieces))).split())

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The characters of `text` that each id of `encode(text)` stands for, spaces left off.

        The bytes of a character all have its span, a piece that is only the space before a word
        has that of the piece after it, and EOS has the empty one at the end.
        """
        mapped = self._processor.encode(_encodable(text), return_type="offset_mapping")
        spans = [(len(text), len(text))]
        for begin, end in reversed(mapped["offsets"]):
            inner = text[begin:end]
            if inner.strip():
                space = len(inner) - len(inner.lstrip())
                spans.append((begin + space, begin + len(inner.rstrip())))
            else:
                spans.append(spans[-1])
        return spans[::-1]


def _before_eos(ids: Sequence[int]) -> Iterator[int]:
    for i in ids:
        if i == EOS:
            return
        yield i


def _encodable(text: str) -> str:
    """`text`, with `?` for halves of surrogate pairs, which JSON can hold and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


class Tokenizers(NamedTuple):
    """One for each side; the same object where the vocabulary is joint."""

    source: Tokenizer
    target: Tokenizer

    @property
    def joint(self) -> bool:
        return self.source is self.target

    def save(self, folder: Path) -> None:
        if self.joint:
            (folder / "tokenizer.model").write_bytes(self.source.model)
        else:
            (folder / "tokenizer.source.model").write_bytes(self.source.model)
            (folder / "tokenizer.target.model").write_bytes(self.target.model)

    @classmethod
    def load(cls, folder: Path) -> Self:
        joint = folder / "tokenizer.model"
        if joint.is_file():
            tokenizer = _load(joint)
            return cls(tokenizer, tokenizer)
        sides = [folder / f"tokenizer.{side}.model" for side in ("source", "target")]
        if not all(path.is_file() for path in sides):
            raise UserError(f"{folder} has no tokenizer.model: it is no run of this program")
        return cls(*map(_load, sides))


def _load(path: Path) -> Tokenizer:
    return Tokenizer(path.read_bytes(), name=str(path))


def learn(pairs: Iterable[tuple[str, str]], config: TokenizerConfig, seed: int) -> Tokenizers:
    """Learns from at most `config.sample` of the pairs, drawn evenly; deterministic."""
    sample = draw(pairs, config.sample, seed)
    sources = (source for source, _ in sample)
    targets = (target for _, target in sample)
    if config.joint:
        both = (text for pair in sample for text in pair)
        tokenizer = Tokenizer(train(both, config, "the joint vocabulary"))
        return Tokenizers(tokenizer, tokenizer)
    return Tokenizers(
        Tokenizer(train(sources, config, "the source vocabulary")),
        Tokenizer(train(targets, config, "the target vocabulary")),
    )


def draw(pairs: Iterable[tuple[str, str]], size: int, seed: int) -> list[tuple[str, str]]:
    """A uniform sample of a stream in memory of its own size (reservoir sampling, Vitter 1985)."""
    rng = random.Random(seed)
    sample: list[tuple[str, str]] = []
    for index, pair in enumerate(pairs):
        if index < size:
            sample.append(pair)
        else:
            place = rng.randrange(index + 1)
            if place < size:
                sample[place] = pair
    return sample


def train(texts: Iterable[str], config: TokenizerConfig, what: str) -> bytes:
    """A SentencePiece model of the texts; `what` names it in messages."""
    model = io.BytesIO()
    sentences = (SEAM.sub(DELIMITER, _encodable(text).replace(DELIMITER, " ")) for text in texts)
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=sentences,
            model_writer=model,
            model_type=config.kind,
            vocab_size=config.vocabulary,
            # A small corpus has fewer pieces than were asked for; BPE cannot give fewer.
            hard_vocab_limit=config.kind == "bpe",
            byte_fallback=config.byte_fallback,
            character_coverage=config.character_coverage,
            split_digits=True,
            pretokenization_delimiter=DELIMITER,
            pad_id=PAD,
            unk_id=UNK,
            bos_id=BOS,
            eos_id=EOS,
            num_threads=THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise UserError(_explain(str(error), config, what)) from error
    return model.getvalue()


def _explain(message: str, config: TokenizerConfig, what: str) -> str:
    key = f"data.tokenizer.vocabulary (of {what}, kind {config.kind})"
    most = re.search(r"too high .*value <= (\d+)", message)
    if most:
        return f"{key} must be at most {most[1]} for this corpus, but is {config.vocabulary}"
    least = re.search(r"smaller than required_chars. \d+ vs (\d+)", message)
    if least:
        fewest = int(least[1]) + 1
        return f"{key} must be at least {fewest} for this corpus, but is {config.vocabulary}"
    if "sentences_.empty()" in message:
        return f"{what} cannot be learnt: the corpus has no text"
    return f"{what} cannot be learnt: {message}"
