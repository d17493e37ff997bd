"""16 bits on a CPU: taken where they are measured to be faster, and learnt in like 32."""

import json

import pytest
import torch
from transformers import LlamaConfig

from ltf_lite.engines import Sampling, model_path
from ltf_lite.engines.torch import precision
from ltf_lite.engines.torch.engine import TorchEngine
from ltf_lite.engines.torch.loading import load
from ltf_lite.tuning.beside import beside
from ltf_lite.tuning.loading import load_for_tuning
from ltf_lite.tuning.methods.sft import SFT
from tests import tiny_models

WIDE = LlamaConfig(hidden_size=512, intermediate_size=1024)
LORA = SFT(steps=2, eval_every=2, learning_rate=1e-3, rank=4, seed=0)

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="of machines without a card")


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Say how many times as fast 16 bits are; the list has the widths that were asked about."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    precision._gain.cache_clear()
    asked = []

    def say(gain):
        monkeypatch.setattr(precision, "measured", lambda *told: asked.append(told) or gain)
        return asked

    yield say
    precision._gain.cache_clear()


@pytest.mark.parametrize(("gain", "dtype"), [(2.5, torch.bfloat16), (0.3, torch.float32)])
def test_the_faster_precision_is_taken_and_kept(measured, tmp_path, gain, dtype):
    asked = measured(gain)
    assert precision.fastest(WIDE) == dtype
    precision._gain.cache_clear()  # as another process
    measured(1 / gain)
    assert precision.fastest(WIDE) == dtype
    assert asked == [(512, 1024)]
    (told,) = json.loads((tmp_path / "ltf_lite" / precision.FILE).read_text()).values()
    assert told == gain


@pytest.mark.parametrize("text", ["", "[1]", '{"x": ', "\x00"])
def test_a_damaged_note_is_measured_anew(measured, tmp_path, text):
    (tmp_path / "ltf_lite").mkdir()
    (tmp_path / "ltf_lite" / precision.FILE).write_text(text)
    measured(2.0)
    assert precision.fastest(WIDE) == torch.bfloat16


def test_a_narrow_model_and_one_in_4_bits_are_not_even_asked(measured):
    asked = measured(9.0)
    assert precision.fastest(LlamaConfig(hidden_size=160)) == torch.float32
    assert precision.fastest(WIDE, load_in_4bit=True) == torch.float32
    assert asked == []


def test_it_is_really_measured():
    assert 0.01 < precision.measured(256, 512) < 100


def test_an_engine_says_the_precision_it_computes_in(monkeypatch):
    monkeypatch.setattr("ltf_lite.engines.torch.loading.fastest", lambda *_: torch.bfloat16)
    engine = TorchEngine.open(model_path("tiny-base"))
    assert engine.runtime == "transformers, bfloat16"
    ((only,),) = engine.generate(["24:6,4\n"], Sampling(max_tokens=12))
    assert only.text
    engine.close()


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def model_dir(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    getattr(tiny_models, request.param)(folder)
    return folder


def gradients(model, inside):
    ids = torch.arange(5, 29).view(2, 12)
    with beside(model) if inside else torch.enable_grad():
        out = model.get_base_model().model(input_ids=ids, use_cache=False).last_hidden_state
        out.float().pow(2).sum().backward()
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}
    model.zero_grad()
    return out.detach().float(), found


def test_lora_beside_16_bits_is_pefts_own(model_dir, monkeypatch):
    monkeypatch.setattr("ltf_lite.tuning.loading.fastest", lambda *_: torch.bfloat16)
    model, _ = load_for_tuning(model_dir, LORA)
    assert model.dtype == torch.bfloat16
    generator = torch.Generator().manual_seed(0)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            assert weight.dtype == torch.float32
            torch.nn.init.normal_(weight, std=0.02, generator=generator)
    (plain, wanted), (ours, found) = gradients(model, False), gradients(model, True)
    assert (ours - plain).norm() < 0.05 * plain.norm()
    assert wanted.keys() == found.keys()
    for name, gradient in wanted.items():
        assert found[name].dtype == torch.float32
        assert (found[name] - gradient).norm() < 0.1 * gradient.norm(), name


def test_a_switched_off_adapter_is_the_base_and_afterwards_all_is_as_before(model_dir, monkeypatch):
    monkeypatch.setattr("ltf_lite.tuning.loading.fastest", lambda *_: torch.bfloat16)
    model, _ = load_for_tuning(model_dir, LORA)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.ones_(weight)
    ids = torch.arange(5, 17).view(1, 12)

    def said():
        with torch.no_grad():
            return model(input_ids=ids).logits

    with beside(model), model.disable_adapter():
        off = said()
    with model.disable_adapter():
        torch.testing.assert_close(off, said())
    assert not torch.equal(off, said())
    assert all("forward" not in vars(module) for module in model.modules())


def test_a_loaded_model_is_in_the_precision_that_was_chosen(model_dir, monkeypatch):
    for dtype in (torch.bfloat16, torch.float32):
        monkeypatch.setattr("ltf_lite.engines.torch.loading.fastest", lambda *_, d=dtype: d)
        assert load(model_dir)[0].dtype == dtype
