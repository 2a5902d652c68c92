"""A run that was trained before the new vocabulary, metrics and limits translates as it did then.

`tests/data/before` is a tiny model of the demo corpus without its optimizer; the translations were
written by the program that trained it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nmt import Translator

BEFORE = Path(__file__).parent / "data" / "before"
TRANSLATIONS = {
    "The old man sees a small dog.": "Die Manen wan ster st.",
    "The old man sees a small dog. The guest is repairing a truck.": "Die Mante Schte wanen wanen.",
    "Where is my m² – “sign” … 10⁶?": "Die Schte we Schte anen we wanen we we wanen.",
    "": "",
    "This man tried to catch a ball.": "Die e Schte Schte wanen wanen.",
}


@pytest.fixture
def translator(tmp_path: Path) -> Translator:
    return Translator.load(shutil.copytree(BEFORE, tmp_path / "run"), device="cpu")


def test_it_translates_as_before(translator: Translator) -> None:
    assert translator.translate(list(TRANSLATIONS)) == list(TRANSLATIONS.values())
    best = translator.n_best(["The old man sees a small dog."])[0].hypotheses[0]
    assert best.score == pytest.approx(-7.521257, abs=1e-4)
    assert best.log_prob == pytest.approx(-33.845657, abs=1e-3)


def test_its_settings_keep_their_meaning(translator: Translator) -> None:
    config = translator.config
    assert config.training.metric == "bleu"
    assert (config.decoding.max_ratio, config.decoding.max_extra) == (1.5, 10)
    assert (config.data.hold_out_from, config.data.rules) == ("end", 1)
    assert config.data.tokenizer.normalization == "nmt_nfkc"
    source = translator.tokenizers.source
    assert source.decode(source.encode("10⁶ m²")) == "106 m2"
