"""Export: the file says what the model says, and what cannot be exported is refused early."""

from __future__ import annotations

import importlib
import json
import shutil
from contextlib import closing
from dataclasses import replace
from typing import Literal

import gguf
import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from ltf_lite.core.files import read_as, write_as
from ltf_lite.engines import Sampling
from ltf_lite.engines.llama.engine import LlamaCppEngine
from ltf_lite.evaluation.types import Rate
from ltf_lite.export import ExportError
from ltf_lite.export.card import CardFacts, model_card
from ltf_lite.export.formats import EXPORTERS, Exported, Exporter
from ltf_lite.export.gguf.divergence import _summary, divergence, kl
from ltf_lite.export.gguf.parity import bits_that_fit, difference, greedy_parity, token_parity
from ltf_lite.export.gguf.quantize import KINDS, quantize, tensor_types
from ltf_lite.export.gguf.types import (
    AnswerDifference,
    Divergence,
    FileFacts,
    GreedyParity,
    Parity,
    SuccessParity,
    TokenDifference,
    TokenParity,
    judged,
)
from ltf_lite.export.gguf.write import PLAINLY, write_gguf
from ltf_lite.export.preflight import check_exportable
from ltf_lite.tasks import Verdict, get_task
from ltf_lite.tuning.methods import METHODS
from tests import tiny_models


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A random Llama directory in fp16 that says its dialect."""
    folder = tiny_models.llama(tmp_path_factory.mktemp("base") / "base", dtype=torch.float16)
    (folder / "ltf.json").write_text(json.dumps({"dialect": "compact"}))
    return folder


def edit(folder, file, **changes):
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def field(file, key):
    return gguf.GGUFReader(file).fields[key].contents()


@pytest.fixture
def copy(base, tmp_path):
    return shutil.copytree(base, tmp_path / "copy")


# -- the file says what the model says ---------------------------------------------------------


@pytest.mark.parametrize("kind", tiny_models.MODELS)
def test_greedy_tokens_equal_transformers(kind, tmp_path):
    folder = tiny_models.MODELS[kind](tmp_path / "model")
    check_exportable(folder)
    file = write_gguf(folder, tmp_path / "m.gguf", "f32")
    parity = greedy_parity(folder, file, tiny_models.PROMPTS, 40)
    assert (parity.n, parity.equal, parity.first_differences) == (5, 5, [])
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    inputs = AutoTokenizer.from_pretrained(folder)(tiny_models.PROMPTS[0], return_tensors="pt")
    said = model.generate(**inputs, do_sample=False, max_new_tokens=40)[0].tolist()
    with closing(LlamaCppEngine(file, exact=True)) as engine:
        (answer,) = engine.generate_tokens(tiny_models.PROMPTS[:1], Sampling(max_tokens=40))[0]
    assert said[inputs["input_ids"].shape[1] :] == answer


@pytest.mark.parametrize("kind", tiny_models.MODELS)
def test_in_16_bits_only_ties_are_excused(kind, tmp_path):
    folder = tiny_models.MODELS[kind](tmp_path / "model")
    AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float16).save_pretrained(folder)
    file = write_gguf(folder, tmp_path / "m.gguf", "f16")
    parity = greedy_parity(folder, file, tiny_models.PROMPTS, 40, bits=16)
    assert parity.equal + parity.ties == parity.n == 5
    assert parity.differing == 0
    assert parity.equal >= 3
    assert (parity.bits, parity.tie) == (16, 0.1)


@pytest.mark.parametrize("bits", [32, 16])
def test_parity_notices_a_different_model(bits, base, tmp_path):
    other = tiny_models.llama(
        tmp_path / "other", rope_parameters={"rope_theta": 50.0, "rope_type": "default"}
    )
    file = write_gguf(other, tmp_path / "m.gguf", f"f{bits}")
    parity = greedy_parity(base, file, ["abc def"], 40, bits)
    assert parity.equal == parity.ties == 0
    assert parity.differing == 1
    assert parity.first_differences[0].margin > 0.1


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ([1, 2, 0], None),
        # both of its first two tokens part: the more decided one is told
        ([3, 4, 0], AnswerDifference("1", 1, [2], [4], 4.0)),
        ([1, 2], AnswerDifference("1", 2, [0], [], None)),
        ([0, 2, 0], AnswerDifference("1", 1, [], [2], None)),
    ],
)
def test_a_difference_is_where_transformers_would_part(answer, found):
    scores = torch.zeros(4, 5)
    scores[0, 1], scores[1, 2], scores[2, 0], scores[0, 3] = 3.0, 4.0, 2.0, 2.5
    result = difference("1", answer, scores[: len(answer) + 1], ends=[0], max_tokens=9)
    assert result == found


def test_32_bits_are_compared_where_they_fit(base):
    size = (base / "model.safetensors").stat().st_size
    assert bits_that_fit(base, 3 * size) == 32
    assert bits_that_fit(base, 2 * size) == 16
    assert bits_that_fit(base) == 32


@pytest.mark.parametrize("add_bos", [True, False])
@pytest.mark.parametrize("pre", tiny_models.PRE)
def test_tokens_equal_transformers(pre, add_bos, tmp_path):
    folder = tiny_models.llama(tmp_path / "model", pre, add_bos, num_hidden_layers=1)
    file = write_gguf(folder, tmp_path / "m.gguf")
    assert field(file, "tokenizer.ggml.pre") == pre
    with closing(LlamaCppEngine(file)) as engine:
        parity = token_parity(AutoTokenizer.from_pretrained(folder), engine, tiny_models.TEXTS)
    assert parity == TokenParity(len(tiny_models.TEXTS), 0, [])


def test_token_parity_shows_where_tokenizers_differ(base, tmp_path):
    file = write_gguf(base, tmp_path / "m.gguf")
    other = tiny_models.tokenizer("qwen2")
    with closing(LlamaCppEngine(file)) as engine:
        parity = token_parity(other, engine, ["a", "1000000"])
    assert parity.mismatches > 0
    shown = parity.examples[0]
    assert shown.transformers == other(shown.text)["input_ids"] != shown.llamacpp


def test_file_carries_dialect_task_and_template(copy, tmp_path):
    (copy / "chat_template.jinja").write_text("[{{ messages[0]['content'] }}]")
    file = write_gguf(copy, tmp_path / "m.gguf", name="mine", metadata={"ltf.task": "countdown"})
    with closing(LlamaCppEngine(file)) as engine:
        assert (engine.dialect.name, engine.task) == ("compact", "countdown")
    assert field(file, "ltf.dialect") == "compact"
    assert field(file, "general.name") == "mine"
    # a model that learnt no chat is asked as it learnt by who knows only chats
    assert field(file, "tokenizer.chat_template") == PLAINLY
    (copy / "ltf.json").unlink()
    file = write_gguf(copy, tmp_path / "base.gguf")
    assert field(file, "tokenizer.chat_template") == "[{{ messages[0]['content'] }}]"


@pytest.mark.slow
def test_every_end_token_of_the_model_ends_a_generation(copy, tmp_path):
    """An exported model that knows only one of its end tokens never stops talking."""
    ends = [tiny_models.tokenizer().eos_token_id, 65, 66]
    edit(copy, "generation_config.json", eos_token_id=ends)
    file = write_gguf(copy, tmp_path / "m.gguf")
    with closing(LlamaCppEngine(file)) as engine:
        rows = engine.generate_tokens(["1 2"], Sampling(n=300, temperature=50.0, max_tokens=60))[0]
    stopped = {row[-1] for row in rows if len(row) < 60}
    assert stopped == set(ends)
    assert not any(token in ends for row in rows for token in row[:-1])


@pytest.mark.parametrize("kind", ["f16", *KINDS])
def test_smaller_files_load_and_generate(kind, base, tmp_path):
    file = write_gguf(base, tmp_path / "f16.gguf")
    size = file.stat().st_size
    if kind != "f16":
        file = quantize(file, tmp_path / f"{kind}.gguf", kind)
        assert file.stat().st_size < size
    with closing(LlamaCppEngine(file)) as engine:
        (done,) = engine.generate(["Use 5"], Sampling(max_tokens=10))[0]
    assert 1 <= done.tokens <= 10
    assert not list(tmp_path.glob("*.partial"))


def test_a_file_says_which_types_it_really_has(base, tmp_path):
    file = quantize(write_gguf(base, tmp_path / "64.gguf"), tmp_path / "64.q.gguf", "q4_k_m")
    types = tensor_types(file)
    assert "Q4_K" not in types  # 64 columns are no multiple of 256
    assert set(types) == {"Q5_0", "Q8_0", "F32"}
    assert sum(types.values()) == pytest.approx(1)
    wide = tiny_models.llama(tmp_path / "256", hidden_size=256, intermediate_size=256)
    file = quantize(write_gguf(wide, tmp_path / "256.gguf"), tmp_path / "256.q.gguf", "q4_k_m")
    types = tensor_types(file)
    assert next(iter(types)) == "Q4_K"
    assert types["Q4_K"] > 0.5


# -- how far a quantized file lies from its original -----------------------------------------


PAIRS = [(prompt, f"{n} + 25 = {n + 25}\n") for n, prompt in enumerate(tiny_models.PROMPTS)]


def test_divergence_of_hand_made_distributions():
    even, odd = np.log([0.5, 0.5]), np.log([0.9, 0.1])
    assert kl(even + 3, odd - 1) == pytest.approx(0.5 * np.log(0.25 / 0.09))
    assert kl(even, even) == 0
    found = _summary([(np.array([1.0, 1.0]), 2), (np.array([3.0, 3.0]), 1)])
    assert (found.mean, found.max, found.same_top) == (2, 3, 0.75)
    assert (found.n, found.tokens) == (2, 4)
    assert found.high - found.mean == pytest.approx(1.959964)  # 1 and 3: standard error 1
    assert _summary([(np.array([1.0]), 1)]).low is None


@pytest.mark.parametrize("positions", [64, 3])
@pytest.mark.slow
def test_divergence_equals_that_of_the_torch_models(positions, base, tmp_path, monkeypatch):
    monkeypatch.setattr(
        importlib.import_module("ltf_lite.export.gguf.divergence"), "POSITIONS", positions
    )
    tok = AutoTokenizer.from_pretrained(base)
    models = [AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32) for _ in range(2)]
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in models[1].parameters():
            weight += 0.02 * torch.randn_like(weight)
    other = tiny_models.save_as(models[1], tok, tmp_path / "other")
    files = [
        write_gguf(folder, tmp_path / f"{folder.name}.gguf", "f32") for folder in (base, other)
    ]
    found = divergence(*files, PAIRS)
    wanted, same = [], []
    for prompt, text in PAIRS:
        head, tail = tok(prompt)["input_ids"], tok(text, add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            p, q = (m(torch.tensor([head + tail])).logits[0].log_softmax(-1) for m in models)
        p, q = p[len(head) - 1 :], q[len(head) - 1 :]
        wanted += (p.exp() * (p - q)).sum(-1).tolist()
        same += (p.argmax(-1) == q.argmax(-1)).tolist()
    assert found.tokens == len(wanted) > 40
    assert found.mean == pytest.approx(np.mean(wanted), rel=0.02)
    assert found.max == pytest.approx(max(wanted), rel=0.02)
    assert found.same_top == pytest.approx(np.mean(same), abs=0.03)
    assert found.low < found.mean < found.high


@pytest.mark.slow
def test_coarser_files_diverge_more(base, tmp_path):
    f16 = write_gguf(base, tmp_path / "f16.gguf")
    files = {kind: quantize(f16, tmp_path / f"{kind}.gguf", kind) for kind in ("q8_0", "q4_k_m")}
    means = {kind: divergence(f16, file, PAIRS).mean for kind, file in files.items()}
    assert 0 < means["q8_0"] < means["q4_k_m"] / 5
    assert divergence(f16, f16, PAIRS).max == 0


def test_texts_beyond_the_context_are_left_out(base, tmp_path):
    file = write_gguf(base, tmp_path / "f16.gguf")
    long = "1 " * tiny_models.CONTEXT
    assert divergence(file, file, [*PAIRS, ("a", long)]).n == len(PAIRS)
    with pytest.raises(ExportError, match="none of 1 texts"):
        divergence(file, file, [("a", long)])


# -- the model card --------------------------------------------------------------------------


RATE = Rate(0.5, 0.4, 0.6, 100)
KL = Divergence(mean=0.0123, low=0.01, high=0.015, max=0.3, same_top=0.975, n=9, tokens=99)
PARITY = Parity(
    tokens=TokenParity(20, 1, [TokenDifference("a", [1], [2])]),
    greedy=GreedyParity(10, 7, 1, 0.1, 16, [AnswerDifference("1", 2, [0], [], None)]),
    success={"q4_k_m": SuccessParity(RATE, torch=0.52, points=-2.0)},
    divergence={"q4_k_m": KL},
    files={
        "f16": FileFacts(2**21, {"F16": 0.99, "F32": 0.01}),
        "q4_k_m": FileFacts(2**20, {"Q5_0": 0.6, "Q8_0": 0.4}),
    },
    passed=True,
    failures=[],
)
COUNTDOWN = get_task("countdown", numbers=(1, 50), max_intermediate=999)


def exported(folder) -> Exported:
    return Exported(
        name="small",
        folder=folder,
        model=folder / "model",
        files={"f16": folder / "m.f16.gguf", "q8_0": folder / "m.q8_0.gguf"},
        task=COUNTDOWN,
        dialect="compact",
        problem="1 2 -> 3",
        prompt="3:1,2\n",
        question="3:1,2\n",
        stop=("\n\n", "!"),
        room=77,
    )


def tuning(method, **settings):
    shared = {"steps": 30, "batch": 16, "learning_rate": 2e-3, "eval_every": 10}
    return METHODS.get(method)(**shared, **settings)


def card(method, folder, **settings):
    facts = CardFacts(
        about="a run small enough for a test",
        base="tiny-base",
        load_in_4bit=False,
        tuning=tuning(method, **settings),
        train_problems=600,
        searched=("dfs", "tot beam=2"),
        rates={"base": RATE, "tuned": RATE},
        answer="1+2=3",
        verdict=Verdict(True, None, None, ""),
        parity=PARITY,
    )
    return model_card(facts, exported(folder), [EXPORTERS.get("ollama")()])


@pytest.mark.parametrize(
    ("method", "settings", "words"),
    [
        ("sft", {}, "Supervised fine-tuning on successes alone; LoRA rank 32"),
        (
            "uft",
            {},
            "Unlikelihood fine-tuning (Ni et al., arXiv 2504.11364): J = (1 - alpha) · "
            "learning + alpha · forgetting, alpha 0.0001, credit whole, ratio 1.0; LoRA rank 32, "
            "30 steps of 16 successes",
        ),
        ("gradient_ascent", {}, "Gradient ascent on failures"),
        ("npo", {}, "alpha 0.0001, credit whole, ratio 1.0, beta 0.1; LoRA"),
        ("simpo", {}, "of the same problem, beta 2.0, gamma 1.0; LoRA"),
        ("cpo_simpo", {"beta": 3, "nll_weight": 0.5}, "beta 3.0, gamma 1.0, nll_weight 0.5; LoRA"),
    ],
)
def test_the_card_says_how_the_model_was_tuned(method, settings, words, tmp_path):
    text = card(method, tmp_path, **settings)
    assert words in text
    assert ("Unlikelihood" in text) == (method == "uft")


def test_the_card_shows_what_really_happened(tmp_path):
    text = card("sft", tmp_path)  # a harvest without failures
    assert "Supervised fine-tuning" in text
    assert "alpha" not in text
    assert "| q4_k_m | 1.0 | Q5_0 60.0 %, Q8_0 40.0 % | 0.012 [0.01, 0.015] | 0.3 | 97.5" in text
    assert "| f16 | 2.0 | F16 99.0 %, F32 1.0 % | – | – | – |" in text
    assert "the 99 positions of 9 harvested paths" in text
    assert "| q4_k_m through llama.cpp | 50.0 % [40.0, 60.0], n = 100 |" in text
    assert "one task, countdown (" in text
    assert "numbers [1, 50]" in text
    assert "max_intermediate 999" in text
    assert "600 training problems (dfs; tot beam=2)" in text
    assert "(right):\n\n```\n3:1,2\n1+2=3\n```" in text
    assert "\nltf solve countdown '1 2 -> 3' --model m.q8_0.gguf\n" in text
    assert "\nollama create small -f Modelfile\nollama run small 3:1,2\n" in text
    assert "`target:numbers in descending order`, commas between them, then a line break." in text
    assert "The adapter alone" not in text


# -- exporters and records ---------------------------------------------------------------------


def test_the_modelfile_asks_the_8_bit_file_as_it_was_tuned(tmp_path):
    told = exported(tmp_path)
    told.files["q4_k_m"] = tmp_path / "m.q4_k_m.gguf"  # coarser
    (file,) = EXPORTERS.get("ollama")().write(told)
    assert file == tmp_path / "Modelfile"
    assert file.read_text().splitlines() == [
        "FROM ./m.q8_0.gguf",
        'TEMPLATE """{{ .Prompt }}',
        '"""',
        "PARAMETER temperature 0",
        "PARAMETER repeat_penalty 1",
        "PARAMETER num_predict 77",
        'PARAMETER stop """',
        "",
        '"""',
        'PARAMETER stop "!"',
    ]


