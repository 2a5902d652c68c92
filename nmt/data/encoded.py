"""The corpus as ids: cleaned, tokenized, in memory-mapped Arrow, cached by its contents' hash.

The cache holds a folder for each learnt tokenizer and one for each encoded corpus. A folder is
written beside its place and renamed into it, so one that is there is whole.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nmt.config import DataConfig
from nmt.data.cleaning import REASONS, clean
from nmt.data.corpus import Corpus, Split, load_corpus
from nmt.data.files import expanded
from nmt.data.ids import Ids
from nmt.data.readers import Pair
from nmt.data.tokenizer import Tokenizers, learn
from nmt.errors import UserError, require

log = logging.getLogger(__name__)

FORMAT = 2  # of the cache: raised when code changes what the same input gives
CHUNK = 10_000  # pairs encoded at a time


class Prepared(NamedTuple):
    """A corpus to train on. Lengths are in ids, with EOS and without BOS."""

    tokenizers: Tokenizers
    train: pa.Table  # memory-mapped; columns source and target: lists of int32, EOS last
    source_lengths: NDArray[np.int32]  # (pairs,)
    target_lengths: NDArray[np.int32]  # (pairs,)
    validation: Split
    test: Split
    counts: dict[str, int]  # read = kept + the sum of all others, each a reason to drop


def prepare(config: DataConfig, seed: int, tokenizers: Tokenizers | None = None) -> Prepared:
    """Reads, cleans and encodes the corpus, or finds all that in the cache.

    Without `tokenizers` they are learnt from the cleaned training pairs.
    """
    corpus = load_corpus(config)
    if tokenizers is None:
        tokenizers = learnt(corpus, config, seed)
    key = content_key(corpus.fingerprint, rules(config), config.max_pieces, *models(tokenizers))
    folder = expanded("data.cache", config.cache) / f"corpus-{key}"
    is_new = ensure(folder, lambda place: encode(corpus, config, tokenizers, place))
    counts = json.loads((folder / "counts.json").read_text(encoding="utf-8"))
    log.info("%s; ids %s %s", describe(counts), origin(is_new), folder)
    return opened(folder, corpus, tokenizers, counts)


def opened(
    folder: Path, corpus: Corpus, tokenizers: Tokenizers, counts: dict[str, int]
) -> Prepared:
    # As datasets.Dataset.from_file maps it, without that package's two seconds of imports.
    with pa.memory_map(str(folder / "train.arrow")) as file:
        train = pa.ipc.open_stream(file).read_all()
    return Prepared(
        tokenizers,
        train,
        Ids(train, "source").lengths,
        Ids(train, "target").lengths,
        corpus.validation,
        corpus.test,
        counts,
    )


def learnt(corpus: Corpus, config: DataConfig, seed: int) -> Tokenizers:
    """The tokenizers of the cleaned training pairs, learnt once."""
    key = content_key(corpus.fingerprint, rules(config), config.tokenizer, seed)
    folder = expanded("data.cache", config.cache) / f"tokenizer-{key}"

    def write(place: Path) -> None:
        learn(cleaned(corpus, config, Counter()), config.tokenizer, seed).save(place)

    is_new = ensure(folder, write)
    tokenizers = Tokenizers.load(folder)
    sides = tokenizers[:1] if tokenizers.joint else tokenizers
    sizes = " and ".join(f"{side.size:,}" for side in sides)
    log.info("vocabulary of %s pieces, %s %s", sizes, origin(is_new), folder)
    return tokenizers


def encode(corpus: Corpus, config: DataConfig, tokenizers: Tokenizers, place: Path) -> None:
    """Writes train.arrow and counts.json into a folder."""
    import datasets
    from datasets.arrow_writer import ArrowWriter

    column = datasets.Sequence(datasets.Value("int32"))
    features = datasets.Features({"source": column, "target": column})
    counts: Counter[str] = Counter()
    with ArrowWriter(features=features, path=str(place / "train.arrow")) as writer:
        for pairs in chunks(cleaned(corpus, config, counts)):
            rows = encode_chunk(pairs, tokenizers, config.max_pieces)
            counts["kept"] += len(rows["source"])
            counts["pieces"] += len(pairs) - len(rows["source"])
            writer.write_table(pa.table(rows, schema=features.arrow_schema))
        require(counts["kept"] > 0, f"no training pair is left: {describe(counts)}")
        writer.finalize()
    whole = {name: counts[name] for name in ("read", "kept", *REASONS)}
    (place / "counts.json").write_text(json.dumps(whole), encoding="utf-8")


def cleaned(corpus: Corpus, config: DataConfig, counts: Counter[str]) -> Iterator[Pair]:
    """`clean`, where at least one pair must be left."""
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
    """The ids of the pairs of which neither side has more than `max_pieces` (EOS not counted)."""
    sources = tokenizers.source.encode_many([source for source, _ in pairs])
    targets = tokenizers.target.encode_many([target for _, target in pairs])
    rows = [
        pair for pair in zip(sources, targets, strict=True) if max(map(len, pair)) <= max_pieces + 1
    ]
    return {"source": [row[0] for row in rows], "target": [row[1] for row in rows]}


def ensure(folder: Path, write: Callable[[Path], None]) -> bool:
    """Fills `folder` by `write` if it is not there; says whether it did."""
    if folder.is_dir():
        return False
    log.info("writing %s", folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".writing-") as beside:
            place = Path(beside) / "whole"
            place.mkdir()
            write(place)
            if not folder.is_dir():  # another process may have been faster
                place.rename(folder)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"data.cache: {folder} cannot be written: {reason}") from error
    return True


def content_key(*parts: object) -> str:
    """The same for the same parts, in every process."""
    return hashlib.sha256(repr((FORMAT, *parts)).encode()).hexdigest()[:20]


def rules(config: DataConfig) -> tuple[object, ...]:
    """All that `clean` looks at besides the corpus."""
    sizes = (config.min_length, config.max_length, config.max_ratio)
    return (*sizes, config.deduplicate, config.drop_leaks)


def models(tokenizers: Tokenizers) -> list[str]:
    return [hashlib.sha256(side.model).hexdigest() for side in tokenizers]


def origin(is_new: bool) -> str:
    return "written to" if is_new else "from the cache"


def describe(counts: Mapping[str, int]) -> str:
    """`29,000 pairs read, 28,980 kept; dropped: 14 duplicate, 6 leak`."""
    dropped = [f"{counts[name]:,} {name}" for name in REASONS if counts.get(name)]
    return (
        f"{counts.get('read', 0):,} training pairs read, {counts.get('kept', 0):,} kept; "
        f"dropped: {', '.join(dropped) or 'none'}"
    )
