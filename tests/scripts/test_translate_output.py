"""What translate.py reads and prints, by the real script and a model that learnt nothing."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import random
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).parents[2]
# Short translations, the same in all precisions.
SETTINGS = ("max_extra=3", "max_ratio=0.1", "precision=fp32")
STRANGE = {
    "empty": "",
    "emoji": "🐕",
    "ten thousand words": "word " * 9_999 + "end",
    "one long word": "w" * 5_000,
    "tabs": "\ta\tdog\t",
    "zero width": "a\u200bdog\u200d \ufeff",
    "zero width alone": "\u200b",
    "right to left": "\u202eكلب يجري\u202c",
    "line separator": "a\u2028dog\u2029\x85\x0b\x0c",
    "lone return": "a\rdog\r",
    "a hundred thousand spaces": " " * 100_000,
}


def command(run: Path, *arguments: str | Path) -> list[str]:
    settings = [word for each in SETTINGS for word in ("--set", f"decoding.{each}")]
    script = str(ROOT / "scripts" / "translate.py")
    return [sys.executable, script, str(run), "--device=cpu", *settings, *map(str, arguments)]


def environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "NMT_DEBUG"}
    return kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def translate(
    run: Path, *arguments: str | Path, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(run, *arguments), input=stdin, capture_output=True, env=environment()
    )


def lines_of(run: Path, *arguments: str | Path, stdin: str = "") -> list[str]:
    ran = translate(run, *arguments, stdin=stdin.encode())
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.decode().split("\n")[:-1]


def test_one_line_out_for_each_line_in(untrained_run: Path) -> None:
    text = "\n".join(STRANGE.values()).encode() + b"\nnot \xff\xfe UTF-8\n"
    ran = translate(untrained_run, "--beam-size=1", "--errors=replace", stdin=text)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count(b"\n") == len(STRANGE) + 1
    told = ran.stderr.decode()
    assert told.count("translating it in parts") == 2 and "Traceback" not in told
    assert "line 3 has " in told and "line 4 has " in told
    assert told.count("cut off") == 1, "once a file"


def test_control_characters_are_spaces_as_in_training(untrained_run: Path, tmp_path: Path) -> None:
    plain, controlled = tmp_path / "plain", tmp_path / "controlled"
    plain.write_text("A dog runs.\n" * 8, encoding="utf-8")
    odd = "\x00\x07\x0b\x1b\x7f\x85\u2028\u2029"
    controlled.write_text("".join(f"A{mark}dog runs.{mark}\n" for mark in odd), encoding="utf-8")
    expected = lines_of(untrained_run, "--input", plain)
    assert lines_of(untrained_run, "--input", controlled) == expected
    scores = lines_of(untrained_run, "--input", plain, "--score", plain)
    assert lines_of(untrained_run, "--input", controlled, "--score", controlled) == scores


def test_n_best_lists_are_those_of_moses(untrained_run: Path) -> None:
    found = lines_of(untrained_run, "--nbest", "3", stdin="A dog.\n\nIt rains.\n")
    fields = [line.split(" ||| ") for line in found]
    assert all(len(field) == 3 for field in fields)
    numbers = [int(field[0]) for field in fields]
    assert numbers == sorted(numbers) and set(numbers) == {0, 1, 2} and numbers.count(1) == 1
    scores = [float(score) for number, _, score in fields if number == "0"]
    assert len(scores) > 1 and scores == sorted(scores, reverse=True)


def test_json_says_all_of_a_line(untrained_run: Path, tmp_path: Path) -> None:
    sentences = ["A dog runs.", "", "It rains today."]
    links = tmp_path / "links"
    asked = ("--nbest=2", "--json", "--attention-matrix", "--alignments", links)
    rows = [json.loads(line) for line in lines_of(untrained_run, *asked, "--", *sentences)]
    plain = lines_of(untrained_run, *sentences)
    assert [row["source"] for row in rows] == sentences
    assert [row["hypotheses"][0]["text"] for row in rows] == plain
    assert [row["alignment"] for row in rows] == links.read_text().split("\n")[:-1]
    for row in rows:
        for hypothesis in row["hypotheses"]:
            assert set(hypothesis) == {"text", "score", "log_prob", "tokens"}
            assert bool(hypothesis["tokens"]) == bool(row["source"])
        (attention,) = row["attention"]
        assert len(attention["weights"]) == len(attention["target"])
        assert all(len(line) == len(attention["source"]) for line in attention["weights"])
        for source, target in (link.split("-") for link in row["alignment"].split()):
            best = max(attention["weights"][int(target)][:-1])
            assert attention["weights"][int(target)][int(source)] == pytest.approx(best, abs=1e-4)


def test_samples_depend_on_the_seed_alone(untrained_run: Path) -> None:
    drawn = ("--sample", "--top-k=50", "--temperature=1.5", "A dog runs.", "It rains.")
    first = lines_of(untrained_run, *drawn)
    assert lines_of(untrained_run, "--seed=1", *drawn) == first
    assert lines_of(untrained_run, "--seed=2", *drawn) != first
    chosen = ("--mbr", "--samples=4", "--utility=bleu", "A dog runs.")
    assert len(lines_of(untrained_run, *chosen)) == 1


def test_scores_of_given_translations(
    untrained_run: Path, make_run: Callable[..., Path], tmp_path: Path
) -> None:
    source, target = tmp_path / "a.en", tmp_path / "a.de"
    source.write_text("A dog runs.\n\nIt rains.\n")
    target.write_text("Ein Hund läuft.\nEs\n\n", encoding="utf-8")
    plain = lines_of(untrained_run, "--input", source, "--score", target)
    scores = [[float(number) for number in line.split("\t")] for line in plain]
    rows = [
        json.loads(line)
        for line in lines_of(untrained_run, "--input", source, "--score", target, "--json")
    ]
    assert [row["target"] for row in rows] == ["Ein Hund läuft.", "Es", ""]
    for row, (log_prob, perplexity) in zip(rows, scores, strict=True):
        assert row["log_prob"] == pytest.approx(log_prob, abs=1e-4) and log_prob < 0
        assert row["perplexity"] == pytest.approx(perplexity, abs=1e-3) and perplexity > 1
    other = make_run(tmp_path / "other", seed=2)
    together = lines_of(untrained_run, "--ensemble", other, "--input", source, "--score", target)
    assert len(together) == 3 and together != plain
    target.write_text("Ein Hund läuft.\n", encoding="utf-8")
    ran = translate(untrained_run, "--input", source, "--score", target)
    assert ran.returncode == 2
    assert b"a.en has 3 lines but " in ran.stderr and ran.stderr.count(b"\n") == 1


def peak_memory(process: subprocess.Popen[bytes]) -> int:
    """The most that a process had at once so far, in kB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks are read from /proc")
