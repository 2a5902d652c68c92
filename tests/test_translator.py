"""The front doors, with a model that learnt nothing: the library's and the command line's."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nmt import Translator
from nmt.attention_map import attention_maps
from nmt.decoding.constraints import Demands, complaints
from nmt.errors import UserError

SCRIPT = Path(__file__).parents[1] / "scripts" / "translate.py"
LINES = ["A dog runs.", "", "It rains.", " \t", "The small cat sleeps today.", "\u2028", "🐕!"]
MakeRun = Callable[..., Path]
SHORT = ("decoding.max_extra=5", "decoding.max_ratio=1")


@pytest.fixture
def translator(untrained_run: Path) -> Translator:
    return Translator.load(untrained_run, device="cpu", overrides=SHORT)


def test_one_line_for_each_and_nothing_for_nothing(translator: Translator) -> None:
    found = translator.translate(LINES)
    assert [bool(line) for line in found] == [bool(line.strip()) for line in LINES]
    assert not any("\n" in line for line in found)
    assert translator.translate([]) == []


def test_company_changes_nothing(translator: Translator) -> None:
    alone = [translator.translate([line])[0] for line in LINES]
    assert translator.translate(LINES) == alone


def test_the_callers_word_goes_before_the_runs(untrained_run: Path, translator: Translator) -> None:
    overrides = [*SHORT, "decoding.beam_size=1", "decoding.length_penalty=3"]
    other = Translator.load(untrained_run, device="cpu", overrides=overrides)
    assert other.config.decoding.beam_size == 1
    assert translator.translate(LINES, beam_size=1) == other.translate(LINES)
    with pytest.raises(UserError, match="decoding.beam_size must be at least 1, but is 0"):
        translator.translate(LINES, beam_size=0)


def test_a_long_sentence_is_named_and_translated(
    untrained_run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    overrides = [*SHORT, "data.max_pieces=10"]
    translator = Translator.load(untrained_run, device="cpu", overrides=overrides)
    with caplog.at_level(logging.WARNING):
        found = translator.translate(["A dog.", "A dog runs. " * 5], first_line=41)
    assert all(found)
    long, cut = (record.getMessage() for record in caplog.records)
    assert long.startswith("line 42 has a sentence of ")
    assert long.endswith("in training had 10 at most (data.max_pieces): translating it in parts")
    assert cut.startswith("the length limit (1 x source pieces + 5) cut off ")


def test_the_parts_of_a_line_are_those_it_was_cut_into(untrained_run: Path) -> None:
    overrides = [*SHORT, "data.max_pieces=25", "decoding.precision=fp32"]
    translator = Translator.load(untrained_run, device="cpu", overrides=overrides)
    text = "It rains today. " * 9
    (long,) = translator.n_best([text], 3)
    sources = [source for source, _ in long.parts]
    assert len(sources) > 1 and " ".join(sources).split() == text.split()
    alone = [translator.n_best([source], 3)[0].hypotheses for source in sources]
    first = long.hypotheses[0]
    assert first.text == " ".join(each[0].text for each in alone)
    assert first.log_prob == pytest.approx(sum(each[0].log_prob for each in alone), abs=1e-4)
    scores = [each.score for each in long.hypotheses]
    assert len(scores) > 1 and scores == sorted(scores, reverse=True)
    (split,) = translator.n_best([text], one_by_one=True)
    assert [source for source, _ in split.parts] == ["It rains today."] * 9


def test_progress_counts_every_line(translator: Translator) -> None:
    told: list[int] = []
    translator.translate(LINES, progress=told.append)
    assert sum(told) == len(LINES)


def test_one_string_is_not_a_list_of_sentences(translator: Translator) -> None:
    with pytest.raises(TypeError, match="list of sentences"):
        translator.translate("A dog runs.")


def test_attention_is_between_words(translator: Translator) -> None:
    found = translator.attention("A dog runs.", "Ein Hund läuft.")
    assert found.source == ["A", "dog", "runs", ".", "</s>"]
    assert found.target == ["Ein", "Hund", "läuft", "."]
    assert np.allclose(found.weights.sum(-1), 1, atol=1e-5)


def test_n_best_is_sorted_distinct_and_begins_with_the_best(translator: Translator) -> None:
    found = translator.n_best(LINES, 4)
    assert [each.hypotheses[0].text for each in found] == translator.translate(LINES)
    for translation in found:
        texts = [each.text for each in translation.hypotheses]
        scores = [each.score for each in translation.hypotheses]
        assert len(set(texts)) == len(texts) <= 4 and scores == sorted(scores, reverse=True)
    assert max(len(translation.hypotheses) for translation in found) > 1


@pytest.mark.parametrize(
    ("override", "n_best", "message"),
    [
        ("decoding.beam_size=5", 6, "6 hypotheses need decoding.beam_size=6 or more"),
        ("decoding.strategy=mbr", 33, "33 hypotheses need decoding.samples=33 or more"),
        ("decoding.strategy=sample", 0, "must be at least 1, but is 0"),
    ],
)
def test_more_hypotheses_than_are_sought_are_refused(
    untrained_run: Path, override: str, n_best: int, message: str
) -> None:
    translator = Translator.load(untrained_run, device="cpu", overrides=[*SHORT, override])
    with pytest.raises(UserError, match=message):
        translator.n_best(["A dog."], n_best)


@pytest.mark.parametrize("strategy", ["sample", "mbr"])
def test_samples_are_the_same_in_any_company(untrained_run: Path, strategy: str) -> None:
    # In bf16, which may be the faster, company changes logits enough to turn draws.
    knobs = (f"strategy={strategy}", "samples=6", "precision=fp32")
    overrides = [*SHORT, *(f"decoding.{knob}" for knob in knobs)]
    translator = Translator.load(untrained_run, device="cpu", overrides=overrides)
    together = translator.n_best(LINES, 3)
    alone = [translator.n_best([line], 3)[0] for line in LINES]
    for mine, other in zip(together, alone, strict=True):
        assert [each.text for each in mine.hypotheses] == [each.text for each in other.hypotheses]


def test_an_ensemble_is_of_all_its_members(
    untrained_run: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    other = make_run(tmp_path / "other", seed=2)
    runs = [[untrained_run], [other], [untrained_run, other], [untrained_run, untrained_run]]
    sources, targets = ["A dog runs."], ["Ein Hund läuft."]
    override = ["decoding.precision=fp32"]
    one, two, both, twice = (
        Translator.load(each, device="cpu", overrides=override).score(sources, targets)[0].log_prob
        for each in runs
    )
    assert both not in (one, two) and both > min(one, two)
    assert twice == pytest.approx(one, abs=1e-4)


def test_an_ensemble_of_two_tokenizers_is_refused(
    untrained_run: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    other = make_run(tmp_path / "other", corpus=[("A cat.", "Eine Katze.")])
    with pytest.raises(UserError, match="runs with the same tokenizer, but those of .*other diff"):
        Translator.load([untrained_run, other], device="cpu")


def test_alignment_is_of_the_head_that_the_run_keeps(untrained_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "copy"
    shutil.copytree(untrained_run, run)
    best = {"layer": 1, "head": 2, "reading": "reading"}
    (run / "alignment.json").write_text(json.dumps(best))
    translator = Translator.load(run, device="cpu", overrides=["decoding.precision=fp32"])
    found = translator.n_best(LINES)
    for maps, line, translation in zip(translator.align(found), LINES, found, strict=True):
        assert len(maps) == 1
        whole = attention_maps(
            translator.model,
            translator.tokenizers,
            [line],
            [translation.hypotheses[0].text],
            reading="reading",
        )[0]
        np.testing.assert_allclose(maps[0].weights[0, 0], whole.weights[0, 1], atol=1e-5)


def test_import_is_light() -> None:
    code = "import sys, nmt; print(nmt.__version__, 'torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split()[1] == "False"
    with pytest.raises(AttributeError, match="no attribute 'Translater'"):
        getattr(__import__("nmt"), "Translater")  # noqa: B009


def test_the_command_line_keeps_the_lines(untrained_run: Path, tmp_path: Path) -> None:
    lines = [line + "\r" for line in LINES]
    sets = [word for override in SHORT for word in ("--set", override)]
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), str(untrained_run), "--device=cpu", *sets]
        + [f"--attention={tmp_path / 'map.png'}"],
        input="\n".join(lines).encode(),
        capture_output=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert ran.returncode == 0
    (warning,) = ran.stderr.decode().splitlines()
    assert warning.startswith("WARNING: the length limit (1 x source pieces + 5) cut off ")
    found = ran.stdout.decode().split("\n")
    assert [bool(line) for line in found] == [*(bool(line.strip()) for line in LINES), False]
    assert len(list(tmp_path.glob("map-[1357].png"))) == 4


def test_a_reader_that_leaves_is_no_error(untrained_run: Path) -> None:
    with subprocess.Popen(
        [sys.executable, SCRIPT, untrained_run, "--device=cpu", "A dog runs."],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as leaving:
        assert leaving.stdout is not None and leaving.stderr is not None
        leaving.stdout.close()
        assert leaving.stderr.read() == b""


def test_what_is_demanded_is_said(untrained_run: Path, caplog: pytest.LogCaptureFixture) -> None:
    translator = Translator.load(untrained_run, overrides=("decoding.max_extra=30",))
    demands = Demands("Ein H", forbidden=("Hund",), required=("es",))
    found = translator.n_best(["A dog runs.", "", "It rains."], demands=demands)
    texts = [each.hypotheses[0].text for each in found]
    assert texts[1] == "" and not complaints(texts[0], demands) + complaints(texts[2], demands)
    assert not caplog.records
    odd = Demands("Ein\x07H", forbidden=("Hund",), required=("es\x0b",))
    assert translator.n_best(["A dog runs."], demands=odd)[0].hypotheses == found[0].hypotheses
    short = Translator.load(untrained_run, overrides=SHORT)
    short.n_best(["It rains."], demands=Demands(prefix="Ein Hund läuft heute und es regnet."))
    assert "the translation of line 1 violates a constraint: does not begin" in caplog.text


def test_decomposed_demands_are_met_in_composed_text(
    untrained_run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    translator = Translator.load(untrained_run, overrides=("decoding.max_extra=30",))
    demands = Demands("Ein läu", forbidden=("Hünd",), required=("für", "été"))
    (found,) = translator.n_best(["A dog runs."], demands=demands.spelt(decomposed))
    assert complaints(found.hypotheses[0].text, demands) == []
    assert not caplog.records


def test_decomposed_input_is_the_same_input(translator: Translator) -> None:
    lines = ["Ein Hund läuft für Zoë.", "Ẹ kú àárọ̀, tiếng Việt"]
    assert translator.translate(list(map(decomposed, lines))) == translator.translate(lines)
    scores = translator.score(lines, lines)
    assert translator.score(list(map(decomposed, lines)), list(map(decomposed, lines))) == scores


def decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def test_lines_with_nothing_visible_give_nothing(translator: Translator) -> None:
    assert translator.translate(["\u200b", "\ufeff \u200d", "\x00", "\u2060\u00ad"]) == [""] * 4


@pytest.mark.parametrize(
    "words, prefix, forbidden, required",
    [
        ("一只棕色的狗在公园里跑。", "一只", "公园", ("棕色", "狗")),
        ("นักเรียนอ่านหนังสือในห้องสมุด", "นัก", "ห้องสมุด", ("หนังสือ",)),
        ("छात्र पुस्तकालय में किताब पढ़ता है।", "छात्र", "में", ("किताब", "है")),
        ("او می‌خواهد کتاب‌ها را بخواند.", "او", "را", ("می‌خواهد", "کتاب‌ها")),
    ],
)
def test_demands_in_other_scripts(
    make_run: MakeRun,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    words: str,
    prefix: str,
    forbidden: str,
    required: tuple[str, ...],
) -> None:
    run = make_run(tmp_path / "run", corpus=[("A dog runs.", words), ("It rains.", words[::-1])])
    translator = Translator.load(run, device="cpu", overrides=("decoding.max_extra=40",))
    demands = Demands(prefix, (forbidden,), required)
    (found,) = translator.n_best(["A dog runs."], demands=demands)
    text = found.hypotheses[0].text
    assert text.startswith(prefix) and all(phrase in text for phrase in required)
    assert complaints(text, demands) == [] and not caplog.records


@pytest.mark.parametrize(
    "text, phrase, there",
    [
        ("你好世界", "世界", True),
        ("ฉันชอบหมา", "ชอบ", True),
        ("東京タワー", "東京", True),
        ("می‌خواهم", "می", False),
        ("किताबें", "किताब", False),
        ("तमिल", "तम", False),
        ("Hunde", "Hund", False),
        ("Wort\u00adteil", "Wort", False),
    ],
)
def test_whole_words(text: str, phrase: str, there: bool) -> None:
    assert bool(complaints(text, Demands(forbidden=(phrase,)))) == there
