"""Random models a few thousand parameters big, with real tokenizers, for tests of export."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from ltf_lite.export.gguf.vocabulary import LLAMA_BPE, QWEN2

ROWS = 512  # of the embeddings; more than the tokenizers have tokens
CONTEXT = 128
BOS, EOS = "<|begin|>", "<|end|>"
THINK = "<think>"  # added, but not special, as Qwen3 has it
PROMPTS = [
    "Use 5, 33 and 30 to make 60.",
    "25 + 5 = 30 ( 30 33 )",
    "1000000 don't  know",
    "naïve\n\nWhat is 12345?",
    "a",
]
TEXTS = [
    *PROMPTS,
    *(str(n) for n in range(0, 1000, 37)),
    "  two  blanks ? !",
    "I'LL we've",
    "\t tab\r\n",
    "日本語 текст 🙂",
    f"a{EOS}b",
    f"1{THINK} 2",
    "x²½",
    " ",
]
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
WORD_BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def split(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), BYTES])


PRE = {
    "llama-bpe": split(LLAMA_BPE),
    "smaug-bpe": split(LLAMA_BPE),
    "qwen2": split(QWEN2),
    "gpt-2": WORD_BYTES,
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), WORD_BYTES]),
}


def trained(pre: pre_tokenizers.PreTokenizer, ignore_merges: bool = False) -> Tokenizer:
    """A byte-level BPE tokenizer of about 400 tokens, trained on a few sentences."""
    core = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    core.pre_tokenizer = pre
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    text = [*TEXTS, "Use the numbers to make what you know. We know what is left."] * 3
    core.train_from_iterator(text, trainer)
    return core


def tokenizer(pre: str = "llama-bpe", add_bos: bool = True) -> PreTrainedTokenizerFast:
    """A tokenizer of one of llama.cpp's kinds."""
    core = trained(PRE[pre], ignore_merges=pre == "llama-bpe")
    core.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in (BOS, EOS)])
    core.add_tokens([AddedToken(THINK, normalized=False)])
    if add_bos:
        core.post_processor = TemplateProcessing(
            single=f"{BOS} $A", special_tokens=[(BOS, core.token_to_id(BOS))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token=BOS, eos_token=EOS)


def qwen_tokenizer() -> Qwen2Tokenizer:
    """The tokenizer that transformers insists on for a Qwen2 or Qwen3 directory."""
    model = json.loads(trained(PRE["qwen2"]).to_str())["model"]
    merges = [tuple(m) for m in model["merges"]]
    tok = Qwen2Tokenizer(vocab=model["vocab"], merges=merges)
    tok.add_tokens([AddedToken(THINK, normalized=False)])
    return tok


def save(model, tok, folder: Path) -> Path:
    """Save both; every weight is random, norms and biases too, so that none can be forgotten."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                weight.normal_(0, 0.5)
            else:
                weight.normal_(0, 0.15)
    return save_as(model, tok, folder)


def save_as(model, tok, folder: Path) -> Path:
    model.save_pretrained(folder)
    tok.save_pretrained(folder)
    return folder


def shape(tok, **changes):
    """Config arguments: hidden 64, two layers, four heads over two key heads."""
    return {
        "vocab_size": ROWS,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": tok.bos_token_id,
        "eos_token_id": tok.eos_token_id,
        "tie_word_embeddings": True,
    } | changes


def llama(folder: Path, pre="llama-bpe", add_bos=True, dtype=None, **changes) -> Path:
    tok = tokenizer(pre, add_bos)
    model = LlamaForCausalLM(LlamaConfig(**shape(tok, **changes)))
    return save(model if dtype is None else model.to(dtype), tok, folder)


def llama_with_everything(folder: Path) -> Path:
    """Biases, an untied head, Llama 3's rotary scaling, heads wider than hidden / heads."""
    rope = {
        "rope_type": "llama3",
        "rope_theta": 500.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    return llama(
        folder,
        tie_word_embeddings=False,
        attention_bias=True,
        mlp_bias=True,
        rope_parameters=rope,
        head_dim=32,
    )


def qwen2(folder: Path, **changes) -> Path:
    tok = qwen_tokenizer()
    return save(Qwen2ForCausalLM(Qwen2Config(**shape(tok, **changes))), tok, folder)


def qwen3(folder: Path, **changes) -> Path:
    tok = qwen_tokenizer()
    told = {"head_dim": 32, "tie_word_embeddings": False} | changes
    return save(Qwen3ForCausalLM(Qwen3Config(**shape(tok, **told))), tok, folder)


MODELS = {
    "llama": llama,
    "llama with everything": llama_with_everything,
    "qwen2": qwen2,
    "qwen3": qwen3,
}
