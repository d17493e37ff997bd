"""The in-process engine against transformers' own generation and a float64 reference."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    BloomConfig,
    BloomForCausalLM,
    DynamicCache,
)
from transformers.models.qwen2.modeling_qwen2 import (
    Qwen2Attention,
    Qwen2ForCausalLM,
    Qwen2Model,
)

from ltf_lite.engines import Dialect, EngineError, Sampling, model_path, open_engine
from ltf_lite.engines.torch import engine as torch_engine
from ltf_lite.engines.torch import header
from ltf_lite.engines.torch.engine import TorchEngine
from ltf_lite.engines.torch.header import MIN_SHARED, Headers, grouped
from ltf_lite.engines.torch.sampling import Ending, choose, least_likely
from ltf_lite.tasks import get_task
from tests import tiny_models

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
            assert score.tokens == len(tail)
            assert score.logprob == pytest.approx(float(picked[:-1].sum()), abs=1e-3 * len(tail))
            if completion.finished:
                whole = float(picked.sum())
                assert completion.logprob == pytest.approx(whole, abs=1e-3 * len(ids[0]))
    finally:
        engine.model.to(torch.float32)


def test_the_head_is_given_rows_that_lie_side_by_side(engine):
    """Of others a frozen head in bf16 is copied once a row: 12 GB for 200 rows of SmolLM2."""
    seen = []
    head = engine.model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        engine.generate(PROMPTS, Sampling(max_tokens=3))
        engine.score(PROMPTS, ["1+1=2", "3-1"] * (len(PROMPTS) // 2) + ["1"])
    finally:
        hook.remove()
    assert any(len(each) == len(PROMPTS) for each in seen)
    assert all(each.is_contiguous() for each in seen)


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


# -- sampling --------------------------------------------------------------------------------


def test_a_sample_depends_on_its_prompts_seed_and_its_number_alone(engine):
    seeds = [7 + 3 * k for k in range(len(PROMPTS))]
    three = Sampling(n=3, temperature=1.0, top_p=0.95, max_tokens=40)
    one = Sampling(n=1, temperature=1.0, top_p=0.95, max_tokens=40, seed=5)
    together = engine.generate(PROMPTS, three, seeds)
    turned = engine.generate(PROMPTS[::-1], three, seeds[::-1])[::-1]
    texts = [[c.text for c in row] for row in together]
    assert texts == [[c.text for c in row] for row in turned]
    assert any(len(set(row)) > 1 for row in texts)
    for prompt, seed, row in zip(PROMPTS, seeds, texts, strict=True):
        assert engine.generate([prompt], one, [seed])[0][0].text == row[0]
    other = engine.generate(PROMPTS, three, [seed + 1 for seed in seeds])
    assert texts != [[c.text for c in row] for row in other]


def test_one_prompt_asked_with_two_seeds_in_one_call_answers_both(engine):
    how = Sampling(n=4, temperature=1.0, max_tokens=40)
    first, second = engine.generate([PROMPTS[0]] * 2, how, [1, 2])
    assert [c.text for c in first] != [c.text for c in second]
    assert [c.text for c in second] == [c.text for c in engine.generate(PROMPTS[:1], how, [2])[0]]


def test_noise_picks_tokens_in_proportion_to_their_probability():
    probs = torch.tensor([[0.1, 0.0, 0.55, 0.05, 0.3]])
    noise = (torch.arange(1000) + 0.5) / 1000
    for top_p, expected in ((1.0, probs[0]), (0.8, torch.tensor([0, 0, 0.55, 0, 0.3]) / 0.85)):
        how = Sampling(temperature=1.0, top_p=top_p)
        chosen = choose(probs.log().expand(1000, 5), how, noise)
        found = torch.bincount(chosen, minlength=5) / 1000
        assert found == pytest.approx(expected, abs=2e-3)


def test_no_noise_picks_a_token_of_probability_0():
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.1, -torch.inf, -torch.inf]])
    for top_p in (1.0, 0.99, 0.3):
        for noise in (0.0, 0.4, 1.0 - 2**-24, 1.0):
            how = Sampling(temperature=0.7, top_p=top_p)
            assert choose(logits, how, torch.tensor([noise])).item() in (1, 3)


def test_a_wide_nucleus_is_that_of_a_whole_sort():
    probs = torch.randn(6, 400, generator=torch.Generator().manual_seed(0))
    probs = (probs * torch.tensor([0.1, 0.1, 1.0, 3.0, 9.0, 9.0])[:, None]).softmax(1)
    for top_p in (0.05, 0.5, 0.95):
        for row, least in zip(probs, least_likely(probs, top_p)[:, 0], strict=True):
            kept = row[row >= least]
            assert kept.sum() >= top_p - 1e-5
            assert kept.sum() - kept.min() <= top_p + 1e-5


# -- prompts are computed once ---------------------------------------------------------------


@pytest.fixture(scope="module", params=["tiny-base", "qwen2", "qwen3", "llama"])
def headed(request, tmp_path_factory):
    """An engine, and prompts that share a header: 80 tokens of 128, or 500 of 1024."""
    if request.param == "tiny-base":
        engine = open_engine("tiny-base")
        long = "".join(PROMPTS) * 9
        size = 80
    else:
        build = getattr(tiny_models, request.param)
        folder = build(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)
        engine = TorchEngine.open(folder)
        long = " ".join(tiny_models.TEXTS[:20]) * 9
        size = 500
    encode = engine.tokenizer
    common = encode.decode(encode(long, add_special_tokens=False)["input_ids"][:size])
    prompts = [f"{common}{k},{k * k}:{'7' * k}=" for k in (12, 3, 4, 9)]
    shared = [encode(prompt)["input_ids"] for prompt in prompts]
    assert all(row[: size - 10] == shared[0][: size - 10] for row in shared)
    assert engine._ordinary
    return engine, prompts


@contextmanager
def nothing_shared(engine):
    engine._ordinary = False
    try:
        yield
    finally:
        engine._ordinary = True


@contextmanager
def counted(engine):
    """The shapes of the ids that go through the model, one a forward pass."""
    shapes: list[tuple[int, int]] = []
    layer = engine.model.get_input_embeddings()
    hook = layer.register_forward_hook(lambda _, ids, __: shapes.append(tuple(ids[0].shape)))
    try:
        yield shapes
    finally:
        hook.remove()


def same(found, expected) -> None:
    for row, other in zip(found, expected, strict=True):
        for one, two in zip(row, other, strict=True):
            assert (one.text, one.tokens, one.finished) == (two.text, two.tokens, two.finished)
            assert one.logprob == pytest.approx(two.logprob, abs=1e-4)


@pytest.mark.parametrize(
    "how",
    [Sampling(max_tokens=20), Sampling(n=5, temperature=0.8, top_p=0.9, max_tokens=20)],
    ids=["greedy", "sampled"],
)
def test_a_shared_header_changes_no_token_and_no_logprob(headed, how):
    engine, prompts = headed
    with nothing_shared(engine):
        expected = engine.generate(prompts, how)
    same(engine.generate(prompts, how), expected)
    same(engine.generate(prompts, how), expected)  # with the header remembered


def test_greedy_behind_a_header_equals_transformers_generate(headed):
    engine, prompts = headed
    found = engine.generate(prompts, Sampling(max_tokens=20))
    for prompt, (completion,) in zip(prompts, found, strict=True):
        inputs = engine.tokenizer(prompt, return_tensors="pt")
        out = engine.model.generate(**inputs, do_sample=False, max_new_tokens=20)
        new = out[0, inputs["input_ids"].shape[1] :]
        assert completion.tokens == len(new)
        ended = int(new[-1]) in engine._ending.end_tokens
        assert completion.text == engine.tokenizer.decode(new[: len(new) - int(ended)])


def test_a_header_goes_through_the_model_once_and_is_remembered(headed):
    engine, prompts = headed
    engine._headers = Headers()
    how = Sampling(n=3, temperature=1.0, max_tokens=4)
    ids = [engine.tokenizer(prompt)["input_ids"] for prompt in prompts]
    longest = max(map(len, ids))
    with counted(engine) as shapes:
        engine.generate(prompts, how)
    (one, header), (rows, own), *steps = shapes
    assert (one, rows) == (1, len(prompts))
    assert header > MIN_SHARED
    assert header + own == longest
    assert steps[0] == (3 * len(prompts), 1)
    with counted(engine) as shapes:
        engine.generate(prompts, how)
        engine.score(prompts, ["1"] * len(prompts))
    assert all(width < header for _, width in shapes)


def test_a_header_that_grows_shrinks_and_changes_stays_right(headed):
    engine, prompts = headed
    cut = len(prompts[0]) // 2
    calls = [
        prompts,
        prompts[:1],
        [prompts[1]],
        [p[:cut] + p[-9:] for p in prompts],
        [p[5:] for p in prompts],
        prompts,
    ]
    how = Sampling(max_tokens=6)
    with nothing_shared(engine):
        expected = [engine.generate(call, how) for call in calls]
    for call, right in zip(calls, expected, strict=True):
        same(engine.generate(call, how), right)


def test_one_prompt_that_differs_early_leaves_the_others_their_header():
    alike = [[7] * 600 + [k, 1] for k in range(20)]
    other = [[7] * 100 + [9] * 500 + [k, 2] for k in range(18)]
    lone, short = [7] * 40 + [5] * 560, [3, 3, 3]
    rows = [lone, *alike, short, *other]
    found = grouped(rows)
    assert sorted(k for places, _ in found for k in places) == list(range(len(rows)))
    assert [(sorted(places), length) for places, length in found] == [
        (list(range(1, 21)), 600),
        (list(range(22, 40)), 600),
        ([0, 21], 0),
    ]
    # A few rows more are not worth passes of their own; equal ones are computed once anyway.
    ((places, length),) = grouped([lone, *alike[:3]])
    assert (sorted(places), length) == ([0, 1, 2, 3], 40)
    assert grouped([alike[0]] * 30) == [(list(range(30)), 601)]
    assert grouped([]) == []


def test_prompts_of_several_headers_are_answered_as_each_alone(headed, monkeypatch):
    monkeypatch.setattr(header, "SAVED", 10)
    engine, prompts = headed
    cut = len(prompts[0]) // 2
    mixed = [prompts[0][5:], *prompts, *(p[: cut // 2] + p[cut:] for p in prompts)]
    for how in (Sampling(max_tokens=12), Sampling(n=3, temperature=0.8, max_tokens=12)):
        with nothing_shared(engine):
            expected = engine.generate(mixed, how)
        for _ in range(2):
            with counted(engine) as shapes:
                same(engine.generate(mixed, how), expected)
    assert max(width for _, width in shapes) < 30  # every kind's header was remembered
    tails = ["12-3=9\n"] * len(mixed)
    with nothing_shared(engine):
        right = engine.score(mixed, tails)
    for score, other in zip(engine.score(mixed, tails), right, strict=True):
        assert score.logprob == pytest.approx(other.logprob, abs=1e-4)


def test_scores_behind_a_header_equal_a_float64_reference(headed):
    engine, prompts = headed
    asked = [prompt for prompt in prompts for _ in range(3)]
    tails = ["12-3=9\n", "7", ""] * len(prompts)
    with counted(engine) as shapes:
        found = engine.score(asked, tails)
    assert max(rows for rows, _ in shapes[:-1]) == len(prompts)
    with nothing_shared(engine):
        plain = engine.score(asked, tails)
    assert [s.tokens for s in found] == [s.tokens for s in plain]
    reference = engine.model.to(torch.float64)
    try:
        for prompt, tail, score, other in zip(asked, tails, found, plain, strict=True):
            head = engine.tokenizer(prompt)["input_ids"]
            own = engine.tokenizer(tail, add_special_tokens=False)["input_ids"]
            with torch.inference_mode():
                logp = reference(torch.tensor([head + own])).logits[0].log_softmax(1)
            exact = sum(float(logp[len(head) + k - 1, t]) for k, t in enumerate(own))
            assert score.logprob == pytest.approx(exact, abs=1e-4)
            assert other.logprob == pytest.approx(exact, abs=1e-4)
    finally:
        engine.model.to(torch.float32)


def test_equal_prompts_are_computed_once(engine):
    with counted(engine) as shapes:
        engine.generate(PROMPTS[:2] * 3, Sampling(n=4, temperature=1.0, max_tokens=3))
    assert [rows for rows, _ in shapes] == [2, 24, 24]


def test_a_closed_engine_has_forgotten_the_header():
    engine = open_engine("tiny-base")
    engine.generate(["1," * 30 + "2:", "1," * 30 + "3:"], Sampling(max_tokens=2))
    assert engine._headers.kept
    engine.close()
    assert not engine._headers.kept


def test_attention_that_is_not_the_ordinary_one_shares_nothing(tmp_path, monkeypatch):
    window = {"use_sliding_window": True, "sliding_window": 24, "max_window_layers": 1}
    sliding = TorchEngine.open(tiny_models.qwen2(tmp_path / "a", **window))
    assert not sliding._ordinary
    prompts = ["Use 5, 33 and 30 to make 60. " * 2 + end for end in ("25 + 5", "30", "1 + 2 = 3")]
    found = sliding.generate(prompts, Sampling(n=2, max_tokens=12))
    scores = sliding.score(prompts, [row[0].text for row in found])
    for prompt, row, score in zip(prompts, found, scores, strict=True):
        inputs = sliding.tokenizer(prompt, return_tensors="pt")
        out = sliding.model.generate(**inputs, do_sample=False, max_new_tokens=12)
        new = out[0, inputs["input_ids"].shape[1] :]
        assert [c.text for c in row] == [sliding.tokenizer.decode(new)] * 2
        if sliding.tokenizer(row[0].text)["input_ids"] == new.tolist():
            assert score.logprob == pytest.approx(row[0].logprob, abs=1e-3)
    plain = tiny_models.qwen2(tmp_path / "b")
    assert TorchEngine.open(plain)._ordinary
    own = Qwen2Attention.forward
    monkeypatch.setattr(Qwen2Attention, "forward", lambda self, *a, **k: own(self, *a, **k))
    assert not TorchEngine.open(plain)._ordinary


# -- memory ----------------------------------------------------------------------------------


@contextmanager
def room_for(engine, rows: int):
    """A device that has memory for so many rows."""

    def refuse(_, inputs) -> None:
        if len(inputs[0]) > rows:
            raise torch.cuda.OutOfMemoryError(f"{len(inputs[0])} rows")

    hook = engine.model.get_input_embeddings().register_forward_pre_hook(refuse)
    try:
        yield
    finally:
        hook.remove()
        engine.batch = torch_engine.BATCH


@pytest.mark.slow
def test_a_batch_too_large_is_halved_and_that_is_remembered(engine):
    how = Sampling(n=3, temperature=1.0, max_tokens=40)
    expected = engine.generate(PROMPTS, how)
    scores = engine.score(PROMPTS, ["1+2=3\n"] * len(PROMPTS))
    with room_for(engine, 7):
        same(engine.generate(PROMPTS, how), expected)
        assert engine.batch == 4  # of 39 samples: 19, 9, 4
    with room_for(engine, 7):
        found = engine.score(PROMPTS, ["1+2=3\n"] * len(PROMPTS))
        assert engine.batch == 6  # of 13
        with counted(engine) as shapes:
            engine.generate(PROMPTS, how)
        assert max(rows for rows, _ in shapes) == 6
    assert [s.logprob for s in found] == pytest.approx([s.logprob for s in scores], abs=1e-4)
    with room_for(engine, 0), pytest.raises(torch.cuda.OutOfMemoryError):
        engine.generate(PROMPTS, how)


def test_scoring_asks_for_no_more_logits_than_allowed(engine, monkeypatch):
    tails = ["1+2=3\n"] * len(PROMPTS)
    expected = engine.score(PROMPTS, tails)
    length = expected[0].tokens
    monkeypatch.setattr(torch_engine, "LOGITS", 5 * length * engine.model.config.vocab_size)
    with counted(engine) as shapes:
        found = engine.score(PROMPTS, tails)
    assert max(rows for rows, _ in shapes) == 5
    assert [s.logprob for s in found] == pytest.approx([s.logprob for s in expected], abs=1e-4)


# -- ends and odd input ----------------------------------------------------------------------


@pytest.mark.parametrize("stop", ["語", "本", "ï", " текст 🙂", "т 🙂", "know", "5 = 3", "30 ("])
def test_a_stop_string_is_seen_with_its_last_byte_wherever_tokens_split_it(stop):
    tokenizer = tiny_models.trained(tiny_models.BYTES)
    plain = tiny_models.PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    ending = Ending(plain, [])
    text = "25 + 5 = 30 ( 30 33 ) naïve don't know what 日本語 текст 🙂 is"
    each_byte = [tokenizer.token_to_id(c) for c in tiny_models.BYTES.pre_tokenize_str(text)[0][0]]
    for ids in (plain(text)["input_ids"], each_byte):
        whole = next(k for k in range(1, len(ids) + 1) if stop in plain.decode(ids[:k]))
        seen = [ending.reached(ids[:k], ("never", stop)) for k in range(1, whole + 1)]
        assert seen == [False] * (whole - 1) + [True]


def test_a_stop_string_over_several_tokens_stops_at_its_last(engine):
    prompt = PROMPTS[:1]
    whole = engine.generate(prompt, Sampling(max_tokens=40))[0][0]
    stop = whole.text[3:9]
    found = engine.generate(prompt, Sampling(max_tokens=40, stop=(stop,)))[0][0]
    assert (found.text, found.finished) == (whole.text[: whole.text.index(stop)], True)
    assert (found.text + found.beyond).startswith(whole.text[: whole.text.index(stop) + len(stop)])
    fewer = engine.generate(prompt, Sampling(max_tokens=found.tokens - 1))[0][0]
    assert stop not in fewer.text


def test_looking_for_stop_strings_does_not_decode_whole_rows(engine, monkeypatch):
    tokenizer, lengths = engine._ending.tokenizer, []

    class Counting:
        def decode(self, ids):
            lengths.append(len(ids))
            return tokenizer.decode(ids)

    ending = Ending(Counting(), [])
    ids = tokenizer("1+2=3\n" * 400)["input_ids"]
    for k in range(1, len(ids) + 1):
        assert not ending.reached(ids[:k], ("=4\n",))
    assert sum(lengths) < 8 * len(ids)


def test_a_prompt_without_tokens_is_refused(tmp_path):
    engine = TorchEngine.open(tiny_models.qwen2(tmp_path))
    for ask in (lambda: engine.generate(["a", ""], Sampling()), lambda: engine.score([""], ["a"])):
        with pytest.raises(EngineError, match=r"prompt \d has no tokens"):
            ask()


def test_no_tokens_to_generate_is_an_unfinished_completion(engine):
    for heat in (0.0, 1.0):
        found = engine.generate(PROMPTS[:2], Sampling(n=2, temperature=heat, max_tokens=0))
        assert [[(c.text, c.tokens, c.logprob, c.finished) for c in row] for row in found] == [
            [("", 0, 0.0, False)] * 2
        ] * 2
    assert engine.score(PROMPTS[:1], [""]) == [(0.0, 0)]


def test_a_model_that_names_no_context_has_no_limit(engine):
    size = len(engine.tokenizer)
    config = BloomConfig(vocab_size=size, hidden_size=32, n_layer=1, n_head=2, eos_token_id=1250)
    free = TorchEngine(BloomForCausalLM(config).eval(), engine.tokenizer, Dialect("compact"))
    (found,) = free.generate(["1," * 100], Sampling(n=2, max_tokens=3))
    assert [c.tokens for c in found] == [3, 3]


# -- 4 bits and adapters ---------------------------------------------------------------------

LONG = ["Use 5, 33 and 30 to make 60. " * 2 + end for end in ("25 + 5", "30", "1 + 2 = 3")]


def adapter_of(base: Path, folder: Path) -> Path:
    """An adapter for a model directory that changes what it says."""
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base),
        LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False),
    )
    model.save_pretrained(folder)
    return folder


def answered_alone(model, tokenizer, prompt: str, tokens: int) -> str:
    """What transformers' own `generate` answers."""
    inputs = tokenizer(prompt, return_tensors="pt")
    out = model.generate(**inputs, do_sample=False, max_new_tokens=tokens)
    return tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


