"""The architectures that are known, and what their tensors and tokenizers are called in a file.

Export writes these names, and a base that is a GGUF file is read by them.
"""

from __future__ import annotations

from typing import Any

ARCHITECTURES = {
    "LlamaForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}
MODEL = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
QK_NORM = {"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}
QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
MLP = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
LLAMA_BPE = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA_BPE.replace(r"\p{N}{1,3}", r"\p{N}")
END_KEYS = ("eos", "eot", "eom")  # a GGUF file has room for three tokens that end a generation


def expected_names(config: Any) -> dict[str, str]:
    """Tensor name → GGUF tensor name, for every tensor a model of this config has."""
    kind = ARCHITECTURES[config.architectures[0]]
    biased = list(QKV) if kind == "qwen2" else []
    if kind != "qwen2" and config.attention_bias:
        biased = [*QKV, "self_attn.o_proj"]
    if getattr(config, "mlp_bias", False):
        biased += MLP
    names = dict(MODEL)
    if config.tie_word_embeddings:
        del names["lm_head.weight"]  # llama.cpp then takes the embeddings
    for n in range(config.num_hidden_layers):
        for ours, theirs in (LAYER | QK_NORM if kind == "qwen3" else LAYER).items():
            names[f"model.layers.{n}.{ours}.weight"] = f"blk.{n}.{theirs}.weight"
        for ours in biased:
            names[f"model.layers.{n}.{ours}.bias"] = f"blk.{n}.{LAYER[ours]}.bias"
    return names
