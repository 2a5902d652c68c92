"""What all tests share: one thread, and the real corpora where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)  # tests are small, and several workers share the cores

# The same examples in every run; NMT_EXAMPLES=10000 searches longer.
settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    max_examples=int(os.environ.get("NMT_EXAMPLES", "100")),
)
settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "corpora: needs real corpora; NMT_CORPORA names the folder that has multi30k/"
    )
    config.addinivalue_line("markers", "slow: takes more than a few seconds")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "NMT_CORPORA" not in os.environ:
        skip = pytest.mark.skip(reason="NMT_CORPORA is not set")
        for item in items:
            if item.get_closest_marker("corpora"):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real corpora, for tests marked `corpora`; one that is named must be there."""
    folder = Path(os.environ["NMT_CORPORA"])
    assert (folder / "multi30k").is_dir(), f"NMT_CORPORA={folder} has no folder multi30k"
    return folder
