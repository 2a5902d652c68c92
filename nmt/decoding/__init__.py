"""Search over any decoder, and the translation of many sentences by it."""

from nmt.decoding.beam import Hypothesis
from nmt.decoding.translate import translate_ids

__all__ = ["Hypothesis", "translate_ids"]
