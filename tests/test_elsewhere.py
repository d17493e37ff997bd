"""What a run does not tune on: ordinary English, and another task, asked as the base is asked."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import yaml

from ltf_lite import presets
from ltf_lite.engines import Completion, Dialect, open_engine
from ltf_lite.evaluation.heldout import paragraphs
from ltf_lite.pipeline import abilities
from ltf_lite.pipeline.train import check
from ltf_lite.presets import PresetError
from tests.conftest import SMALL, ltf, one_sentence

SAID = Completion("7", 1, -1.0, True)


def preset(**changes):
    return presets.parse({**copy.deepcopy(SMALL), **changes}, "small")


@pytest.fixture
def sums(tmp_path):
    file = tmp_path / "sums.jsonl"
    rows = [f'{{"question": "What is {a} plus {b}?", "answer": "{a + b}"}}' for a in range(20)
            for b in range(20)]  # fmt: skip
    file.write_text("\n".join(rows) + "\n")
    return file


def test_a_base_without_a_text_of_its_own_is_measured_on_english(base):
    told = preset(model={"base": str(base)}, retention={"heldout_nll": 1.1})
    check(told)
    texts = paragraphs(abilities.heldout_file(told))
    assert len(texts) >= 40
    assert sum(len(rest.split()) for _, rest in texts) > 1000
    assert abilities.heldout_file(preset()).name == "heldout.txt"  # the embedded base has one


@pytest.mark.slow
def test_another_task_is_asked_in_the_words_in_which_the_base_is_asked(sums):
    """Also of the tuned model, which learnt other words."""
    told = preset(
        model={"base": "tiny-base", "ask": "few_shot", "learn": "compact"},
        retention={"other": str(sums), "other_task": 0.9},
    )
    check(told)
    asked = []
    for spoken in ("few_shot", "compact"):  # base and tuned model
        engine = open_engine("tiny-base", Dialect(spoken))
        # The embedded base has no room for such prompts: what is asked is all that counts.
        engine.generate = lambda prompts, *_: asked.append(prompts) or [[SAID] for _ in prompts]
        found = abilities.elsewhere(SimpleNamespace(preset=told), engine, "validation", 5, False)
        engine.close()
        other = next(one for one in found if one.kind == "other_task")
        assert (other.n, other.label, len(other.solved)) == (5, told.retention.other.name, 5)
    of_base, of_tuned = ([p for p in asked if "plus" in p[0]][k] for k in (0, 1))
    assert of_base == of_tuned


def test_a_floor_for_another_task_needs_the_task():
    with pytest.raises(PresetError, match=r"name one as retention\.other"):
        check(preset(retention={"other_task": 0.9}))


def test_a_task_that_is_not_there_is_one_sentence(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text(yaml.safe_dump({**SMALL, "retention": {"other": "no/such.jsonl"}}))
    one_sentence(ltf("train", file, "--out", tmp_path / "run"), 2, "no/such.jsonl")
