"""A tuned model goes on from where a run left it: `ltf repair`, `ltf sweep --from`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

from ltf_lite.core.folder import RunFolder
from ltf_lite.core.manifest import read_manifest
from ltf_lite.engines import model_path
from ltf_lite.pipeline import Run, RunError
from ltf_lite.pipeline.repair import beside, continued, repaired
from ltf_lite.tuning import TuningError, load_for_tuning
from tests import tiny_models
from tests.conftest import SMALL, ltf, one_sentence


@pytest.fixture(scope="module")
def repaired_run(small_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("repair") / "own"
    done = ltf("repair", small_run, "--steps", 4, "--out", folder)
    assert done.returncode == 0, done.stderr
    assert "[3/8] search and harvest: done before" in done.stderr
    assert "replay" in done.stderr
    return folder


def weights(folder):
    return load_file(RunFolder(folder).model / "model.safetensors")


def distance(model, run):
    """The farthest that a weight is from the run's tuned model."""
    own = model.state_dict()
    return max(float((own[n] - w.float()).abs().max()) for n, w in weights(run).items())


@pytest.mark.slow(seconds=59)
def test_a_repaired_model_is_the_tuned_one_tuned_on(small_run, repaired_run):
    told = Run.load(repaired_run).preset
    assert told.name == "small-repaired"
    assert (told.tuning.method, told.tuning.steps) == ("sft", 4)
    assert told.tuning.start == str(small_run / "tuning" / "adapter")
    old, new = weights(small_run), weights(repaired_run)
    moved = {name: (new[name].float() - old[name].float()).abs().max() for name in old}
    assert max(moved.values()) > 0
    rank = json.loads((repaired_run / "tuning" / "adapter" / "adapter_config.json").read_text())
    assert rank["r"] == told.tuning.rank
    # Four small steps go less far from where they began than the whole run went from the base.
    assert max(moved.values()) < 0.05
    result = json.loads((repaired_run / "tuning" / "result.json").read_text())
    assert result["tokens"]["replay"] > 0
    assert list((repaired_run / "gguf").glob("small-repaired.*.gguf"))


@pytest.mark.slow
def test_it_is_compared_with_the_same_base_on_the_same_problems(small_run, repaired_run):
    old, new = (read_manifest(RunFolder(each)) for each in (small_run, repaired_run))
    for stage in ("problems", "baseline", "search"):
        assert new.stages[stage].output == old.stages[stage].output
        assert new.stages[stage].input == old.stages[stage].input


@pytest.mark.slow(seconds=28)
def test_a_sweep_goes_on_from_a_run(small_run, tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(SMALL))
    out = tmp_path / "s"
    told = ("--from", small_run, "--set", "steps=2", "--set", "eval_every=2", "--set", "replay=0.5")
    done = ltf("sweep", file, *told, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "[3/3] search and harvest: done before" in done.stderr
    (result,) = out.glob("cells/*/seed-0/result.json")
    manifest = read_manifest(RunFolder(result.parent))
    assert manifest.preset["tuning"]["start"] == str(small_run / "tuning" / "adapter")


@pytest.mark.slow
def test_what_cannot_be_gone_on_from_is_said_before_anything_is_written(small_run, tmp_path):
    run = Run.load(small_run)
    assert repaired(run).tuning.replay > 0
    copy = tmp_path / "copy"
    shutil.copytree(small_run, copy)
    for file in copy.glob("harvest/replay-*"):
        file.unlink()
    done = ltf("repair", copy, "--out", tmp_path / "x")
    one_sentence(done, 1, "nothing to repair its model by", "{name: tot}")
    assert not (tmp_path / "x").exists()
    shutil.rmtree(copy / "model")
    with pytest.raises(RunError, match="no tuned model yet: finish it"):
        continued(run.preset, Run.load(copy))
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump({**SMALL, "tuning": {**SMALL["tuning"], "start": str(copy)}}))
    done = ltf("train", file, "--out", tmp_path / "y")
    one_sentence(done, 2, str(copy), "is no adapter")
    assert not (tmp_path / "y").exists()


def test_tuning_goes_on_from_an_adapter_of_the_same_base_and_settings(small_run, tmp_path):
    told = Run.load(small_run).preset.tuning
    adapter = RunFolder(small_run).adapter
    start = told.model_copy(update={"start": str(adapter)})
    model, _ = load_for_tuning(model_path("tiny-base"), start)
    assert all(weight.requires_grad for name, weight in model.named_parameters() if "lora" in name)
    fresh, _ = load_for_tuning(model_path("tiny-base"), told)
    apart = [distance(each.merge_and_unload(), small_run) for each in (model, fresh)]
    assert apart[0] < 1e-3 < 0.1 * apart[1]  # what 16 bits round off
    wrong = start.model_copy(update={"rank": told.rank + 1})
    with pytest.raises(TuningError, match=rf"has rank {told.rank}, .* must be the same"):
        load_for_tuning(model_path("tiny-base"), wrong)
    other = tmp_path / "llama"
    tiny_models.llama(other)
    with pytest.raises(TuningError, match="is of another base"):
        load_for_tuning(other, start)
    nowhere = start.model_copy(update={"start": str(tmp_path / "none")})
    with pytest.raises(TuningError, match=r"no adapter to go on from in .*none"):
        load_for_tuning(model_path("tiny-base"), nowhere)


@pytest.mark.parametrize("told", [".", "../small", "{}"])
def test_the_new_run_lies_beside_the_old_one_however_that_is_named(told, tmp_path, monkeypatch):
    (tmp_path / "small").mkdir()
    monkeypatch.chdir(tmp_path / "small")
    source = Path(told.format(tmp_path / "small"))
    assert beside(source, "new").resolve() == tmp_path / "new"
