"""The help text: config groups, and keys with their notes."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from nmt.config import Config, ModelConfig, RNNConfig, TransformerConfig
from nmt.help import help_text

CONFIGS = Path(__file__).parent.parent / "configs"


def values(section: Any) -> dict[str, Any]:
    return {
        each.name: values(value) if is_dataclass(value) else value
        for each in fields(section)
        for value in [getattr(section, each.name)]
    }


@pytest.mark.parametrize("model", [RNNConfig(), TransformerConfig()])
def test_the_keys_are_the_config(model: ModelConfig) -> None:
    config = Config(name="dürr", model=model)
    config.data.path = "a # b, " + 40 * "long "
    _, keys = help_text("usage", CONFIGS, config).split("--hydra-help):\n")
    assert yaml.safe_load(keys) == values(config)


def test_what_the_keys_mean_and_the_choices() -> None:
    lines = help_text("\nusage\n", CONFIGS, Config(model=RNNConfig())).splitlines()
    assert lines[0] == "usage"
    assert "data=demo|files|multi30k|opus100|opus_books|wmt14" in lines
    assert "  clip: 1.0  # clip the norm of the gradient to this value; 0: no clipping" in lines
    # Notes of the base class, of the model itself, and above their keys.
    assert "  dropout: 0.1  # dropout on embeddings and layers" in lines
    tied = lines.index("  tied_embeddings: target")
    assert lines[tied - 1].startswith("  # shared weights: target (output layer")
    assert "  encoder_width: 256  # width of the encoder's hidden state, in each direction" in lines
    score = lines.index("    score: additive")
    assert lines[score - 2].startswith("    # score function: additive (Bahdanau et al. 2015), dot")
    assert "model:  # The RNN with attention of Bahdanau et al. 2015." in lines
