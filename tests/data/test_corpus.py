from __future__ import annotations

import dataclasses
import gzip
import json
import logging
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from nmt.config import DataConfig
from nmt.data.corpus import Split, load_corpus, read_split
from nmt.errors import UserError

TRAIN = [(f"sentence {n}", f"Satz {n}") for n in range(100)]
FEW = [("one", "eins"), ("", "leer"), ("one", "eins")]


def texts(folder: Path, name: str, pairs: list[tuple[str, str]], suffix: str = "") -> None:
    folder.mkdir(exist_ok=True)
    for side, lines in zip(("en", "de"), zip(*pairs, strict=True), strict=True):
        data = "".join(f"{line}\n" for line in lines).encode()
        path = folder / f"{name}.{side}{suffix}"
        path.write_bytes(gzip.compress(data) if suffix else data)


def json_lines(path: Path, pairs: list[tuple[str, str]]) -> None:
    rows = (json.dumps({"en": source, "de": target}) for source, target in pairs)
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(rows), encoding="utf-8")


def parquet(path: Path, pairs: list[tuple[str, str]]) -> None:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    path.parent.mkdir(exist_ok=True)
    rows = [{"translation": {"en": source, "de": target}} for source, target in pairs]
    write_table(pa.Table.from_pylist(rows), path)


def copy(folder: Path, **knobs: object) -> DataConfig:
    return DataConfig(source="hub", hub="some/corpus", path=str(folder), **knobs)


def zipped(split: Split) -> list[tuple[str, str]]:
    return list(zip(split.source, split.target, strict=True))


def everything(config: DataConfig) -> list[list[tuple[str, str]]]:
    corpus = load_corpus(config)
    splits = [list(corpus.train(Counter())), zipped(corpus.validation), zipped(corpus.test)]
    names = ("train", "validation", "test")
    assert splits == [zipped(read_split(config, name)) for name in names]
    assert splits[0] == list(corpus.train(Counter())), "train starts anew"
    return splits


class TestCopies:
    def test_multi30k(self, tmp_path):
        for name, pairs in (("train", TRAIN), ("val", FEW), ("test_2016_flickr", FEW[:1])):
            texts(tmp_path, name, pairs, ".gz")
        assert everything(copy(tmp_path)) == [TRAIN, FEW, FEW[:1]]

    def test_json_lines(self, tmp_path):
        for name, pairs in (("train", TRAIN), ("validation", FEW), ("test", FEW[:1])):
            json_lines(tmp_path / f"{name}.jsonl", pairs)
        assert everything(copy(tmp_path)) == [TRAIN, FEW, FEW[:1]]

    @pytest.mark.parametrize("below", [".", "data", "de-en"])
    def test_parquet(self, tmp_path, below):
        folder = tmp_path / below
        parquet(folder / "train-00000-of-00002.parquet", TRAIN[:40])
        parquet(folder / "train-00001-of-00002.parquet", TRAIN[40:])
        parquet(folder / "validation-00000-of-00001.parquet", FEW)
        parquet(folder / "test-00000-of-00001.parquet", FEW[:1])
        assert everything(copy(tmp_path, hub_subset="de-en")) == [TRAIN, FEW, FEW[:1]]

    @pytest.mark.parametrize("hold_out, held", [(3, 3), (1000, 10)])
    def test_the_end_of_train_stands_in_for_validation_and_test(self, tmp_path, hold_out, held):
        json_lines(tmp_path / "train.jsonl", TRAIN)
        config = copy(tmp_path, hold_out=hold_out, hold_out_from="end")
        train, validation, test = everything(config)
        assert train + validation + test == TRAIN
        assert len(validation) == len(test) == held

    def test_without_test_only_test_is_taken(self, tmp_path):
        json_lines(tmp_path / "train.jsonl", TRAIN)
        json_lines(tmp_path / "validation.jsonl", FEW)
        config = copy(tmp_path, hold_out=5, hold_out_from="end")
        assert everything(config) == [TRAIN[:-5], FEW, TRAIN[-5:]]

    def test_too_few_to_hold_out(self, tmp_path):
        json_lines(tmp_path / "train.jsonl", FEW)
        with pytest.raises(UserError, match="3 sentence pairs are too few .* validation and test"):
            load_corpus(copy(tmp_path))

    def test_no_train(self, tmp_path):
        json_lines(tmp_path / "test.jsonl", FEW)
        with pytest.raises(UserError, match="holds no training pairs; data.path should be"):
            load_corpus(copy(tmp_path))

    def test_no_folder(self, tmp_path):
        with pytest.raises(UserError, match="data.path: there is no folder .*nowhere"):
            load_corpus(copy(tmp_path / "nowhere"))

    def test_one_side_alone(self, tmp_path):
        texts(tmp_path, "train", TRAIN)
        (tmp_path / "train.de").unlink()
        with pytest.raises(UserError, match="train.de"):
            load_corpus(copy(tmp_path))


