"""What a model reference means, which engine opens it, and in which dialect it is asked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from pydantic import ValidationError
from transformers import AutoTokenizer

from ltf_lite.core.folder import RunFolder
from ltf_lite.engines import (
    ENGINES,
    TINY_BASE,
    Dialect,
    EngineError,
    EnginePlugin,
    ModelRef,
    Sampling,
    base_ref,
    model_path,
    open_engine,
    resolve,
)
from ltf_lite.engines.dialect import asked_and_learnt, dialect, spoken, tell, told
from ltf_lite.engines.llama.engine import LlamaCppEngine
from ltf_lite.engines.torch.engine import TorchEngine
from ltf_lite.export.gguf.write import write_gguf
from tests import tiny_models
from tests.fake_engine import FakeEngine


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A model folder that does not say what it speaks."""
    return tiny_models.llama(tmp_path_factory.mktemp("model") / "model", num_hidden_layers=1)


@pytest.fixture
def run(tmp_path) -> RunFolder:
    """A run that has no model yet."""
    made = RunFolder(tmp_path / "runs" / "mine")
    made.path.mkdir(parents=True)
    made.manifest.write_text("{}")
    return made


def sentence(model: str | Path) -> str:
    with pytest.raises(EngineError) as refusal:
        resolve(model)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


# -- references --------------------------------------------------------------------------------


def test_names_and_addresses():
    tiny = resolve(TINY_BASE)
    assert (tiny.kind, Path(tiny.place).name, tiny.here) == ("folder", "weights", True)
    served = resolve("https://h:1/v1#some/name")
    assert served == ModelRef("https://h:1/v1#some/name", "server", "https://h:1/v1#some/name")
    assert resolve("Qwen/Qwen3-4B") == ModelRef("Qwen/Qwen3-4B", "hub", "Qwen/Qwen3-4B")
    assert resolve("gpt2").kind == "hub"
    assert not resolve("gpt2").here


def test_a_model_folder_is_taken_before_a_name_on_the_hub(folder, tmp_path, monkeypatch):
    assert resolve(folder) == ModelRef(str(folder), "folder", str(folder))
    shutil.copytree(folder, tmp_path / "some" / "model")
    monkeypatch.chdir(tmp_path)
    assert resolve("some/model").kind == "folder"


def test_a_gguf_file_is_known_by_its_first_bytes(tmp_path):
    for name in ("model.gguf", "MODEL.GGUF", "no-ending"):
        (tmp_path / name).write_bytes(b"GGUF....")
        assert resolve(tmp_path / name).kind == "gguf"
    (tmp_path / "weights.bin").write_bytes(b"PK..")
    assert "must be GGUF" in sentence(tmp_path / "weights.bin")
    assert "weights.bin" in sentence(tmp_path / "weights.bin")


