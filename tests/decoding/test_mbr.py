"""The sample most like the others, by hand and by sacrebleu."""

from __future__ import annotations

import pytest
from sacrebleu.metrics.chrf import CHRF

from nmt.decoding.mbr import expected_utilities, pick_utility

SAMPLES = ["a dog runs", "the dog runs", "a dog ran", "it rains", "a dog runs"]


def test_the_mean_over_all_samples_by_hand() -> None:
    shared = expected_utilities(["ab", "bc", "ab", "x"], lambda a, b: len(set(a) & set(b)))
    assert shared == {"ab": (2 + 1 + 2) / 4, "bc": (1 + 2 + 1) / 4, "x": 1 / 4}


def test_equal_samples_are_compared_once() -> None:
    asked: list[tuple[str, str]] = []

    def utility(hypothesis: str, reference: str) -> float:
        asked.append((hypothesis, reference))
        return 1.0

    assert set(expected_utilities(["a", "b"] * 9, utility).values()) == {1.0}
    assert len(asked) == len(set(asked)) == 4


@pytest.mark.parametrize("name", ["chrf", "bleu"])
def test_the_one_in_the_middle_is_the_best(name: str) -> None:
    utility = pick_utility(name)
    expected = expected_utilities(SAMPLES, utility)
    assert max(expected, key=expected.__getitem__) == "a dog runs"
    assert min(expected, key=expected.__getitem__) == "it rains"
    assert utility("a dog runs", "a dog runs") == pytest.approx(100)
    assert utility("", "") == utility("", "a") == 0


def test_chrf_is_that_of_sacrebleu() -> None:
    utility = pick_utility("chrf")
    expected = expected_utilities(SAMPLES, utility)["a dog ran"]
    scores = [CHRF().sentence_score("a dog ran", [other]).score for other in SAMPLES]
    assert expected == pytest.approx(sum(scores) / len(scores))


@pytest.mark.parametrize(
    "texts",
    [["小狗在公园里跑", "小狗在公园里走", "今天下雨了"], ["หมาวิ่งในสวน", "หมาเดินในสวน", "วันนี้ฝนตก"]],
)
def test_bleu_compares_texts_without_spaces(texts: list[str]) -> None:
    one, near, other = texts
    utility = pick_utility("bleu")
    assert utility(one, one) == pytest.approx(100)
    assert 100 > utility(near, one) > utility(other, one)
