"""The torch engine on a CUDA device, and a micro-batch that does not fit it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ltf_lite.engines import Dialect, Sampling, open_engine
from ltf_lite.engines.torch.engine import TorchEngine
from ltf_lite.pipeline.run.energy import Meter, counters
from ltf_lite.tuning.shapes import config_of
from tests import tiny_models
from tests.gpu.measure import capped, step_gradients, trainer_of
from tests.gpu.models import build
from tests.settings import tuning

HEADER = "25 + 5 = 30 and 30 + 30 = 60. " * 10
PROMPTS = [HEADER + end for end in ("Use 5, 33 and 30 to make 60.", "25 + 5", "1 + 2 = 3", "a")]


def test_a_model_in_four_bits_generates_and_knows_how_likely_it_is(model_of):
    engine = open_engine(model_of("Qwen/Qwen2.5-Math-1.5B"), load_in_4bit=True)
    assert all(weight.is_cuda for weight in engine.model.parameters())
    assert torch.cuda.memory_allocated() < 2 * 2**30  # in 16 bits it would be 3.1
    greedy = Sampling(max_tokens=32)
    first, again = (engine.generate(PROMPTS, greedy) for _ in "ab")
    assert [c.text for (c,) in first] == [c.text for (c,) in again]
    samples = engine.generate(PROMPTS, Sampling(n=4, temperature=1.0, max_tokens=32))
    for row in (*first, *samples):
        assert all(c.tokens and c.logprob < 0 for c in row)


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3"])
def test_a_shared_header_equals_generate(name, tmp_path):
    folder = tiny_models.MODELS[name](tmp_path / name, max_position_embeddings=1024)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    # In 32 bits: with 16 the first of two nearly equal tokens is a matter of rounding.
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to("cuda").eval()
    engine = TorchEngine(model, tokenizer, Dialect("compact"))
    assert engine._ordinary
    found = engine.generate(PROMPTS, Sampling(max_tokens=24))
    assert len(engine._headers.kept[-1].tokens) > 100
    for prompt, (completion,) in zip(PROMPTS, found, strict=True):
        inputs = tokenizer(prompt, return_tensors="pt").to("cuda")
        out = model.generate(**inputs, do_sample=False, max_new_tokens=24)
        new = out[0, inputs["input_ids"].shape[1] :]
        assert completion.tokens == len(new)
        assert completion.text == tokenizer.decode(new, skip_special_tokens=True)


@pytest.fixture(scope="module")
def shallow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen2.5-1.5B with four layers: a whole vocabulary, and rows as wide."""
    config = config_of("Qwen/Qwen2.5-Math-1.5B")
    config.num_hidden_layers = 4
    config.layer_types = config.layer_types[:4]
    return build(config, tmp_path_factory.mktemp("shallow") / "model")


def test_out_of_memory_halves_the_micro_batch_and_keeps_the_gradients(shallow, tmp_path):
    settings = tuning(batch=16, accumulation=2, alpha=0.1, max_length=512)
    trainer = trainer_of(shallow, settings, True, "plain", tmp_path)
    peaks = []
    for pieces in (2, 1):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        trainer.tally.pieces = pieces
        whole = step_gradients(trainer)
        peaks.append(torch.cuda.max_memory_reserved())
    assert peaks[0] < 0.9 * peaks[1]
    with capped(sum(peaks) // 2):
        found = step_gradients(trainer)
    assert trainer.tally.pieces == 2
    assert found.keys() == whole.keys()
    for name, gradient in whole.items():
        # 16-bit arithmetic in another order, on sums of thousands of tokens
        far = (found[name] - gradient).norm() / gradient.norm()
        assert far < 0.02, name


def test_a_card_tells_the_energy_of_what_it_computes():
    meter = Meter(counters())
    assert any(torch.cuda.get_device_name(0) in name for name in meter.devices)
    matrix = torch.rand(4096, 4096, device="cuda")
    began = time.monotonic()
    while time.monotonic() - began < 1.0:  # the counter is brought up to date now and then
        matrix = (matrix @ matrix).clamp_(0, 1)
        torch.cuda.synchronize()
    assert meter.look() > 10.0
