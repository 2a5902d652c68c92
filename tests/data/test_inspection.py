"""The first pairs of a corpus in the log, and a warning if its languages are others."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from functools import cache

import pytest

from nmt.config import DataConfig
from nmt.data import inspection
from nmt.data.inspection import contradiction, inspect
from nmt.data.readers import Languages, Pair

# A few words of each; sentences are made of them.
WORDS = {
    "en": "the a dog house of with and sees under small that which good morning never because",
    "it": "il una cane casa della con e vede sotto piccola che quale buongiorno mai perché",
    "pl": "pies dom który widzi pod mały jest dzień dobry nigdy ponieważ się nie żółty książka",
    "da": "hunden huset som ser under lille er god morgen aldrig fordi ikke gul bogen hvad",
    "no": "hunden huset som ser under liten er god morgen aldri fordi ikke gul boken hva",
    "el": "ο σκύλος το σπίτι που βλέπει κάτω από μικρό είναι καλημέρα ποτέ γιατί δεν κίτρινο",
    "ru": "собака дом который видит под маленький это доброе утро никогда потому что не жёлтый",
    "th": "สุนัข บ้าน ที่ เห็น ใต้ เล็ก คือ สวัสดี ตอนเช้า ไม่เคย เพราะว่า สีเหลือง หนังสือ",
    "xx": "qx blorf zzint wepp kreq vumm jisk dorpy fenq hulb grax tirv ompz lwek",
}


@pytest.fixture(autouse=True, scope="module")
def guesser() -> Iterator[None]:
    """Loads the guesser once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspection, "load_guesser", cache(inspection.load_guesser))
        yield


def sentences(language: str, count: int = 80) -> list[str]:
    rng = random.Random(language)
    words = WORDS[language].split()
    return [" ".join(rng.choices(words, k=10)) + "." for _ in range(count)]


def corpus(source: str, target: str, count: int = 80) -> list[Pair]:
    return list(zip(sentences(source, count), sentences(target, count), strict=True))


@pytest.mark.parametrize(
    "texts, languages",
    [
        (("en", "it"), ("en", "it")),
        (("pl", "el"), ("pol", "Greek")),
        (("en", "da"), ("en", "nb")),
        (("en", "no"), ("en", "da")),
        (("en", "th"), ("en-GB", "th")),
        (("xx", "en"), ("tlh", "en")),
        (("xx", "xx"), ("src", "tgt")),
        (("it", "en"), ("foo", "bar")),
        (("ru", "en"), ("bg", "en")),
    ],
)
def test_no_false_alarm(texts, languages):
    assert contradiction(corpus(*texts), Languages(*languages)) is None


@pytest.mark.parametrize(
    "texts, languages, message",
    [
        (("it", "en"), ("en", "it"), "swapped: the source looks like Italian and the target looks"),
        (("th", "pl"), ("pl", "th"), "source and target seem to be swapped"),
        (("en", "pl"), ("en", "it"), "the target looks like Polish, but data.source_language=en"),
        (("ru", "en"), ("el", "en"), "the source looks like Russian, but"),
        (("en", "en"), ("en", "el"), "the target looks like English, but"),
    ],
)
def test_a_contradiction(texts, languages, message):
    told = contradiction(corpus(*texts), Languages(*languages))
    assert told is not None and message in told


def test_few_or_short_texts_say_nothing():
    assert contradiction(corpus("it", "en", 4), Languages("en", "it")) is None
    assert contradiction([("ciao", "hello")] * 30, Languages("en", "it")) is None
    assert contradiction([("1 2 3", "?")] * 500, Languages("en", "it")) is None
    assert contradiction([], Languages("en", "it")) is None


def test_the_first_pairs_and_a_warning_are_logged(caplog):
    pairs = [("x" * 200, "y"), *corpus("el", "en")]
    data = DataConfig(source_language="en", target_language="el")
    with caplog.at_level(logging.INFO, logger="nmt"):
        inspect(iter(pairs), data).log()
    shown, warnings = caplog.messages[:-1], caplog.messages[-1]
    assert len(shown) == 3 and shown[0] == f"training pair 1: {'x' * 99}…  ->  y"
    assert warnings.startswith("source and target seem to be swapped")
    assert caplog.records[-1].levelno == logging.WARNING
