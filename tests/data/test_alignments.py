"""True alignments run from source to target, whichever way the corpus is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nmt.attention_map import AttentionMap
from nmt.config import DataConfig
from nmt.data.alignments import turned
from nmt.data.corpus import load_corpus, read_split
from nmt.errors import UserError
from nmt.evaluation.alignment import align_heads

BACK = {"source_language": "de", "target_language": "en"}
PAIRS = [(f"the cat {n} sleeps today .", f"heute schläft {n} .") for n in range(40)]
LINKS = [[(1, 1), (2, 2), (3, 1), (4, 0), (5, 3)]] * len(PAIRS)


def test_the_demo_is_turned():
    forth = read_split(DataConfig(), "validation")
    back = read_split(DataConfig(**BACK), "validation")
    assert back.source == forth.target and back.target == forth.source
    assert back.alignments == [turned(links) for links in forth.alignments or []]


def aer(links: list[tuple[int, int]], true: list[tuple[int, int]], sizes: tuple[int, int]) -> float:
    """Of attention that draws `links`; sizes are source and target words."""
    weights = np.zeros((1, 1, sizes[1], sizes[0] + 1))  # (L, H, T, S + 1)
    for source, target in links:
        weights[0, 0, target, source] = 1.0
    found = AttentionMap(["w"] * sizes[0] + ["</s>"], ["w"] * sizes[1], weights)
    return align_heads([found], [true], "predicting")[0].aer


def test_the_error_rate_is_the_same_both_ways():
    """1 - 2 |A and S| / (|A| + |S|): of 3 links drawn, 2 are among 3 true ones."""
    drawn, true = [(0, 0), (1, 2), (2, 1)], [(0, 0), (1, 2), (3, 1)]
    by_hand = 1 - 2 * 2 / (3 + 3)
    assert aer(drawn, true, (4, 3)) == pytest.approx(by_hand)
    assert aer(turned(drawn), turned(true), (3, 4)) == pytest.approx(by_hand)


def corpus(folder: Path, name: str, splits: tuple[str, ...] = ("train", "val", "test")) -> None:
    """Aligned English and German, the links from English to German."""
    for split in splits:
        for side, column in (("en", 0), ("de", 1)):
            lines = "".join(f"{pair[column]}\n" for pair in PAIRS)
            (folder / f"{split}.{side}").write_text(lines, encoding="utf-8")
        text = "".join(" ".join(f"{a}-{b}" for a, b in links) + "\n" for links in LINKS)
        (folder / f"{split}.{name}").write_text(text)


@pytest.mark.parametrize("name", ["align", "en-de.align"])
def test_both_directions_of_a_folder(tmp_path, name):
    corpus(tmp_path, name)
    forth = read_split(DataConfig(path=str(tmp_path)), "test")
    back = read_split(DataConfig(path=str(tmp_path), **BACK), "test")
    assert forth.alignments == LINKS
    assert back.alignments == [turned(links) for links in LINKS]


def test_the_name_decides_where_both_directions_fit(tmp_path):
    corpus(tmp_path, "align")
    square = "0-1 1-0 2-2\n" * len(PAIRS)
    (tmp_path / "test.align").write_text(square)
    config = DataConfig(path=str(tmp_path), **BACK)
    assert read_split(config, "test").alignments == [[(0, 1), (1, 0), (2, 2)]] * len(PAIRS)
    (tmp_path / "test.en-de.align").write_text("0-2 1-0 2-1\n" * len(PAIRS))
    assert read_split(config, "test").alignments == [[(0, 1), (1, 2), (2, 0)]] * len(PAIRS)


@pytest.mark.parametrize("knobs", [{}, BACK, {"hold_out_from": "end"}])
def test_held_out_pairs_keep_their_alignments(tmp_path, knobs):
    corpus(tmp_path, "align", ("train",))
    numbered = "".join(f"1-1 2-2 5-{n % 4}\n" for n in range(len(PAIRS)))
    (tmp_path / "train.align").write_text(numbered)
    config = DataConfig(path=str(tmp_path), **knobs)
    whole = load_corpus(config)
    for split in (whole.validation, whole.test, read_split(config, "train")):
        links = split.alignments or []
        rows = [int(text.split()[2]) for text in (split.target if knobs == BACK else split.source)]
        true = [[(1, 1), (2, 2), (5, row % 4)] for row in rows]
        assert links == ([turned(each) for each in true] if knobs == BACK else true)
    assert len(whole.test.source) == 4


def test_too_few_alignments_for_what_is_held_out(tmp_path):
    corpus(tmp_path, "align", ("train",))
    (tmp_path / "train.align").write_text("0-0\n" * 3)
    with pytest.raises(UserError, match="train.align has 3 lines for .* sentence pairs"):
        load_corpus(DataConfig(path=str(tmp_path)))
