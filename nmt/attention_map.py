"""Attention between the words of a sentence and its translation, and pictures of it.

L decoder layers, H heads, T target words, S source words with </s>; I target pieces with EOS,
J source pieces with EOS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from nmt.config import BOS
from nmt.data.batch import pad
from nmt.data.tokenizer import Tokenizers
from nmt.data.words import unit_spans
from nmt.errors import one_of
from nmt.fonts import NARROW, fonts_for, shortened, width
from nmt.models.seq2seq import Seq2Seq

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Spans = Sequence[tuple[int, int]]  # characters of a text: begin, end

READINGS = ("predicting", "reading")
END = "</s>"
BATCH_WEIGHTS = 1 << 16  # attention weights of one head for a batch of sentences

# Sizes in a picture: dots per inch, points, and inches.
DPI, FONT, MARGIN = 120, 9.0, 0.1
WIDTH = 16.0  # approximate width of a row of panels, which determines the size of the cells
NAME_WIDTH = 1.05  # room for "layer 1, head 1"
SCALE_WIDTH = 0.5
LONGEST_LABEL = 30 * NARROW  # longest label of a word, in ems
INK, NAMES = "#30343c", "layer, head 0123456789."


class AttentionMap(NamedTuple):
    """The attention of each target word to the source words. Every row of the weights sums to 1.

    In scripts without spaces between words (Chinese, Thai), pieces stand for words.
    """

    source: list[str]  # words, the last one </s>
    target: list[str]  # words
    weights: np.ndarray  # (L, H, T, S) float32


def attention_maps(
    model: Seq2Seq,
    tokenizers: Tokenizers,
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    reading: str = "predicting",
    keep: Callable[[np.ndarray], np.ndarray] | None = None,
) -> list[AttentionMap]:
    """The attention of `model`, which must be in evaluation mode, with `targets` as its output.

    A decoder attends before it predicts a target piece, and again after reading it. `reading` says
    which of the two counts for the piece: "predicting" or "reading" (shifted as in Chen et al.
    2020, when the piece is known). Which of them aligns better differs between heads. `keep` picks
    layers and heads of (L, H, I, J), sentence by sentence.
    """
    one_of("reading", reading, READINGS)
    shift = READINGS.index(reading)
    source_ids = tokenizers.source.encode_many(sources)
    target_ids = tokenizers.target.encode_many(targets)
    maps: list[AttentionMap | None] = [None] * len(sources)
    for row, weights in _piece_weights(model, source_ids, target_ids):
        pieces = weights[:, :, shift : shift + len(target_ids[row])]  # (L, H, I + 1, J) -> I rows
        pieces = pieces if keep is None else keep(pieces)
        maps[row] = _between_words(tokenizers, sources[row], targets[row], pieces)
    return [found for found in maps if found is not None]


def _piece_weights(
    model: Seq2Seq, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> Iterator[tuple[int, np.ndarray]]:
    """Teacher forcing in batches: the row of a sentence and its (L, H, I + 1, J), in any order.

    Row i belongs to input i of BOS, y1, ..., yI: it predicts y(i+1).
    """
    assert not model.training, "dropout would blur the attention"
    for rows in _batches(sources, targets):
        source = pad([sources[row] for row in rows])
        tokens = pad([[BOS, *targets[row]] for row in rows])
        with torch.inference_mode():
            weights = model(source, tokens, need_weights=True).weights  # (B, L, H, I + 1, J)
        arrays = weights.float().cpu().numpy()
        for row, array in zip(rows, arrays, strict=True):
            yield row, array[:, :, : len(targets[row]) + 1, : len(sources[row])]


def _batches(
    sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> Iterator[list[int]]:
    """Rows of similar length, few enough that their weights stay small."""
    order = sorted(range(len(sources)), key=lambda row: (len(targets[row]), len(sources[row])))
    batch: list[int] = []
    longest = 0
    for row in order:
        longest = max(longest, len(sources[row]))
        if batch and (len(batch) + 1) * (len(targets[row]) + 1) * longest > BATCH_WEIGHTS:
            yield batch
            batch, longest = [], len(sources[row])
        batch.append(row)
    if batch:
        yield batch


def _between_words(
    tokenizers: Tokenizers, source: str, target: str, pieces: np.ndarray
) -> AttentionMap:
    """Weights (L, H, I, J) between pieces -> (L, H, T, S) between words.

    They are summed over the pieces of a source word and averaged over those of a target word.
    """
    source_pieces = [*tokenizers.source.spans(source)[:-1], _end(source)]
    source_spans = [*unit_spans(source, source_pieces), _end(source)]
    target_pieces = [*tokenizers.target.spans(target)[:-1], _end(target)]
    target_spans = unit_spans(target, target_pieces)
    split = overlaps(source_spans, source_pieces)  # (S, J)
    split /= split.sum(axis=0)
    mean = overlaps(target_pieces, target_spans).T  # (T, I)
    mean /= mean.sum(axis=1, keepdims=True)
    weights = mean @ pieces @ split.T  # (T, I) @ (L, H, I, J) @ (J, S) -> (L, H, T, S)
    return AttentionMap(
        source=[source[begin:end] for begin, end in source_spans[:-1]] + [END],
        target=[target[begin:end] for begin, end in target_spans],
        weights=weights.astype(np.float32),
    )


def _end(text: str) -> tuple[int, int]:
    """A span of its own for </s>, which has no characters."""
    return len(text), len(text) + 1


def overlaps(rows: Spans, columns: Spans) -> np.ndarray:
    """The number of characters that spans of two lists have in common: (rows, columns) float64.

    A column without any (a lone space, a byte of a character, a word that normalization removed)
    counts for the nearest row, or the later of two, so that no column is all zero.
    """
    row, column = np.array(rows).reshape(-1, 1, 2), np.array(columns).reshape(1, -1, 2)
    common = np.minimum(row[..., 1], column[..., 1]) - np.maximum(row[..., 0], column[..., 0])
    shared: np.ndarray = np.maximum(common, 0).astype(np.float64)  # below zero: the distance
    for lost in np.flatnonzero(shared.sum(axis=0) == 0):
        nearest = len(rows) - 1 - int(common[::-1, lost].argmax())
        shared[nearest, lost] = 1.0
    return shared


def draw(found: AttentionMap, title: str | None = None) -> Figure:
    """Draws one panel per head, with separate rows per layer, all on a scale from 0 to 1."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layers, heads = found.weights.shape[:2]
    if not found.target:
        nothing = np.zeros((layers, heads, 1, len(found.source)), dtype=np.float32)
        found = found._replace(target=["(empty)"], weights=nothing)
    fonts = fonts_for([*found.source, *found.target, title or "", NAMES])

    def labels(words: Sequence[str]) -> list[str]:
        return [fonts.show(shortened(word, LONGEST_LABEL)) for word in words]

    found = found._replace(source=labels(found.source), target=labels(found.target))
    sheet = lay_out(found, titled=title is not None)
    figure = Figure(figsize=sheet.size, dpi=DPI)
    FigureCanvasAgg(figure)
    # One coordinate system, in inches, for all panels: separate axes would take a second.
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, sheet.size[0]), ylim=(sheet.size[1], 0))
    axes.set_axis_off()
    pen = Pen(axes, fonts.families)
    for layer, head in np.ndindex(layers, heads):
        box = sheet.panel(layer, head)
        _draw_weights(axes, box, found.weights[layer, head], lines=0.4)
        if layers * heads > 1:
            name = f"layer {layer + 1}, head {head + 1}"
            pen.write(box.x + box.width / 2, box.y + box.height + 0.05, name, FONT, va="top")
    for column in range(sheet.across):
        _write_source(pen, sheet.panel(0, column), found.source, sheet.font)
    for row in range(sheet.down):
        _write_target(pen, sheet.first_of_row(row), found.target, sheet.font)
    _draw_scale(pen, sheet.panel(0, sheet.across - 1))
    if title is not None:
        title = fonts.show(shortened(title, 72 * (sheet.size[0] - 2 * MARGIN) / (FONT + 1)))
        pen.write(MARGIN, MARGIN, title, FONT + 1, ha="left", va="top")
    return figure


