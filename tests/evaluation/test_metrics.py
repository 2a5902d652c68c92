"""Scores are sacrebleu's own, with its signatures."""

from __future__ import annotations

import pytest

from nmt.errors import UserError
from nmt.evaluation.metrics import score

REFERENCES = ["Ein Hund läuft im Park.", "Die Kinder spielen heute nicht.", "Es regnet, oder?"]


def test_the_references_themselves_are_perfect() -> None:
    scores = score(REFERENCES, REFERENCES, ter=True)
    assert scores.bleu == pytest.approx(100)
    assert scores.chrf == pytest.approx(100)
    assert scores.ter == 0


def test_one_wrong_word_by_hand() -> None:
    # 13a tokens a b c d x against a b c d e: precisions 4/5, 3/4, 2/3, 1/2, no brevity penalty.
    scores = score(["a b c d x"], ["a b c d e"], ter=True)
    assert scores.bleu == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    assert scores.ter == pytest.approx(100 / 5)


def test_case_counts() -> None:
    assert score([line.lower() for line in REFERENCES], REFERENCES).bleu < 90


def test_signatures_say_how() -> None:
    signatures = score(REFERENCES, REFERENCES, ter=True).signatures
    assert signatures["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert "nc:6|nw:0" in signatures["chrf"]
    assert set(signatures) == {"bleu", "chrf", "ter"}


def test_ter_only_where_asked_for() -> None:
    scores = score(REFERENCES, REFERENCES)
    assert scores.ter is None
    assert set(scores.signatures) == {"bleu", "chrf"}


def test_what_cannot_be_scored() -> None:
    with pytest.raises(UserError, match="2 translations and 3 references"):
        score(REFERENCES[:2], REFERENCES)
    with pytest.raises(UserError, match="nothing to score"):
        score([], [])
