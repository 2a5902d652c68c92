"""SentencePiece (Kudo and Richardson 2018): text to ids of pieces and back."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import sentencepiece
from google.protobuf.message import DecodeError

from nmt.config import BOS, EOS, PAD, UNK, TokenizerConfig
from nmt.data.normalization import (
    Traced,
    as_is,
    encodable,
    normalized,
    single_spaced,
    spaced,
    traced,
)
from nmt.data.vocabulary import normalization_of, train
from nmt.data.words import SEAM as SEAM
from nmt.data.words import word_spans as word_spans
from nmt.errors import UserError


class Tokenizer:
    """The pieces of one language, or of both. `model` is a SentencePiece model, serialised; it
    names the normalisation of the texts."""

    def __init__(self, model: bytes, name: str = "the tokenizer model") -> None:
        self.model = model
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model)
            specials = [str(self._processor.id_to_piece(i)) for i in (PAD, UNK, BOS, EOS)]
            self.normalization = normalization_of(model)
        except (RuntimeError, IndexError, DecodeError) as error:
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
        return [int(i) for i in self._processor.encode(self._readable(text), add_eos=True)]

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        readable = [self._readable(text) for text in texts]
        return [list(ids) for ids in self._processor.encode(readable, add_eos=True)]

    def normalized(self, text: str) -> str:
        """The text in the form in which the vocabulary spells its characters."""
        return text if self.normalization == "identity" else normalized(text)

    def _readable(self, text: str) -> str:
        """The text as SentencePiece gets it."""
        text = encodable(text)
        if self.normalization == "nmt_nfkc":  # all that it needs is in the model
            return text
        return single_spaced(normalized(text) if self.normalization == "nfc" else text)

    def _traced(self, text: str) -> Traced:
        """The same text, up to white space, and where its characters come from."""
        text = encodable(text)
        if self.normalization == "nmt_nfkc":
            return as_is(text)
        return spaced(traced(text) if self.normalization == "nfc" else as_is(text))

    def decode(self, ids: Sequence[int]) -> str:
        """The text up to the first EOS, on one line."""
        kept = [int(i) for i in _before_eos(ids) if i not in (PAD, BOS)]
        # A model may spell a line break in bytes.
        return single_spaced(str(self._processor.decode(kept)))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The pieces as SentencePiece writes them: `▁Hund`, `<0xC3>`, `</s>`."""
        return [str(self._processor.id_to_piece(int(i))) for i in ids]

    def join(self, pieces: Sequence[str]) -> str:
        """The text of pieces as SentencePiece writes them, as `decode` gives it."""
        return single_spaced(str(self._processor.decode_pieces(list(pieces))))

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The characters of `text` that each id of `encode(text)` stands for, spaces left off.

        The bytes of a character all have its span, a piece that is only the space before a word
        has that of the piece after it, and EOS has the empty one at the end.
        """
        read = self._traced(text)
        mapped = self._processor.encode(read.text, return_type="offset_mapping")
        spans = [(len(text), len(text))]
        for begin, end in reversed(mapped["offsets"]):
            inner = read.text[begin:end]
            if inner.strip():
                space = len(inner) - len(inner.lstrip())
                spans.append(read.origin(begin + space, begin + len(inner.rstrip())))
            else:
                spans.append(spans[-1])
        return spans[::-1]


def _before_eos(ids: Sequence[int]) -> Iterator[int]:
    for i in ids:
        if i == EOS:
            return
        yield i


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
            raise UserError(f"{folder} has no tokenizer.model: it is not a run of this program")
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
