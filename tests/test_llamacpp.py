"""The GGUF engine: it generates and scores what the model would, however it batches."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ltf_lite.engines import Engine, EngineError, Sampling, open_engine
from ltf_lite.engines.llamacpp import LlamaCppEngine
from ltf_lite.export import write_gguf
from tests import tiny_models

PROMPTS = tiny_models.PROMPTS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_models.llama(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture(scope="module")
def file(folder):
    return write_gguf(folder, folder / "m.f32.gguf", "f32")


@pytest.fixture(scope="module")
def engine(file):
    opened = LlamaCppEngine(file, exact=True)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def reference(folder):
    """The model in float64 and its tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    return model, AutoTokenizer.from_pretrained(folder)


def logp_of(reference, head, tail):
    """Sum of log p of the ids `tail` after the ids `head`, float64."""
    with torch.inference_mode():
        logp = reference[0](torch.tensor([head + tail])).logits[0].log_softmax(1)
    return sum(float(logp[len(head) - 1 + i, token]) for i, token in enumerate(tail))


# -- generating --------------------------------------------------------------------------------


def test_greedy_equals_transformers(engine, reference):
    model, tok = reference
    got = engine.generate(PROMPTS, Sampling(max_tokens=40))
    for prompt, (done,) in zip(PROMPTS, got, strict=True):
        ids = tok(prompt)["input_ids"]
        out = model.generate(torch.tensor([ids]), max_new_tokens=40, do_sample=False,
                             attention_mask=torch.ones(1, len(ids)), pad_token_id=0)  # fmt: skip
        tail = out[0, len(ids) :].tolist()
        assert done.text == tok.decode([t for t in tail if t != tok.eos_token_id])
        assert done.tokens == len(tail)
        assert done.finished == (tail[-1] == tok.eos_token_id)
        assert done.logprob == pytest.approx(logp_of(reference, ids, tail), abs=1e-3 * len(tail))


def test_samples_depend_on_the_seed_and_not_on_how_many_run_together(engine, file):
    wanted = Sampling(n=5, temperature=1.0, top_p=0.9, max_tokens=20, seed=3)
    rows = engine.generate_tokens(PROMPTS, wanted)
    assert [len(row) for row in rows] == [5] * len(PROMPTS)
    assert rows == engine.generate_tokens(PROMPTS, wanted)
    few = LlamaCppEngine(file, exact=True, sequences=3)
    assert rows == few.generate_tokens(PROMPTS, wanted)
    few.close()
    other = Sampling(n=5, temperature=1.0, top_p=0.9, max_tokens=20, seed=4)
    assert rows != engine.generate_tokens(PROMPTS, other)
    assert len({tuple(tokens) for row in rows for tokens in row}) > 20


def test_logprob_is_at_temperature_one_whatever_was_sampled(engine, reference):
    tok = reference[1]
    wanted = Sampling(n=4, temperature=2.0, max_tokens=15)
    tokens = engine.generate_tokens(PROMPTS[:1], wanted)[0]
    done = engine.generate(PROMPTS[:1], wanted)[0]
    head = tok(PROMPTS[0])["input_ids"]
    for tail, completion in zip(tokens, done, strict=True):
        assert completion.logprob == pytest.approx(logp_of(reference, head, tail), abs=0.015)


def test_sampling_follows_the_model_s_probabilities(engine, reference):
    model, tok = reference
    ids = tok("1 + 1 =")["input_ids"]
    with torch.inference_mode():
        probs = (model(torch.tensor([ids])).logits[0, -1] / 0.5).softmax(0)
    n = 2000
    rows = engine.generate_tokens(["1 + 1 ="], Sampling(n=n, temperature=0.5, max_tokens=1))[0]
    best = int(probs.argmax())
    p = float(probs[best])
    seen = sum(row[0] == best for row in rows) / n
    assert abs(seen - p) < 4 * math.sqrt(p * (1 - p) / n)


def test_top_p_leaves_the_tail_out(engine):
    greedy = engine.generate_tokens(PROMPTS, Sampling(max_tokens=8))
    narrow = Sampling(n=3, temperature=1.0, top_p=1e-6, max_tokens=8)
    assert engine.generate_tokens(PROMPTS, narrow) == [row * 3 for row in greedy]


def test_stop_strings_end_a_completion_and_are_cut_off(engine):
    whole = engine.generate(PROMPTS[:1], Sampling(max_tokens=40))[0][0]
    stop = whole.text[8:10]
    at = whole.text.find(stop)
    done = engine.generate(PROMPTS[:1], Sampling(max_tokens=40, stop=("no such text", stop)))[0][0]
    assert done.text == whole.text[:at]
    assert done.beyond.startswith(stop)
    assert done.finished
    assert done.tokens < whole.tokens


