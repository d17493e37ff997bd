"""The proof that a GGUF file says what the model directory says: its tokens, and its answers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ltf_lite.core.machine import free_ram
from ltf_lite.engines import Sampling, pretrained
from ltf_lite.engines.llama.engine import LlamaCppEngine
from ltf_lite.export.architecture import tensor_files
from ltf_lite.export.gguf.types import (
    AnswerDifference,
    GreedyParity,
    TokenDifference,
    TokenParity,
)
from ltf_lite.export.gguf.vocabulary import end_tokens
from ltf_lite.export.merge.merge import streamed

EXAMPLES = 5  # differences that are shown
# Logits; what llama.cpp does in 16 bits moves a logit by hundredths, a wrong tensor by whole ones.
TIE = 0.1
ROOM = 1.25  # of the weights' bytes in 32 bits, for the logits and what else runs


def token_parity(tokenizer: Any, engine: LlamaCppEngine, texts: Sequence[str]) -> TokenParity:
    """On how many texts transformers and the GGUF file disagree about the tokens, and where.

    In a chat each text is a question, in the frame that either of them makes of its own template.
    """
    examples, dialect = [], replace(engine.dialect, frame=None).of(tokenizer)
    for text in texts:
        if dialect.frame:
            (ours,), (theirs,) = dialect.encode(tokenizer, [text]), engine.asked([text])
        else:
            ours, theirs = tokenizer(text)["input_ids"], engine.encode(text)
        if ours != theirs:
            examples.append(TokenDifference(text, ours, theirs))
    return TokenParity(len(texts), len(examples), examples[:EXAMPLES])


def bits_that_fit(model_dir: str | Path, available: int | None = None) -> int:
    """32 where a model directory's weights fit `available` bytes in 32 bits, else 16.

    By default what the machine has free, file caches counted as free.
    """
    if available is None:
        available = free_ram()
    size = sum(os.path.getsize(file) for file in set(tensor_files(model_dir).values()))
    return 32 if available is None or ROOM * 2 * size <= available else 16  # stored in 16 bits


@torch.inference_mode()
def greedy_parity(
    model_dir: str | Path,
    gguf_path: str | Path,
    prompts: Sequence[str],
    max_tokens: int = 64,
    bits: int = 32,
) -> GreedyParity:
    """On how many prompts llama.cpp's greedy answer is the one transformers would give.

    transformers reads each answer and is asked for its own choice at every token of it, computing
    in fp32. With `bits` 32, for a file in f32, every difference counts. With 16, for a file in f16,
    transformers holds one layer at a time, and a choice that it prefers by less than TIE logits is
    a tie, since llama.cpp then rounds activations to 16 bits. A difference says at which token, and
    `margin`, by how many logits transformers preferred its own. Raises EngineError.
    """
    with closing(LlamaCppEngine(gguf_path, exact=True)) as engine:
        answers = engine.generate_tokens(prompts, Sampling(max_tokens=max_tokens))
        dialect = engine.dialect
    tokenizer = pretrained.tokenizer(model_dir)
    if bits == 32:
        model = pretrained.model(model_dir, dtype=torch.float32).eval()
    else:
        model = streamed(Path(model_dir))
    ends = end_tokens(model_dir, tokenizer)
    differences, ties = [], 0
    asked = dialect.encode(tokenizer, prompts)
    for prompt, ids, (answer,) in zip(prompts, asked, answers, strict=True):
        scores = model(torch.tensor([ids + answer]), logits_to_keep=len(answer) + 1).logits[0]
        found = difference(prompt, answer, scores, ends, max_tokens)
        if bits == 16 and found and found.margin is not None and found.margin < TIE:
            ties += 1
        elif found:
            differences.append(found)
    return GreedyParity(
        n=len(prompts),
        equal=len(prompts) - len(differences) - ties,
        ties=ties,
        tie=TIE if bits == 16 else None,
        bits=bits,
        first_differences=differences[:EXAMPLES],
    )


def difference(
    prompt: str, answer: list[int], scores: torch.Tensor, ends: Sequence[int], max_tokens: int
) -> AnswerDifference | None:
    """Where transformers prefers its own token by the most; None where it would write the same.

    `scores` are its logits (length + 1, vocabulary): before each token of the answer, and after it.
    """
    own = scores.argmax(1).tolist()
    ended = next((i + 1 for i, token in enumerate(answer) if token in ends), max_tokens)
    margins = {
        i: float(scores[i, own[i]] - scores[i, token])
        for i, token in enumerate(answer)
        if own[i] != token
    }
    together = ended == len(answer)  # else one goes on where the other stops
    if together and not margins:
        return None
    at = max(margins, key=lambda i: margins[i]) if together else min(ended, len(answer))
    return AnswerDifference(
        prompt=prompt,
        at=at,
        transformers=own[at : at + 1] if at < ended else [],
        llamacpp=answer[at : at + 1],
        margin=margins[at] if together else None,
    )
