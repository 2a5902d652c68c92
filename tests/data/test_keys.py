"""Which texts count as equal."""

from __future__ import annotations

import unicodedata

import pytest

from nmt.data.keys import folded, pair_digest

TEXTS = ["Ça va, Zoë?", "Tiếng Việt", "한국어 문장", "Ἀθῆναι", "ÅNGSTRÖM"]


@pytest.mark.parametrize("text", TEXTS)
def test_the_encoding_of_accents_makes_no_difference(text: str) -> None:
    composed, decomposed = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert folded(composed) == folded(f" {decomposed.upper()} ")
    assert pair_digest((composed, "x")) == pair_digest((decomposed, "x"))


def test_letters_and_words_do() -> None:
    assert folded("Zoe") != folded("Zoë")
    assert pair_digest(("a b", "x")) != pair_digest(("A b", "x")) != pair_digest(("ab", "x"))
