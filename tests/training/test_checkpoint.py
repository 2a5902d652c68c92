"""What a run directory holds: whole or not at all, and the same when it is read again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nmt.compose import load_config, save_config
from nmt.config import Config
from nmt.data.encoded import Prepared
from nmt.errors import UserError
from nmt.models import build_model
from nmt.models.seq2seq import Seq2Seq
from nmt.training.checkpoint import (
    check_name,
    checkpoints,
    create_run,
    find_checkpoint,
    load_run,
    load_training,
    point,
    prune,
    save_checkpoint,
)
from nmt.training.weights import WEIGHTS, average_weights, load_weights

MakeConfig = Callable[..., Config]
SOURCE, TARGET = torch.tensor([[9, 8, 7, 3]]), torch.tensor([[2, 9, 10]])


def model_of(config: Config, seed: int, vocabulary: int = 30) -> Seq2Seq:
    torch.manual_seed(seed)
    return build_model(config.model, vocabulary, vocabulary).eval()


def outputs(model: Seq2Seq) -> torch.Tensor:
    with torch.no_grad():
        states: torch.Tensor = model.output(model(SOURCE, TARGET).states)
    return states


@pytest.mark.parametrize("name", ["transformer", "rnn"])
@pytest.mark.parametrize("tied", ["none", "target", "all"])
def test_saved_then_loaded_is_the_same(
    tmp_path: Path, make_config: MakeConfig, name: str, tied: str
) -> None:
    config = make_config(name)
    config.model.tied_embeddings = tied
    saved, other = model_of(config, 1), model_of(config, 2)
    assert not torch.allclose(outputs(saved), outputs(other))
    folder = save_checkpoint(tmp_path, "00000007", saved, None)
    load_weights(other, folder / WEIGHTS)
    assert torch.equal(outputs(saved), outputs(other))
    mine, theirs = saved.state_dict(), other.state_dict()
    assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    stored = sum(tensor.numel() for tensor in load_file(folder / "model.safetensors").values())
    assert stored == sum(parameter.numel() for parameter in saved.parameters())


def test_a_run_is_opened_with_all_it_needs(
    tmp_path: Path, make_config: MakeConfig, prepared: Prepared
) -> None:
    config, run = make_config(), tmp_path / "run"
    model = model_of(config, 1, prepared.tokenizers.source.size)
    point(run, "best", save_checkpoint(run, "00000007", model, None))
    save_config(config, run / "config.yaml")
    prepared.tokenizers.save(run)
    moved = run.rename(tmp_path / "moved")
    found = load_run(moved, device="cpu", overrides=["decoding.beam_size=3"])
    assert found.path == moved and found.config.decoding.beam_size == 3
    assert not found.model.training
    assert torch.equal(outputs(found.model), outputs(model))
    ids = prepared.tokenizers.source.encode("hund katze")
    assert found.tokenizers.source.encode("hund katze") == ids


def test_an_existing_run_is_not_touched(
    tmp_path: Path, make_config: MakeConfig, prepared: Prepared
) -> None:
    config = make_config(name="mine")
    run = create_run(config, prepared.tokenizers)
    assert run == tmp_path / "runs" / "mine" and load_config(run / "config.yaml") == config
    for entry in run.iterdir():
        entry.unlink()
    (run / "treasure").write_text("gold")
    with pytest.raises(UserError) as caught:
        create_run(config, prepared.tokenizers)
    assert str(caught.value) == (
        f"the run directory {run} exists already; resume={run} continues it, "
        "another name=... starts a new one"
    )
    assert [entry.name for entry in run.iterdir()] == ["treasure"]
    assert (run / "treasure").read_text() == "gold"


def test_runs_without_a_name_are_numbered(make_config: MakeConfig, prepared: Prepared) -> None:
    models = ("rnn", "rnn", "transformer", "rnn")
    names = [create_run(make_config(model), prepared.tokenizers).name for model in models]
    assert names == ["tiny-rnn", "tiny-rnn-2", "tiny-transformer", "tiny-rnn-3"]


@pytest.mark.parametrize("letter", ["x", "ä"])
def test_the_longest_name(make_config: MakeConfig, prepared: Prepared, letter: str) -> None:
    name = letter * (200 // len(letter.encode()))
    assert create_run(make_config(name=name), prepared.tokenizers).name == name
    config = make_config()
    config.data = dataclasses.replace(config.data, name=name)
    for _ in range(2):
        assert create_run(config, prepared.tokenizers).name.startswith(f"{name}-transformer")


def test_a_folder_of_runs_that_cannot_be(make_config: MakeConfig, prepared: Prepared) -> None:
    config = dataclasses.replace(make_config(name="run"), runs="x" * 5000)
    check_name(config)
    with pytest.raises(UserError, match="cannot be written: File name too long"):
        create_run(config, prepared.tokenizers)


def test_a_name_that_another_process_took_first(
    make_config: MakeConfig, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_run(make_config(), prepared.tokenizers)
    monkeypatch.setattr(Path, "exists", lambda self: False)
    assert create_run(make_config(), prepared.tokenizers).name == "tiny-transformer-2"


@pytest.fixture
def run(tmp_path: Path, make_config: MakeConfig) -> Path:
    """Checkpoints of steps 10 to 50; `best` is 20 and `last` is 50."""
    for step in range(10, 60, 10):
        model = model_of(make_config(), step)
        saved = save_checkpoint(tmp_path, f"{step:08d}", model, {"step": step})
        point(tmp_path, "last", saved)
        if step == 20:
            point(tmp_path, "best", saved)
    return tmp_path


def test_checkpoints_by_name(run: Path) -> None:
    for name, step in (("best", 20), ("last", 50), ("30", 30), ("00000040", 40)):
        assert find_checkpoint(run, name).name == f"{step:08d}"
    assert load_training(find_checkpoint(run, "40")) == {"step": 40}
    assert [int(folder.name) for folder in checkpoints(run)] == [10, 20, 30, 40, 50]
    leftovers = [entry for entry in (run / "checkpoints").iterdir() if ".part" in entry.name]
    assert not leftovers


@pytest.mark.parametrize("name", ["60", "averaged", "bets", "..", "../00000010", "", "10/../20"])
def test_a_missing_checkpoint_says_what_is_there(run: Path, name: str) -> None:
    with pytest.raises(UserError) as caught:
        find_checkpoint(run, name)
    message = str(caught.value)
    assert message.startswith(f"{run} has no checkpoint {name}: it has ")
    assert all(step in message for step in ("00000010", "00000050", "best", "last"))


def test_no_checkpoint_at_all(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no checkpoint best: no checkpoint was saved yet"):
        find_checkpoint(tmp_path, "best")


def test_a_pointer_of_a_stranger_stays_in_the_run(run: Path, tmp_path: Path) -> None:
    (run / "checkpoints" / "best").write_text("../../elsewhere\n")
    with pytest.raises(UserError, match="has no checkpoint best"):
        find_checkpoint(run, "best")


def test_prune_keeps_the_newest_and_the_best(run: Path) -> None:
    prune(run, [40])
    assert [int(folder.name) for folder in checkpoints(run)] == [20, 40, 50]
    prune(run, [])
    assert [int(folder.name) for folder in checkpoints(run)] == [20, 50]
    assert find_checkpoint(run, "best").name == "00000020"


def test_a_checkpoint_is_written_anew(run: Path, make_config: MakeConfig) -> None:
    model = model_of(make_config(), 99)
    (run / "checkpoints" / ".00000050.part").mkdir()  # of a run that was killed
    (run / "checkpoints" / ".00000050.part" / "rest").write_text("?")
    folder = save_checkpoint(run, "00000050", model, None)
    assert {entry.name for entry in folder.iterdir()} == {"model.safetensors", "checksums.json"}
    other = model_of(make_config(), 1)
    load_weights(other, folder / WEIGHTS)
    assert torch.equal(outputs(other), outputs(model))


@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
def test_a_damaged_file_is_told(run: Path, make_config: MakeConfig, damage: str) -> None:
    folder = find_checkpoint(run, "30")
    for file in (folder / "model.safetensors", folder / "training.pt"):
        whole = file.read_bytes()
        broken = {"cut": whole[: len(whole) // 2], "text": b"no weights" * 9, "empty": b""}
        file.write_bytes(broken[damage])
    with pytest.raises(UserError) as caught:
        load_weights(model_of(make_config(), 1), folder / WEIGHTS)
    assert_one_line(str(caught.value), f"{folder / 'model.safetensors'} cannot be loaded")
    with pytest.raises(UserError) as caught:
        load_training(folder)
    assert_one_line(str(caught.value), f"{folder / 'training.pt'} is damaged")


def assert_one_line(message: str, start: str) -> None:
    assert message.startswith(start) and "\n" not in message


def test_missing_files_are_told(run: Path) -> None:
    folder = find_checkpoint(run, "30")
    (folder / "training.pt").unlink()
    with pytest.raises(UserError, match="training.pt is missing: a run can be resumed only from"):
        load_training(folder)


def test_code_in_training_pt_does_not_run(run: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    folder = find_checkpoint(run, "30")
    torch.save({"step": Trap()}, folder / "training.pt")
    with pytest.raises(UserError, match="is damaged"):
        load_training(folder)
    assert not (tmp_path / "sprung").exists()


def test_weights_of_another_model_are_told(run: Path, make_config: MakeConfig) -> None:
    folder = find_checkpoint(run, "30")
    with pytest.raises(UserError) as caught:
        load_weights(model_of(make_config("rnn"), 1), folder / WEIGHTS)
    assert_one_line(str(caught.value), f"{folder / 'model.safetensors'} does not fit the model of")
    config = make_config()
    config.model.width = 32
    with pytest.raises(UserError) as caught:
        load_weights(model_of(config, 1), folder / WEIGHTS)
    assert "model.safetensors" in str(caught.value)


def test_the_average_is_the_mean(run: Path, make_config: MakeConfig) -> None:
    model = model_of(make_config(), 1)
    sources = [find_checkpoint(run, step) / WEIGHTS for step in ("10", "20", "50")]
    average_weights(model, sources)
    expected = [model_of(make_config(), step).state_dict() for step in (10, 20, 50)]
    for name, value in model.state_dict().items():
        mean = torch.stack([each[name] for each in expected]).mean(0)
        torch.testing.assert_close(value, mean)
    assert model.output.weight is model.decoder.embedding.tokens.weight, "still tied"
