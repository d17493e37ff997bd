"""Models of many architectures in transformers: answers are those of `generate`, alone or not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from ltf_lite.engines import Dialect, EngineError, Sampling, open_engine
from ltf_lite.engines.torch.engine import TorchEngine
from tests import tiny_models

TOKENIZER = tiny_models.tokenizer("llama-bpe")
ENDS = {"bos_token_id": TOKENIZER.bos_token_id, "eos_token_id": TOKENIZER.eos_token_id}
SHAPE = tiny_models.shape(TOKENIZER, max_position_embeddings=512, pad_token_id=1, head_dim=16)
WINDOW = SHAPE | {"num_hidden_layers": 4, "sliding_window": 24}
OLD = ENDS | {"vocab_size": tiny_models.ROWS, "n_embd": 64, "n_layer": 2, "n_head": 4}
EXPERTS = SHAPE | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LATENT = SHAPE | {
    "kv_lora_rank": 32,
    "q_lora_rank": 32,
    "qk_rope_head_dim": 16,
    "qk_nope_head_dim": 16,
    "v_head_dim": 16,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
    "num_key_value_heads": 4,
}
FOUR = SHAPE | {"num_hidden_layers": 4}
SECOND = {  # as Mamba-2 has it
    "mamba_n_heads": 8,
    "mamba_d_head": 16,
    "mamba_d_state": 16,
    "mamba_n_groups": 1,
    "mamba_chunk_size": 16,
}
DELTA = FOUR | {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
}


def by_turns(one: str, other: str) -> list[str]:
    return [one, other] * 2


ATTENTION: dict[str, dict[str, Any]] = {
    "llama": SHAPE,
    "qwen2": SHAPE,
    "gemma": SHAPE,
    "phi3": SHAPE,
    "olmo2": SHAPE,
    "granite": SHAPE,
    "stablelm": SHAPE,
    "gpt2": OLD,
    "gptj": OLD | {"rotary_dim": 8},
    "gpt_neox": SHAPE,
    "bloom": OLD | {"hidden_size": 64},
    "falcon": OLD | {"hidden_size": 64, "num_attention_heads": 4, "alibi": True},
    "qwen3_moe": EXPERTS,
    "deepseek_v3": LATENT,
    "openai-gpt": OLD,  # it has no cache
}
SLIDING: dict[str, dict[str, Any]] = {
    "gemma2": WINDOW,
    "gemma3_text": WINDOW | {"num_hidden_layers": 6},
    "cohere2": WINDOW,
    "olmo3": WINDOW,
    "gpt_oss": WINDOW | {"num_local_experts": 4, "num_experts_per_tok": 2},
}
RECURRENT: dict[str, dict[str, Any]] = {
    "mamba": SHAPE | {"state_size": 8},
    "falcon_mamba": SHAPE | {"state_size": 8},
    "mamba2": SHAPE
    | {"state_size": 16, "num_heads": 8, "head_dim": 16, "n_groups": 1, "chunk_size": 16},
    "recurrent_gemma": SHAPE
    | {
        "num_hidden_layers": 3,
        "intermediate_size": 192,
        "num_key_value_heads": 1,
        "lru_width": 64,
        "attention_window_size": 24,
    },
}
HYBRID: dict[str, dict[str, Any]] = {
    "jamba": FOUR
    | {
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "num_experts": 2,
        "num_experts_per_tok": 1,
        "mamba_d_state": 8,
        "use_mamba_kernels": False,
    },
    "bamba": FOUR | SECOND | {"attn_layer_indices": [1, 3], "mamba_expand": 2},
    "falcon_h1": SHAPE | SECOND | {"mamba_d_ssm": 128},
    "granitemoehybrid": FOUR
    | SECOND
    | {
        "layer_types": by_turns("mamba", "attention"),
        "mamba_expand": 2,
        "num_local_experts": 0,
        "num_experts_per_tok": 0,
        "shared_intermediate_size": 96,
    },
    "lfm2": FOUR | {"layer_types": by_turns("conv", "full_attention"), "conv_L_cache": 3},
    "qwen3_next": DELTA | EXPERTS | {"shared_expert_intermediate_size": 32, "num_hidden_layers": 4},
    "qwen3_5_text": DELTA,
    "minimax": FOUR
    | {
        "layer_types": by_turns("linear_attention", "full_attention"),
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
        "block_size": 16,
    },
}
KINDS = ATTENTION | SLIDING | RECURRENT | HYBRID
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "bert": (SHAPE, "tokens after it"),  # no decoder
    "xlnet": (OLD | {"d_model": 64, "d_inner": 96}, "tokens after it"),
    "rwkv": (ENDS | {"vocab_size": tiny_models.ROWS, "hidden_size": 64}, "token by token"),
}

HEAD = "Use 5, 33 and 30 to make 60. 33 - 5 = 28 What is left? "
PROMPTS = [HEAD + "Use 25 and 7", HEAD + "make 12 of 3 now", "a", "33 - 5 = 28", HEAD[:40]]
TAILS = [" 30 and 33", " = 60", "x", "", " what do we know? 123"]
GREEDY = Sampling(max_tokens=10)


def model_of(kind, told):
    """A random model that says something else after each prompt."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **told)).float().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1 and "A_log" not in name:
                weight.normal_(0, 0.15)
    return model


