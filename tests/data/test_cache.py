"""A cache that was damaged, is written to by several processes at once, or cannot be written."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.data import cache
from nmt.data.cache import BROKEN, CHECKSUMS, WRITING, damage, ensure, seal
from nmt.data.encoded import prepare
from nmt.errors import UserError

TEXTS = {"a": b"alpha " * 1000, "b": b"beta"}


def write(place: Path) -> None:
    for name, data in TEXTS.items():
        (place / name).write_bytes(data)


def never(place: Path) -> None:
    raise AssertionError("what is sound was written again")


def is_whole(folder: Path) -> bool:
    return damage(folder) is None and all(
        (folder / name).read_bytes() == data for name, data in TEXTS.items()
    )


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def replaced_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


HARM: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "zeros": zeroed,
    "gone": Path.unlink,
    "a folder": replaced_by_folder,
    "a broken link": lambda path: (path.unlink(), path.symlink_to("nowhere")),
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
@pytest.mark.parametrize("name", ["a", "b", CHECKSUMS])
def test_what_is_damaged_is_written_again(tmp_path, caplog, name, harm):
    folder = tmp_path / "cache" / "corpus-1"
    assert ensure(folder, write) and not ensure(folder, never)
    assert not caplog.messages
    harm(folder / name)
    assert ensure(folder, write) and is_whole(folder)
    assert not ensure(folder, never)
    (message,) = caplog.messages
    assert "rebuilding the damaged cache: " in message and name in message
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize(
    "content", ["[]", '{"a": 1, "b": null}', "null", "\udcff", '{"../x": "1"}']
)
def test_damaged_checksums(tmp_path, content):
    folder = tmp_path / "corpus-1"
    ensure(folder, write)
    (folder / CHECKSUMS).write_text(content, errors="surrogateescape")
    assert ensure(folder, write) and is_whole(folder)


def test_a_file_in_the_place_of_the_folder(tmp_path):
    folder = tmp_path / "corpus-1"
    folder.write_text("a file")
    assert ensure(folder, write) and is_whole(folder)


def test_every_file_of_a_corpus_may_be_lost(make_config, tmp_path):
    fresh = prepare(make_config(), seed=1)
    rows = fresh.train.to_pylist()  # read now: the file that is mapped is harmed
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(files) == 8
    for path in files:
        for harm in (HARM["empty"], HARM["gone"]):
            harm(path)
            again = prepare(make_config(), seed=1)
            assert again.train.to_pylist() == rows and again.counts == fresh.counts
            assert again.contents == fresh.contents
            assert again.tokenizers.source.model == fresh.tokenizers.source.model


def test_a_large_file_is_compared_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "WHOLE", 1000)
    monkeypatch.setattr(cache, "BLOCKS", 4)
    monkeypatch.setattr(cache, "BLOCK", 100)
    large = bytes(range(250)) * 40
    path = tmp_path / "train.arrow"
    for data in (large, large[:-1], large[:-1] + b"x", b"x" + large[1:], bytes(len(large))):
        path.write_bytes(large)
        seal(tmp_path)
        assert damage(tmp_path) is None
        path.write_bytes(data)
        assert (damage(tmp_path) is None) == (data == large)
        (tmp_path / CHECKSUMS).unlink()


def test_all_is_on_the_disk_before_the_folder_gets_its_name(tmp_path, monkeypatch):
    events: list[str] = []
    monkeypatch.setattr(cache, "flush", lambda path: events.append(f"flush {path.name}"))
    rename = Path.rename

    def renamed(self: Path, target: Path) -> Path:
        events.append(f"rename to {target.name}")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", renamed)
    ensure(tmp_path / "corpus-1", write)
    assert sorted(events[:4]) == ["flush a", "flush b", "flush checksums.json", "flush whole"]
    assert events[4:] == ["rename to corpus-1", f"flush {tmp_path.name}"]


SLOW = """
import sys, time
from pathlib import Path
from nmt.data.cache import ensure

def write(place):
    (place / "a").write_text("half")
    print("writing", flush=True)
    time.sleep(60)

ensure(Path(sys.argv[1]), write)
"""


def test_remains_of_the_dead_are_removed_and_of_the_living_kept(tmp_path):
    def begin() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SLOW, str(tmp_path / "corpus-1")]
        root = str(Path(__file__).parents[2])
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
        )
        assert process.stdout is not None and process.stdout.readline() == "writing\n"
        return process

    dead, alive = begin(), begin()
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    (tmp_path / f"{BROKEN}x").mkdir()
    assert len(list(tmp_path.glob(f"{WRITING}*"))) == 2
    assert ensure(tmp_path / "corpus-2", write)
    assert len(list(tmp_path.glob(f"{WRITING}*"))) == 1 and not list(tmp_path.glob(f"{BROKEN}*"))
    alive.send_signal(signal.SIGKILL)
    alive.wait()
    assert not ensure(tmp_path / "corpus-2", never)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus-2"]


def test_processes_that_share_a_cache(tmp_path):
    folder = tmp_path / "corpus-1"
    with multiprocessing.get_context("fork").Pool(4) as pool:
        jobs = [pool.apply_async(ensure, (folder, write)) for _ in range(40)]
        assert sum(job.get() for job in jobs) >= 1
        (folder / "a").unlink()
        jobs = [pool.apply_async(ensure, (folder, write)) for _ in range(40)]
        assert sum(job.get() for job in jobs) >= 1
    assert is_whole(folder)
    assert list(tmp_path.iterdir()) == [folder]


def test_another_process_was_faster(tmp_path):
    """The one that is late uses what is there, and takes nothing away from those that read it."""
    folder = tmp_path / "corpus-1"
    inode = 0

    def late(place: Path) -> None:
        nonlocal inode
        write(place)
        ensure(folder, write)
        inode = (folder / "a").stat().st_ino

    ensure(folder, late)
    assert is_whole(folder) and (folder / "a").stat().st_ino == inode


def test_a_reader_keeps_what_it_has_open(tmp_path):
    folder = tmp_path / "corpus-1"
    ensure(folder, write)
    with (folder / "a").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    (folder / "b").unlink()
    ensure(folder, write)
    assert mapped[:] == TEXTS["a"]


def test_without_locks_it_still_works(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr(cache.fcntl, "flock", refuse)
    folder = tmp_path / "corpus-1"
    assert ensure(folder, write) and is_whole(folder)
    (folder / "a").unlink()
    assert ensure(folder, write) and is_whole(folder)
    assert list(tmp_path.iterdir()) == [folder]


def test_nothing_is_written_into_a_sound_cache(make_config, tmp_path):
    """So that it may be read-only."""
    prepare(make_config(), seed=1)

    def state() -> dict[str, int]:
        paths = [tmp_path / "cache", *(tmp_path / "cache").rglob("*")]
        return {str(path): path.stat().st_mtime_ns for path in paths}

    before = state()
    prepare(make_config(), seed=1)
    assert state() == before


def test_what_is_damaged_where_nothing_can_be_written(tmp_path, monkeypatch):
    folder = tmp_path / "corpus-1"
    ensure(folder, write)
    (folder / "a").unlink()

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cache.tempfile, "mkdtemp", refuse)
    with pytest.raises(UserError, match="data.cache: .*corpus-1 cannot be written: Permission den"):
        ensure(folder, write)


def test_a_cache_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="data.cache: .*file is a file, not a folder"):
        ensure(tmp_path / "file" / "corpus-1", never)
