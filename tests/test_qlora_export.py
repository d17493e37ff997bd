"""Tuned in 4 bits, merged, exported: for every architecture the file answers like the model."""

from contextlib import closing

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from ltf_lite.engines import Dialect
from ltf_lite.engines.llama.engine import LlamaCppEngine
from ltf_lite.export.gguf.parity import greedy_parity, token_parity
from ltf_lite.export.gguf.write import write_gguf
from ltf_lite.export.merge.merge import load, merge
from ltf_lite.export.preflight import check_exportable
from ltf_lite.harvest.example import Example
from ltf_lite.tuning import tune
from ltf_lite.tuning.methods.uft import UFT
from ltf_lite.tuning.types import Validation
from tests import tiny_models

MODELS = {"llama": tiny_models.llama, "qwen2": tiny_models.qwen2, "qwen3": tiny_models.qwen3}
SETTINGS = UFT(
    steps=6,
    batch=4,
    alpha=0.05,
    learning_rate=5e-3,
    warmup=1,
    rank=4,
    lora_alpha=8,
    eval_every=6,
    max_length=64,
    seed=0,
)
EXAMPLES = [
    Example(f"Use {n} and {n + 1}.\n", text, good, 0, len(text))
    for n in range(12)
    for good, text in ((True, f"{n} + {n + 1} = {2 * n + 1}"), (False, f"{n} - {n + 1} = {n}"))
]


def logits_of(model, ids):
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.slow
def test_a_qlora_tuned_model_is_exported_as_it_is(kind, tied, tmp_path):
    base = MODELS[kind](tmp_path / "base", tie_word_embeddings=tied, intermediate_size=128)
    check_exportable(base)
    tune(
        base,
        EXAMPLES,
        tmp_path / "tuned",
        SETTINGS,
        lambda model, tokenizer: Validation(0.0),
        load_in_4bit=True,
        dialect=Dialect("zero_shot"),
    )
    adapter = tmp_path / "tuned" / "adapter"
    factors = load_file(adapter / "adapter_model.safetensors")
    learned = [factor for name, factor in factors.items() if "lora_B" in name]
    assert len(learned) == 2 * 7  # two layers, all their linear maps
    assert all(factor.abs().max() > 1e-3 for factor in learned)  # every B began at zero

    merge(base, adapter, tmp_path / "out", "zero_shot", load_in_4bit=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = tokenizer(EXAMPLES[0].prompt)["input_ids"]
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    bare = load(base, True)
    moved = logits_of(bare, ids)  # before peft puts the adapter into it
    tuned = logits_of(PeftModel.from_pretrained(bare, str(adapter)).eval(), ids)
    assert (logits_of(merged, ids) - tuned).abs().max() < 0.05  # 16-bit rounding
    assert (moved - tuned).abs().max() > 0.3  # the file below holds what was learned

    file = write_gguf(tmp_path / "out", tmp_path / "m.gguf", "f32")
    with closing(LlamaCppEngine(file)) as engine:
        texts = [*tiny_models.TEXTS, *(e.completion for e in EXAMPLES)]
        assert token_parity(tokenizer, engine, texts).mismatches == 0
        assert engine.encode(tiny_models.THINK)[-1] == tokenizer.convert_tokens_to_ids("<think>")
    prompts = [*tiny_models.PROMPTS, *(e.prompt for e in EXAMPLES[:8:2])]
    found = greedy_parity(tmp_path / "out", file, prompts, 40)
    assert found.equal == found.n == 9, found.first_differences
