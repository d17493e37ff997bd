"""What every engine does alike, on the embedded base: in-process, as GGUF, and behind a server.

The server is llama-cpp-python's own, a process of its own on loopback, with a 32-bit KV cache.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ltf_lite.engines import Dialect, EngineError, Sampling, model_path, open_engine
from ltf_lite.tasks import get_task
from tests import llama_server
from tests.llama_server import free_port, serving

TASK = get_task("countdown", numbers=(1, 50), max_intermediate=999)
PROMPTS = [TASK.prompt(p, "compact") for p in TASK.problems("validation", 12, 3)]
GREEDY = Sampling(max_tokens=40)
CONTEXT = {"torch": 128, "llamacpp": 128, "server": llama_server.CONTEXT}


@pytest.fixture(scope="module")
def file(base_gguf) -> Path:
    return base_gguf


@pytest.fixture(scope="module")
def address(file):
    """A running server's address, with the model's name."""
    port = free_port()
    with serving(file, port):
        yield f"http://127.0.0.1:{port}#base"


@pytest.fixture(scope="module", params=["torch", "llamacpp", "server"])
def engine(request):
    torch.set_num_threads(1)
    if request.param == "torch":
        opened = open_engine("tiny-base")
    elif request.param == "llamacpp":
        opened = open_engine(request.getfixturevalue("file"), exact=True)
    else:
        opened = open_engine(request.getfixturevalue("address"), Dialect("compact"))
    opened.kind = request.param
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def reference():
    """The model in float64 and its tokenizer."""
    path = model_path("tiny-base")
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float64).eval()
    return model, AutoTokenizer.from_pretrained(path)


@pytest.fixture(scope="module")
def greedy(reference) -> list[str]:
    """What transformers answers to each prompt alone."""
    model, tokenizer = reference
    texts = []
    for prompt in PROMPTS:
        inputs = tokenizer(prompt, return_tensors="pt")
        out = model.generate(**inputs, do_sample=False, max_new_tokens=GREEDY.max_tokens)
        new = out[0, inputs["input_ids"].shape[1] :]
        texts.append(tokenizer.decode(new, skip_special_tokens=True))
    return texts


def logp_of(reference, prompt: str, tail: list[int]) -> float:
    """Sum of log p of the ids `tail` after a prompt, float64."""
    model, tokenizer = reference
    head = tokenizer(prompt)["input_ids"]
    with torch.inference_mode():
        logp = model(torch.tensor([head + tail])).logits[0].log_softmax(1)
    return sum(float(logp[len(head) - 1 + i, token]) for i, token in enumerate(tail))


def texts(rows) -> list[list[str]]:
    return [[completion.text for completion in row] for row in rows]


def test_greedy_texts_are_those_of_transformers(engine, greedy):
    assert texts(engine.generate(PROMPTS, GREEDY)) == [[text] for text in greedy]


@pytest.mark.slow
def test_a_seed_makes_samples_reproducible(engine):
    first, again, other = (
        texts(engine.generate(PROMPTS, Sampling(n=3, temperature=1.0, max_tokens=40, seed=seed)))
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert [len(row) for row in first] == [3] * len(PROMPTS)
    assert len({text for row in first for text in row}) > 2 * len(PROMPTS)  # samples differ


@pytest.mark.slow
def test_a_sample_does_not_depend_on_what_else_is_asked(engine):
    wanted = Sampling(n=3, temperature=1.0, max_tokens=40, seed=5)
    seeds = list(range(100, 100 + len(PROMPTS)))
    together = texts(engine.generate(PROMPTS, wanted, seeds))
    for k in (0, 7):
        assert texts(engine.generate([PROMPTS[k]], wanted, [seeds[k]])) == [together[k]]
    fewer = Sampling(n=1, temperature=1.0, max_tokens=40, seed=5)
    assert texts(engine.generate(PROMPTS, fewer, seeds)) == [row[:1] for row in together]
    backwards = engine.generate(PROMPTS[::-1], wanted, seeds[::-1])
    assert texts(backwards) == together[::-1]


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_logprob_is_that_of_a_float64_reference(engine, reference, temperature):
    tokenizer = reference[1]
    wanted = Sampling(n=1, temperature=temperature, max_tokens=40, seed=2)
    for prompt, (done,) in zip(PROMPTS, engine.generate(PROMPTS, wanted), strict=True):
        tail = tokenizer(done.text, add_special_tokens=False)["input_ids"]
        # llama-cpp-python's server leaves the end token out of what it counts
        if done.finished and engine.kind != "server":
            tail.append(tokenizer.eos_token_id)
        assert done.tokens == len(tail)
        assert done.logprob == pytest.approx(logp_of(reference, prompt, tail), abs=1e-3 * len(tail))


def test_scores_are_those_of_a_float64_reference(engine, reference, greedy):
    tails = [*greedy[:6], *(text.split("\n")[0] + "\n" for text in greedy[6:11]), ""]
    for prompt, tail, score in zip(PROMPTS, tails, engine.score(PROMPTS, tails), strict=True):
        ids = reference[1](tail, add_special_tokens=False)["input_ids"]
        assert score.tokens == len(ids)
        wanted = logp_of(reference, prompt, ids)
        assert score.logprob == pytest.approx(wanted, abs=1e-3 * max(1, len(ids)))


def test_a_stop_string_ends_a_completion_and_is_cut_off(engine, greedy):
    stopped = engine.generate(PROMPTS, Sampling(max_tokens=40, stop=("no such text", "\n")))
    for text, (done,) in zip(greedy, stopped, strict=True):
        assert done.text == text.split("\n")[0]
        assert done.finished
        assert done.tokens < 40


def test_max_tokens_is_a_limit(engine, greedy):
    for text, (done,) in zip(greedy, engine.generate(PROMPTS, Sampling(max_tokens=3)), strict=True):
        assert text.startswith(done.text)
        assert (done.tokens, done.finished) == (3, False)
    none = engine.generate(PROMPTS[:1], Sampling(n=2, max_tokens=0))[0]
    assert [(c.text, c.tokens, c.finished) for c in none] == [("", 0, False)] * 2


def test_nothing_in_nothing_out(engine):
    assert engine.generate([], GREEDY) == []
    assert engine.score([], []) == []


def test_too_long_a_prompt_is_refused_with_both_lengths(engine):
    long = "1," * 300  # and BOS: 601 tokens
    with pytest.raises(EngineError) as refusal:
        engine.generate([PROMPTS[0], long], Sampling(max_tokens=4))
    assert {"601", str(CONTEXT[engine.kind])} <= set(re.findall(r"\d+", str(refusal.value)))
    assert "\n" not in str(refusal.value)
    assert engine.generate(PROMPTS[:1], Sampling(max_tokens=2))[0]  # and it still works


def test_usage_counts_itself(engine, reference):
    before = engine.usage.calls, engine.usage.tokens_in, engine.usage.tokens_out
    seconds = engine.usage.seconds
    done = engine.generate(PROMPTS, Sampling(n=2, temperature=1.0, max_tokens=9))
    assert engine.usage.calls == before[0] + 1
    length = sum(len(reference[1](p)["input_ids"]) for p in PROMPTS)
    assert engine.usage.tokens_in == before[1] + length
    assert engine.usage.tokens_out == before[2] + sum(c.tokens for row in done for c in row)
    assert 0 < engine.usage.seconds - seconds < 60
    engine.score(PROMPTS[:1], ["1"])
    assert engine.usage.calls == before[0] + 2
    assert engine.usage.tokens_in > before[1] + length


def test_it_works_where_an_event_loop_already_runs(engine, greedy):
    async def asked():
        return texts(engine.generate(PROMPTS[:2], GREEDY))

    assert asyncio.run(asked()) == [[text] for text in greedy[:2]]


def test_the_dialect_is_the_model_s_own_or_the_one_asked_for(engine, file, address):
    assert engine.dialect.name == "compact"
    other = open_engine(file, Dialect("zero_shot"))
    assert other.dialect.name == "zero_shot"
    other.close()
    served = open_engine(address.partition("#")[0])  # the only model it has
    assert (served.dialect.name, served.name) == ("few_shot", address.replace("#", "/v1#"))
    served.close()