@pytest.fixture(scope="module", params=["qwen2", "qwen3"])
def small(request, tmp_path_factory) -> Path:
    """A model directory; its linear layers have rows of 64 and 96, which is no multiple of 64."""
    return tiny_models.MODELS[request.param](tmp_path_factory.mktemp("small") / request.param)


@pytest.mark.parametrize("tuned", [False, True])
@pytest.mark.parametrize("load_in_4bit", [False, True])
def test_four_bits_and_an_adapter_answer_as_transformers_and_peft_do(
    small, tmp_path, load_in_4bit, tuned
):
    adapter = adapter_of(small, tmp_path / "adapter") if tuned else None
    options = {}
    if load_in_4bit:
        nf4 = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        )
        options = {"quantization_config": nf4, "device_map": {"": "cpu"}}
    reference = AutoModelForCausalLM.from_pretrained(small, dtype=torch.float32, **options).eval()
    for layer in reference.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False
    if adapter:
        reference = PeftModel.from_pretrained(reference, str(adapter)).eval()
    engine = open_engine(small, load_in_4bit=load_in_4bit, adapter=adapter)
    assert engine._ordinary  # behind peft and 4 bits too, prompts share their header
    with counted(engine) as shapes:
        found = engine.generate(LONG, Sampling(max_tokens=12))
    assert shapes[0][0] == 1
    for prompt, (completion,) in zip(LONG, found, strict=True):
        assert completion.text == answered_alone(reference, engine.tokenizer, prompt, 12)
    tail = "25 + 5 = 30"
    scores = engine.score(LONG, [tail] * len(LONG))
    for prompt, score in zip(LONG, scores, strict=True):
        head, own = (engine.tokenizer(text)["input_ids"] for text in (prompt, tail))
        with torch.no_grad():
            logp = reference(torch.tensor([head + own])).logits[0].log_softmax(1)
        exact = sum(float(logp[len(head) + k - 1, t]) for k, t in enumerate(own))
        assert score.logprob == pytest.approx(exact, abs=1e-3)