def test_memory_does_not_grow_with_the_lines(untrained_run: Path) -> None:
    first, rounds = 2_500, 6
    spaces = b" " * 500  # nothing to translate, and much to keep for who keeps what is read
    rng = random.Random(1)
    peaks = []
    with subprocess.Popen(
        command(untrained_run, "--beam-size=1", "--set=decoding.precision=auto"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdin is not None and process.stdout is not None

        def feed(stdin: IO[bytes]) -> None:
            for _ in range(first * rounds):
                text = b"A dog runs. " * min(8, int(rng.expovariate(0.5)) + 1)
                stdin.write(text + spaces + b"\n")
            stdin.flush()  # and left open: who has ended has no memory to tell of

        feeder = threading.Thread(target=feed, args=[process.stdin])
        feeder.start()
        for count, _ in enumerate(islice(process.stdout, first * rounds), start=1):
            if count % first == 0:
                peaks.append(peak_memory(process))
        feeder.join()
    assert process.returncode == 0 and len(peaks) == rounds
    assert peaks[-1] < 1.04 * peaks[0], peaks


def own_terminal() -> None:
    """In the child: Ctrl-C at its standard input interrupts it, whoever started the tests."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("keys", "status"), [(b"A dog runs.\n\x04", 0), (b"A dog runs.\n\x03", 130)], ids=["D", "C"]
)
def test_a_person_at_a_terminal(untrained_run: Path, keys: bytes, status: int) -> None:
    """Reads line by line what is on the screen; the second prompt comes after a translation."""
    person, terminal = pty.openpty()
    process = subprocess.Popen(
        command(untrained_run),
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.PIPE,
        env=environment() | {"TERM": "dumb"},
        preexec_fn=own_terminal,
    )
    os.close(terminal)
    screen = b""
    for key in (keys[:-1], keys[-1:]):
        prompts = screen.count(b"> ")
        while screen.count(b"> ") == prompts:
            screen += os.read(person, 1000)
        os.write(person, key)
    # A key that comes between the prompt and the reading is seen only with the next one.
    for _ in range(20):
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=3)
            break
        os.write(person, keys[-1:])
    assert process.poll() == status
    assert process.stderr is not None
    assert process.stderr.read().strip().count(b"\n") == 0, "at most that it was cut off"
    os.close(person)
    assert screen.startswith(b"> ") and screen.count(b"> ") == 2
