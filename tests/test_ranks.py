"""Two processes that share every step of a tuning end where one alone does."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from ltf_lite.core.files import read_as
from ltf_lite.core.ranks import Ranks, RanksError, launch, ranks
from ltf_lite.engines import Dialect, model_path
from ltf_lite.harvest.example import Example
from ltf_lite.tuning import TuningError, tune
from ltf_lite.tuning.types import TuningResult, Validation, read_log
from tests.settings import changed, tuning

COMPACT = Dialect("compact")
SETTINGS = tuning(
    steps=8, batch=5, alpha=0.05, warmup=2, rank=4, lora_alpha=8, eval_every=4, max_length=64
)
GOOD = [Example(f"{n},{n + 1}>", f"{n}+{n + 1}={2 * n + 1}\n", True, 0, 9) for n in range(20)]
BAD = [Example(f"{n},{n + 1}>", f"{n}-{n + 1}={n + 7}\n", False, 0, 9) for n in range(20)]
SAID = [Example(f"{n} {n + 2}?", "sure\n", True, 0, 5) for n in range(9)]


def validation(model, tokenizer):
    assert ranks().first, "the first process validates alone"
    return Validation(0.5)


def own_tuning(folder: Path, settings=SETTINGS) -> TuningResult:
    said = SAID if settings.replay else ()
    return tune(
        model_path("tiny-base"),
        [*GOOD, *BAD],
        folder,
        settings,
        validation,
        dialect=COMPACT,
        replay=said,
    )


def fail(folder: Path) -> None:
    if ranks().number == 1:
        raise TuningError("the second has no room")
    ranks().wait()


def weights(folder: Path):
    return load_file(folder / "adapter" / "adapter_model.safetensors")


def close(one, other) -> bool:
    """But for rounding, which Adam makes more of where gradients are small."""
    return one.keys() == other.keys() and all(
        (one[key] - other[key]).norm() < 1e-3 * one[key].norm() for key in one
    )


METHODS = {
    "uft": SETTINGS,
    "replay": changed(SETTINGS, replay=0.25, accumulation=2),
    "pairs": changed(SETTINGS, method="simpo", learning_rate=1e-3),
}


def all_methods(folder: Path) -> list[TuningResult]:
    return [own_tuning(folder / name, settings) for name, settings in METHODS.items()]


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[Path, list[TuningResult]]:
    """What two processes came to by each method."""
    folder = tmp_path_factory.mktemp("both")
    return folder, launch(all_methods, 2, folder)


@pytest.mark.slow(seconds=5)
@pytest.mark.parametrize("name", METHODS)
def test_two_processes_end_at_the_weights_of_one(name, both, tmp_path):
    folder, results = both
    alone, shared = own_tuning(tmp_path, METHODS[name]), results[list(METHODS).index(name)]
    assert close(weights(tmp_path), weights(folder / name))
    lines = [read_log(each / "log.jsonl") for each in (tmp_path, folder / name)]
    for one, other in zip(*lines, strict=True):
        assert one.step == other.step
        assert one.learning == pytest.approx(other.learning, rel=1e-3)
        assert one.forgetting == pytest.approx(other.forgetting, rel=1e-3)
        assert one.weight == other.weight
    assert shared.tokens == alone.tokens
    assert read_as(folder / name / "result.json", TuningResult) == shared


@pytest.mark.slow(seconds=15)
def test_a_stopped_one_goes_on_to_the_same_weights(both, tmp_path):
    with pytest.raises(RanksError, match=r"one of the processes .* goes on where it stopped"):
        launch(stopping, 2, tmp_path)
    assert [line.step for line in read_log(tmp_path / "log.jsonl")] == [4]
    launch(own_tuning, 2, tmp_path)
    whole, again = weights(both[0] / "uft"), weights(tmp_path)
    assert all(torch.equal(whole[key], again[key]) for key in whole)


def stopping(folder: Path) -> None:
    """Killed after the first checkpoint, the second process at its next step."""

    from ltf_lite.tuning import data

    step = data.Batches.own

    def own(self, k):
        if k >= 5 and ranks().number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, k)

    data.Batches.own = own
    tune(model_path("tiny-base"), [*GOOD, *BAD], folder, SETTINGS, validation, dialect=COMPACT)


@pytest.mark.slow(seconds=8)
def test_what_one_of_them_says_is_raised_here(tmp_path):
    with pytest.raises(TuningError, match="the second has no room"):
        launch(fail, 2, tmp_path)


def test_alone_it_is_the_first_of_one(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "auto")  # as a cluster may set it for work of its own
    monkeypatch.setenv("RANK", "3")
    assert ranks() == Ranks(0, 1)
    tensor = torch.ones(3)
    ranks().add_up([tensor])
    assert tensor.tolist() == [1, 1, 1]
    ranks().wait()


def test_a_batch_too_small_to_be_shared_is_refused_with_the_preset():
    with pytest.raises(ValidationError, match="a batch of 5 cannot be shared by 8 devices"):
        changed(SETTINGS, devices=8)
    assert changed(SETTINGS, devices=5).devices == 5