def test_four_bits_are_four_and_an_adapter_changes_the_answer(small, tmp_path):
    adapter = adapter_of(small, tmp_path / "adapter")
    kinds = [(bits, tuned) for bits in (False, True) for tuned in (None, adapter)]
    engines = [open_engine(small, load_in_4bit=bits, adapter=tuned) for bits, tuned in kinds]
    layers = [e.model.get_submodule("model.layers.0.mlp.up_proj") for e in engines[::2]]
    assert [type(layer).__name__ for layer in layers] == ["Linear", "Linear4bit"]
    scores = [engine.score(LONG[:1], ["25 + 5 = 30"])[0].logprob for engine in engines]
    assert len({round(score, 2) for score in scores}) == 4


def test_an_adapter_that_is_none_or_of_another_base_is_one_sentence(small, tmp_path):
    with pytest.raises(EngineError, match=r"is no adapter: it has no adapter_config\.json"):
        open_engine(small, adapter=tmp_path)
    other = adapter_of(Path(model_path("tiny-base")), tmp_path / "other")
    with pytest.raises(EngineError, match="does not fit its base") as caught:
        open_engine(small, adapter=other)
    assert "\n" not in str(caught.value)


def test_damaged_weights_are_one_sentence(small, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(small, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(EngineError, match="broken") as caught:
        open_engine(broken)
    assert "\n" not in str(caught.value)


# -- a model whose forward unsloth has replaced -----------------------------------------------


def as_unsloth_leaves_it(monkeypatch) -> None:
    """Give Qwen2 the contract of unsloth's forward, which itself runs on CUDA only.

    Keys and values come and go as tuples, a cache object is never written, and the model's own
    forward takes a path of its own for single tokens, which must not be used.
    """
    real = Qwen2Model.forward

    def forward(self, input_ids=None, past_key_values=None, **rest):
        assert past_key_values is None or isinstance(past_key_values[0], tuple)
        cache = DynamicCache(config=self.config)
        for k, layer in enumerate(past_key_values or ()):
            cache.update(*layer, k)
        out = real(self, input_ids=input_ids, past_key_values=cache, **rest)
        out.past_key_values = [(layer.keys, layer.values) for layer in cache.layers]
        return out

    def refuse(self, *args, **kwargs):
        raise AssertionError("the decoder is to be asked directly")

    forward.__module__ = "unsloth.models.llama"
    monkeypatch.setattr(Qwen2Model, "forward", forward)
    monkeypatch.setattr(Qwen2ForCausalLM, "forward", refuse)


def test_a_model_that_unsloth_replaced_answers_as_before(tmp_path, monkeypatch):
    small = tiny_models.qwen2(tmp_path / "model")
    adapter = adapter_of(small, tmp_path / "adapter")
    greedy, samples = Sampling(max_tokens=20), Sampling(n=3, temperature=1.0, max_tokens=20, seed=1)
    prompts = [*LONG, "a"]
    tails = ["25 + 5 = 30", "7", "", "1 + 2"]
    plain = open_engine(small, adapter=adapter)
    wanted = [plain.generate(prompts, how) for how in (greedy, samples)]
    scores = plain.score(prompts, tails)
    as_unsloth_leaves_it(monkeypatch)
    engine = open_engine(small, adapter=adapter)
    for how, right in zip((greedy, samples), wanted, strict=True):
        same(engine.generate(prompts, how), right)
    found = engine.score(prompts, tails)
    assert [s.logprob for s in found] == pytest.approx([s.logprob for s in scores], abs=1e-4)


@pytest.mark.parametrize("name", ["compact", "few_shot"])
def test_what_a_tokenizer_puts_behind_a_text_is_not_asked(engine, tmp_path, name):
    folder = tmp_path / "appends"
    shutil.copytree(model_path("tiny-base"), folder)
    state = json.loads((folder / "tokenizer.json").read_text())
    end = {"SpecialToken": {"id": engine.tokenizer.eos_token, "type_id": 0}}
    template = {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, end],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            engine.tokenizer.eos_token: {
                "id": engine.tokenizer.eos_token,
                "ids": [engine.tokenizer.eos_token_id],
                "tokens": [engine.tokenizer.eos_token],
            }
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(state | {"post_processor": template}))
    appends = AutoTokenizer.from_pretrained(folder)
    assert appends(PROMPTS[0])["input_ids"][-1] == engine.tokenizer.eos_token_id
    bare = [appends(prompt, add_special_tokens=False)["input_ids"] for prompt in PROMPTS]
    assert Dialect(name).encode(appends, PROMPTS) == bare
