"""What a mistake on the command line is answered with: one sentence, status 2, nothing lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

import pytest

ROOT = Path(__file__).parents[2]
Ran = subprocess.CompletedProcess[str]


class Script(Protocol):
    def __call__(self, name: str, *arguments: str | Path, stdin: str = "") -> Ran: ...


def mistake(ran: Ran) -> str:
    """The one sentence of a run that failed as it should."""
    assert ran.returncode == 2, (ran.returncode, ran.stderr)
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
    lines = ran.stderr.splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    # What was logged before is allowed, with its time in front.
    others = [line for line in lines if not line.startswith("error: ") and not line[:1].isdigit()]
    assert len(errors) == 1 and not others, ran.stderr
    return errors[0]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.widht=32"], "unknown key model.widht; did you mean 'model.width'?"),
        (["model=rrn"], "there is no model=rrn: the choices are rnn, "),
        (
            ["model.width=250"],
            "model.width must be a multiple of model.attention.heads (4), but is 250",
        ),
        (["training.max_steps=many"], "training.max_steps must be a whole number, but is 'many'"),
        (
            ["model=rnn", "model.positions=rotary"],
            "model.positions is an option of model=transformer, not of the selected model",
        ),
        (["training.seed=["], "cannot read 'training.seed=[': write key=value"),
        (["-m", "model=rnn,rrn"], "there is no model=rrn"),
        (["-m", "model.width=250,16"], "but is 250"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistaken_override(
    script: Script, tmp_path: Path, overrides: list[str], message: str
) -> None:
    places = (f"runs={tmp_path / 'runs'}", f"data.cache={tmp_path / 'cache'}", "data=files")
    assert message in mistake(script("train", *overrides, *places))
    left = {path.name for path in tmp_path.rglob("*")}
    assert left <= ({"runs", "multirun.yaml"} if "-m" in overrides else set())


def test_an_existing_run_is_left_as_it_is(
    script: Script, settings: list[str], trained: tuple[Path, Ran]
) -> None:
    run, _ = trained
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    told = mistake(script("train", *settings, "name=tiny", "model=transformer_tiny"))
    assert told.startswith(f"the run directory {run} exists already; resume={run} continues it")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("command", ["evaluate", "translate", "train"])
def test_a_run_that_is_not_there(script: Script, tmp_path: Path, command: str) -> None:
    missing = tmp_path / "none"
    argument = f"resume={missing}" if command == "train" else str(missing)
    told = mistake(script(command, argument))
    assert str(missing) in told and told.startswith("no such run directory")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_run(script: Script, tmp_path: Path) -> None:
    told = mistake(script("train", f"resume={tmp_path}"))
    assert told == f"{tmp_path} is not a run directory: it has no config.yaml"


def test_what_a_resumed_run_cannot_change(script: Script, trained: tuple[Path, Ran]) -> None:
    run, _ = trained
    before = (run / "config.yaml").read_bytes()
    told = mistake(script("train", f"resume={run}", "model.width=32"))
    assert "cannot change 'model.width=32' when resuming" in told
    told = mistake(script("train", f"resume={run}", "training.sed=3"))
    assert told == "unknown key training.sed; did you mean 'training.seed'?"
    for key in ("training.seed=3", "training.batch_tokens=500"):
        told = mistake(script("train", f"resume={run}", key))
        assert told.startswith(f"cannot change {key.split('=')[0]} from ")
    assert (run / "config.yaml").read_bytes() == before


@pytest.mark.slow
def test_a_resumed_run_finds_its_corpus_in_another_place(
    script: Script, trained: tuple[Path, Ran], corpus: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained[0], tmp_path / "run"))
    moved = Path(shutil.copytree(corpus, tmp_path / "moved"))
    train = f'data.train="{moved}/train.en,{moved}/train.de"'
    ran = script("train", f"resume={run}", train, "training.max_steps=21")
    assert ran.returncode == 0, ran.stderr
    assert "data.train: " in ran.stderr
    other = (moved / "train.de").read_text().replace("Hund", "Hund Hund")
    (moved / "train.de").write_text(other)
    told = mistake(script("train", f"resume={run}", train, "training.max_steps=22"))
    assert "its training and validation" in told


@pytest.mark.slow
@pytest.mark.parametrize("received", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_the_run(
    trained: tuple[Path, Ran], tmp_path: Path, received: signal.Signals
) -> None:
    run = Path(shutil.copytree(trained[0], tmp_path / "run"))
    command = [sys.executable, "scripts/train.py", f"resume={run}", "training.max_steps=1000000"]
    command += ["training.validate_every=1000000", "training.log_every=5"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        until = time.monotonic() + 60
        while '"step": 25,' not in (run / "metrics.jsonl").read_text():
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.05)
        process.send_signal(received)
        assert process.stderr is not None
        told = process.stderr.read()
    assert process.returncode == 128 + received, told
    last = int((run / "checkpoints" / "last").read_text())
    by = "Ctrl-C" if received is signal.SIGINT else "SIGTERM"
    assert last >= 25 and f"stopped by {by} at step {last} and saved; continue with: " in told
    assert f"python scripts/train.py resume={run}\n" in told
    assert "training.max_steps: 20 -> 1000000" in told and "Traceback" not in told


def test_a_comma_in_a_value(script: Script) -> None:
    told = mistake(script("train", "training.learning_rate=1,5"))
    assert told.startswith("training.learning_rate=1,5 is a list of values: quote it twice")


def test_files_and_another_corpus_contradict_each_other(script: Script, tmp_path: Path) -> None:
    told = mistake(script("train", "data=demo", "data.train=my.tsv", f"runs={tmp_path}"))
    assert told.startswith("data.train=my.tsv contradicts data=demo")


def test_a_given_file_is_trained_on(script: Script, tmp_path: Path) -> None:
    """Without data=files, from two files joined by a comma; the run is not named after the demo."""
    told = mistake(script("train", f"data.train={tmp_path}/a b.en,{tmp_path}/a b.de"))
    assert told == f"data.train: there is no file {tmp_path}/a b.en"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["resume={run}"],
            "resume={run} continues a run, but init_from={run} starts a new one: give",
        ),
        (
            ["model=rnn"],
            "init_from={run} has a model with model.name='transformer', but model=rnn",
        ),
        (["model.width=32"], "has a model with model.width=16, but model.width=32 makes it 32"),
        (["data.tokenizer.vocabulary=99"], "has a vocabulary with data.tokenizer.vocab"),
        (["init_from={run}:7"], "{run} has no checkpoint 7: it has best, last, "),
        (["init_from={run}/none"], "no such run directory: {run}/none"),
        (["init_from={run}/config.yaml"], "{run}/config.yaml is a file, not a run directory"),
        (["runs={run}/config.yaml"], "runs={run}/config.yaml: {run}/config.yaml is a file, not"),
        (["init_from=???"], "init_from must name a run directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_new_run_cannot_start_from(
    script: Script, trained: tuple[Path, Ran], tmp_path: Path, overrides: list[str], message: str
) -> None:
    run, _ = trained
    given = [override.format(run=run) for override in overrides]
    told = mistake(script("train", f"init_from={run}", f"runs={tmp_path}/runs", *given))
    assert message.format(run=run) in told
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_run_is_fine_tuned(script: Script, trained: tuple[Path, Ran], tmp_path: Path) -> None:
    """On new pairs, with nothing said of the model or the languages."""
    (tmp_path / "new.tsv").write_text("".join(f"dog {n}\tHund {n}\n" for n in range(60)))
    ran = script(
        "train",
        *(f"init_from={trained[0]}:last", "data=files", f"data.train={tmp_path}/new.tsv"),
        *(f"runs={tmp_path}/runs", f"data.cache={tmp_path}/cache", "name=tuned"),
        *("training.max_steps=4", "training.samples=0", "training.device=cpu"),
    )
    assert ran.returncode == 0, ran.stderr
    assert "checkpoints/00000020: transformer with" in ran.stderr
    assert "step 0 (" in ran.stderr and "step 4 (" in ran.stderr
    translated = script("translate", tmp_path / "runs" / "tuned", "the dog")
    assert translated.returncode == 0 and len(translated.stdout.splitlines()) == 1


CORPORA = {
    "uneven": (
        b"one\ntwo\nthree\n",
        b"eins\nzwei\n",
        "{en} has 3 lines but {de} has 2: line 3 of {en} is the first without a partner",
    ),
    "not-utf8": (b"one\ntw\xffo\n", b"eins\nzwei\n", "{en} line 2 is not UTF-8 text"),
    "empty": (b"", b"", "{en} and {de}: "),
}


@pytest.mark.parametrize("case", CORPORA)
def test_a_corpus_that_cannot_be_read(script: Script, tmp_path: Path, case: str) -> None:
    english, german, message = CORPORA[case]
    en, de = tmp_path / "train.en", tmp_path / "train.de"
    en.write_bytes(english)
    de.write_bytes(german)
    places = (f"runs={tmp_path / 'runs'}", f"data.cache={tmp_path / 'cache'}")
    told = mistake(script("train", *places, "data=files", f'data.train="{en},{de}"'))
    assert message.format(en=en, de=de) in told
    assert not (tmp_path / "runs").exists(), "nothing was begun"
    assert not list(tmp_path.glob("cache/*")), "nothing half written"


def test_help_is_fast_and_names_the_groups(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    ran = script("train", "model=rnn", "training.clip=3.5", "--help")
    assert ran.returncode == 0 and "transformer_tiny" in ran.stdout
    assert "cell: gru" in ran.stdout and "clip: 3.5" in ran.stdout
    imported = {line.split("|")[-1].strip() for line in ran.stderr.splitlines()}
    assert "hydra" in imported and not imported & {"torch", "rich", "numpy"}


def test_help_with_many_runs(script: Script) -> None:
    ran = script("train", "-m", "model=rnn,transformer", "--help")
    assert ran.returncode == 0 and "transformer_tiny" in ran.stdout


def test_help_with_a_mistake(script: Script) -> None:
    assert "there is no model=rnm" in mistake(script("train", "model=rnm", "-h"))


def test_only_what_is_needed_is_imported(
    script: Script,
    trained: tuple[Path, Ran],
    settings: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of these takes longer than the first step of a small model, or its first sentence."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    model = ("model=transformer_tiny", "model.attention.heads=2", "model.feedforward=32")
    commands = [
        ("train", *settings, *model, "training.max_steps=1", "name=imports"),
        ("translate", trained[0], "the dog"),
    ]
    for command in commands:
        ran = script(*command)
        assert ran.returncode == 0, ran.stderr
        imported = {line.split("|")[-1].strip() for line in ran.stderr.splitlines()}
        assert "torch" in imported
        assert not imported & {"torch._dynamo", "sympy", "pandas", "datasets"}
