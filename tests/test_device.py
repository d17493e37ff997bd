"""The device that torch computes on: one place decides, and what nobody tested is said to be so."""

from __future__ import annotations

import json
import os

import pytest
import torch

from ltf_lite.core import device
from ltf_lite.core.errors import UsageError
from ltf_lite.engines import model_path
from ltf_lite.engines.torch.loading import load
from tests.conftest import ltf, one_sentence

ABSENT = next(name for name in ("mps", "cuda") if name not in (device.device(),))


def test_the_default_is_a_card_or_the_cpu(monkeypatch):
    monkeypatch.delenv(device.VARIABLE, raising=False)
    assert device.device() == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("asked", ["cpu", " CPU "])
def test_the_cpu_can_always_be_asked_for(monkeypatch, asked):
    monkeypatch.setenv(device.VARIABLE, asked)
    assert device.device() == "cpu"
    model, _ = load(model_path("tiny-base"))
    assert model.device.type == "cpu"


@pytest.mark.parametrize("asked", [ABSENT, "tpu"])
def test_a_device_that_is_not_here_is_refused(monkeypatch, asked):
    monkeypatch.setenv(device.VARIABLE, asked)
    with pytest.raises(UsageError, match=f"{device.VARIABLE}={asked}: torch finds .*cpu here"):
        device.device()


@pytest.mark.slow(seconds=21)
def test_it_is_refused_before_a_training_writes_anything(small_preset, tmp_path):
    absent = os.environ | {device.VARIABLE: ABSENT}
    told = ltf("train", small_preset, "--out", tmp_path / "run", env=absent)
    one_sentence(told, 1, device.VARIABLE, ABSENT)
    assert not list((tmp_path / "run").glob("[!.]*"))  # nothing but the lock


def test_apple_and_amd_are_said_to_be_untested(monkeypatch, tmp_path):
    monkeypatch.delenv(device.VARIABLE, raising=False)
    assert device.untested() == [] or device.AMD.exists()
    monkeypatch.setattr(device.sys, "platform", "darwin")
    monkeypatch.setattr(device.platform, "machine", lambda: "arm64")
    monkeypatch.setattr(device, "AMD", tmp_path)
    apple, amd = device.untested()
    assert "Apple" in apple
    assert "LTF_DEVICE=mps" in apple
    assert "AMD" in amd
    assert all("nobody tested" in said for said in (apple, amd))


@pytest.mark.slow
def test_the_doctor_says_what_is_asked_for():
    told = ltf("doctor", "--json", env=os.environ | {device.VARIABLE: "cpu"})
    assert any("LTF_DEVICE=cpu" in line for line in json.loads(told.stdout)["advice"])
