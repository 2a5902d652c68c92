"""Folders made to do harm, or with a part missing: refused in one sentence, and nothing is run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from nmt.config import DataConfig
from nmt.data.corpus import load_corpus
from nmt.errors import UserError


class TestFolders:
    def shard(self, folder: Path, name: str) -> None:
        parquet.write_table(pa.table({"en": ["a"] * 50, "de": ["b"] * 50}), folder / name)

    @pytest.mark.parametrize(
        "names",
        [
            ["train-00000-of-00002.parquet"],
            ["train-00000-of-00001.parquet", "train-00000-of-00002.parquet"],
            ["train-00000-of-00001.parquet", "train-00000-of-00001-abc.parquet"],
            ["train-00000-of-999999999.parquet"],
        ],
        ids=["missing", "two sets", "twice", "many"],
    )
    def test_shards_that_are_not_whole(self, tmp_path, names):
        for name in names:
            self.shard(tmp_path, name)
        with pytest.raises(UserError, match="should have all files of train-.* but has 'train-0"):
            load_corpus(DataConfig(path=str(tmp_path)))

    def test_shards_with_a_hash(self, tmp_path):
        for number in range(2):
            self.shard(tmp_path, f"train-0000{number}-of-00002-1a2b{number}.parquet")
        self.shard(tmp_path, "train-extra-00000-of-00009.parquet")
        corpus = load_corpus(DataConfig(path=str(tmp_path), hold_out_from="end"))
        assert len(list(corpus.train(Counter()))) + 2 * len(corpus.test.source) == 100

    def test_a_script_is_not_run(self, tmp_path):
        marker = tmp_path / "was-run"
        (tmp_path / "corpus").mkdir()
        script = tmp_path / "corpus" / "corpus.py"
        script.write_text(f"open({str(marker)!r}, 'w')")
        with pytest.raises(UserError, match="holds no training pairs"):
            load_corpus(DataConfig(path=str(script.parent)))
        for hub in (script.parent, script):
            with pytest.raises(UserError, match="cannot be (loaded|downloaded)"):
                load_corpus(DataConfig(source="hub", hub=str(hub)))
        assert not marker.exists()

    def test_links(self, tmp_path):
        (tmp_path / "real.tsv").write_text("a\tb\n" * 30)
        folder = tmp_path / "folder"
        folder.mkdir()
        (folder / "validation.tsv").symlink_to(folder / "validation.tsv")
        (folder / "test.tsv").symlink_to("nowhere")
        with pytest.raises(UserError, match="holds no training pairs"):
            load_corpus(DataConfig(path=str(folder)))
        (folder / "train.tsv").symlink_to("../real.tsv")
        corpus = load_corpus(DataConfig(path=str(folder), hold_out_from="end"))
        assert len(list(corpus.train(Counter()))) == 24

    @pytest.mark.parametrize("value", ["~nobody-of-this-name", "x" * 5000, "a\0b", "\ud800"])
    def test_paths_that_cannot_be(self, tmp_path, value):
        for knobs in ({"path": value}, {"source": "files", "train": value}):
            with pytest.raises(UserError, match="data.(path|train): "):
                load_corpus(DataConfig(**knobs))