class TestFiles:
    def config(self, folder: Path, **files: str) -> DataConfig:
        return DataConfig(source="files", path=str(folder), **files)

    def test_two_files_and_one(self, tmp_path):
        texts(tmp_path, "a", TRAIN)
        json_lines(tmp_path / "b.jsonl", FEW)
        config = self.config(tmp_path, train="a.en, a.de", validation="b.jsonl", test="b.jsonl")
        assert everything(config) == [TRAIN, FEW, FEW]

    def test_absolute_paths_and_limit(self, tmp_path):
        texts(tmp_path, "a", TRAIN)
        train = f"{tmp_path / 'a.en'},{tmp_path / 'a.de'}"
        config = DataConfig(source="files", train=train, limit=7, hold_out=1)
        config = dataclasses.replace(config, hold_out_from="end", rules=1)
        assert everything(config) == [TRAIN[:7], [TRAIN[98]], [TRAIN[99]]]

    @pytest.mark.parametrize(
        "files, message",
        [
            ({}, "data.train must name the training pairs"),
            ({"train": "no.tsv"}, "data.train: there is no file .*no.tsv"),
            ({"train": "a.en,no.de"}, "data.train: there is no file .*no.de"),
            ({"train": "a.en,a.de", "test": "no.tsv"}, "data.test: there is no file .*no.tsv"),
            ({"train": "a.en,a.de,a.fr"}, "data.train must be one file or two .*a.en,a.de,a.fr"),
            ({"train": "a.en,a.de", "test": "empty.tsv"}, "empty.tsv has no sentence pairs"),
        ],
    )
    def test_what_is_missing_is_named(self, tmp_path, files, message):
        texts(tmp_path, "a", TRAIN)
        (tmp_path / "empty.tsv").touch()
        with pytest.raises(UserError, match=message):
            load_corpus(self.config(tmp_path, **files))


class TestDemo:
    def test_alignments(self, tmp_path):
        for name in ("train", "val", "test"):
            texts(tmp_path, name, FEW)
            (tmp_path / f"{name}.align").write_text("0-0\n\n0-0 1-2\n")
        expected = [[(0, 0)], [], [(0, 0), (1, 2)]]
        config = DataConfig(path=str(tmp_path))
        assert read_split(config, "train").alignments == expected
        assert load_corpus(config).test.alignments == expected

    @pytest.mark.parametrize(
        "content, message",
        [
            ("0-0\n", "1 lines for 3 sentence pairs"),
            ("0-0\n" * 4, "4 lines for 3 sentence pairs"),
            ("\n0:1\n\n", "line 2 is not an alignment"),
        ],
    )
    @pytest.mark.parametrize("name", ["test", "train"])
    def test_bad_alignments(self, tmp_path, name, content, message):
        for split in ("train", "val", "test"):
            texts(tmp_path, split, FEW)
        (tmp_path / f"{name}.align").write_text(content)
        with pytest.raises(UserError, match=message):
            read_split(DataConfig(path=str(tmp_path)), name)

    def test_the_first_alignments_for_the_first_pairs(self, tmp_path):
        texts(tmp_path, "train", TRAIN)
        (tmp_path / "train.align").write_text("0-0\n" * 98 + "1-1\n" * 2)
        for knobs, count in (({"hold_out": 1}, 98), ({"limit": 3}, 3)):
            config = DataConfig(path=str(tmp_path), hold_out_from="end", rules=1, **knobs)
            split = read_split(config, "train")
            assert split.alignments == [[(0, 0)]] * count and len(split.source) == count

    def test_an_installed_package_has_none(self, tmp_path, monkeypatch):
        monkeypatch.setattr("nmt.data.sources.DEMO", tmp_path / "demo")
        with pytest.raises(UserError, match="the demo corpus is not at .*data.path=FOLDER"):
            load_corpus(DataConfig())


