"""Random choices whose sequence is the same on every Python."""

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

Choice = TypeVar("Choice")


class Dice:
    """Everything is built on ``random()``, the one method whose sequence Python guarantees."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def chance(self, probability: float) -> bool:
        return self._random() < probability

    def pick(self, choices: Sequence[Choice]) -> Choice:
        return choices[int(self._random() * len(choices))]

    def weighted(self, weights: Mapping[Choice, float]) -> Choice:
        """A key of ``weights``, in proportion to its value."""
        point = self._random() * sum(weights.values())
        for choice, weight in weights.items():
            point -= weight
            if point < 0:
                return choice
        return choice

    def shuffled(self, items: Sequence[Choice]) -> list[Choice]:
        """Fisher and Yates."""
        result = list(items)
        for last in range(len(result) - 1, 0, -1):
            other = int(self._random() * (last + 1))
            result[last], result[other] = result[other], result[last]
        return result
