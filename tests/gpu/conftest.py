"""Everything in this folder needs a CUDA device, and says so where there is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ltf_lite.tuning.shapes import config_of
from tests.gpu.models import build

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if HERE in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.gpu)
        if not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device, and torch sees none"))


@pytest.fixture(scope="session")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The directory of a base's shape with random weights, built once; a 7B takes 15 GB of disk.

    LTF_GPU_MODELS names a folder where they stay for the next time.
    """
    kept = os.environ.get("LTF_GPU_MODELS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("models")
    return lambda name: build(config_of(name), folder / name.replace("/", "--"))