def test_the_files_that_are_read_are_told(tmp_path, caplog):
    """A run from a stranger names the files that an evaluation of it reads."""
    for name in ("train", "val", "test"):
        texts(tmp_path, name, TRAIN)
    said = {
        split: f"{split}: reading {tmp_path}/{name}.en and {tmp_path}/{name}.de"
        for split, name in (("train", "train"), ("validation", "val"), ("test", "test"))
    }
    caplog.set_level(logging.INFO, logger="nmt")
    read_split(copy(tmp_path), "test")
    assert caplog.messages == [said["test"]]
    caplog.clear()
    load_corpus(copy(tmp_path))
    assert caplog.messages == list(said.values())
    caplog.clear()
    (tmp_path / "test.en").unlink()
    (tmp_path / "test.de").unlink()
    read_split(copy(tmp_path), "test")
    assert caplog.messages[0] == said["train"]
    assert caplog.messages[1].startswith("held out 10 pairs for test, drawn from the 100 pairs of")


def test_an_unknown_split(tmp_path):
    with pytest.raises(UserError, match="split must be one of train, validation, test, but is 'te"):
        read_split(copy(tmp_path), "tes")


def test_the_fingerprint_is_of_the_contents(tmp_path):
    def fingerprint(folder: str, train=TRAIN, **knobs: object) -> str:
        texts(tmp_path / folder, "train", train)
        texts(tmp_path / folder, "test", FEW)
        return load_corpus(copy(tmp_path / folder, **knobs)).fingerprint

    same = fingerprint("a")
    assert same == fingerprint("b")
    changed = [
        fingerprint("c", train=[*TRAIN[:-1], ("x", "y")]),
        fingerprint("a", hold_out=2),
        fingerprint("a", limit=5),
        fingerprint("a", hold_out_from="end"),
        fingerprint("a", draw=2),
        fingerprint("a", rules=1),
    ]
    assert len({same, *changed}) == 7


class TestHub:
    @pytest.fixture
    def hub(self, monkeypatch):
        import datasets

        def load(name: str, subset: str | None) -> datasets.DatasetDict:
            if subset != "de-en":
                raise ValueError(f"BuilderConfig {subset!r} not found.\nAvailable: de-en")
            rows = [{"translation": {"en": en, "de": de}} for en, de in TRAIN]
            few = [{"translation": {"en": en, "de": de}} for en, de in FEW]
            make = datasets.Dataset.from_list
            return datasets.DatasetDict(train=make(rows), validation=make(few))

        monkeypatch.setattr(datasets, "load_dataset", load)

    def test_pairs(self, hub):
        config = DataConfig(source="hub", hub="some/corpus", hub_subset="de-en", hold_out=2)
        config = dataclasses.replace(config, hold_out_from="end")
        assert everything(config) == [TRAIN[:-2], FEW, TRAIN[-2:]]

    def test_other_languages(self, hub):
        config = DataConfig(source="hub", hub="some/corpus", hub_subset="de-en")
        config.target_language = "fr"
        with pytest.raises(UserError, match="some/corpus .* row 1 .*'en' and 'fr'.*are 'en', 'de'"):
            load_corpus(config)

    def test_no_such_subset(self, hub):
        with pytest.raises(UserError, match="cannot be loaded .*BuilderConfig 'x' not found.$"):
            load_corpus(DataConfig(source="hub", hub="some/corpus", hub_subset="x"))

    def test_no_name(self):
        with pytest.raises(UserError, match="data.hub must name a dataset"):
            load_corpus(DataConfig(source="hub"))

    def test_without_network_and_without_a_copy(self, tmp_path):
        code = (
            "from nmt.config import DataConfig\nfrom nmt.data.corpus import load_corpus\n"
            "try: load_corpus(DataConfig(source='hub', hub='some/corpus'))\n"
            "except Exception as error: print(type(error).__name__, error)"
        )
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
        root = str(Path(__file__).parents[2])
        said = subprocess.run(
            [sys.executable, "-c", code],
            env={**environment, "PYTHONPATH": root},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert said.startswith(
            "UserError some/corpus cannot be downloaded: the Hugging Face hub cannot be "
            "reached, and there is no earlier download; to use a local copy, set data.path=FOLDER, "
            "a folder with train.en and train.de, train.jsonl, "
        )


@pytest.mark.corpora
def test_multi30k(corpora):
    config = copy(corpora / "multi30k")
    corpus = load_corpus(config)
    sizes = (
        sum(1 for _ in corpus.train(Counter())),
        len(corpus.validation.source),
        len(corpus.test.source),
    )
    assert sizes == (29_000, 1014, 1000)
    assert corpus.test.target[0].startswith("Ein Mann mit einem orangefarbenen Hut")
