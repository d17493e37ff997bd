"""A model with a weight that is no number is refused by name at the first pass."""

from __future__ import annotations

import shutil

import pytest
from gguf import GGUFReader
from safetensors.torch import load_file, save_file

from ltf_lite.engines import EngineError, Sampling, model_path, open_engine
from ltf_lite.export import ExportError
from ltf_lite.export.gguf.write import write_gguf
from tests import tiny_models
from tests.conftest import ltf, one_sentence

WEIGHTS = "model.safetensors"
PLACES = {
    "model.layers.1.mlp.down_proj.weight": "blk.1.ffn_down.weight",
    "model.norm.weight": "output_norm.weight",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tiny_models.llama(tmp_path_factory.mktemp("whole") / "model")


def damaged(whole, folder, kind, tensor, value):
    """A model folder or a GGUF file with one weight that is no finite number."""
    model = shutil.copytree(whole, folder / "model")
    if kind == "gguf":
        file = write_gguf(model, folder / "m.gguf", "f32")
        found = next(t for t in GGUFReader(file, "r+").tensors if t.name == PLACES[tensor])
        found.data.reshape(-1)[3] = value
        return file
    weights = load_file(model / WEIGHTS)
    weights[tensor].view(-1)[3] = value
    save_file(weights, model / WEIGHTS, {"format": "pt"})
    return model


@pytest.mark.parametrize("kind", ["folder", "gguf"])
@pytest.mark.parametrize("tensor", PLACES)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_it_is_refused_by_name(kind, tensor, value, whole, tmp_path):
    place = damaged(whole, tmp_path, kind, tensor, value)
    engine = open_engine(place)
    for wanted in (Sampling(max_tokens=4), Sampling(n=2, temperature=1.0, top_p=0.9)):
        with pytest.raises(EngineError, match="no numbers") as refused:
            engine.generate(["1 + 2", "3"], wanted)
        assert repr(str(place)) in str(refused.value)
    for tails in (["3"], ["3 and some more"]):
        with pytest.raises(EngineError, match="no numbers"):
            engine.score(["1 + 2"], tails)
    engine.close()


@pytest.mark.slow
def test_the_command_says_so_and_prints_no_answer(tmp_path):
    base = model_path("tiny-base")
    model = damaged(base, tmp_path, "folder", "model.norm.weight", float("nan"))
    result = ltf("solve", "countdown", "1 2 3 -> 6", "--model", model, "--json")
    one_sentence(result, 1, repr(str(model)), "no numbers")
    assert result.stdout == ""


def test_it_is_not_exported(whole, tmp_path):
    model = damaged(whole, tmp_path, "folder", "model.norm.weight", float("nan"))
    for dtype in ("f16", "f32"):
        with pytest.raises(ExportError, match=r"model\.norm\.weight holds NaN"):
            write_gguf(model, tmp_path / "m.gguf", dtype)
    assert not (tmp_path / "m.gguf").exists()


def test_numbers_that_are_large_are_numbers(whole, tmp_path):
    model = damaged(whole, tmp_path, "folder", "model.norm.weight", 1e4)
    engine = open_engine(model)
    assert engine.generate(["1 + 2"], Sampling(max_tokens=4))[0][0].tokens
    engine.close()


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_a_token_that_can_never_come_has_no_score(value, whole, tmp_path):
    """One of the two signs gives a logit of minus infinity, beside which all others are finite."""
    file = write_gguf(whole, tmp_path / "m.gguf", "f32")
    engine = open_engine(file)
    (token,) = engine._llama.encode("3", False)
    engine.close()
    found = next(t for t in GGUFReader(file, "r+").tensors if t.name == "token_embd.weight")
    found.data[token, 3] = value
    engine = open_engine(file)
    with pytest.raises(EngineError, match="no numbers"):
        engine.score(["1 + 2"], ["3"])
    engine.close()
