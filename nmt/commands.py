"""Commands that can be pasted into a shell, with any names and sentences."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterable
from pathlib import Path

LONGEST_EXAMPLE = 80  # characters
PLAIN_VALUE = re.compile(r"[A-Za-z0-9_./+-]+")  # values that Hydra reads without quotes
PUNCTUATION = frozenset(" .,:;?()-")


def resume_command(run: Path | str) -> str:
    """Continues a run: `python scripts/train.py resume=runs/my-run`."""
    value = str(run)
    if not PLAIN_VALUE.fullmatch(value):
        # Hydra's quotes within those of the shell. Hydra unescapes backslashes before a quote.
        escaped = re.sub(r'(\\*)"', r'\1\1\\"', value)
        value = '"' + re.sub(r"(\\+)$", r"\1\1", escaped) + '"'
    return shlex.join(["python", "scripts/train.py", f"resume={value}"])


def evaluate_command(run: Path | str) -> str:
    return shlex.join(["python", "scripts/evaluate.py", str(run)])


def translate_command(run: Path | str, example: str | None) -> str:
    """Translates an example, or standard input without one."""
    return shlex.join(["python", "scripts/translate.py", str(run), *([example] if example else [])])


def curves_command(run: Path | str) -> str:
    return shlex.join(["tensorboard", "--logdir", str(run)])


def pick_example(sentences: Iterable[str]) -> str | None:
    """The first short sentence that has only words and plain punctuation, or None.

    A corpus may hold characters that are special to a shell, an option parser or a terminal, and
    escaping them would be hard to read.
    """
    return next(filter(is_harmless, sentences), None)


def is_harmless(sentence: str) -> bool:
    plain = all(letter in PUNCTUATION or is_word_character(letter) for letter in sentence)
    is_text = any(map(str.isalnum, sentence)) and sentence == sentence.strip()
    return plain and is_text and sentence[0] != "-" and len(sentence) <= LONGEST_EXAMPLE


def is_word_character(letter: str) -> bool:
    """Whether it is a letter, a combining mark, a digit or punctuation outside ASCII."""
    category = unicodedata.category(letter)
    return category[0] in "LM" or category == "Nd" or (category[0] == "P" and ord(letter) > 127)
