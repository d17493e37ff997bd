"""A model's own Python never runs, and pickled weights are never read."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import ltf_lite
from ltf_lite.engines import EngineError, open_engine, pretrained
from ltf_lite.engines.dialect import tell
from ltf_lite.export.preflight import check_exportable
from tests.conftest import ltf, one_sentence

CODE = """
import pathlib
pathlib.Path({mark!r}).write_text("it ran")
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
class Config(LlamaConfig):
    model_type = {kind!r}
class Model(LlamaForCausalLM):
    config_class = Config
class Tokenizer(PreTrainedTokenizerFast):
    pass
def generate(model, *args, **kwargs):
    pathlib.Path({mark!r}).write_text("it ran")
"""


@pytest.fixture(params=["own", "llama"])
def folder(request, base, tmp_path):
    """A model folder that brings code: of an architecture of its own, or of a known one."""
    found, mark = tmp_path / "model", tmp_path / "ran"
    shutil.copytree(base, found)
    code = CODE.format(mark=str(mark), kind=request.param)
    for name in ("own.py", "custom_generate/generate.py"):
        (found / name).parent.mkdir(exist_ok=True)
        (found / name).write_text(code)
    for name, own in (
        ("config.json", {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}),
        ("tokenizer_config.json", {"AutoTokenizer": ["own.Tokenizer", "own.Tokenizer"]}),
    ):
        told = json.loads((found / name).read_text())
        told["auto_map"] = own
        if name == "config.json":
            told["model_type"] = request.param
        (found / name).write_text(json.dumps(told))
    tell(found, "compact")
    yield found, request.param
    assert not mark.exists()


@pytest.mark.slow
def test_it_is_not_run_whatever_standard_input_says(folder, tmp_path):
    found, kind = folder
    told = ltf("solve", "countdown", "3 5 7 9 -> 22", "--model", found, input="y\n" * 20)
    if kind == "own":
        one_sentence(told, 1, str(found), "Python code of its own, which is never run")
    else:  # transformers has a class of its own, and takes that
        assert told.returncode == 0, told.stderr
    assert "[y/N]" not in told.stdout + told.stderr


@pytest.mark.slow
def test_training_and_export_do_not_run_it(folder, tmp_path, small_preset):
    found, kind = folder
    preset = tmp_path / "own.yaml"
    preset.write_text(small_preset.read_text().replace("tiny-base", str(found)))
    if kind == "own":
        told = ltf("train", preset, "--out", tmp_path / "run", input="y\n" * 20)
        one_sentence(told, 1, "Python code of its own")
        with pytest.raises(pretrained.ForeignCode):
            pretrained.model(found)
    else:
        check_exportable(found)


def test_an_architecture_that_transformers_does_not_know_is_refused_by_the_engine(folder):
    found, kind = folder
    if kind == "own":
        with pytest.raises(pretrained.ForeignCode, match="never run"):
            open_engine(str(found))
    else:
        open_engine(str(found)).close()


class Bomb:
    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self):
        return open, (self.mark, "w")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
@pytest.mark.slow
def test_weights_that_are_a_pickle_are_not_read(base, tmp_path, name):
    found, mark = tmp_path / "model", tmp_path / "ran"
    shutil.copytree(base, found)
    (found / "model.safetensors").unlink()
    torch.save({"lm_head.weight": Bomb(str(mark))}, found / name)
    told = ltf("solve", "countdown", "3 5 7 9 -> 22", "--model", found)
    one_sentence(told, 1, "cannot load the model")
    assert not mark.exists()


def test_weights_that_are_a_harmless_pickle_are_not_read_either(base, tmp_path):
    """Torch refuses a pickle that would call something, but not every build of it did."""
    found = tmp_path / "model"
    shutil.copytree(base, found)
    torch.save(load_file(found / "model.safetensors"), found / "pytorch_model.bin")
    (found / "model.safetensors").unlink()
    with pytest.raises(EngineError, match="cannot load the model"):
        open_engine(str(found))


def test_an_adapter_that_is_a_pickle_is_not_read(base, tmp_path):
    adapter, mark = tmp_path / "adapter", tmp_path / "ran"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 4,
                    "target_modules": ["q_proj"]})
    )  # fmt: skip
    torch.save({"x": Bomb(str(mark))}, adapter / "adapter_model.bin")
    with pytest.raises(RuntimeError, match=r"no adapter_model\.safetensors"):
        open_engine(str(base), adapter=adapter)
    assert not mark.exists()


def test_everything_is_loaded_in_one_place():
    loads = re.compile(r"(\w+)\.(?:from_pretrained|from_config)\(")
    others = {
        (file.name, found)
        for file in Path(ltf_lite.__file__).parent.rglob("*.py")
        if file.name != "pretrained.py"
        for found in loads.findall(file.read_text())
    }
    assert others == {
        ("vocabulary.py", "GenerationConfig"),  # JSON alone
        ("architecture.py", "AutoModelForCausalLM"),  # of a config that was loaded so
        ("loading.py", "FastLanguageModel"),  # unsloth's own
    }
    for file in ("export/architecture.py", "tuning/loading.py"):
        text = (Path(ltf_lite.__file__).parent / file).read_text()
        assert text.count("trust_remote_code=False") == 1
