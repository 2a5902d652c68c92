"""The alignment error rate against alignments that are known by construction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nmt.attention_map import AttentionMap
from nmt.config import AttentionConfig, TransformerConfig
from nmt.errors import UserError
from nmt.evaluation.alignment import (
    Aligner,
    align_heads,
    links,
    load_aligner,
    pharaoh,
    same_head,
    save_aligner,
    select_head,
)


def attention(weights: np.ndarray) -> AttentionMap:
    """(L, H, T, S) with the column of </s>."""
    targets, sources = weights.shape[-2:]
    return AttentionMap(
        [*(f"s{i}" for i in range(sources - 1)), "</s>"],
        [f"t{i}" for i in range(targets)],
        weights.astype(np.float32),
    )


def one_head(rows: list[list[float]]) -> AttentionMap:
    return attention(np.array(rows)[None, None])


def test_identity_attention_has_no_errors() -> None:
    maps = [attention(np.broadcast_to(np.eye(n, n + 1), (2, 3, n, n + 1))) for n in (1, 4, 6)]
    truth = [[(i, i) for i in range(n)] for n in (1, 4, 6)]
    heads = align_heads(maps, truth, "reading")
    assert [(head.layer, head.head) for head in heads] == [
        (layer, head) for layer in (1, 2) for head in (1, 2, 3)
    ]
    for head in heads:
        assert (head.aer, head.precision, head.recall, head.reading) == (0, 1, 1, "reading")


def test_attention_to_other_words_is_all_errors() -> None:
    heads = align_heads([one_head([[0, 1, 0], [1, 0, 0]])], [[(0, 0), (1, 1)]], "reading")
    assert (heads[0].aer, heads[0].precision, heads[0].recall) == (1, 0, 0)


def test_counts_by_hand_over_two_sentences() -> None:
    # Links 0-0, 1-1 (true: 0-0, 1-1, 2-1) and 1-0 (true: 0-0): |A| = 3, |S| = 4, 2 in common.
    first = one_head([[0.9, 0.05, 0.0, 0.05], [0.1, 0.8, 0.1, 0.0]])
    second = one_head([[0.2, 0.7, 0.1]])
    (head,) = align_heads([first, second], [[(0, 0), (1, 1), (2, 1)], [(0, 0)]], "predicting")
    assert head.aer == pytest.approx(1 - 4 / 7)
    assert head.precision == pytest.approx(2 / 3)
    assert head.recall == pytest.approx(2 / 4)


def test_each_head_is_counted_for_itself() -> None:
    weights = np.stack([np.eye(3, 4), np.eye(3, 4)[::-1]])[None]  # (1, 2, 3, 4)
    right, mirrored = align_heads([attention(weights)], [[(i, i) for i in range(3)]], "reading")
    assert right.aer == 0
    assert mirrored.aer == pytest.approx(2 / 3)  # the middle word stays where it was


@pytest.mark.parametrize(
    ("row", "linked"),
    [
        ([0.5, 0.4, 0.1, 0.0], [True, False, False]),
        ([0.1, 0.3, 0.2, 0.4], [False, True, False]),  # </s> is no word, whatever it has
        ([0.4, 0.1, 0.4, 0.1], [True, False, True]),
        ([0.0, 0.0, 0.0, 1.0], [False, False, False]),
    ],
)
def test_links_of_one_target_word(row: list[float], linked: list[bool]) -> None:
    assert links(np.array([row])).tolist() == [linked]


def test_without_source_words_nothing_is_linked() -> None:
    assert links(np.ones((2, 3, 1))).shape == (2, 3, 0)
    (head,) = align_heads([one_head([[1.0]])], [[]], "reading")
    assert head.recall == 0


def test_a_link_outside_the_sentence_names_the_pair() -> None:
    good, bad = one_head([[1, 0]]), one_head([[1, 0]])
    with pytest.raises(UserError, match=r"pair 2 links 1-0, but the pair has only 1 source and 1"):
        align_heads([good, bad], [[(0, 0)], [(1, 0)]], "reading")


def model_config(layers: int = 2, heads: int = 3) -> TransformerConfig:
    return TransformerConfig(
        width=24, decoder_layers=layers, attention=AttentionConfig(heads=heads)
    )


def test_the_best_head_is_kept_and_found_again(tmp_path: Path) -> None:
    weights = np.stack([np.eye(3, 4)[::-1], np.eye(3, 4), np.eye(3, 4)[::-1]])  # (H, T, S)
    maps = [attention(np.stack([weights[[0, 0, 0]], weights]))]  # (2, 3, 3, 4)
    heads = align_heads(maps, [[(i, i) for i in range(3)]], "reading")
    best = select_head(heads)
    assert best is not None
    save_aligner(tmp_path, best, "test")
    aligner = load_aligner(tmp_path, model_config())
    assert aligner == Aligner(layer=2, head=2, reading="reading", split="test")
    assert same_head(heads[::-1], aligner) == best
    assert same_head(heads, aligner._replace(layer=9)) is None
    kept = aligner.pick(maps[0].weights)
    assert kept.shape == (1, 1, 3, 4)
    assert pharaoh([maps[0]._replace(weights=kept)]) == "0-0 1-1 2-2"


def test_without_true_alignments_it_is_the_mean_of_the_last_layer(tmp_path: Path) -> None:
    assert select_head([]) is None
    aligner = load_aligner(tmp_path, model_config())
    weights = np.random.default_rng(1).random((2, 3, 4, 5))
    np.testing.assert_allclose(aligner.pick(weights), weights[1].mean(0)[None, None])
    assert (aligner.reading, list(tmp_path.iterdir())) == ("predicting", [])


def test_links_of_parts_count_on() -> None:
    first = one_head([[0.0, 1.0, 0.0], [0.9, 0.0, 0.1]])  # two words to two
    second = one_head([[0.6, 0.4]])  # one to one
    assert pharaoh([first, second, second]) == "0-1 1-0 2-2 3-3"
    assert pharaoh([]) == pharaoh([one_head([[1.0]])]) == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "layer, head or reading is missing or wrong"),
        ('{"layer": 1}', "layer, head or reading is missing or wrong"),
        ('{"layer": null, "head": 1, "reading": "reading"}', "layer, head or reading is missing"),
        ('{"layer": 3, "head": 1, "reading": "reading"}', "layer 3 and head 1, but the model has"),
        ('{"layer": 1, "head": 0, "reading": "reading"}', "layer 1 and head 0, but the model has"),
        ('{"layer": 1, "head": 1, "reading": "x"}', "reading must be one of predicting, reading"),
    ],
)
def test_a_damaged_file_is_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "alignment.json").write_text(text)
    with pytest.raises(UserError, match=message):
        load_aligner(tmp_path, model_config())
