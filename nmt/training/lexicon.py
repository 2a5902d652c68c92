"""The lexicon of a run: written at its end, and read when a search needs a shortlist.

lexicon/lexicon.safetensors, checksums.json
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from nmt.config import CANDIDATES
from nmt.data.lexicon import Lexicon
from nmt.data.tokenizer import Tokenizers
from nmt.decoding.shortlist import Shortlist
from nmt.errors import UserError, reads_run, require
from nmt.training.checkpoint import Run
from nmt.training.files import CHECKSUMS, damage, may_write, write_folder

FOLDER, FILE = "lexicon", "lexicon.safetensors"


def save_lexicon(run: Path, lexicon: Lexicon) -> None:
    with may_write("the lexicon"):
        write_folder(run / FOLDER, {FILE: save(lexicon._asdict())})


def shortlist_of(run: Run) -> Shortlist | None:
    """The shortlist of the run's config; None: the whole vocabulary.

    Raises `UserError` if the run has no lexicon for it, or a damaged one.
    """
    count = run.config.decoding.shortlist
    if count == 0:
        return None
    lexicon = load_lexicon(run.path, run.tokenizers)
    return make_shortlist(lexicon, count, run.tokenizers, run.model.device)


def make_shortlist(
    lexicon: Lexicon, count: int, tokenizers: Tokenizers, device: torch.device
) -> Shortlist:
    """A shortlist of `count` candidates per source piece. In a joint vocabulary each piece is also
    its own candidate, so that names can be copied."""
    candidates = lexicon.candidates[:, :count]
    if tokenizers.joint:
        itself = np.arange(len(candidates), dtype=np.int32)
        candidates = np.concatenate([candidates, itself[:, None]], axis=1)
    return Shortlist(
        torch.from_numpy(candidates).long().to(device),
        torch.from_numpy(lexicon.frequent).long().to(device),
        tokenizers.target.size,
    )


@reads_run
def load_lexicon(run: Path, tokenizers: Tokenizers) -> Lexicon:
    folder = run / FOLDER
    advice = f"; resume={run} creates it, decoding.shortlist=0 translates without it"
    there = (folder / CHECKSUMS).is_file()
    require(there, f"{run} has no lexicon, which decoding.shortlist needs{advice}")
    found = damage(folder, FILE)
    require(found is None, f"{found}{advice}")
    try:
        lexicon = Lexicon(**load_file(folder / FILE))
    except (SafetensorError, OSError, RuntimeError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"{folder / FILE} is damaged: it holds no lexicon{advice}") from error
    fits = check(lexicon, tokenizers.source.size, tokenizers.target.size)
    require(fits, f"{folder / FILE} does not fit the tokenizer of the run{advice}")
    return lexicon


def check(lexicon: Lexicon, source: int, target: int) -> bool:
    """Whether the lexicon fits vocabularies of these sizes."""
    candidates, frequent = lexicon
    return (
        candidates.shape == (source, CANDIDATES)
        and frequent.ndim == 1
        and all(part.dtype == np.int32 for part in lexicon)
        and all(((part >= 0) & (part < target)).all() for part in lexicon)
    )
