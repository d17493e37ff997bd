"""Broken model directories and models that are not here: one sentence, nothing written."""

from __future__ import annotations

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from ltf_lite.engines import Dialect, model_path
from ltf_lite.engines.dialect import spoken
from ltf_lite.export import ExportError
from ltf_lite.export.preflight import check_exportable, local
from tests import tiny_models
from tests.conftest import ltf, one_sentence

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
ALL = ["config.json", "tokenizer.json", "tokenizer_config.json", WEIGHTS]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tiny_models.llama(tmp_path_factory.mktemp("whole") / "model", dtype=torch.float16)


@pytest.fixture
def model(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


def edit(file, drop=(), **changes):
    told = {key: value for key, value in json.loads(file.read_text()).items() if key not in drop}
    file.write_text(json.dumps(told | changes))


def in_shards(folder):
    """The same model in several files with an index."""
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder, max_shard_size="40KB")
    (folder / WEIGHTS).unlink(missing_ok=True)
    return sorted(folder.glob("model-*.safetensors"))


# -- what can be wrong with a directory --------------------------------------------------------


def without_tokenizer(folder):
    for file in folder.glob("tokenizer*"):
        file.unlink()


def broken_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{" + (folder / "tokenizer.json").read_text())


def tokens_beyond_the_embeddings(folder):
    weights = load_file(folder / WEIGHTS)
    weights["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"][:300].clone()
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
    edit(folder / "config.json", vocab_size=300)


def without_end_token(folder):
    edit(folder / "tokenizer_config.json", drop=["eos_token"])


def cut_in_the_header(folder):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:40])


def cut_in_the_data(folder):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1000])


def empty_weights(folder):
    (folder / WEIGHTS).write_bytes(b"")


def pointer_instead_of_weights(folder):
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:0a1b\nsize 988097824\n"
    (folder / WEIGHTS).write_text(text)


def garbage_for_weights(folder):
    (folder / WEIGHTS).write_bytes(bytes(range(256)) * 40)


def one_shard_missing(folder):
    in_shards(folder)[1].unlink()


def one_shard_cut(folder):
    shard = in_shards(folder)[1]
    shard.write_bytes(shard.read_bytes()[:-10])


def broken_index(folder):
    in_shards(folder)
    (folder / INDEX).write_text('{"weight_map": [')


def shards_without_index(folder):
    in_shards(folder)
    (folder / INDEX).unlink()


def only_pytorch_weights(folder):
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()


def shapes_of_another_model(folder):
    edit(folder / "config.json", intermediate_size=128)


def a_tensor_missing(folder):
    weights = load_file(folder / WEIGHTS)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / WEIGHTS, {"format": "pt"})


def without_config(folder):
    (folder / "config.json").unlink()


def broken_config(folder):
    (folder / "config.json").write_text((folder / "config.json").read_text()[:-20])


def config_that_is_a_list(folder):
    (folder / "config.json").write_text("[1, 2]")


def config_in_another_encoding(folder):
    (folder / "config.json").write_bytes(b"\xff\xfe{\x00}\x00")


def config_without_architectures(folder):
    edit(folder / "config.json", drop=["architectures"])


def config_without_model_type(folder):
    edit(folder / "config.json", drop=["model_type"])


def config_with_a_wrong_value(folder):
    edit(folder / "config.json", hidden_size="sixty-four")


def config_of_no_model(folder):
    edit(folder / "config.json", num_hidden_layers=-1, num_attention_heads=0)


def broken_generation_config(folder):
    (folder / "generation_config.json").write_text("{")


BAD = {
    without_tokenizer: ["tokenizer.json"],
    broken_tokenizer: ["tokenizer"],
    tokens_beyond_the_embeddings: ["300 embeddings", "not of one model"],
    without_end_token: ["end token", "eos_token"],
    cut_in_the_header: [WEIGHTS, "damaged or cut short"],
    cut_in_the_data: [WEIGHTS, "damaged or cut short"],
    empty_weights: [WEIGHTS, "damaged or cut short"],
    pointer_instead_of_weights: [WEIGHTS, "damaged or cut short"],
    garbage_for_weights: [WEIGHTS, "damaged or cut short"],
    one_shard_missing: ["model-00002-of-", INDEX],
    one_shard_cut: ["model-00002-of-", "damaged or cut short"],
    broken_index: [INDEX, "no JSON"],
    shards_without_index: [INDEX],
    only_pytorch_weights: ["pytorch_model.bin", "save_pretrained"],
    shapes_of_another_model: ["mlp.", "(96, 64)", "(128, 64)"],
    a_tensor_missing: ["model.layers.1.mlp.up_proj.weight"],
    without_config: ["config.json"],
    broken_config: ["config.json", "no JSON"],
    config_that_is_a_list: ["config.json", "no JSON object"],
    config_in_another_encoding: ["config.json", "no JSON"],
    config_without_architectures: ["config.json", "architectures"],
    config_without_model_type: ["config.json", "model_type"],
    config_with_a_wrong_value: ["config.json", "hidden_size", "sixty-four"],
    config_of_no_model: ["config.json"],
    broken_generation_config: ["generation_config.json"],
}


