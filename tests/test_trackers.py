"""Trackers: what they are told, that they stay in the run's folder and change nothing."""

from __future__ import annotations

import math
import shutil

import pytest
import yaml

from ltf_lite.app.cli.main import main
from ltf_lite.tuning import trackers
from tests.conftest import SMALL
from tests.test_tuning import BAD, GOOD, SETTINGS, choosy, same, tune, weights

OUTSIDE = {"TENSORBOARD_LOGGING_DIR", "TRACKIO_DIR", "WANDB_DIR", "WANDB_MODE", "WANDB_PROJECT"}
OUTSIDE |= {"MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """What a tracker is told by the environment is forgotten after a test."""
    for name in OUTSIDE:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def scalars(folder):
    """Tag → its values by step, as TensorBoard reads them."""
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    told = events.EventAccumulator(str(folder))
    told.Reload()
    return {tag: {e.step: e.value for e in told.Scalars(tag)} for tag in told.Tags()["scalars"]}


@pytest.mark.slow
def test_tensorboard_is_told_of_losses_and_the_weights_are_the_same(base, tmp_path):
    pytest.importorskip("tensorboard")
    watched = SETTINGS.model_copy(update={"report_to": ("tensorboard",)})
    for name, tuning in (("plain", SETTINGS), ("watched", watched)):
        tune(base, [*GOOD, *BAD], tmp_path / name, tuning, choosy(tmp_path / name))
    assert same(*(weights(tmp_path / name / "adapter") for name in ("plain", "watched")))
    assert not (tmp_path / "plain" / "tracker").exists()
    found = scalars(tmp_path / "watched" / "tracker" / "tensorboard")
    assert set(found["train/learning"]) == {4, 8, 12}
    assert found["train/learning"][12] < found["train/learning"][4]
    assert all(math.isfinite(value) for value in found["train/loss"].values())
    assert found["eval/success"] == {4: pytest.approx(0.9), 8: 0.5, 12: pytest.approx(0.8)}
    # whoever asks for a tracker, or none, of what is tuned has the same work before him
    again = tune(base, [*GOOD, *BAD], tmp_path / "plain", watched, lambda *_: 1 / 0)
    assert again.step == 8


def test_a_finished_run_is_not_tuned_again_for_a_tracker(small_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(trackers, "find_spec", lambda name: object())
    folder = shutil.copytree(small_run, tmp_path / "small")
    (folder / "tuning" / "tracker").mkdir()
    (folder / "tuning" / "tracker" / "of-a-dashboard.db").write_text("anything")
    preset = tmp_path / "small.yaml"
    tuning = {**SMALL["tuning"], "report_to": ["trackio"]}
    preset.write_text(yaml.safe_dump({**SMALL, "tuning": tuning}))
    assert main(["train", str(preset), "--out", str(folder)]) == 0
    assert capsys.readouterr().err.count("done before") == 8


def test_a_tracker_that_is_not_installed_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    preset = tmp_path / "small.yaml"
    tuning = {**SMALL["tuning"], "report_to": ["wandb"]}
    preset.write_text(yaml.safe_dump({**SMALL, "tuning": tuning}))
    assert main(["train", str(preset), "--out", str(tmp_path / "run")]) == 2
    assert "tuning.report_to: wandb is not installed here: `pip install wandb`" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "run").exists()


def test_an_unknown_tracker_is_refused_by_name(tmp_path, capsys):
    preset = tmp_path / "small.yaml"
    preset.write_text(yaml.safe_dump({**SMALL, "tuning": {**SMALL["tuning"], "report_to": ["x"]}}))
    assert main(["train", str(preset), "--out", str(tmp_path / "run")]) == 2
    assert "report_to" in capsys.readouterr().err
