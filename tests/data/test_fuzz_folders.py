"""Folders laid out like the hub's, with anything in them: the pairs of each split, or one sentence.

NMT_EXAMPLES=10000 searches longer.
"""

from __future__ import annotations

import gzip
import lzma
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fuzzing import FORMATS, JSON_LINES, TABLES, complaint, counted, damaged
from hypothesis import given
from hypothesis import strategies as st

from nmt.config import DataConfig
from nmt.data.corpus import Split, load_corpus
from nmt.data.readers import Pair
from nmt.data.sources import NAMES, find_origins
from nmt.errors import UserError

SUBSET = "de-en"
PLACES = ("", "data", SUBSET)
ROWS = (".jsonl", ".json")
PACK = {".gz": gzip.compress, ".xz": lzma.compress}
UNPACK = {".gz": gzip.decompress, ".xz": lzma.decompress}
Files = dict[str, bytes]  # by their paths in the folder


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("folders")


@contextmanager
def written(beside: Path, files: Files) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=beside) as name:
        for place, content in files.items():
            path = Path(name, place)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield Path(name)


def config_of(folder: Path) -> DataConfig:
    return DataConfig(path=str(folder), hub_subset=SUBSET, hold_out=2, hold_out_from="end")


def pairs_in(split: Split) -> list[Pair]:
    return list(zip(split.source, split.target, strict=True))


# --- A folder as it should be ---


@st.composite
def layout(draw: st.DrawFn, name: str, pairs: list[Pair]) -> Files:
    """A split called `name`: one file, packed or not, or shards of it."""
    place = Path(draw(st.sampled_from(PLACES)), name)
    kind = draw(st.sampled_from([*ROWS, ".parquet", "shards"]))
    if kind != "shards":
        (content,) = FORMATS[".jsonl" if kind in ROWS else kind].write(pairs)
        packed = draw(st.sampled_from(["", *PACK])) if kind in ROWS else ""
        return {f"{place}{kind}{packed}": PACK.get(packed, bytes)(content)}
    count = draw(st.integers(1, 3))
    cuts = [len(pairs) * number // count for number in range(count + 1)]
    mark = draw(st.sampled_from(["", "-1a2b3c"]))
    return {
        f"{place}-{number:05}-of-{count:05}{mark}.parquet": FORMATS[".parquet"].write(
            pairs[cuts[number] : cuts[number + 1]]
        )[0]
        for number in range(count)
    }


TEXTS = FORMATS[".parquet"].texts
BESIDE = ("README.md", "dataset_infos.json", "corpus.py", "trains.jsonl", "data/train/x.jsonl")


@given(data=st.data())
def test_every_pair_of_every_split_is_read(beside: Path, data: st.DataObject) -> None:
    pairs = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4)
    files = dict.fromkeys(data.draw(st.sets(st.sampled_from(BESIDE))), b"{}")
    expected, present = {}, set()
    for split, names in NAMES.items():
        # Enough that two can be held out for a split that is missing.
        expected[split] = data.draw(pairs) * (20 if split == "train" else 1)
        if split == "train" or data.draw(st.booleans()):
            name = data.draw(st.sampled_from(names))
            files |= data.draw(layout(name, expected[split]))
            present.add(split)
    for split in reversed([name for name in NAMES if name not in present]):
        expected[split], expected["train"] = expected["train"][-2:], expected["train"][:-2]
    with written(beside, files) as folder:
        corpus = load_corpus(config_of(folder))
        found = counted(corpus.train)[0], *map(pairs_in, (corpus.validation, corpus.test))
    given = [[tuple(map(FORMATS[".parquet"].given, pair)) for pair in expected[s]] for s in NAMES]
    assert list(found) == given


# --- A folder as it may be ---

ODD_NAMES = (
    *("train", "Train", "train ", " train", "tráin", "train\n", "train*", "-train", ".train"),
    *("validation", "valid", "val", "dev", "test", "test_2016_flickr", "train.train", "x" * 200),
)
ODD_ENDS = (
    *(".jsonl", ".json", ".parquet", ".jsonl.gz", ".json.xz", ".parquet.gz", ".JSONL", "", "."),
    *("-00000-of-00001.parquet", "-00000-of-00002.parquet", "-00001-of-00002.parquet"),
    *("-00001-of-00002-1a2b.parquet", "-0-of-1.parquet", "-00000-of-00000.parquet"),
    *("-99999999999-of-1.parquet", "-00000-of-00001.parquet.gz", "-a-of-b.parquet"),
)
ODD_PLACES = (*PLACES, "data/data", "train.jsonl", "train-00000-of-00001.parquet", ".cache")
LINKS = (".", "..", "nowhere", "train.jsonl", "data", "/dev/null", "/dev/zero")


@st.composite
def entry(draw: st.DrawFn, names: st.SearchStrategy[str]) -> tuple[str, bytes]:
    """A file, more often than not what its name says."""
    name = draw(names)
    kind = FORMATS[".parquet" if ".parquet" in name else ".jsonl"]
    (sound,) = kind.write(draw(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3)) * 20)
    content = draw(
        st.just(sound) | st.just(sound) | damaged(sound) | JSON_LINES | TABLES | st.binary()
    )
    suffix = draw(st.just(Path(name).suffix) | st.sampled_from(["", *PACK]))
    return name, PACK.get(suffix, bytes)(content)


def place(folder: Path, name: str, what: bytes | str | None) -> None:
    """A file, a link or a folder; nothing where another one stands in its way."""
    path = folder / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if what is None:
            path.mkdir()
        elif isinstance(what, str):
            path.symlink_to(what)
        elif not path.is_symlink():
            path.write_bytes(what)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        return


def count(path: Path) -> int:
    """The pairs in a file, by other means than the readers'."""
    data = UNPACK.get(path.suffix, bytes)(path.read_bytes())
    return FORMATS[".parquet" if path.suffix == ".parquet" else ".jsonl"].count(data)


NAMED = st.builds(
    "{}/{}{}".format,
    st.sampled_from(ODD_PLACES),
    st.sampled_from(ODD_NAMES),
    st.sampled_from(ODD_ENDS),
).map(lambda name: name.removeprefix("/"))
TRAIN = st.sampled_from(["train.jsonl", "train.parquet", "data/train-00000-of-00001.parquet"])
OTHERS = entry(NAMED) | st.tuples(NAMED, st.sampled_from(LINKS) | st.none())


@given(entry(TRAIN), st.lists(OTHERS, max_size=5))
def test_any_folder(
    beside: Path, train: tuple[str, bytes], others: list[tuple[str, bytes | str | None]]
) -> None:
    with written(beside, dict([train])) as folder:
        for name, what in others:
            place(folder, name, what)
        config = config_of(folder)
        try:
            corpus = load_corpus(config)
            counts = counted(corpus.train)[1]
        except UserError as error:
            complaint(error, [folder])
            return
        there = {split: sum(map(count, o.paths)) for split, o in find_origins(config).items()}
        held = {"validation": len(corpus.validation.source), "test": len(corpus.test.source)}
        assert there == {"train": there["train"], **{s: held[s] for s in there if s != "train"}}
        assert there["train"] == counts["read"] + sum(held[s] for s in held if s not in there)
