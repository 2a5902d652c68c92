from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.config import DataConfig, TokenizerConfig

Pairs = list[tuple[str, str]]
NOUNS = ("Hund", "Katze", "Straße", "Mann", "Frau", "Kind", "Haus", "Fluss", "Tür", "Äpfel")
VERBS = ("sieht", "sucht", "findet", "malt", "trägt", "grüßt")
MakeConfig = Callable[..., DataConfig]


@pytest.fixture(scope="session")
def pairs() -> Pairs:
    """Different sentences of 2 to 9 words, with capitals, umlauts and full stops."""
    rng = random.Random(7)
    seen: dict[str, str] = {}
    while len(seen) < 300:
        chosen = [rng.choice(VERBS if i % 3 == 1 else NOUNS) for i in range(rng.randint(2, 9))]
        source = " ".join(word[::-1].lower() for word in chosen) + " ."
        seen.setdefault(source.capitalize(), " ".join(chosen) + ".")
    return list(seen.items())


@pytest.fixture
def make_config(tmp_path: Path, pairs: Pairs) -> MakeConfig:
    """The config of a corpus in files: 300 pairs to train on, the rest given by `splits`."""

    def make(train: Pairs = pairs, **knobs: object) -> DataConfig:
        write_tsv(tmp_path / "train.tsv", train)
        write_tsv(tmp_path / "validation.tsv", [("one validation", "eine Validierung")] * 2)
        write_tsv(tmp_path / "test.tsv", [("one test", "ein Test"), ("", "leer")])
        files = {name: f"{name}.tsv" for name in ("train", "validation", "test")}
        tokenizer = TokenizerConfig(vocabulary=400)
        values = {"path": str(tmp_path), "tokenizer": tokenizer, **files, **knobs}
        return DataConfig(name="t", source="files", cache=str(tmp_path / "cache"), **values)

    return make


def write_tsv(path: Path, pairs: Pairs) -> None:
    path.write_text("".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8")
