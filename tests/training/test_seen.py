"""What a run keeps of its corpus: the length limit, the longest sentence, one or several a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt import Translator
from nmt.config import Config, DataConfig, DecodingConfig, TokenizerConfig
from nmt.data.corpus import Split
from nmt.data.encoded import Prepared
from nmt.data.ids import Ids
from nmt.data.tokenizer import learn
from nmt.decoding.translate import longest_translation
from nmt.errors import UserError
from nmt.training.checkpoint import create_run, load_run
from nmt.training.launch import train
from nmt.training.seen import FILE, Seen, length_limit, load_seen, settled, splitting_of

NOTHING = Split([], [], None)
SEEN = Seen(30, 60, 2.5, 7, 0.0)
ENGLISH = ["A dog runs.", "It rains.", "A small cat sleeps in the garden today."]
KHMER = ["ឆ្កែរត់។", "ភ្លៀង។", "ឆ្មាតូចមួយដេកក្នុងសួនថ្ងៃនេះ។"]
ARMENIAN = ["Շունը վազում է։", "Անձրև է գալիս։", "Փոքր կատուն այսօր քնում է այգում։"]


def prepared(pairs: list[tuple[str, str]]) -> Prepared:
    tokenizers = learn(pairs, TokenizerConfig(vocabulary=400), 1)
    sides = list(zip(*pairs, strict=True))
    ids = [side.encode_many(texts) for side, texts in zip(tokenizers, sides, strict=True)]
    column = pa.list_(pa.int32())
    table = pa.table(
        {name: pa.array(rows, column) for name, rows in zip(("source", "target"), ids, strict=True)}
    )
    lengths = [Ids(table, name).lengths for name in ("source", "target")]
    return Prepared(tokenizers, table, *lengths, NOTHING, NOTHING, {})


def limit(config: DecodingConfig, source: int) -> int:
    return longest_translation([4] * source + [3], config)


@pytest.mark.parametrize("ratio", [0.3, 1.0, 4.5])
def test_no_translation_of_training_length_is_cut(ratio: float) -> None:
    generator = np.random.default_rng(1)
    sources = generator.integers(1, 60, 5000).astype(np.int32)
    noise = generator.normal(1, 0.15, 5000)
    targets = np.maximum(1, sources * ratio * noise).astype(np.int32)
    slope, extra = length_limit(sources, targets)
    room = np.ceil(slope * sources) + extra
    assert (targets < room).all(), "and some room to spare"
    assert (room <= 2.5 * targets.max() + 5).all(), "yet a model that repeats itself ends"


def test_a_few_pairs_that_are_no_translations_do_not_raise_the_limit() -> None:
    generator = np.random.default_rng(1)
    sources = generator.integers(5, 40, 20_000).astype(np.int32)
    targets = sources + generator.integers(0, 3, 20_000).astype(np.int32)
    clean = length_limit(sources, targets)
    wrong = targets.copy()
    wrong[:15] = 250
    assert length_limit(sources, wrong) == pytest.approx(clean, abs=1)


@given(st.lists(st.tuples(st.integers(1, 250), st.integers(1, 250)), min_size=1, max_size=30))
def test_any_corpus_has_a_limit(pairs: list[tuple[int, int]]) -> None:
    sources, targets = np.array(pairs, dtype=np.int32).T
    slope, extra = length_limit(sources, targets)
    assert slope > 0 and extra >= 1
    settled(DecodingConfig(), Seen(1, 1, slope, extra, 0.0))  # within what the schema allows


def test_an_explicit_limit_is_obeyed_and_an_old_run_keeps_its_own() -> None:
    assert limit(settled(DecodingConfig(), SEEN), 10) == 32
    assert limit(settled(DecodingConfig(max_ratio=1.0), SEEN), 10) == 17
    assert limit(settled(DecodingConfig(max_extra=1), SEEN), 10) == 26
    assert limit(settled(DecodingConfig(), None), 10) == 25


@pytest.mark.parametrize(("language", "texts"), [("km", KHMER), ("hy", ARMENIAN)])
def test_single_sentences_are_told_from_several(language: str, texts: list[str]) -> None:
    data = DataConfig(target_language=language)
    single = list(zip(ENGLISH, texts, strict=True)) * 20
    several = [(f"{a} {b}", f"{c} {d}") for (a, c), (b, d) in zip(single, single[1:], strict=False)]
    seen = Seen.of(prepared(single), data)
    assert seen.several_sentences == 0.0 and seen.single_sentences
    assert not Seen.of(prepared(several), data).single_sentences
    few = Seen.of(prepared(single * 2 + several[:5]), data)
    assert 0 < few.several_sentences < 0.1 and few.single_sentences
    # Several on one side alone are a sentence that is translated by two, or a wrong rule.
    one_side = [(" ".join(ENGLISH), text) for text in texts] * 10
    assert Seen.of(prepared(one_side), data).single_sentences


def test_lines_are_split_where_training_saw_single_sentences() -> None:
    config = Config()
    several = SEEN._replace(several_sentences=0.5)
    for seen, expected in ((SEEN, True), (several, False), (None, False)):
        assert splitting_of(config, seen).by_sentence is expected
        assert splitting_of(config, seen, whole=True).by_sentence is False
        for asked in (True, False):
            explicit = replace(config, decoding=DecodingConfig(split_sentences=asked))
            assert splitting_of(explicit, seen).by_sentence is asked
            assert splitting_of(explicit, seen, whole=True).by_sentence is asked
    assert splitting_of(config, SEEN).longest == 30
    assert splitting_of(config, None).longest == config.data.max_pieces


def test_a_run_keeps_what_training_saw(tmp_path: Path) -> None:
    ready = prepared(list(zip(ENGLISH, ARMENIAN, strict=True)) * 5)
    config = Config(runs=str(tmp_path), name="run")
    seen = Seen.of(ready, config.data)
    assert (seen.longest_source, seen.longest_target) == (
        ready.source_lengths.max() - 1,
        ready.target_lengths.max() - 1,
    )
    run = create_run(config, ready.tokenizers, seen)
    assert load_seen(run) == seen
    assert load_seen(create_run(replace(config, name="old"), ready.tokenizers)) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "{" * 9000, '{"longest_source": 1}', b"\xff", "null"]
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str | bytes) -> None:
    (tmp_path / FILE).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UserError, match=f"{FILE} is damaged"):
        load_seen(tmp_path)
    for value in (None, "a", -1, 1e9, float("nan"), True):
        changed = SEEN._asdict() | {"max_ratio": value}
        (tmp_path / FILE).write_text(json.dumps(changed))
        with pytest.raises(UserError, match=f"{FILE} is damaged"):
            load_seen(tmp_path)


def with_seen(run: Path, seen: Seen, target_language: str = "de") -> Path:
    (run / FILE).write_bytes(seen.to_json())
    config = (run / "config.yaml").read_text()
    changed = config.replace("target_language: de", f"target_language: {target_language}")
    (run / "config.yaml").write_text(changed)
    return run


def test_a_translator_goes_by_what_training_saw(
    make_run: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = with_seen(make_run(tmp_path / "run"), Seen(20, 9, 0.5, 3, 0.0), "ja")
    assert load_run(run, device="cpu").config.decoding.max_ratio == 0.5
    translator = Translator.load(run, device="cpu")
    text = "It rains today. A dog runs. " + "dog " * 30
    (found,) = translator.n_best([text])
    sources = [source for source, _ in found.parts]
    assert sources[:2] == ["It rains today.", "A dog runs."] and len(sources) >= 4
    count = translator.tokenizers.source.encode
    assert all(len(count(source)) - 1 <= 20 for source in sources)
    assert "line 1 has a sentence of " in caplog.text
    assert "the longest in training had 20: translating it in parts" in caplog.text
    assert found.hypotheses[0].text.count(" ") <= sum(t.count(" ") + 1 for _, t in found.parts)
    (whole,) = Translator.load(
        run, device="cpu", overrides=("decoding.split_sentences=false",)
    ).n_best(["It rains. It rains."])
    assert [source for source, _ in whole.parts] == ["It rains. It rains."]


@pytest.fixture
def tiny(make_config: Callable[..., Config]) -> Iterator[Any]:
    yield make_config(max_steps=2)


def test_training_writes_it(tiny: Config) -> None:
    summary = train(tiny)
    seen = load_seen(Path(summary.run))
    assert seen is not None and seen.longest_source > 0
