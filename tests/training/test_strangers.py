"""A run directory that somebody sent: it executes nothing, reads nothing outside itself, and what
it declares is not allocated."""

from __future__ import annotations

import json
import resource
import shutil
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from nmt.compose import load_config, save_config
from nmt.errors import UserError
from nmt.training.checkpoint import find_checkpoint, load_run
from nmt.training.files import CHECKSUMS, checksums
from nmt.training.launch import train

WEIGHTS = "model.safetensors"


def resumed(run: Path) -> None:
    config = load_config(run / "config.yaml")
    config.resume = str(run)
    train(config)


def sign_anew(folder: Path) -> None:
    """As whoever made the directory can."""
    files = {f.name: f.read_bytes() for f in folder.iterdir() if f.name != CHECKSUMS}
    (folder / CHECKSUMS).write_bytes(checksums(files))


def contents(run: Path) -> dict[str, bytes]:
    """Of all that a run that is refused may not change."""
    files = (path for path in sorted(run.rglob("*")) if path.is_file() and path.name != "lock")
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


def trap(sprung: Path) -> object:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (sprung,)

    return Trap()


def test_code_in_a_checkpoint_does_not_run(run: Path, tmp_path: Path) -> None:
    newest = find_checkpoint(run, "last")
    state = torch.load(newest / "training.pt", weights_only=True)
    for place in ("progress", "optimizer", "more"):
        torch.save({**state, place: trap(tmp_path / "sprung")}, newest / "training.pt")
        sign_anew(newest)
        before = contents(run)
        with pytest.raises(UserError, match="training.pt is damaged: Weights only load failed"):
            resumed(run)
        assert contents(run) == before and not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "strange",
    [
        {"progress": {"step": "many"}},
        {"progress": {"speed": 3}},
        {"progress": [1, 2]},
        {"optimizer": {0: {"step": torch.tensor(1.0), "exp_avg": torch.zeros(2)}}},
        {"optimizer": {9999: {}}},
        {"random": torch.zeros(4)},
        {"window": {"updates": [(1, 2)]}},
        {"window": None},
    ],
    ids=str,
)
def test_a_state_of_another_kind_is_refused(run: Path, strange: dict[str, object]) -> None:
    newest = find_checkpoint(run, "last")
    state = torch.load(newest / "training.pt", weights_only=True)
    torch.save({**state, **strange}, newest / "training.pt")
    sign_anew(newest)
    before = contents(run)
    with pytest.raises(UserError, match="training.pt is damaged: it is not a training state"):
        resumed(run)
    assert contents(run) == before


@pytest.mark.parametrize("shape", [(2,), (10**6,), ()])
def test_moments_of_another_shape_are_refused(run: Path, shape: tuple[int, ...]) -> None:
    """The library's kernel would read past their end."""
    newest = find_checkpoint(run, "last")
    state = torch.load(newest / "training.pt", weights_only=True)
    state["optimizer"][0]["exp_avg"] = torch.zeros(shape)
    torch.save(state, newest / "training.pt")
    sign_anew(newest)
    with pytest.raises(UserError, match="training.pt is damaged: it is not a training state"):
        resumed(run)


def test_an_archive_that_would_fill_the_memory_is_refused(run: Path) -> None:
    file = find_checkpoint(run, "last") / "training.pt"
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    sign_anew(file.parent)
    with pytest.raises(UserError, match="training.pt is damaged: its uncompressed size"):
        resumed(run)


def header(run: Path, **entry: object) -> None:
    """Declares something else of one tensor than there is."""
    file = find_checkpoint(run, "last") / WEIGHTS
    data = file.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    declared = json.loads(data[8 : 8 + length])
    declared["output.weight" if "output.weight" in declared else sorted(declared)[-1]] |= entry
    text = json.dumps(declared).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    sign_anew(file.parent)


@contextmanager
def little_memory() -> Iterator[None]:
    """An allocation of a gigabyte more than there is fails."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


TERABYTE = 1 << 38  # numbers of four bytes


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"shape": [TERABYTE]}, "where"),
        ({"shape": [TERABYTE], "data_offsets": [0, 4 * TERABYTE]}, "where"),
        ({"data_offsets": [0, 4 * TERABYTE]}, "cannot be loaded"),
        ({"shape": "wide"}, "cannot be loaded: its header is not"),
        ({"shape": None}, "cannot be loaded: its header is not"),
    ],
)
def test_a_header_that_declares_too_much(run: Path, entry: dict[str, object], message: str) -> None:
    header(run, **entry)
    for use in (resumed, lambda run: load_run(run, checkpoint="last", device="cpu")):
        with little_memory(), pytest.raises(UserError, match=f"{WEIGHTS} .*{message}"):
            use(run)


@pytest.mark.parametrize("length", [1 << 60, (1 << 64) - 1, 1 << 25, 3, 0])
def test_a_header_of_impossible_length(run: Path, length: int) -> None:
    file = find_checkpoint(run, "last") / WEIGHTS
    file.write_bytes(struct.pack("<Q", length) + file.read_bytes()[8:])
    sign_anew(file.parent)
    with little_memory(), pytest.raises(UserError, match=f"{WEIGHTS} cannot be loaded: its header"):
        load_run(run, checkpoint="last", device="cpu")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("width", 10**9),
        ("width", 2**62),
        ("feedforward", 10**9),
        ("encoder_layers", 10**9),
        ("decoder_layers", 10**9),
        ("width", 32),
        ("encoder_layers", 2),
    ],
)
def test_a_config_of_another_size_is_refused(run: Path, key: str, value: int) -> None:
    config = load_config(run / "config.yaml")
    setattr(config.model, key, value)
    save_config(config, run / "config.yaml")
    with little_memory(), pytest.raises(UserError) as caught:
        load_run(run, device="cpu")
    assert WEIGHTS in str(caught.value) and "fit" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "place",
    [
        *("config.yaml", "tokenizer.model", "metrics.jsonl", "lock", "checkpoints/best"),
        *("checkpoints/00000008", "checkpoints/00000008/training.pt", "tensorboard"),
    ],
)
def test_links_that_leave_are_refused(run: Path, tmp_path: Path, place: str) -> None:
    secret = tmp_path / "secret"
    (run / place).rename(secret)
    (run / place).symlink_to(secret)
    before = {str(path): path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    for use in (load_run, resumed):
        with pytest.raises(UserError, match=f"{place} is a symbolic link that leaves the run"):
            use(run)
    assert before == {str(path): path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}


@pytest.mark.parametrize("target", ["../../copy2", "..", "/etc", ".", "", "x" * 10**7])
def test_pointers_that_leave_are_refused(run: Path, tmp_path: Path, target: str) -> None:
    shutil.copytree(run, tmp_path / "copy2")
    (run / "checkpoints" / "best").write_text(target)
    with pytest.raises(UserError, match="has no checkpoint best: it has "):
        load_run(run, device="cpu")
