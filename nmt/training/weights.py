"""The weights of a model in a safetensors file, looked at before anything is allocated for them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from torch.overrides import TorchFunctionMode

from nmt.config import ModelConfig
from nmt.errors import UserError, require
from nmt.models import build_model
from nmt.models.seq2seq import Seq2Seq

WEIGHTS = "model.safetensors"
LARGEST_HEADER = 1 << 24  # bytes; a Transformer of 1,000 layers needs a tenth of it

Shapes = dict[str, tuple[int, ...]]


def weights_file(model: Seq2Seq) -> bytes:
    """What `load_weights` reads: tied weights once, under the first of their names."""
    return save({name: tensor.contiguous() for name, tensor in untied(model).items()})


def untied(model: Seq2Seq) -> dict[str, Tensor]:
    """The state dict with tied weights once, under the first of their names."""
    names = {name for name, _ in model.named_parameters()} | {
        name for name, _ in model.named_buffers()
    }
    return {name: tensor for name, tensor in model.state_dict().items() if name in names}


def restore_model(config: ModelConfig, vocabularies: tuple[int, int], file: Path) -> Seq2Seq:
    """The model of a config with the weights of a file.

    Raises `UserError` where the two do not fit, before anything of the sizes that either of them
    declares is allocated: both may be a stranger's.
    """
    declared = declared_shapes(file)
    check_shapes(expected_shapes(config, vocabularies, declared, file), declared, file)
    model = build_model(config, *vocabularies)
    load_weights(model, file)
    return model


def load_weights(model: Seq2Seq, file: Path) -> None:
    """Fills the model from a file. Raises `UserError` where the two do not fit."""
    expected = {name: tuple(tensor.shape) for name, tensor in untied(model).items()}
    check_shapes(expected, declared_shapes(file), file)
    try:
        model.load_state_dict(load_file(file), strict=False)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise UserError(f"{file} cannot be loaded: {str(error).splitlines()[0]}") from error


def average_weights(model: Seq2Seq, files: Sequence[Path]) -> None:
    """Fills the model with the mean of the weights of several files."""
    mean = {name: torch.zeros_like(tensor, device="cpu") for name, tensor in untied(model).items()}
    for file in files:
        for name, tensor in load_file(file).items():
            mean[name] += tensor / len(files)
    model.load_state_dict(mean, strict=False)


def declared_shapes(file: Path) -> Shapes:
    """The shapes in the header of a safetensors file: 8 bytes of length, then JSON."""
    damaged = f"{file} cannot be loaded: "
    try:
        with file.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            require(length <= LARGEST_HEADER, damaged + f"its header has {length:,} bytes")
            header = json.loads(handle.read(length))
        header.pop("__metadata__", None)
        return {name: tuple(map(int, entry["shape"])) for name, entry in header.items()}
    except OSError as error:
        raise UserError(damaged + str(error.strerror)) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(damaged + "its header is not that of a safetensors file") from error


def expected_shapes(
    config: ModelConfig, vocabularies: tuple[int, int], declared: Shapes, file: Path
) -> Shapes:
    """The shapes of the config's model, of which nothing is allocated.

    A config of sizes that the weights do not have is refused first: even the names of a billion
    layers would take all memory.
    """
    longest = max((size for shape in declared.values() for size in shape), default=0)
    for key, value in _sizes(config):
        most = len(declared) if key.endswith("layers") else longest
        require(value <= most, f"{file} does not fit config.yaml: model.{key} is {value:,} there")
    try:
        with torch.device("meta"), Unfilled():
            model = build_model(config, *vocabularies)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"the model of config.yaml cannot be built: {reason}") from error
    return {name: tuple(tensor.shape) for name, tensor in untied(model).items()}


class Unfilled(TorchFunctionMode):
    """Leaves out what fills weights with numbers: for some, a device without numbers imports
    torch's compiler, a second's work."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        keywords = kwargs or {}
        if getattr(function, "__module__", None) == "torch.nn.init":
            return keywords["tensor"] if "tensor" in keywords else args[0]
        return function(*args, **keywords)


def _sizes(config: Any) -> Iterator[tuple[str, int]]:
    """The whole numbers of a config: widths, layers, heads."""
    for entry in dataclasses.fields(config):
        value = getattr(config, entry.name)
        if dataclasses.is_dataclass(value):
            yield from ((f"{entry.name}.{key}", size) for key, size in _sizes(value))
        elif isinstance(value, int) and not isinstance(value, bool):
            yield entry.name, value


def check_shapes(expected: Shapes, declared: Shapes, file: Path) -> None:
    """Raises `UserError` that names the first tensor that is not as expected."""
    misfit = f"{file} does not fit the model of config.yaml: "
    for name in sorted(expected.keys() ^ declared.keys()):
        raise UserError(misfit + f"{name} is in only one of them")
    for name, shape in expected.items():
        require(
            shape == declared[name],
            misfit + f"{name} has the shape {declared[name]}, where {shape} is expected",
        )