def test_the_home_folder_may_be_written_as_a_tilde(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    assert resolve("~/model") == ModelRef("~/model", "folder", str(tmp_path / "model"))
    assert resolve("~/m.gguf").place == str(tmp_path / "m.gguf")
    assert "'~/nothing'" in sentence("~/nothing")


@pytest.mark.parametrize(
    "missing",
    ["./nothing", "/no/where", "a/b/c", "~/nothing", "some\\folder", "no.gguf", "NO.GGUF"],
)
def test_a_path_that_is_missing_is_no_name_on_the_hub(missing):
    assert repr(missing) in sentence(missing)


def hub_cache(root: Path, **files: bytes) -> Path:
    """A snapshot of the Hub's cache: links into `blobs`, where each file goes by its hash."""
    snapshot = root / "models--some--model" / "snapshots" / "0a1b"
    snapshot.mkdir(parents=True)
    (root / "models--some--model" / "blobs").mkdir()
    for k, (name, content) in enumerate(files.items()):
        (root / "models--some--model" / "blobs" / f"{k}abc").write_bytes(content)
        (snapshot / name).symlink_to(f"../../blobs/{k}abc")
    return snapshot


def test_a_folder_with_one_gguf_file_is_that_file_whatever_its_name(base_gguf, tmp_path):
    whole = base_gguf.read_bytes()
    ollama = tmp_path / "blobs"
    ollama.mkdir()
    (ollama / "sha256-12ab").write_bytes(whole)
    (ollama / "sha256-34cd").write_text("{}")  # Ollama's configuration of a model
    (ollama / ".hidden.gguf").write_bytes(whole)
    os.mkfifo(ollama / "pipe.gguf")
    (ollama / "gone.gguf").symlink_to("nowhere")
    snapshot = hub_cache(tmp_path, **{"README.md": b"# x", "Model.GGUF": whole})
    for folder, name in ((ollama, "sha256-12ab"), (snapshot, "Model.GGUF")):
        assert resolve(folder) == ModelRef(str(folder), "gguf", str(folder / name))
    engine = open_engine(snapshot)
    assert isinstance(engine, LlamaCppEngine)
    engine.close()
    (snapshot / "other").write_bytes(b"GGUF....")
    assert "holds 2 GGUF files: name one of them (Model.GGUF, other)" in sentence(snapshot)


def test_a_snapshot_of_the_hub_s_cache_is_a_model_folder(folder, tmp_path):
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    snapshot = hub_cache(tmp_path, **files)
    assert resolve(snapshot).kind == "folder"
    assert isinstance(open_engine(snapshot), TorchEngine)


def test_what_is_no_model_is_named_for_what_it_is(run, folder, tmp_path):
    assert "a folder without a model" in sentence(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "neither a file nor a folder" in sentence(tmp_path / "pipe")
    assert "'~nobody-here/m.gguf'" in sentence("~nobody-here/m.gguf")
    shutil.copytree(folder, run.model)
    assert model_path(run.path) == str(run.model)
    run.gguf.mkdir()
    (run.gguf / "m.gguf").write_bytes(b"GGUF....")
    with pytest.raises(EngineError, match=f"is a run: name its folder '{run.model}'"):
        model_path(run.path)


def test_a_run_is_its_tuned_model(run, folder):
    assert "has no tuned model yet" in sentence(run.path)
    shutil.copytree(folder, run.model)
    assert resolve(run.path) == ModelRef(str(run.path), "folder", str(run.model), run)
    run.gguf.mkdir()
    for name, size in (("mine.f16.gguf", 99), ("mine.q8_0.gguf", 50), (".parity.f32.gguf", 9)):
        (run.gguf / name).write_bytes(b"GGUF" + b"." * size)
    found = resolve(run.path)
    assert found == ModelRef(str(run.path), "gguf", str(run.gguf / "mine.q8_0.gguf"), run)


def test_a_tuned_run_is_opened_by_its_folder_alone(run, folder):
    shutil.copytree(folder, run.model)
    tell(run.model, "zero_shot")
    with_weights = open_engine(run.path)
    assert isinstance(with_weights, TorchEngine)
    assert with_weights.dialect == Dialect("zero_shot")
    write_gguf(run.model, run.gguf / "mine.f16.gguf")
    engine = open_engine(run.path)
    assert isinstance(engine, LlamaCppEngine)
    assert engine.dialect == Dialect("zero_shot")
    engine.close()


def test_an_adapter_is_no_whole_model(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "LoRA adapter" in sentence(tmp_path)
    assert str(tmp_path) in sentence(tmp_path)


def test_a_base_is_what_transformers_can_load(folder, tmp_path):
    assert model_path(folder) == str(folder)
    assert model_path("some/model") == "some/model"
    (tmp_path / "m.gguf").write_bytes(b"GGUF....")
    assert base_ref(tmp_path / "m.gguf").kind == "gguf"
    for wrong, words in (
        (tmp_path / "m.gguf", "cannot be read as a base"),
        ("http://h/v1", "a base must be .* is a server"),
    ):
        with pytest.raises(EngineError, match=words):
            model_path(wrong)


# -- engines as plugins ------------------------------------------------------------------------


def test_a_reference_may_name_its_engine(folder, tmp_path):
    assert resolve(f"torch:{folder}") == ModelRef(f"torch:{folder}", "torch", str(folder))
    assert resolve("torch:tiny-base").place == resolve("tiny-base").place
    assert isinstance(open_engine(f"torch:{folder}"), TorchEngine)
    (tmp_path / "odd.bin").write_bytes(b"PK..")
    assert "opens a GGUF file" in sentence(f"llamacpp:{folder}")
    assert "must be GGUF" in sentence(f"llamacpp:{tmp_path / 'odd.bin'}")
    assert "opens a server" in sentence("server:tiny-base")


def test_only_a_model_folder_is_loaded_in_4_bits_or_with_an_adapter(folder, tmp_path):
    file = write_gguf(folder, tmp_path / "m.gguf")
    with pytest.raises(EngineError, match=r"m\.gguf' cannot be loaded in 4 bits"):
        open_engine(file, load_in_4bit=True)
    with pytest.raises(EngineError, match="cannot be given an adapter"):
        open_engine("http://127.0.0.1:9/v1", adapter=tmp_path)


def test_a_preset_s_engine_opens_the_base_or_what_its_settings_name(folder, tmp_path):
    base, asked = resolve(folder), Dialect("zero_shot")
    torch = ENGINES.get("torch")().for_base(base, asked, False)
    assert (type(torch), torch.name, torch.dialect) == (TorchEngine, str(folder), asked)
    file = write_gguf(folder, tmp_path / "m.gguf")
    llama = ENGINES.get("llamacpp")(file=str(file)).for_base(base, asked, True)
    assert (llama.name, llama.dialect) == (str(file), asked)
    llama.close()
    served = ENGINES.get("server")(url="http://127.0.0.1:9", model="m", concurrency=3)
    engine = served.for_base(base, asked, False)
    assert (engine.name, engine.concurrency) == ("http://127.0.0.1:9/v1#m", 3)
    assert engine.dialect == asked
    engine.close()
    for wrong in ({}, {"url": "http://h", "concurrency": 0}, {"url": "http://h", "file": "f"}):
        with pytest.raises(ValidationError):
            ENGINES.get("server")(**wrong)


class Echo(EnginePlugin):
    """Says what it was named with."""

    title: ClassVar[str] = "echo"

    name: Literal["echo"] = "echo"

    def open(self, ref, dialect, exact=False, load_in_4bit=False, adapter=None):
        return FakeEngine(lambda prompt, rng: ref.place)

    def for_base(self, base, dialect, load_in_4bit):
        return self.open(base, dialect)


def test_an_engine_of_another_package_is_opened_by_its_name(monkeypatch):
    monkeypatch.setitem(ENGINES._found, "echo", Echo)
    assert resolve("echo:C:/x y#z") == ModelRef("echo:C:/x y#z", "echo", "C:/x y#z")
    engine = open_engine("echo:C:/x y#z")
    assert engine.generate(["?"], Sampling())[0][0].text == "C:/x y#z"


LIGHT = """
import sys
from ltf_lite.engines import ENGINES, resolve
resolve("tiny-base"), ENGINES.names()
heavy = {"torch", "transformers", "llama_cpp", "openai", "gguf", "huggingface_hub"}
print(sorted(heavy & set(sys.modules)))
"""


def test_nothing_heavy_is_imported_before_a_model_is_opened():
    command = [sys.executable, "-c", LIGHT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- dialects ----------------------------------------------------------------------------------


@pytest.mark.parametrize("add_bos", [True, False])
def test_a_prompt_begins_once(add_bos, tmp_path):
    folder = tiny_models.llama(tmp_path / "model", add_bos=add_bos, num_hidden_layers=1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    bare = tokenizer(tiny_models.PROMPTS, add_special_tokens=False)["input_ids"]
    begun = [[tokenizer.bos_token_id, *ids] if add_bos else ids for ids in bare]
    assert Dialect("compact").encode(tokenizer, tiny_models.PROMPTS) == begun
    assert Dialect("compact", begins=False).encode(tokenizer, tiny_models.PROMPTS) == bare
    assert Dialect("compact").encode(tokenizer, []) == []
    file = write_gguf(folder, tmp_path / "m.gguf", "f32")
    wanted = sum(map(len, begun))
    for model in (folder, file):  # every engine reads a prompt alike
        engine = open_engine(model)
        engine.generate(tiny_models.PROMPTS, Sampling(max_tokens=1))
        assert engine.usage.tokens_in == wanted
        engine.dialect = Dialect("compact", begins=False)
        engine.generate(tiny_models.PROMPTS, Sampling(max_tokens=1))
        assert engine.usage.tokens_in == wanted + sum(map(len, bare))
        engine.close()


def test_a_folder_tells_what_it_speaks(tmp_path):
    assert told(tmp_path) is None
    assert spoken(tmp_path) == Dialect("few_shot")
    tell(tmp_path, "zero_shot")
    assert told(tmp_path) == "zero_shot"
    assert spoken(tmp_path) == Dialect("zero_shot")
    assert json.loads((tmp_path / "ltf.json").read_text()) == {"dialect": "zero_shot"}
    with pytest.raises(EngineError, match="klingon"):
        tell(tmp_path, "klingon")


def test_a_base_keeps_what_it_speaks_and_any_other_is_asked_few_shot(folder, tmp_path):
    def pair(model, ask=None, learn=None):
        return asked_and_learnt(resolve(model).place, ask, learn)

    assert pair(TINY_BASE) == ("compact", "compact")
    assert pair(TINY_BASE, learn="zero_shot") == ("compact", "zero_shot")
    assert pair(folder) == ("few_shot", "zero_shot")
    assert pair(folder, ask="compact") == ("compact", "compact")
    assert pair(folder, ask="zero_shot") == ("zero_shot", "zero_shot")
    assert pair(folder, learn="few_shot") == ("few_shot", "few_shot")
    assert pair("some/model-that-is-not-here") == ("few_shot", "zero_shot")


@pytest.mark.parametrize("text", ['{"dialect": "klingon"}', '{"style": "compact"}', "[]", "{", "7"])
def test_an_unknown_dialect_in_a_folder_is_one_sentence(text, folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "model")
    (copy / "ltf.json").write_text(text)
    for ask in (spoken, open_engine, lambda model: write_gguf(model, tmp_path / "m.gguf")):
        with pytest.raises(EngineError, match=r"ltf\.json") as refusal:
            ask(copy)
        assert "\n" not in str(refusal.value)
        assert ("klingon" in text) == ("klingon" in str(refusal.value))
    assert not (tmp_path / "m.gguf").exists()


def test_an_unknown_dialect_in_a_file_is_one_sentence(folder, tmp_path):
    file = write_gguf(folder, tmp_path / "m.gguf", metadata={"ltf.dialect": "klingon"})
    with pytest.raises(EngineError, match=r"m\.gguf' .*'klingon' \(known: compact") as refusal:
        open_engine(file)
    assert "\n" not in str(refusal.value)
    engine = open_engine(file, dialect("compact"))  # who says how to ask, may
    assert engine.dialect.name == "compact"
    engine.close()


def test_a_run_that_is_not_there_is_no_name_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for given, words in (("runs/tiny", "there is no run"), ("mine/tiny", "there is no model")):
        with pytest.raises(EngineError, match=words):
            resolve(given)
    assert resolve("somebody/model").kind == "hub"