class Listing(Exporter):
    """A list of the files."""

    name: Literal["listing"] = "listing"
    ending: str = "\n"

    def write(self, exported):
        path = exported.folder / "FILES"
        path.write_text(self.ending.join(file.name for file in exported.files.values()))
        return [path]


def test_an_exporter_of_another_package_is_chosen_in_a_preset(tmp_path, monkeypatch):
    monkeypatch.setitem(EXPORTERS._found, "listing", Listing)
    also = TypeAdapter(tuple[EXPORTERS.any(), ...])
    chosen = also.validate_python([{"name": "listing", "ending": ";"}, {"name": "ollama"}])
    written = [path for one in chosen for path in one.write(exported(tmp_path))]
    assert [path.name for path in written] == ["FILES", "Modelfile"]
    assert written[0].read_text() == "m.f16.gguf;m.q8_0.gguf"
    with pytest.raises(ValidationError):
        also.validate_python([{"name": "listing", "endings": ";"}])


def test_parity_is_read_back_as_it_was_written(tmp_path):
    write_as(tmp_path / "parity.json", PARITY)
    assert read_as(tmp_path / "parity.json", Parity) == PARITY


def test_a_parity_passes_where_nothing_differs_by_too_much():
    told = PARITY.divergence, PARITY.files
    same, equal = TokenParity(20, 0), GreedyParity(10, 9, 1, 0.1, 16)
    good = judged(same, equal, PARITY.success, *told, points=2.0)
    assert (good.passed, good.failures, good.coarse) == (True, [], [])
    bad = judged(PARITY.tokens, PARITY.greedy, PARITY.success, *told, points=1.9)
    assert not bad.passed
    assert bad.failures == [
        "1 of 20 texts get other tokens",
        "2 of 10 greedy answers differ",
    ]
    assert bad.coarse == [
        "the q4_k_m file solves 2.0 points less than the tuned model, and export.success_points "
        "allows 1.9: take another file"
    ]