def save_png(
    found: AttentionMap | Sequence[AttentionMap], path: Path, title: str | None = None
) -> np.ndarray:
    """Writes the picture of a map, or of several maps below each other; creates its folder.

    Returns the pixels (rows, columns, 4) uint8.
    """
    from matplotlib.image import imsave

    maps = [found] if isinstance(found, AttentionMap) else found
    pixels = _stacked([_pixels(each, title) for each in maps])
    path.parent.mkdir(parents=True, exist_ok=True)
    imsave(path, pixels)
    return pixels


def _pixels(found: AttentionMap, title: str | None) -> np.ndarray:
    """(rows, columns, 4) uint8"""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(draw(found, title))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def _stacked(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures below each other, padded with white on the right."""
    width = max(picture.shape[1] for picture in pictures)
    padded = [
        np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), constant_values=255)
        for picture in pictures
    ]
    return np.concatenate(padded)


class Box(NamedTuple):
    """A place on the sheet in inches, from the left and the top."""

    x: float
    y: float
    width: float
    height: float


class Sheet(NamedTuple):
    """The places of the panels, in inches."""

    across: int  # panels per row
    rows: int  # rows per layer
    down: int  # rows of all layers together
    first: Box  # the panel of layer 1, head 1
    step: tuple[float, float]  # from panel to panel
    size: tuple[float, float]  # of the sheet
    font: float  # points, of the words

    def panel(self, layer: int, head: int) -> Box:
        row, column = divmod(head, self.across)
        box = self.first_of_row(layer * self.rows + row)
        return box._replace(x=box.x + column * self.step[0])

    def first_of_row(self, row: int) -> Box:
        return self.first._replace(y=self.first.y + row * self.step[1])


def lay_out(found: AttentionMap, *, titled: bool) -> Sheet:
    layers, heads, target, source = found.weights.shape
    across = min(heads, 8 if layers > 1 else 4)
    rows = -(-heads // across)
    cell = min(0.22, max(0.12, WIDTH / (across * source)))
    font = min(FONT, 54 * cell)
    left, top = _room(found.target, font), _room(found.source, font) + (0.3 if titled else 0.0)
    first = Box(left, top, max(source * cell, NAME_WIDTH), target * cell)
    step = first.width + 0.12, first.height + (0.32 if layers * heads > 1 else MARGIN)
    size = left + across * step[0] + SCALE_WIDTH, top + layers * rows * step[1]
    return Sheet(across, rows, layers * rows, first, step, size, font)


def _room(words: Sequence[str], font: float) -> float:
    """The width of the longest word with its margin, in inches."""
    return 2 * MARGIN + max(map(width, words)) * font / 72


def _draw_weights(axes: Axes, box: Box, weights: np.ndarray, lines: float) -> None:
    x = np.linspace(box.x, box.x + box.width, weights.shape[1] + 1)
    y = np.linspace(box.y, box.y + box.height, weights.shape[0] + 1)
    axes.pcolormesh(x, y, weights, vmin=0, vmax=1, cmap="Blues", edgecolors="w", linewidth=lines)
    axes.plot(x[[0, -1, -1, 0, 0]], y[[0, 0, -1, -1, 0]], color="#c8ccd4", linewidth=0.8)


def _draw_scale(pen: Pen, beside: Box) -> None:
    box = beside._replace(x=beside.x + beside.width + 0.15, width=0.1)
    _draw_weights(pen.axes, box, np.linspace(1, 0, 64)[:, None], lines=0)
    for value in (0.0, 0.5, 1.0):
        y = box.y + (1 - value) * box.height
        pen.write(box.x + box.width + 0.05, y, f"{value:g}", FONT - 2, ha="left")


def _write_source(pen: Pen, box: Box, words: Sequence[str], font: float) -> None:
    for place, word in enumerate(words):
        x = box.x + (place + 0.5) * box.width / len(words)
        pen.write(x, box.y - 0.05, word, font, va="bottom", rotation=90)


def _write_target(pen: Pen, box: Box, words: Sequence[str], font: float) -> None:
    for place, word in enumerate(words):
        y = box.y + (place + 0.5) * box.height / len(words)
        pen.write(box.x - 0.05, y, word, font, ha="right")


class Pen(NamedTuple):
    """Writes on a sheet."""

    axes: Axes
    families: list[str]

    def write(
        self,
        x: float,
        y: float,
        text: str,
        font: float,
        *,
        ha: str = "center",
        va: str = "center",
        rotation: float = 0,
    ) -> None:
        style = {"size": font, "family": self.families, "color": INK}
        # A dollar sign must not start a formula.
        self.axes.text(x, y, text, style, ha=ha, va=va, rotation=rotation, parse_math=False)
