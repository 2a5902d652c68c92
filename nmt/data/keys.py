"""Hashes of texts, for finding equal texts and for drawing some at random.

They are the same in every process and on every machine.
"""

from __future__ import annotations

from hashlib import blake2b

from nmt.data.normalization import normalized, single_spaced
from nmt.data.readers import Pair


def folded(text: str) -> str:
    """Equal for texts that differ only in case, spaces and the encoding of accents."""
    return single_spaced(normalized(text.casefold()))


def digest(text: str) -> int:
    """8 bytes that stand for a text: among a million, two share them once in 10^7 corpora."""
    raw = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(raw, digest_size=8).digest(), "little")


def pair_digest(pair: Pair) -> int:
    """The same for pairs that differ only in spaces and the encoding of accents."""
    return digest("\n".join(single_spaced(normalized(text)) for text in pair))


def rank(text: str, purpose: str, seed: int) -> int:
    """A place in a random order of all texts; each purpose and each seed has its own order."""
    return digest(f"{purpose} {seed}\n{text}")
