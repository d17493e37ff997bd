"""The in-process engine against transformers' own generation and a float64 reference."""

from __future__ import annotations

import pytest
import torch

from ltf_lite.engines import EngineError, Sampling, open_engine
from ltf_lite.engines.torch_engine import TorchEngine
from ltf_lite.tasks import get_task

TASK = get_task("countdown", numbers=(1, 50))
PROMPTS = [TASK.prompt(p, "compact") for p in TASK.problems("validation", 12, 3)] + ["10:7,3\n"]


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    torch.set_num_threads(1)
    return open_engine("tiny-base")


def test_greedy_equals_transformers_generate_alone(engine):
    found = engine.generate(PROMPTS, Sampling(max_tokens=40))
    for prompt, (completion,) in zip(PROMPTS, found, strict=True):
        inputs = engine.tokenizer(prompt, return_tensors="pt")
        out = engine.model.generate(**inputs, do_sample=False, max_new_tokens=40)
        new = out[0, inputs["input_ids"].shape[1] :]
        assert completion.text == engine.tokenizer.decode(new, skip_special_tokens=True)
        assert completion.tokens == len(new)


def test_results_do_not_depend_on_the_batch(engine):
    together = engine.generate(PROMPTS, Sampling(max_tokens=40))
    alone = [engine.generate([prompt], Sampling(max_tokens=40))[0] for prompt in PROMPTS]
    assert [c[0].text for c in together] == [c[0].text for c in alone]


def test_sampling_is_reproducible_under_a_seed_and_varies_without_it(engine):
    first, again, other = (
        engine.generate(PROMPTS, Sampling(n=3, temperature=1.0, max_tokens=40, seed=seed))
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert all(len(row) == 3 for row in first)


def test_a_tiny_nucleus_is_greedy(engine):
    greedy = engine.generate(PROMPTS, Sampling(max_tokens=40))
    narrow = engine.generate(PROMPTS, Sampling(temperature=1.0, top_p=1e-6, max_tokens=40))
    assert [r[0].text for r in greedy] == [r[0].text for r in narrow]


def test_logprob_and_score_equal_a_float64_reference(engine):
    found = [row[0] for row in engine.generate(PROMPTS, Sampling(temperature=1.0, max_tokens=40))]
    scores = engine.score(PROMPTS, [c.text for c in found])
    reference = engine.model.to(torch.float64)
    try:
        for prompt, completion, score in zip(PROMPTS, found, scores, strict=True):
            head = engine.tokenizer(prompt)["input_ids"]
            tail = engine.tokenizer(completion.text, add_special_tokens=False)["input_ids"]
            ids = torch.tensor([head + tail + [engine.tokenizer.eos_token_id]])
            with torch.no_grad():
                logp = reference(ids).logits[0, :-1].log_softmax(1)
            picked = logp.gather(1, ids[0, 1:, None])[len(head) - 1 :, 0]
            assert score == pytest.approx(float(picked[:-1].sum()), abs=1e-3 * len(tail))
            if completion.finished:
                whole = float(picked.sum())
                assert completion.logprob == pytest.approx(whole, abs=1e-3 * len(ids[0]))
    finally:
        engine.model.to(torch.float32)


def test_a_stop_string_ends_the_completion_and_both_parts_are_kept(engine):
    whole = engine.generate(PROMPTS[:1], Sampling(max_tokens=40))[0][0]
    cut = engine.generate(PROMPTS[:1], Sampling(max_tokens=40, stop=("\n",)))[0][0]
    assert cut.text == whole.text.split("\n")[0]
    assert cut.beyond.startswith("\n")
    assert cut.finished
    assert cut.tokens < whole.tokens


def test_an_empty_list_is_answered_with_one(engine):
    assert engine.generate([], Sampling()) == []
    assert engine.score([], []) == []


def test_a_prompt_longer_than_the_context_names_both_lengths(engine):
    with pytest.raises(EngineError, match=r"201 tokens.*128"):
        engine.generate(["1," * 100], Sampling(max_tokens=8))


def test_usage_is_counted(engine):
    before = engine.usage.calls, engine.usage.tokens_in, engine.usage.tokens_out
    found = engine.generate(PROMPTS[:2], Sampling(n=2, temperature=1.0, max_tokens=40))
    assert engine.usage.calls == before[0] + 1
    assert engine.usage.tokens_in - before[1] == sum(
        len(engine.tokenizer(p)["input_ids"]) for p in PROMPTS[:2]
    )
    assert engine.usage.tokens_out - before[2] == sum(c.tokens for row in found for c in row)
    assert engine.usage.seconds > 0


def test_a_missing_model_is_one_sentence():
    with pytest.raises(EngineError, match="no/such/model") as caught:
        open_engine("no/such/model")
    assert "\n" not in str(caught.value)
