"""A compact model that never learnt the questions of a search is searched without them."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest
import torch

from ltf_lite.engines import Dialect, model_path, open_engine
from ltf_lite.engines.dialect import searches, spoken, tell
from ltf_lite.engines.from_gguf import folder_of
from ltf_lite.export.gguf.write import write_gguf
from ltf_lite.export.merge.merge import merge
from ltf_lite.pipeline.common import learnt
from ltf_lite.presets import parse
from ltf_lite.reasoners import get_reasoner, solve
from ltf_lite.tasks import get_task
from tests import tiny_models
from tests.conftest import SMALL

TASK = get_task("countdown", count=3, numbers=(1, 20), draw="walk")
COMPACT = Dialect("compact")
SEARCHES = {
    "tot": {"beam": 2, "samples": 2},
    "rap": {"iterations": 2, "samples": 2, "value": "rollout"},
}


@pytest.fixture(scope="module")
def untaught(tmp_path_factory):
    """The embedded base's weights in a folder that says that they learnt no questions."""
    folder = tmp_path_factory.mktemp("untaught") / "model"
    shutil.copytree(model_path("tiny-base"), folder)
    tell(folder, "compact", search=False)
    return folder


def asked(engine, name, **settings):
    """All that an engine was asked, and what was found."""
    heard, generate, score = [], engine.generate, engine.score

    def listening(prompts, *rest):
        heard.extend(prompts)
        return generate(prompts, *rest)

    def scoring(prompts, tails):
        heard.extend(prompts)
        return score(prompts, tails)

    engine.generate, engine.score = listening, scoring
    reasoner = get_reasoner(name, **{**SEARCHES[name], **settings})
    found = list(solve(reasoner, TASK.problems("test", 3, 0), TASK, engine))
    engine.close()
    return heard, found


def questions(heard):
    return [prompt for prompt in heard if prompt.endswith(("?\n", "!\n"))]


@pytest.mark.parametrize("name", SEARCHES)
def test_it_is_asked_how_a_path_goes_on_and_nothing_else(name, untaught):
    heard, found = asked(open_engine(untaught), name)
    assert heard
    assert questions(heard) == []
    assert any(len(each.tree) > 2 for each in found)
    assert any(node.value for each in found for node in each.tree)


@pytest.mark.parametrize("name", SEARCHES)
def test_the_embedded_base_is_asked_as_it_learnt(name):
    heard, _ = asked(open_engine("tiny-base"), name)
    assert questions(heard)
    heard, _ = asked(open_engine("tiny-base", COMPACT), name)  # as a preset names the dialect
    assert questions(heard)


def test_a_base_that_says_nothing_is_not_thought_to_know(tmp_path):
    folder = tiny_models.llama(tmp_path / "base")
    heard, _ = asked(open_engine(folder, COMPACT), "tot")
    assert heard
    assert questions(heard) == []
    file = write_gguf(folder, tmp_path / "base.gguf", "f32")
    heard, _ = asked(open_engine(file, COMPACT), "tot")
    assert questions(heard) == []


def test_one_of_an_older_version_is_asked_as_before(untaught, tmp_path):
    old = shutil.copytree(untaught, tmp_path / "old")
    tell(old, "compact")
    assert searches(old) is None
    assert questions(asked(open_engine(old), "tot")[0])


@pytest.mark.parametrize("knows", [True, False])
@pytest.mark.slow
def test_children_know_what_their_base_knew(knows, tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = tiny_models.llama(tmp_path / "base", dtype=torch.float16)
    tell(base, "compact", search=knows)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    get_peft_model(model, LoraConfig(r=2, target_modules="all-linear")).save_pretrained(
        tmp_path / "adapter"
    )
    merge(base, tmp_path / "adapter", tmp_path / "out", "compact")
    assert json.loads((tmp_path / "out" / "ltf.json").read_text())["search"] is knows
    file = write_gguf(tmp_path / "out", tmp_path / "out.gguf", "f32")
    assert spoken(file).search is knows
    engine = open_engine(file)
    assert engine.dialect.search is knows
    engine.close()
    assert spoken(folder_of(file)).search is knows


@pytest.mark.parametrize(("base", "search"), [("tiny-base", True), ("other", False)])
def test_a_run_asks_its_checkpoints_what_their_base_has_learnt(base, search, tmp_path):
    if base == "other":
        base = str(tiny_models.llama(tmp_path / "base"))
    told = {**SMALL, "model": {"base": base, "ask": "few_shot", "learn": "compact"}}
    assert learnt(SimpleNamespace(preset=parse(told, "p"))).search is search
