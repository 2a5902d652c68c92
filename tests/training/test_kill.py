"""A process that is killed again and again trains what one that never was would have."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.compose import load_config, save_config
from nmt.config import Config
from nmt.training.checkpoint import checkpoints, load_run
from nmt.training.launch import train

MakeConfig = Callable[..., Config]
ROOT = Path(__file__).parents[2]
KILLS = 30

# Forks when all is imported: a start takes part of a second instead of several. A life that ends
# by itself has failed.
DRIVER = """
import os, random, signal, sys, tempfile, time, traceback
from pathlib import Path

import torch

torch.set_num_threads(1)
from nmt.compose import load_config
from nmt.data.encoded import prepare
from nmt.evaluation.metrics import score
from nmt.training.launch import train
from nmt.training.report import SummaryWriter

config = load_config(Path(sys.argv[1]))
# What is imported at its first use.
prepare(config.data, config.training.seed)
score(["warm"], ["up"], ter=False)
with tempfile.TemporaryDirectory() as folder:
    SummaryWriter(folder).close()
run, kills = Path(config.runs, config.name), int(sys.argv[2])
rng = random.Random(int(sys.argv[3]))


def live():
    if run.exists():
        config.resume = str(run)
    train(config)


def saved():
    pointer = run / "checkpoints" / "last"
    return int(pointer.read_text()) if pointer.exists() else 0


for number in range(kills):
    before = saved()
    life = os.fork()
    if life == 0:
        try:
            live()
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    # However slow the machine is, some lives come so far as to save.
    while number % 3 == 2 and saved() == before and os.waitpid(life, os.WNOHANG) == (0, 0):
        time.sleep(0.01)
    time.sleep(rng.uniform(0.02, 0.6))
    os.kill(life, signal.SIGKILL)
    _, status = os.waitpid(life, 0)
    assert os.WIFSIGNALED(status), "a life ended by itself"
    print(saved(), flush=True)
"""


def told(run: Path) -> list[tuple[Any, ...]]:
    """What of metrics.jsonl does not depend on the clock."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    keys = ("step", "kind", "nll", "learning_rate", "gradient_norm", "epoch", "bleu")
    return [tuple(line.get(key) for key in keys) for line in lines]


def curve(run: Path, name: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(run / "tensorboard")).Reload()
    return [(event.step, event.value) for event in board.Scalars(name)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def killed_command(run: Path) -> None:
    """The real command line, killed once it has saved something."""
    before = checkpoints(run)[-1]
    command = [sys.executable, "scripts/train.py", f"resume={run}"]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.PIPE) as process:
        until = time.monotonic() + 60
        while checkpoints(run)[-1:] == [before] and process.poll() is None:
            assert time.monotonic() < until, "it saves nothing"
            time.sleep(0.05)
        process.kill()
        assert process.wait() == -signal.SIGKILL, process.stderr and process.stderr.read()


@pytest.mark.slow
@pytest.mark.parametrize("model", ["transformer", "rnn"])
def test_killed_at_random_moments(make_config: MakeConfig, tmp_path: Path, model: str) -> None:
    knobs = {"accumulate": 2, "validate_every": 3, "validation_limit": 2, "log_every": 2}
    knobs |= {"samples": 0, "average": 2, "keep": 2, "threads": 1}
    config = make_config(model, name="killed", **knobs, max_steps=10**6)
    config.model.dropout = config.model.attention.dropout = 0.2
    save_config(config, tmp_path / "config.yaml")
    kills = KILLS if model == "transformer" else KILLS // 5
    command = [sys.executable, "-c", DRIVER, str(tmp_path / "config.yaml"), str(kills), "7"]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    steps = [int(line) for line in ran.stdout.split()]
    assert len(steps) == kills and steps == sorted(steps), "no step is lost that was saved"
    assert steps[-1] > 3, "it came forward"
    run = Path(config.runs, "killed")
    killed_command(run)

    end = int(checkpoints(run)[-1].name) + 4
    resumed = load_config(run / "config.yaml")
    resumed.resume, resumed.training.max_steps = str(run), end
    train(resumed)
    config.name, config.training.max_steps = "whole", end
    whole = Path(train(config).run)
    for name in ("last", "averaged", "best"):
        mine, theirs = (
            load_run(each, checkpoint=name, device="cpu").model.state_dict()
            for each in (run, whole)
        )
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs), name
    assert told(run) == told(whole)
    assert curve(run, "train/nll") == curve(whole, "train/nll")
    assert curve(run, "validation/bleu") == curve(whole, "validation/bleu")