def test_max_tokens_is_a_limit(engine):
    assert all(c.tokens <= 3 for (c,) in engine.generate(PROMPTS, Sampling(max_tokens=3)))
    (none,) = engine.generate(["a"], Sampling(max_tokens=0))[0]
    assert (none.text, none.tokens, none.finished) == ("", 0, False)


def test_small_cache_gives_the_same_answers_in_more_waves(engine, file, monkeypatch):
    monkeypatch.setattr("ltf_lite.engines.llama_context.CELLS", 256)
    tight = LlamaCppEngine(file, exact=True)
    wanted = Sampling(n=7, temperature=1.0, max_tokens=60)
    assert tight.generate_tokens(PROMPTS, wanted) == engine.generate_tokens(PROMPTS, wanted)
    tight.close()


# -- scoring -----------------------------------------------------------------------------------


def test_score_equals_a_float64_reference(engine, reference):
    tok = reference[1]
    tails = [" 30 and 33", "= 60", "x", "", " what do we know? 123 456 789"]
    prompts = PROMPTS * 9  # more pairs than sequences
    got = engine.score(prompts, tails * 9)
    for prompt, tail, value in zip(PROMPTS, tails, got, strict=False):
        ids = tok(tail, add_special_tokens=False)["input_ids"]
        wanted = logp_of(reference, tok(prompt)["input_ids"], ids)
        assert value == pytest.approx(wanted, abs=1e-3 * max(1, len(ids)))
    assert got[:5] == pytest.approx(got[-5:], abs=1e-4)


# -- the edges ---------------------------------------------------------------------------------


def test_nothing_in_nothing_out(engine):
    assert engine.generate([], Sampling()) == []
    assert engine.score([], []) == []


def test_too_long_a_prompt_is_refused_with_both_lengths(engine):
    long = "1 " * 500
    length = len(engine.encode(long))
    for ask in (lambda: engine.generate(["a", long], Sampling(max_tokens=5)),
                lambda: engine.score(["a", long], ["b", "b"])):  # fmt: skip
        with pytest.raises(EngineError, match=rf"{length} tokens .* {tiny_models.CONTEXT} tokens"):
            ask()
    assert engine.generate(["a"], Sampling(max_tokens=2))  # and it still works


def test_usage_counts_itself(file, reference):
    tok = reference[1]
    opened = open_engine(file, exact=True)
    assert isinstance(opened, LlamaCppEngine)
    typed: Engine = opened
    done = typed.generate(PROMPTS, Sampling(n=2, temperature=1.0, max_tokens=9))
    length = sum(len(tok(p)["input_ids"]) for p in PROMPTS)
    assert typed.usage.calls == 1
    assert typed.usage.tokens_in == length
    assert typed.usage.tokens_out == sum(c.tokens for row in done for c in row)
    assert 0 < typed.usage.seconds < 60
    typed.score(["a"], ["b"])
    assert typed.usage.calls == 2
    assert typed.usage.tokens_in == length + len(tok("a")["input_ids"]) + 1
    typed.close()


def test_close_twice_and_then_ask(file):
    opened = LlamaCppEngine(file)
    assert opened.style == "few_shot"
    assert opened.task is None
    opened.close()
    opened.close()
    with pytest.raises(EngineError, match="closed"):
        opened.generate(["a"], Sampling())


@pytest.mark.parametrize("keep", [0, 3, 30, 2000, 20_000, -100_000, -1])
def test_truncated_files_are_refused_by_name(keep, file, tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(EngineError, match=r"broken\.gguf") as refusal:
        LlamaCppEngine(broken)
    assert "\n" not in str(refusal.value)


def test_what_is_no_gguf_is_refused_by_name(file, tmp_path):
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(EngineError, match=r"text\.gguf"):
        LlamaCppEngine(tmp_path / "text.gguf")
    with pytest.raises(EngineError, match=r"absent\.gguf"):
        LlamaCppEngine(tmp_path / "absent.gguf")
    # the header is whole, but llama.cpp knows no such architecture
    (tmp_path / "other.gguf").write_bytes(
        file.read_bytes().replace(b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0llama",
                                  b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0lemma")
    )  # fmt: skip
    with pytest.raises(EngineError, match=r"other\.gguf.*lemma"):
        LlamaCppEngine(tmp_path / "other.gguf")


def test_llama_cpp_is_silent(file, capfd):
    LlamaCppEngine(file).close()
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
