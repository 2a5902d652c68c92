"""How data.train and its like name files, and what contradicts them."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest

from nmt.config import DataConfig
from nmt.data.named import split_list
from nmt.data.sources import find_origins
from nmt.errors import UserError

PAIRS = [("one dog", "yksi koira"), ("two cats", "kaksi kissaa")]


def texts(folder: Path, name: str, sides: tuple[str, str] = ("en", "fi"), end: str = "") -> None:
    for side, language in enumerate(sides):
        content = "".join(f"{pair[side]}\n" for pair in PAIRS).encode()
        path = folder / f"{name}.{language}{end}"
        path.write_bytes(gzip.compress(content) if end else content)


def config(train: str, **knobs: str) -> DataConfig:
    languages = {"source_language": "en", "target_language": "fi"}
    return DataConfig(source="files", train=train, **(languages | knobs))  # type: ignore[arg-type]


def pairs(train: str, **knobs: str) -> list[tuple[str, str]]:
    return list(find_origins(config(train, **knobs))["train"].read(Counter()))


def mistake(train: str, **knobs: str) -> str:
    with pytest.raises(UserError) as caught:
        pairs(train, **knobs)
    return str(caught.value)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("train", ["a.en,a.fi", "[a.en,a.fi]", "[\"a.en\", 'a.fi']", "a", "./a"])
@pytest.mark.parametrize("name", ["a", "c ä=1/a"])
def test_two_files_a_list_and_a_prefix(folder, train, name):
    (folder / "c ä=1").mkdir()
    texts(folder / Path(name).parent, "a")
    assert pairs(train, path=str(Path(name).parent)) == PAIRS


def test_a_prefix_of_packed_files(folder):
    texts(folder, "news.2020", end=".gz")
    assert pairs("news.2020") == PAIRS


def test_commas_in_names(folder):
    texts(folder, "a, b")
    assert pairs('["a, b.en","a, b.fi"]') == PAIRS
    (folder / "x,y.tsv").write_text("a\tb\n")
    assert pairs("x,y.tsv") == [("a", "b")]


@pytest.mark.parametrize(
    "value, parts",
    [("a,b", ["a", "b"]), ("[a, b]", ["a", "b"]), ('"a,b",c', ["a,b", "c"]), ("[2,3]", ["2", "3"])],
)
def test_lists(value, parts):
    assert split_list(value) == parts


@pytest.mark.parametrize("sides", [("fi", "en"), ("tgt", "src"), ("fin", "eng"), ("finnish", "en")])
def test_the_other_order_is_an_error(folder, sides):
    texts(folder, "a", sides)
    told = mistake(f"a.{sides[0]},a.{sides[1]}")
    assert told.startswith(f"data.train names a.{sides[0]} before a.{sides[1]}, but data.source_l")


def test_other_languages_are_an_error(folder):
    texts(folder, "train", ("pt", "gl"))
    told = mistake("train.pt,train.gl")
    assert "set data.source_language=pt data.target_language=gl" in told
    texts(folder, "pt_BR to", ("pt_BR", "pt_PT"))
    names = "pt_BR to.pt_BR,pt_BR to.pt_PT"
    assert pairs(names, source_language="pt-BR", target_language="pt-PT")


@pytest.mark.parametrize(
    "sides", [("src", "tgt"), ("txt", "text"), ("x", "y"), ("eng", "fin"), ("en", "ref")]
)
def test_names_that_say_nothing_else(folder, sides):
    texts(folder, "a", sides)
    assert pairs(f"a.{sides[0]},a.{sides[1]}") == PAIRS


def test_a_relative_path_that_is_not_found(folder):
    assert f"data.train: there is no file a.tsv in {folder}, where relative" in mistake("a.tsv")
    assert "there is no file a, nor a.en and a.fi in" in mistake("a")
    assert str(folder) not in mistake("/nowhere/a.tsv")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("source", ["demo", "hub"])
def test_a_file_contradicts_another_corpus(split, source):
    data = DataConfig(name="mine", source=source, hub="x/y", **{split: "a.tsv"})
    message = f"data.{split}=a.tsv contradicts data=mine, .*data.source={source}.*use data=files"
    with pytest.raises(UserError, match=message):
        find_origins(data)


@pytest.mark.parametrize("columns", ["1", "1,2,3", "[en]", "1,1", ""])
def test_columns_are_two(folder, columns):
    (folder / "a.tsv").write_text("a\tb\n")
    assert "data.columns must name two columns" in mistake("a.tsv", columns=columns)


def test_columns_of_a_file(folder):
    (folder / "a.csv").write_text("x,y,z\na,b,c\n")
    assert pairs("a.csv", columns="[z,x]") == [("c", "a")]
    assert pairs("a.csv", columns="3,2") == [("z", "y"), ("c", "b")]


def test_a_folder_is_named_as_one(folder: Path) -> None:
    (folder / "corpus").mkdir()
    told = mistake("corpus")
    assert told.startswith("data.train: corpus is a folder") and "data.path=corpus" in told
