"""The corpus as ids: cleaned, tokenized, in memory-mapped Arrow, cached by a hash of its contents.

The cache holds a folder for the look at each corpus, for each learnt tokenizer and for each encoded
corpus.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nmt.config import DataConfig
from nmt.data.cache import ensure
from nmt.data.cleaning import REASONS, clean, describe, warn_of_many
from nmt.data.corpus import Corpus, Split, load_corpus
from nmt.data.files import expanded
from nmt.data.ids import Ids
from nmt.data.inspection import Look, inspect
from nmt.data.readers import Pair
from nmt.data.tokenizer import Tokenizers, learn
from nmt.errors import UserError, require
from nmt.screen import activity

log = logging.getLogger(__name__)

FORMAT = 3  # of the cache: to be raised when the same input gives other contents
CHUNK = 10_000  # pairs encoded at a time
CONTENTS = "contents.sha256"
LOOK = "look.json"


class Prepared(NamedTuple):
    """A corpus to train on. Lengths are in ids, with EOS and without BOS."""

    tokenizers: Tokenizers
    train: pa.Table  # memory-mapped; columns source and target: lists of int32, EOS last
    source_lengths: NDArray[np.int32]  # (pairs,)
    target_lengths: NDArray[np.int32]  # (pairs,)
    validation: Split
    test: Split
    counts: dict[str, int]  # read = kept + the sum of all others, each a reason to drop
    contents: str = ""  # a hash of the ids of `train`


def prepare(config: DataConfig, seed: int, tokenizers: Tokenizers | None = None) -> Prepared:
    """Reads, cleans and encodes the corpus, or takes it from the cache.

    Without `tokenizers`, they are learnt from the cleaned training pairs.
    """
    with activity("reading the corpus"):
        corpus = load_corpus(config)
    look_at(corpus, config)
    if tokenizers is None:
        tokenizers = learnt(corpus, config, seed)
    key = content_key(corpus.fingerprint, rules(config), config.max_pieces, *models(tokenizers))
    folder = expanded("data.cache", config.cache) / f"corpus-{key}"

    def write(place: Path) -> None:
        encode(corpus, config, tokenizers, place)

    is_new = ensure(folder, write)
    prepared = opened(folder, corpus, tokenizers)
    log.info("%s; %s %s", describe(prepared.counts), origin(is_new), folder)
    warn_of_many(prepared.counts)
    return prepared


def opened(folder: Path, corpus: Corpus, tokenizers: Tokenizers) -> Prepared:
    train = mapped(folder)
    return Prepared(
        tokenizers,
        train,
        Ids(train, "source").lengths,
        Ids(train, "target").lengths,
        corpus.validation,
        corpus.test,
        counts=json.loads((folder / "counts.json").read_text(encoding="utf-8")),
        contents=(folder / CONTENTS).read_text(encoding="utf-8").strip(),
    )


def mapped(folder: Path) -> pa.Table:
    # Like datasets.Dataset.from_file, but without two seconds of imports.
    with pa.memory_map(str(folder / "train.arrow")) as file:
        return pa.ipc.open_stream(file).read_all()


def look_at(corpus: Corpus, config: DataConfig) -> None:
    """Logs, at each start, the first pairs and a warning of wrong languages; both are cached."""
    key = content_key(corpus.fingerprint, rules(config))
    folder = expanded("data.cache", config.cache) / f"look-{key}"

    def write(place: Path) -> None:
        look = inspect(cleaned(corpus, config, Counter()), config)
        (place / LOOK).write_text(json.dumps(look._asdict()), encoding="utf-8")

    ensure(folder, write)
    Look(**json.loads((folder / LOOK).read_text(encoding="utf-8"))).log()


def learnt(corpus: Corpus, config: DataConfig, seed: int) -> Tokenizers:
    """The tokenizers of the cleaned training pairs, learnt once."""
    key = content_key(corpus.fingerprint, rules(config), config.tokenizer, seed)
    folder = expanded("data.cache", config.cache) / f"tokenizer-{key}"

    def write(place: Path) -> None:
        with activity("learning a vocabulary"):
            learn(cleaned(corpus, config, Counter()), config.tokenizer, seed).save(place)

    is_new = ensure(folder, write)
    tokenizers = Tokenizers.load(folder)
    sides = tokenizers[:1] if tokenizers.joint else tokenizers
    sizes = " and ".join(f"{side.size:,}" for side in sides)
    log.info("vocabulary of %s pieces, %s %s", sizes, origin(is_new), folder)
    return tokenizers


def encode(corpus: Corpus, config: DataConfig, tokenizers: Tokenizers, place: Path) -> None:
    """Writes train.arrow, counts.json and the hash of the ids into a folder."""
    import datasets
    from datasets.arrow_writer import ArrowWriter

    column = datasets.Sequence(datasets.Value("int32"))
    features = datasets.Features({"source": column, "target": column})
    counts: Counter[str] = Counter()
    with (
        activity("encoding training pairs") as bar,
        ArrowWriter(features=features, path=str(place / "train.arrow")) as writer,
    ):
        for pairs in chunks(cleaned(corpus, config, counts)):
            rows = encode_chunk(pairs, tokenizers, config.max_pieces)
            counts["kept"] += len(rows["source"])
            counts["pieces"] += len(pairs) - len(rows["source"])
            writer.write_table(pa.table(rows, schema=features.arrow_schema))
            bar.advance(len(pairs))
        require(counts["kept"] > 0, f"no training pair is left: {describe(counts)}")
        writer.finalize()
    whole = {name: counts[name] for name in ("read", "kept", *REASONS)}
    (place / "counts.json").write_text(json.dumps(whole), encoding="utf-8")
    (place / CONTENTS).write_text(contents_of(mapped(place)) + "\n", encoding="utf-8")


def contents_of(train: pa.Table) -> str:
    """The same for the same ids, however they are divided into chunks."""
    sides = (Ids(train, name).sha256() for name in ("source", "target"))
    return hashlib.sha256(" ".join(sides).encode()).hexdigest()


def cleaned(corpus: Corpus, config: DataConfig, counts: Counter[str]) -> Iterator[Pair]:
    """Like `clean`, but raises `UserError` if no pair is left."""
    pairs = clean(corpus, config, counts)
    first = next(pairs, None)
    if first is None:
        raise UserError(f"no training pair is left: {describe(counts)}")
    return chain([first], pairs)


def chunks(pairs: Iterator[Pair]) -> Iterator[list[Pair]]:
    while chunk := list(islice(pairs, CHUNK)):
        yield chunk


def encode_chunk(
    pairs: list[Pair], tokenizers: Tokenizers, max_pieces: int
) -> dict[str, list[list[int]]]:
    """The ids of the pairs whose sides have at most `max_pieces` pieces (EOS not counted)."""
    sources = tokenizers.source.encode_many([source for source, _ in pairs])
    targets = tokenizers.target.encode_many([target for _, target in pairs])
    rows = [
        pair for pair in zip(sources, targets, strict=True) if max(map(len, pair)) <= max_pieces + 1
    ]
    return {"source": [row[0] for row in rows], "target": [row[1] for row in rows]}


def content_key(*parts: object) -> str:
    """The same for the same parts, in every process."""
    return hashlib.sha256(repr((FORMAT, *parts)).encode()).hexdigest()[:20]


def rules(config: DataConfig) -> tuple[object, ...]:
    """The settings that `clean` depends on."""
    sizes = (config.min_length, config.max_length, config.max_ratio)
    return (*sizes, config.deduplicate, config.drop_leaks, config.rules)


def models(tokenizers: Tokenizers) -> list[str]:
    return [hashlib.sha256(side.model).hexdigest() for side in tokenizers]


def origin(is_new: bool) -> str:
    return "written to" if is_new else "from the cache"
