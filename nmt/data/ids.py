"""A column of sentences in Arrow, read where it lies: nothing is copied until it is taken."""

from __future__ import annotations

import hashlib
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


class Ids:
    """The ids of many sentences, memory-mapped, as arrays: lists of them would take four times as
    long."""

    def __init__(self, table: pa.Table, column: str) -> None:
        chunks = table.column(column).chunks
        self._values = [viewed(chunk.values) for chunk in chunks]
        self._offsets = [viewed(chunk.offsets) for chunk in chunks]
        sizes = [len(offsets) - 1 for offsets in self._offsets]
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])  # row of each chunk

    @property
    def lengths(self) -> NDArray[np.int32]:
        """(sentences,)"""
        parts = [np.diff(offsets) for offsets in self._offsets]
        return np.concatenate([np.empty(0, np.int32), *parts]).astype(np.int32)

    def sha256(self) -> str:
        """A hash of all ids and lengths."""
        digest = hashlib.sha256(self.lengths.tobytes())
        for values in self._values:
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()

    def take(self, rows: NDArray[np.int64]) -> list[NDArray[np.int32]]:
        chunks = np.searchsorted(self._starts, rows, side="right") - 1
        inner = rows - self._starts[chunks]
        return [self._row(chunk, row) for chunk, row in zip(chunks, inner, strict=True)]

    def _row(self, chunk: int, row: int) -> NDArray[np.int32]:
        begin, end = self._offsets[chunk][row : row + 2]
        row_ids: NDArray[np.int32] = self._values[chunk][begin:end]
        return row_ids


def viewed(column: pa.Int32Array) -> NDArray[np.int32]:
    """As its `to_numpy` gives it, which imports pandas."""
    return cast(NDArray[np.int32], np.from_dlpack(column))
