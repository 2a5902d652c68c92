"""From attention between pieces to a picture of words.

L layers, H heads, T target words, S source words with </s>.
"""

from __future__ import annotations

import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from nmt.attention_map import AttentionMap, attention_maps, draw, overlaps, save_png
from nmt.config import (
    AttentionConfig,
    ModelConfig,
    RNNConfig,
    TokenizerConfig,
    TransformerConfig,
)
from nmt.data.tokenizer import Tokenizers, learn, word_spans
from nmt.errors import UserError
from nmt.models import build_model
from nmt.models.seq2seq import Decoded, Decoder, Seq2Seq

SOURCES = [
    "The little girl doesn't open the front door.",
    "It rains.",
    "",
    "An extraordinarily well-known unknowable zebra, 日本 and a ☃!",
]
TARGETS = [
    "Das kleine Mädchen öffnet die Haustür nicht.",
    "Es regnet.",
    "Nichts.",
    "Ein außerordentlich wohlbekanntes unerkennbares Zebra, 日本 und ein ☃!",
]
MODELS = [
    TransformerConfig(
        width=16, feedforward=16, encoder_layers=1, decoder_layers=2, tied_embeddings="none"
    ),
    RNNConfig(
        width=16, embedding=8, encoder_width=8, attention=AttentionConfig("additive", 1, 0.0)
    ),
]


@pytest.fixture(scope="module")
def tokenizers() -> Tokenizers:
    pairs = list(zip(SOURCES[:2], TARGETS[:2], strict=True)) * 4
    return learn(pairs, TokenizerConfig(vocabulary=400, joint=False), seed=1)


def model_of(config: ModelConfig, tokenizers: Tokenizers) -> Seq2Seq:
    torch.manual_seed(0)
    return build_model(config, tokenizers.source.size, tokenizers.target.size).eval()


@pytest.fixture(params=MODELS, ids=lambda config: config.name)
def model(request: pytest.FixtureRequest, tokenizers: Tokenizers) -> Seq2Seq:
    return model_of(request.param, tokenizers)


@pytest.mark.parametrize("reading", ["predicting", "reading"])
def test_words_on_the_axes_and_no_attention_lost(
    model: Seq2Seq, tokenizers: Tokenizers, reading: str
) -> None:
    maps = attention_maps(model, tokenizers, SOURCES, TARGETS, reading=reading)
    assert len(maps) == len(SOURCES)
    for found, source, target in zip(maps, SOURCES, TARGETS, strict=True):
        # 日本 is of two pieces, and of a script without spaces between words.
        source, target = (text.replace("日本", "日 本") for text in (source, target))
        assert found.source == [*(source[a:b] for a, b in word_spans(source)), "</s>"]
        assert found.target == [target[a:b] for a, b in word_spans(target)]
        assert found.weights.dtype == np.float32
        assert found.weights.shape[2:] == (len(found.target), len(found.source))
        np.testing.assert_allclose(found.weights.sum(-1), 1, atol=1e-5)
    assert maps[0].source[:4] == ["The", "little", "girl", "doesn't"]


def test_company_changes_nothing(model: Seq2Seq, tokenizers: Tokenizers) -> None:
    together = attention_maps(model, tokenizers, SOURCES, TARGETS)
    for row, found in enumerate(together):
        (alone,) = attention_maps(model, tokenizers, SOURCES[row : row + 1], TARGETS[row : row + 1])
        np.testing.assert_allclose(alone.weights, found.weights, atol=1e-5)


@pytest.mark.parametrize(
    "source, target",
    [
        ("The café is naïve.", "Das Mädchen öffnet die Tür."),
        ("Tiếng Việt, rất đẹp.", "한국어는 쉽다."),
        ("पढ़ना अच्छा है।", "Ẹ kú àárọ̀!"),
    ],
)
def test_decomposed_text_is_aligned_as_composed(
    model: Seq2Seq, tokenizers: Tokenizers, source: str, target: str
) -> None:
    pairs = [
        (unicodedata.normalize(form, source), unicodedata.normalize(form, target))
        for form in ("NFC", "NFD")
    ]
    composed, apart = attention_maps(model, tokenizers, *zip(*pairs, strict=True))
    assert apart.source[0] == pairs[1][0].split()[0]  # as it was given
    assert [unicodedata.normalize("NFC", word) for word in apart.source] == composed.source
    assert [unicodedata.normalize("NFC", word) for word in apart.target] == composed.target
    # A piece weighs by its characters, of which decomposed words have more.
    np.testing.assert_allclose(apart.weights, composed.weights, atol=0.05)
    np.testing.assert_allclose(apart.weights.sum(-1), 1, atol=1e-5)


