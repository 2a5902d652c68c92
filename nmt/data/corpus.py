"""A corpus as text: its training pairs as a stream, its validation and test splits in memory."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from nmt.config import DataConfig
from nmt.data.files import read_lines
from nmt.data.readers import Pair
from nmt.data.sources import Origin, find_origins
from nmt.errors import UserError, one_of, require

log = logging.getLogger(__name__)

Reader = Callable[[Counter[str]], Iterator[Pair]]
Alignment = list[tuple[int, int]]  # source word, target word


class Split(NamedTuple):
    """Sentence N of the one side translates sentence N of the other."""

    source: list[str]
    target: list[str]
    alignments: list[Alignment] | None  # by the words of `word_spans`, where they are known


class Corpus(NamedTuple):
    """`fingerprint` stands for all contents.

    `train` starts from the beginning at each call and counts, under `read` and the reason, what it
    meets that is no pair.
    """

    train: Reader
    validation: Split
    test: Split
    fingerprint: str


def load_corpus(config: DataConfig) -> Corpus:
    """Validation and test are read, training pairs only where some must be held out."""
    origins = find_origins(config)
    for name, origin in origins.items():
        tell(name, origin)
    train, held = hold_out(origins, config.hold_out)
    for name in ("validation", "test"):
        if name not in held:
            held[name] = read_whole(origins[name])
    return Corpus(
        train=lambda counts: islice(train(counts), config.limit),
        validation=held["validation"],
        test=held["test"],
        fingerprint=fingerprint(origins, config),
    )


def read_split(config: DataConfig, split: str) -> Split:
    """All of train, validation or test, in memory."""
    one_of("split", split, ("train", "validation", "test"))
    origins = find_origins(config)
    name = split if split in origins else "train"  # some of it is held out
    tell(name, origins[name])
    if name != "train":
        return read_whole(origins[name])
    train, held = hold_out(origins, config.hold_out)
    if split in held:
        return held[split]
    pairs = list(islice(train(Counter()), config.limit))
    return with_alignments(pairs, origins["train"], is_whole=not held and config.limit is None)


def tell(split: str, origin: Origin) -> None:
    """Which files are read, for whoever did not write the config: it may have come with a run."""
    log.info("%s: reading %s", split, origin.name)


def read_whole(origin: Origin) -> Split:
    pairs = list(origin.read(Counter()))
    require(bool(pairs), f"{origin.name}: there are no sentence pairs in it")
    return with_alignments(pairs, origin)


def split_of(pairs: list[Pair], alignments: list[Alignment] | None = None) -> Split:
    return Split([source for source, _ in pairs], [target for _, target in pairs], alignments)


def with_alignments(pairs: list[Pair], origin: Origin, *, is_whole: bool = True) -> Split:
    """The pairs with their alignments; where they are only the first of a file, so are those."""
    if origin.alignments is None:
        return split_of(pairs)
    alignments = list(read_alignments(origin.alignments))
    require(
        len(alignments) == len(pairs) or (len(alignments) > len(pairs) and not is_whole),
        f"{origin.alignments} has {len(alignments)} lines for {len(pairs)} sentence pairs",
    )
    return split_of(pairs, alignments[: len(pairs)])


def read_alignments(path: Path) -> Iterator[Alignment]:
    """Pharaoh format: `0-0 1-2`, source-target, a line for each pair."""
    for number, line in enumerate(read_lines(path), start=1):
        try:
            links = [link.split("-") for link in line.split()]
            yield [(int(source), int(target)) for source, target in links]
        except ValueError as error:
            raise UserError(
                f"{path} line {number} is not an alignment such as '0-0 1-2'"
            ) from error


def hold_out(origins: dict[str, Origin], size: int) -> tuple[Reader, dict[str, Split]]:
    """The training pairs without those at their end that stand in for splits that are missing.

    Each takes `size` pairs, but no more than a tenth of the corpus; test stands last.
    """
    origin = origins["train"]
    missing = [name for name in ("validation", "test") if name not in origins]
    if not missing:
        return origin.read, {}
    last: deque[Pair] = deque(maxlen=size * len(missing))
    total = 0
    for pair in origin.read(Counter()):
        last.append(pair)
        total += 1
    size = min(size, total // 10)
    require(
        size > 0,
        f"{origin.name}: {total} sentence pairs are too few to hold out a tenth of them for "
        f"{' and '.join(missing)}; at least 10 are needed",
    )
    held = list(last)[-size * len(missing) :]
    splits = {
        name: split_of(held[index * size : (index + 1) * size])
        for index, name in enumerate(missing)
    }
    return (lambda counts: islice(origin.read(counts), total - len(held))), splits


def fingerprint(origins: dict[str, Origin], config: DataConfig) -> str:
    """A hash of the bytes of all splits and of how they are taken apart."""
    whole = hashlib.sha256()
    whole.update(repr((config.limit, config.hold_out, config.source_language)).encode())
    whole.update(repr(config.target_language).encode())
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