def test_a_file_that_solves_more_than_the_model_is_not_coarse():
    better = {kind: replace(found, points=9.0) for kind, found in PARITY.success.items()}
    told = PARITY.divergence, PARITY.files
    assert not judged(TokenParity(20, 0), PARITY.greedy, better, *told, points=2.0).coarse


# -- refusals ----------------------------------------------------------------------------------


def test_unknown_architecture_is_refused_by_name(copy, tmp_path):
    edit(copy, "config.json", architectures=["MambaForCausalLM"])
    with pytest.raises(ExportError, match="MambaForCausalLM"):
        check_exportable(copy)
    with pytest.raises(ExportError, match="MambaForCausalLM"):
        write_gguf(copy, tmp_path / "m.gguf")
    assert not (tmp_path / "m.gguf").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            {
                "rope_parameters": {
                    "rope_type": "yarn",
                    "rope_theta": 1e4,
                    "factor": 2.0,
                    "original_max_position_embeddings": 64,
                }
            },
            "yarn",
        ),
        ({"hidden_act": "gelu"}, "gelu"),
    ],
)
def test_settings_the_file_cannot_say_are_refused(change, named, copy):
    edit(copy, "config.json", **change)
    with pytest.raises(ExportError, match=named):
        check_exportable(copy)


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("pre_tokenizer", {"type": "Whitespace"}, "Whitespace"),
        ("pre_tokenizer", None, "pre-tokenizer"),
        ("normalizer", {"type": "Lowercase"}, "Lowercase"),
    ],
)
def test_unknown_tokenizers_are_refused_by_name(key, value, named, copy, tmp_path):
    edit(copy, "tokenizer.json", **{key: value})
    with pytest.raises(ExportError, match=named):
        check_exportable(copy)
    with pytest.raises(ExportError, match=named):
        write_gguf(copy, tmp_path / "m.gguf")