class PointingModel(Seq2Seq):
    """Input i of the decoder attends to piece i of the source, in one layer and head."""

    def __init__(self) -> None:
        super().__init__(torch.nn.Identity(), Decoder(), torch.nn.Linear(1, 1))
        self.weights_given: list[int] = []
        self.eval()

    def forward(
        self, source: torch.Tensor, tokens: torch.Tensor, need_weights: bool = False
    ) -> Decoded:
        weights = torch.eye(tokens.size(1), source.size(1)).expand(len(source), 1, 1, -1, -1)
        self.weights_given.append(weights.numel())
        return Decoded(torch.zeros(0), weights)


def test_batches_stay_small_and_lose_no_sentence(
    tokenizers: Tokenizers, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, budget = PointingModel(), 400
    monkeypatch.setattr("nmt.attention_map.BATCH_WEIGHTS", budget)
    sources = [f"{SOURCES[1]} " * (row % 3) for row in range(20)]
    targets = [f"{TARGETS[1]} " * (row % 2) for row in range(20)]
    maps = attention_maps(model, tokenizers, sources, targets)
    assert [found.source[:-1] for found in maps] == [text.split() for text in spaced(sources)]
    assert 1 < len(model.weights_given) < len(sources)
    assert max(model.weights_given) <= budget


def spaced(texts: list[str]) -> list[str]:
    return [text.replace(".", " .") for text in texts]


def test_the_two_readings_are_a_piece_apart(tokenizers: Tokenizers) -> None:
    text = SOURCES[1]  # on both sides: the piece that input i predicts is piece i
    both = Tokenizers(tokenizers.source, tokenizers.source)
    (predicting,) = attention_maps(PointingModel(), both, [text], [text], reading="predicting")
    words = len(predicting.target)
    np.testing.assert_allclose(predicting.weights[0, 0], np.eye(words, words + 1), atol=1e-6)
    (reading,) = attention_maps(PointingModel(), both, [text], [text], reading="reading")
    assert np.trace(reading.weights[0, 0]) < np.trace(predicting.weights[0, 0])


def test_an_unknown_reading_is_refused(model: Seq2Seq, tokenizers: Tokenizers) -> None:
    with pytest.raises(UserError, match="did you mean 'reading'"):
        attention_maps(model, tokenizers, SOURCES, TARGETS, reading="readng")


def test_overlaps_by_hand() -> None:
    # Words at 0-3 and 4-9; the pieces are: the first three characters and the space, a piece on
    # both sides of the space, a piece within the second word, and a lone space.
    words, pieces = [(0, 3), (4, 9)], [(0, 4), (2, 6), (5, 9), (3, 4)]
    assert overlaps(words, pieces).tolist() == [[3, 1, 0, 0], [0, 2, 4, 1]]


def test_every_column_counts_for_something() -> None:
    shared = overlaps([(0, 2), (5, 6)], [(3, 3), (4, 4), (9, 9)])
    assert shared.tolist() == [[1, 0, 0], [0, 1, 1]]
    assert overlaps([(0, 1)], []).shape == (1, 0)


def fake(layers: int, heads: int, target: list[str], source: list[str]) -> AttentionMap:
    shape = layers, heads, len(target), len(source)
    weights = np.random.default_rng(0).dirichlet(np.full(len(source), 0.3), shape[:3])
    return AttentionMap(source, target, weights.reshape(shape).astype(np.float32))


@pytest.mark.parametrize(
    ("layers", "heads", "target", "source"),
    [
        (1, 1, ["Ein", "Hund"], ["A", "dog", "</s>"]),
        (2, 3, ["Tür"] * 8, ["door"] * 9),
        (1, 11, ["x"] * 40, ["y" * 60] * 40),
        (4, 8, ["$x$", "日本", "\u200b"], ["</s>"]),
        (1, 2, [], ["</s>"]),
    ],
)
def test_a_picture_for_any_number_of_heads_and_words(
    tmp_path: Path, layers: int, heads: int, target: list[str], source: list[str]
) -> None:
    from matplotlib.image import imread

    path = tmp_path / "new" / "map.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_png(fake(layers, heads, target, source), path, title="日本 $x$ of " + "long " * 50)
    picture = imread(path)
    assert picture.ndim == 3
    assert 20 < picture.shape[0] < 6000
    assert 20 < picture.shape[1] < 6000
    assert picture[..., :3].std() > 0.01  # not blank


def test_words_and_heads_are_named() -> None:
    figure = draw(fake(2, 2, ["Hund"], ["dog", "</s>"]), title="step 3")
    texts = [text.get_text() for text in figure.axes[0].texts]
    names = [text for text in texts if text.startswith("layer")]
    assert names == ["layer 1, head 1", "layer 1, head 2", "layer 2, head 1", "layer 2, head 2"]
    # Source words over each column, target words beside each row.
    assert (texts.count("dog"), texts.count("</s>"), texts.count("Hund")) == (2, 2, 2)
    assert "step 3" in texts