def test_the_model_that_is_broken_below_is_fine_as_it_is(model):
    check_exportable(model)
    in_shards(model)
    check_exportable(model)


@pytest.mark.parametrize("damage", BAD, ids=lambda damage: damage.__name__)
def test_broken_directories_are_refused_in_one_sentence(damage, model):
    damage(model)
    with pytest.raises(ExportError) as refused:
        check_exportable(model)
    said = str(refused.value)
    assert all(word in said for word in BAD[damage]), said
    assert "\n" not in said
    assert len(said) < 400


TRAINED = [without_tokenizer, cut_in_the_data]


@pytest.mark.parametrize("damage", TRAINED, ids=lambda damage: damage.__name__)
@pytest.mark.slow(seconds=10)
def test_train_refuses_them_before_anything_is_written(damage, model, small_preset, tmp_path):
    damage(model)
    result = train(model, small_preset, tmp_path)
    one_sentence(result, 1, *BAD[damage])
    assert "search" not in result.stdout + result.stderr


def train(base, small_preset, tmp_path, **environment):
    """`ltf train` on a base; checks that nothing but its locks is left, if so much."""
    preset = tmp_path / "bad.yaml"
    preset.write_text(small_preset.read_text().replace("tiny-base", str(base)))
    result = ltf("train", preset, "--out", tmp_path / "run", env=os.environ | environment)
    assert all(path.name in (".lock", ".work") for path in tmp_path.glob("run/*"))
    return result


# -- a name on the Hub, and no network ---------------------------------------------------------


def cache(home, name, files=()):
    """The Hub's cache in a folder, holding these files of the embedded base as a model's."""
    folder = home / "hub" / f"models--{name.replace('/', '--')}"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    (folder / "snapshots" / commit).mkdir(parents=True)
    for file in files:
        shutil.copy(f"{model_path('tiny-base')}/{file}", folder / "snapshots" / commit)
    return folder / "snapshots" / commit


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No network, and the Hub's cache in a folder of the test's."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    return tmp_path / "hf"


@pytest.mark.slow
def test_train_offline_names_the_files_and_the_way(small_preset, tmp_path):
    home = tmp_path / "hf"
    result = train("some/model", small_preset, tmp_path, HF_HOME=str(home), HF_HUB_OFFLINE="1")
    one_sentence(
        result,
        1,
        "'some/model'",
        "config.json, tokenizer.json, model*.safetensors",
        "hf download some/model --local-dir DIR",
        "base: DIR",
        "hub/models--some--model",
        str(home),
    )


def test_a_half_filled_cache_names_what_is_missing(offline):
    folder = cache(offline, "some/model", ["config.json", WEIGHTS])
    with pytest.raises(ExportError, match=r"lacks its tokenizer\.json while .*`hf download"):
        local("some/model")
    shutil.copy(f"{model_path('tiny-base')}/tokenizer.json", folder)
    assert local("some/model") == folder
    (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
    with pytest.raises(ExportError, match=r"lacks its model\.safetensors while"):
        local("some/model")
    places = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    with pytest.raises(ExportError, match=r"lacks its model-00002-of-00002\.safetensors while"):
        local("some/model")


def test_a_cache_that_knows_it_is_incomplete_names_the_same(offline):
    """A download that broke off leaves the list of all files beside what it has brought."""
    folder = cache(offline, "some/model", ["config.json", "tokenizer.json"])
    listed = {"format_version": 1, "files": {name: {"size": 1, "blob_id": "0"} for name in ALL}}
    (folder.parents[1] / "trees").mkdir()
    (folder.parents[1] / "trees" / f"{folder.name}.json").write_text(json.dumps(listed))
    with pytest.raises(ExportError, match=r"lacks its model\.safetensors while"):
        local("some/model")


def test_a_whole_cache_needs_no_network(offline):
    cache(offline, "some/model", [*ALL, "ltf.json"])
    check_exportable("some/model")
    assert (
        spoken("some/model") == spoken(model_path("tiny-base")) == Dialect("compact", search=True)
    )


@pytest.mark.parametrize("name", ["nowhere/to/be/found", "./nowhere", "no model"])
def test_a_path_that_is_none_is_not_asked_of_the_hub(name):
    with pytest.raises(ExportError, match=f"no model directory '{name}'"):
        local(name)
