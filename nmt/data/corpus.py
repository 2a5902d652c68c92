"""A corpus as text: its training pairs as a stream, its validation and test splits in memory."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from nmt.config import DataConfig
from nmt.data.alignments import alignments_of
from nmt.data.cleaning import fit
from nmt.data.drawing import Held, Row, Rows, hold_out, limited
from nmt.data.readers import Pair
from nmt.data.sources import Origin, find_origins, languages
from nmt.data.splits import Alignment as Alignment
from nmt.data.splits import Corpus as Corpus
from nmt.data.splits import Reader as Reader
from nmt.data.splits import Split as Split
from nmt.data.splits import split_of as split_of
from nmt.errors import UserError, one_of, require

log = logging.getLogger(__name__)

Origins = dict[str, Origin]


def load_corpus(config: DataConfig) -> Corpus:
    """Reads validation and test, and the training pairs only if some of them must be held out."""
    origins = find_origins(config)
    for name, origin in origins.items():
        tell(name, origin)
    rows, splits = divided(origins, config)
    return Corpus(
        train=lambda counts: (pair for _, pair in rows(counts)),
        validation=splits["validation"],
        test=splits["test"],
        fingerprint=fingerprint(origins, config),
    )


def read_split(config: DataConfig, split: str) -> Split:
    """All of train, validation or test, in memory."""
    one_of("split", split, ("train", "validation", "test"))
    origins = find_origins(config)
    name = split if split in origins else "train"  # held out from the training pairs
    tell(name, origins[name])
    if name != "train":
        return read_whole(origins[name], config)
    rows, splits = divided(origins, config)
    if split != "train":
        return splits[split]
    is_whole = len(origins) == 3 and config.limit is None
    return with_alignments(list(rows(Counter())), origins["train"], config, is_whole=is_whole)


def tell(split: str, origin: Origin) -> None:
    """Logs which files are read, because the config may come from somebody else's run."""
    log.info("%s: reading %s", split, origin.name)


def divided(origins: Origins, config: DataConfig) -> tuple[Rows, dict[str, Split]]:
    """The training pairs, with their numbers, and the validation and test splits."""
    train = origins["train"]
    splits = {
        name: read_whole(origin, config) for name, origin in origins.items() if name != "train"
    }
    missing = [name for name in ("validation", "test") if name not in splits]
    rows: Rows = numbered(train)
    check = fit(lambda: pairs_of(rows), list(splits.values()), config)
    rest, held = hold_out(rows, missing, config, check, train.name)
    splits |= whole_splits(held, train, config)
    # Now the pairs that are held out must not leak either.
    check = fit(lambda: pairs_of(rest), list(splits.values()), config)
    return limited(rest, config, check), splits


def numbered(origin: Origin) -> Rows:
    return lambda counts: (Row(*item) for item in enumerate(origin.read(counts)))


def pairs_of(rows: Rows) -> Iterator[Pair]:
    return (pair for _, pair in rows(Counter()))


def whole_splits(held: Held, origin: Origin, config: DataConfig) -> dict[str, Split]:
    return {
        name: with_alignments(rows, origin, config, is_whole=False) for name, rows in held.items()
    }


def read_whole(origin: Origin, config: DataConfig) -> Split:
    rows = list(numbered(origin)(Counter()))
    require(bool(rows), f"{origin.name} has no sentence pairs")
    return with_alignments(rows, origin, config, is_whole=True)


def with_alignments(
    rows: list[Row], origin: Origin, config: DataConfig, *, is_whole: bool
) -> Split:
    """The pairs of some rows, or of all rows, of a file with their alignments, if it has any."""
    pairs = [pair for _, pair in rows]
    if origin.alignments is None:
        return split_of(pairs)
    numbers = [number for number, _ in rows]
    sides = languages(config)
    return split_of(
        pairs, alignments_of(origin.alignments, numbers, pairs, sides, is_whole=is_whole)
    )


def fingerprint(origins: Origins, config: DataConfig) -> str:
    """A hash of the bytes of all splits and of the settings for dividing them."""
    whole = hashlib.sha256()
    whole.update(repr((config.limit, config.hold_out, config.source_language)).encode())
    whole.update(repr((config.target_language, config.columns)).encode())
    whole.update(repr((config.hold_out_from, config.draw, config.rules)).encode())
    for name, origin in origins.items():
        whole.update(f"{name} {origin.fingerprint}".encode())
        for path in origin.paths:
            whole.update(f"{''.join(path.suffixes)} {file_hash(path)}".encode())
    return whole.hexdigest()


def file_hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