def engine_of(kind, told):
    return TorchEngine(model_of(kind, told), TOKENIZER, Dialect(), kind)


@torch.inference_mode()
def expected(model, prompt, tail):
    """What `generate` writes after a prompt alone, and log p of a tail, read at once."""
    inputs = TOKENIZER(prompt, return_tensors="pt")
    length = inputs["input_ids"].shape[1]
    out = model.generate(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        do_sample=False,
        max_new_tokens=GREEDY.max_tokens,
        eos_token_id=TOKENIZER.eos_token_id,
        pad_token_id=1,
    )
    text = TOKENIZER.decode(out[0, length:]).removesuffix(tiny_models.EOS)
    rest = torch.tensor([TOKENIZER(tail, add_special_tokens=False)["input_ids"]]).long()
    logits = model(torch.cat([inputs["input_ids"], rest], 1), use_cache=False).logits[0]
    logp = logits[length - 1 : -1].log_softmax(1)
    return text, float(logp.gather(1, rest[0, :, None]).sum())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_answers_are_those_of_generate_and_depend_on_nothing_else(kind):
    engine = engine_of(kind, KINDS[kind])
    texts, scores = zip(*map(expected, [engine.model] * 5, PROMPTS, TAILS), strict=True)
    assert len(set(texts)) > 2
    for order in ([0, 1, 2, 3, 4], [3], [2, 2, 4, 0]):
        prompts = [PROMPTS[k] for k in order]
        found = [row[0].text for row in engine.generate(prompts, GREEDY)]
        assert found == [texts[k] for k in order]
        found = [s.logprob for s in engine.score(prompts, [TAILS[k] for k in order])]
        assert found == pytest.approx([scores[k] for k in order], abs=0.01)


@pytest.mark.parametrize("kind", ["llama", "gemma3_text", "mamba", "jamba", "lfm2", "qwen3_5_text"])
def test_samples_do_not_depend_on_what_is_beside_them(kind):
    """Some end early, so that rows leave the batch."""
    engine = engine_of(kind, KINDS[kind])
    sampled = Sampling(n=4, temperature=1.0, max_tokens=16, stop=("1", "e", "s"))
    together = engine.generate(PROMPTS, sampled, range(5))
    assert len({completion.tokens for row in together for completion in row}) > 3
    alone = [engine.generate([prompt], sampled, [k])[0] for k, prompt in enumerate(PROMPTS)]
    for one, other in zip(together, alone, strict=True):
        assert [c.text for c in one] == [c.text for c in other]


@pytest.mark.parametrize("kind", ["mamba", "mamba2"])
def test_a_folder_of_a_recurrent_model_is_opened_and_asked(kind, tmp_path):
    model = model_of(kind, KINDS[kind])
    engine = open_engine(tiny_models.save_as(model, TOKENIZER, tmp_path / kind))
    texts, scores = zip(*map(expected, [model] * 5, PROMPTS, TAILS), strict=True)
    assert [row[0].text for row in engine.generate(PROMPTS, GREEDY)] == list(texts)
    found = [score.logprob for score in engine.score(PROMPTS, TAILS)]
    assert found == pytest.approx(list(scores), abs=0.01)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_served_right_is_refused_in_one_sentence(kind):
    told, words = REFUSED[kind]
    with pytest.raises(EngineError, match=words) as refused:
        engine_of(kind, told)
    assert repr(kind) in str(refused.value)
    assert "\n" not in str(refused.value)
