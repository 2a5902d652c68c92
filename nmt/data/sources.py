"""The places of the splits of a corpus: the repository, a folder, named files or the hub."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from os.path import isdir, isfile
from pathlib import Path
from typing import Any, NamedTuple

from nmt.config import DataConfig
from nmt.data.alignments import alignment_file
from nmt.data.files import PACKED, expanded
from nmt.data.named import check_source, columns, named_paths
from nmt.data.readers import (
    Languages,
    Pair,
    listed,
    on_one_line,
    read_pairs,
    row_pair,
)
from nmt.errors import UserError, require

log = logging.getLogger(__name__)

DEMO = Path(__file__).parents[2] / "data" / "demo"
# The names of the splits in a folder; `test_2016_flickr` is the test set of Multi30k.
NAMES = {
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "test_2016_flickr"),
}
ENDS = ("", *PACKED)
FORMATS = (".jsonl", ".json", ".tsv", ".csv", ".tmx", ".parquet")
LAYOUT = (
    "a folder with train.{source} and train.{target}, train.jsonl, train.tsv or "
    "train-*.parquet, and the same for validation and test"
)


class Origin(NamedTuple):
    """The place of one split. Each call of `read` starts from the beginning of the split.

    `read` also counts rows that are not pairs: see `read_pairs`.
    """

    name: str  # for messages
    read: Callable[[Counter[str]], Iterator[Pair]]
    paths: tuple[Path, ...] = ()  # the files, from which its contents are hashed
    fingerprint: str = ""  # a hash of its contents, if it has no files
    alignments: Path | None = None  # Pharaoh format, a line for each pair


def find_origins(config: DataConfig) -> dict[str, Origin]:
    """The splits that exist, by name; train is always among them."""
    check_source(config)
    if config.source == "files":
        return files_origins(config)
    if config.path is not None:
        return folder_origins(expanded("data.path", config.path), config)
    if config.source == "hub":
        return hub_origins(config)
    if not DEMO.is_dir():
        raise UserError(
            f"the demo corpus is not at {DEMO}: it is in a clone of the repository, not in the "
            "installed package; run from a clone or set data.path=FOLDER"
        )
    return folder_origins(DEMO, config)


def languages(config: DataConfig) -> Languages:
    return Languages(config.source_language, config.target_language)


def files_origins(config: DataConfig) -> dict[str, Origin]:
    """The files that data.train, data.validation and data.test name."""
    require(
        config.train is not None,
        "data.train must name the training pairs: two text files joined by a comma, "
        "or one .tsv, .csv, .jsonl, .tmx or the like",
    )
    folder = expanded("data.path", config.path or "")
    named = {"train": config.train, "validation": config.validation, "test": config.test}
    origins = {}
    for split, value in named.items():
        if value is not None:
            paths = named_paths(f"data.{split}", value, folder, languages(config))
            origins[split] = file_origin([paths], languages(config), columns(config))
    return origins


def file_origin(
    parts: list[tuple[Path, ...]],
    sides: Languages,
    columns: tuple[str, ...] = (),
    alignments: Path | None = None,
) -> Origin:
    """The pairs of one or more files (or twos of aligned files), one after the other."""
    noted: set[str] = set()  # every reading has the same notes: each is logged once

    def note(text: str) -> None:
        if text not in noted:
            noted.add(text)
            log.info("%s", text)

    def read(counts: Counter[str]) -> Iterator[Pair]:
        return chain.from_iterable(
            read_pairs(part, sides, counts, columns=columns, note=note) for part in parts
        )

    paths = tuple(chain.from_iterable(parts))
    more = f" and {len(paths) - 2} more" if len(paths) > 2 else ""
    name = " and ".join(map(str, paths[:2])) + more
    return Origin(name, read, paths, alignments=alignments)


def folder_origins(folder: Path, config: DataConfig) -> dict[str, Origin]:
    """The splits in a folder with the layout of the hub or with aligned text files."""
    require(isdir(folder), f"data.path: there is no folder {folder}")
    below = [folder / name for name in ("data", config.hub_subset) if name]
    origins = {}
    for split, names in NAMES.items():
        places = [(place, name) for name in names for place in (folder, *below)]
        found = (_find(place, name, config) for place, name in places)
        origin = next((origin for origin in found if origin), None)
        if origin:
            origins[split] = origin
    if "train" not in origins:
        layout = LAYOUT.format(source=config.source_language, target=config.target_language)
        raise UserError(f"{folder} holds no training pairs; data.path should be {layout}")
    return origins


def _find(folder: Path, name: str, config: DataConfig) -> Origin | None:
    """The split called `name` in a folder, whatever its format."""
    sides, chosen = languages(config), columns(config)
    for end in ENDS:
        texts = tuple(folder / f"{name}.{side}{end}" for side in sides)
        if any(isfile(path) for path in texts):
            return file_origin([texts], sides, alignments=alignment_file(folder, name, sides))
        for suffix in FORMATS:
            path = folder / f"{name}{suffix}{end}"
            if isfile(path):
                return file_origin([(path,)], sides, chosen)
    archive = folder / f"{name}.zip"
    paths = [archive] if isfile(archive) else shards(folder, name)
    return file_origin([(path,) for path in paths], sides, chosen) if paths else None


def shards(folder: Path, name: str) -> list[Path]:
    """The files `train-00000-of-00002.parquet` and so on. None may be missing."""
    shape = re.compile(rf"{name}-(\d{{1,9}})-of-(\d{{1,9}})(-\w+)?\.parquet")
    found = {path: shape.fullmatch(path.name) for path in folder.glob(f"{name}-*.parquet")}
    paths = sorted(path for path, match in found.items() if match)
    parts = sorted((int(match[2]), int(match[1])) for match in found.values() if match)
    if parts != [(len(parts), number) for number in range(len(parts))]:
        raise UserError(
            f"{folder} should have all files of {name}-*-of-{parts[0][0]:05}.parquet and no other "
            f"{name}-*-of-*.parquet, but has {listed(path.name for path in paths)}"
        )
    return paths


def hub_origins(config: DataConfig) -> dict[str, Origin]:
    """The splits of a dataset on the Hugging Face hub, downloaded once by `datasets`."""
    require(config.hub is not None, "data.hub must name a dataset of the Hugging Face hub")
    splits = _download(config)
    origins = {}
    for split, names in NAMES.items():
        name = next((name for name in names if name in splits), None)
        if name:
            place = f"{config.hub} {name}"
            read = partial(_hub_pairs, splits[name], languages(config), columns(config), place)
            fingerprint = f"{config.hub} {config.hub_subset} {splits[name]._fingerprint}"
            origins[split] = Origin(place, read, fingerprint=fingerprint)
    require("train" in origins, f"{config.hub} has no split 'train', only {', '.join(splits)}")
    return origins


def _download(config: DataConfig) -> Any:
    import datasets

    what = config.hub if config.hub_subset is None else f"{config.hub} ({config.hub_subset})"
    try:
        return datasets.load_dataset(str(config.hub), config.hub_subset)
    except (ConnectionError, datasets.exceptions.DatasetNotFoundError) as error:
        layout = LAYOUT.format(source=config.source_language, target=config.target_language)
        reason = (
            "the Hugging Face hub cannot be reached, and there is no earlier download"
            if isinstance(error, ConnectionError)
            else "the Hugging Face hub has no such dataset, or you have no access to it"
        )
        raise UserError(
            f"{what} cannot be downloaded: {reason}; to use a local copy, set data.path=FOLDER, "
            f"{layout}"
        ) from error
    except (ValueError, RuntimeError, OSError, datasets.exceptions.DatasetsError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{what} cannot be loaded from the Hugging Face hub: {first}") from error


def _hub_pairs(
    split: Any, sides: Languages, chosen: tuple[str, ...], place: str, counts: Counter[str]
) -> Iterator[Pair]:
    tables = split.with_format("arrow").iter(batch_size=1000)
    rows = chain.from_iterable(table.to_pylist() for table in tables)
    return on_one_line(
        row_pair(row, sides, f"{place} row {number}", chosen)
        for number, row in enumerate(rows, start=1)
    )