def test_unmapped_and_missing_tensors_are_refused_by_name(copy):
    weights = load_file(copy / "model.safetensors")
    save_file(weights | {"model.extra.weight": torch.zeros(2)}, copy / "model.safetensors")
    with pytest.raises(ExportError, match=r"model\.extra\.weight"):
        check_exportable(copy)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, copy / "model.safetensors")
    with pytest.raises(ExportError, match=r"lacks the tensor model\.layers\.1\.mlp\.up_proj"):
        check_exportable(copy)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_missing_files_are_named_before_training(file, copy):
    (copy / file).unlink()
    with pytest.raises(ExportError, match=file.rsplit(".", 1)[1]):
        check_exportable(copy)


def test_values_beyond_16_bits_are_refused_and_leave_no_file(tmp_path):
    folder = tiny_models.llama(tmp_path / "model", dtype=torch.bfloat16, num_hidden_layers=1)
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"][0, 0] = 1e6
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ExportError, match="write f32"):
        write_gguf(folder, tmp_path / "m.gguf", "f16")
    assert not list(tmp_path.glob("m.gguf*"))
    write_gguf(folder, tmp_path / "m.gguf", "f32")


def test_quantize_refuses_unknown_kinds_and_truncated_files(base, tmp_path):
    file = write_gguf(base, tmp_path / "f16.gguf")
    with pytest.raises(ExportError, match="q3_x"):
        quantize(file, tmp_path / "out.gguf", "q3_x")
    file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(ExportError, match=r"f16\.gguf"):
        quantize(file, tmp_path / "out.gguf")
    assert [p.name for p in tmp_path.iterdir()] == ["f16.gguf"]


def test_norms_stay_in_32_bits(base, tmp_path):
    tensors = gguf.GGUFReader(write_gguf(base, tmp_path / "m.gguf", "f16")).tensors
    kinds = {t.name: t.tensor_type.name for t in tensors}
    assert kinds["output_norm.weight"] == "F32"
    assert kinds["blk.0.attn_q.weight"] == "F16"
