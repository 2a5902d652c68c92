"""The lexicon that a finished run has, and what is said where it is missing or not sound."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save

from nmt import Translator
from nmt.compose import load_config
from nmt.config import CANDIDATES, EOS, PAD, UNK, Config
from nmt.data.encoded import Prepared
from nmt.data.lexicon import Lexicon, build_lexicon
from nmt.decoding.parts import Splitting
from nmt.errors import UserError
from nmt.evaluation.report import evaluate
from nmt.training.checkpoint import load_run
from nmt.training.files import CHECKSUMS, checksums
from nmt.training.launch import train
from nmt.training.lexicon import load_lexicon, make_shortlist, save_lexicon, shortlist_of

MakeConfig = Callable[..., Config]
CPU = torch.device("cpu")
ASKED = ["decoding.shortlist=3"]


def resumed(run: Path) -> None:
    config = load_config(run / "config.yaml")
    config.resume = str(run)
    train(config)


def replace(run: Path, **arrays: np.ndarray) -> None:
    """Other arrays in the lexicon, signed as whoever made the directory can."""
    file = run / "lexicon" / "lexicon.safetensors"
    data = save({**load_file(file), **arrays})
    file.write_bytes(data)
    (file.parent / CHECKSUMS).write_bytes(checksums({file.name: data}))


def test_a_finished_run_has_that_of_its_corpus(run: Path, prepared: Prepared) -> None:
    found = load_lexicon(run, prepared.tokenizers)
    for mine, other in zip(found, build_lexicon(prepared, 1), strict=True):
        assert mine.dtype == other.dtype and np.array_equal(mine, other)


def test_the_shortlist_that_is_asked_for(run: Path) -> None:
    assert shortlist_of(load_run(run, device="cpu")) is None
    opened = load_run(run, device="cpu", overrides=ASKED)
    found = shortlist_of(opened)
    assert found is not None and found.vocabulary == opened.tokenizers.target.size
    lexicon = load_lexicon(run, opened.tokenizers)
    assert found.candidates[:, :3].tolist() == lexicon.candidates[:, :3].tolist()
    assert set(found.candidates[PAD].tolist()) <= {PAD, EOS}
    assert found.frequent.tolist() == lexicon.frequent.tolist()


@pytest.mark.parametrize("joint", [True, False])
def test_a_piece_is_a_candidate_of_itself_in_one_vocabulary(
    prepared: Prepared, joint: bool
) -> None:
    tokenizers = prepared.tokenizers
    if not joint:
        tokenizers = tokenizers._replace(target=type(tokenizers.target)(tokenizers.target.model))
    assert tokenizers.joint is joint
    size = tokenizers.source.size
    nothing = Lexicon(np.full((size, CANDIDATES), EOS, np.int32), np.array([UNK], np.int32))
    pieces, columns = make_shortlist(nothing, 2, tokenizers, CPU).choose(torch.tensor([[9, 7, 7]]))
    assert pieces[columns[0]].tolist() == [0, 1, 2, 3, *([7, 9] if joint else [])]


def test_translator_and_ensemble_take_it(run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    lexicon = load_lexicon(run, load_run(run, device="cpu").tokenizers)
    few = np.full_like(lexicon.candidates, EOS)
    replace(run, candidates=few, frequent=np.array([9, 13], np.int32))
    shutil.rmtree(other / "lexicon")  # of others it is not asked
    overrides = [*ASKED, "decoding.max_extra=9", "decoding.max_ratio=2"]
    for runs in ([run], [run, other]):
        translator = Translator.load(runs, device="cpu", overrides=overrides)
        own = {9, 13, UNK, *translator.tokenizers.source.encode("hund katze")}
        for hypothesis in translator.n_best(["hund katze"], 3)[0].hypotheses:
            assert set(hypothesis.tokens) <= own


def test_a_run_that_asks_for_it_is_tested_with_it(
    make_config: MakeConfig, prepared: Prepared
) -> None:
    config = make_config()
    config.decoding.shortlist = 1
    run = Path(train(config).run)
    opened = load_run(run, device="cpu")
    parts = opened.model, opened.tokenizers, prepared.test, opened.config.decoding
    found = evaluate(*parts, splitting=Splitting(99), shortlist=shortlist_of(opened))
    assert found.hypotheses != evaluate(*parts, splitting=Splitting(99)).hypotheses
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["bleu"], summary["chrf"]) == (
        round(found.scores["bleu"].value, 2),
        round(found.scores["chrf"].value, 2),
    )


def test_without_one_it_is_asked_for_in_vain(run: Path) -> None:
    shutil.rmtree(run / "lexicon")
    assert shortlist_of(load_run(run, device="cpu")) is None
    with pytest.raises(UserError) as caught:
        Translator.load(run, device="cpu", overrides=ASKED)
    assert str(caught.value) == (
        f"{run} has no lexicon, which decoding.shortlist needs; resume={run} creates it, "
        "decoding.shortlist=0 translates without it"
    )


def test_resuming_a_finished_run_writes_it_anew(run: Path, prepared: Prepared) -> None:
    before = load_lexicon(run, prepared.tokenizers)
    file = run / "lexicon" / "lexicon.safetensors"
    shutil.rmtree(file.parent)
    resumed(run)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match="lexicon.safetensors is damaged: its bytes .*resume="):
        Translator.load(run, device="cpu", overrides=ASKED)
    resumed(run)
    after = load_lexicon(run, prepared.tokenizers)
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))


@pytest.mark.parametrize(
    "arrays",
    [
        {"candidates": np.zeros((7, CANDIDATES), np.int32)},
        {"candidates": np.zeros((319, CANDIDATES + 1), np.int32)},
        {"candidates": np.full((319, CANDIDATES), 319, np.int32)},
        {"candidates": np.full((319, CANDIDATES), -1, np.int32)},
        {"candidates": np.zeros((319, CANDIDATES), np.float32)},
        {"frequent": np.zeros((2, 2), np.int32)},
        {"frequent": np.array([319], np.int32)},
        {"frequent": np.array([3.0], np.float32)},
    ],
)
def test_what_does_not_fit_is_refused(
    run: Path, arrays: dict[str, np.ndarray], prepared: Prepared
) -> None:
    assert prepared.tokenizers.source.size == 319
    replace(run, **arrays)
    with pytest.raises(
        UserError, match="lexicon.safetensors does not fit the tokenizer of the run;"
    ):
        Translator.load(run, device="cpu", overrides=ASKED)


def test_what_is_no_lexicon_is_refused(run: Path) -> None:
    file = run / "lexicon" / "lexicon.safetensors"
    sound = file.read_bytes()
    for data in (b"", sound[:100], b"\xff" * 100, save({"more": np.zeros(3)}), sound + b"\0"):
        file.write_bytes(data)
        (file.parent / CHECKSUMS).write_bytes(checksums({file.name: data}))
        with pytest.raises(UserError, match="lexicon.safetensors is damaged: it holds no lexicon;"):
            Translator.load(run, device="cpu", overrides=ASKED)


def test_a_full_disk_is_told(
    run: Path, prepared: Prepared, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(run / "lexicon")
    (run / "lexicon").write_text("in the way")
    (run / ".lexicon.part").write_text("in the way")
    save_lexicon(run, build_lexicon(prepared, 1))
    assert "cannot write the lexicon" in caplog.text
