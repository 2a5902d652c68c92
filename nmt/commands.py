"""Commands to paste into a shell, whatever the names and the sentences in them."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterable
from pathlib import Path

LONGEST_EXAMPLE = 80  # characters
PLAIN_VALUE = re.compile(r"[A-Za-z0-9_./+-]+")  # what Hydra reads without quotes
PUNCTUATION = frozenset(" .,:;?()-")


def resume_command(run: Path | str) -> str:
    """Continues a run: `python scripts/train.py resume=runs/my-run`."""
    value = str(run)
    if not PLAIN_VALUE.fullmatch(value):
        # Hydra's quotes, within the shell's: of backslashes before a quote each one counts.
        escaped = re.sub(r'(\\*)"', r'\1\1\\"', value)
        value = '"' + re.sub(r"(\\+)$", r"\1\1", escaped) + '"'
    return shlex.join(["python", "scripts/train.py", f"resume={value}"])


def evaluate_command(run: Path | str) -> str:
    return shlex.join(["python", "scripts/evaluate.py", str(run)])


def translate_command(run: Path | str, example: str | None) -> str:
    """Translates an example; without one, what is typed or piped in."""
    return shlex.join(["python", "scripts/translate.py", str(run), *([example] if example else [])])


def curves_command(run: Path | str) -> str:
    return shlex.join(["tensorboard", "--logdir", str(run)])


def pick_example(sentences: Iterable[str]) -> str | None:
    """The first short sentence of nothing but words and plain punctuation.

    None where there is none: a corpus may hold what a shell, an option parser or a terminal reads
    as something else, and quotes around it would be hard to read.
    """
    return next(filter(is_harmless, sentences), None)


def is_harmless(sentence: str) -> bool:
    plain = all(letter in PUNCTUATION or is_word_character(letter) for letter in sentence)
    is_text = any(map(str.isalnum, sentence)) and sentence == sentence.strip()
    return plain and is_text and sentence[0] != "-" and len(sentence) <= LONGEST_EXAMPLE


def is_word_character(letter: str) -> bool:
    """A letter, a mark on one, a digit, or another script's punctuation."""
    category = unicodedata.category(letter)
    return category[0] in "LM" or category == "Nd" or (category[0] == "P" and ord(letter) > 127)
