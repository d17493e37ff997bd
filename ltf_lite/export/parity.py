"""The proof that a GGUF file says what the model directory says: its tokens, and its answers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from ltf_lite.engines import Sampling
from ltf_lite.engines.llamacpp import LlamaCppEngine
from ltf_lite.export.vocabulary import end_tokens

EXAMPLES = 5  # differences that are shown


def token_parity(tokenizer: Any, engine: LlamaCppEngine, texts: Sequence[str]) -> dict[str, Any]:
    """On how many texts transformers and the GGUF file disagree about the tokens, and where."""
    examples = []
    for text in texts:
        ours, theirs = tokenizer(text)["input_ids"], engine.encode(text)
        if ours != theirs:
            examples.append({"text": text, "transformers": ours, "llama.cpp": theirs})
    return {"n": len(texts), "mismatches": len(examples), "examples": examples[:EXAMPLES]}


def greedy_parity(
    model_dir: str | Path, f32_gguf: str | Path, prompts: Sequence[str], max_tokens: int = 64
) -> dict[str, Any]:
    """On how many prompts both generate the same tokens greedily, all in fp32, and where not.

    A difference says at which token, and `margin`, by how many logits transformers preferred its
    own to its second choice there: next to nothing means a tie, not a fault. Raises EngineError.
    """
    with closing(LlamaCppEngine(f32_gguf, exact=True)) as engine:
        theirs = engine.generate_tokens(prompts, Sampling(max_tokens=max_tokens))
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    ends = list(end_tokens(model_dir, tokenizer))
    # a config of our own: the directory's may carry a repetition penalty, which is not greedy
    greedy = GenerationConfig(
        do_sample=False, max_new_tokens=max_tokens, eos_token_id=ends, pad_token_id=ends[0],
        output_logits=True, return_dict_in_generate=True,
    )  # fmt: skip
    differences: list[dict[str, Any]] = []
    for prompt, (reply,) in zip(prompts, theirs, strict=True):
        inputs = tokenizer(prompt, return_tensors="pt")
        out = model.generate(
            inputs["input_ids"], attention_mask=inputs["attention_mask"], generation_config=greedy
        )
        ours = out.sequences[0, inputs["input_ids"].shape[1] :].tolist()
        if ours != reply:
            differences.append(first_difference(prompt, ours, reply, out.logits))
    return {
        "n": len(prompts),
        "equal": len(prompts) - len(differences),
        "first_differences": differences[:EXAMPLES],
    }


def first_difference(
    prompt: str, ours: list[int], theirs: list[int], logits: Sequence[torch.Tensor]
) -> dict[str, Any]:
    """Where two generations part, and how sure transformers was there."""
    pairs = list(zip(ours, theirs, strict=False))
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
    best = logits[at][0].topk(2).values if at < len(logits) else None
    return {
        "prompt": prompt,
        "at": at,
        "transformers": ours[at : at + 1],
        "llama.cpp": theirs[at : at + 1],
        "margin": None if best is None else float(best[0] - best[1]),
    }
