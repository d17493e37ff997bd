"""The tokenizer that a GGUF file states, as transformers keeps one: byte-level BPE alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ltf_lite.engines.base import EngineError
from ltf_lite.engines.from_gguf.header import Header
from ltf_lite.engines.from_gguf.names import LLAMA_BPE, QWEN2

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED = 1, 2, 3, 4, 5  # types of tokens
SPECIAL = (UNKNOWN, CONTROL)
BEGINS = "llama-bpe"  # where a file does not say, llama.cpp puts BOS before a text for this one
# What llama.cpp calls a pre-tokenizer → the name of the one that does the same.
SAME = {"llama3": "llama-bpe", "llama-v3": "llama-bpe", "deepseek-r1-qwen": "qwen2"}
PATTERNS = {"llama-bpe": LLAMA_BPE, "smaug-bpe": LLAMA_BPE, "qwen2": QWEN2}
KNOWN = (*PATTERNS, "gpt-2", "smollm")
OWN = ("qwen2", "qwen3")  # model types whose pre-tokenizer transformers puts in itself
PROBE = "It's 12345 left,\n\n  so (a+b) = 3.5 naïve 日本"


def tokenizer_of(header: Header, told: Mapping[str, Any]) -> Any:
    """The tokenizer of a file, whose config.json is `told`; raises EngineError."""
    from tokenizers import AddedToken, Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    pre = _pre(header)
    tokens, types = _tokens(header, told["vocab_size"])
    merges = [_merge(header, pair) for pair in header.value("tokenizer.ggml.merges", list)]
    # Special tokens too, since only so they keep their numbers.
    vocab = {text: n for n, text in enumerate(tokens) if types[n] != UNUSED}
    if len(vocab) != len(types) - types.count(UNUSED):
        raise EngineError(f"{header.path!r} cannot be a base: two of its tokens have one text")
    try:
        core = Tokenizer(models.BPE(vocab, merges, ignore_merges=pre == "llama-bpe"))
    except Exception as error:  # tokenizers' own errors have no type
        raise EngineError(f"{header.path!r} cannot be a base: its merges: {error}") from error
    core.pre_tokenizer = _pre_tokenizer(pre)
    core.decoder = decoders.ByteLevel()
    added = [(tokens[n], kind) for n, kind in enumerate(types) if kind not in (NORMAL, UNUSED)]
    core.add_tokens([AddedToken(t, special=k in SPECIAL, normalized=False) for t, k in added])
    named = _named(header, told, tokens, types)
    _surround(core, header, pre, tokens)
    template = header.values.get("tokenizer.chat_template")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_max_length=told["max_position_embeddings"],
        clean_up_tokenization_spaces=False,
        **{f"{key}_token": text for key, text in named.items()},
    )
    tokenizer.chat_template = template if isinstance(template, str) else None
    return tokenizer


def _named(
    header: Header, told: Mapping[str, Any], tokens: list[str], types: list[int]
) -> dict[str, str]:
    """The texts of BOS, the end and padding, where a file names them; raises EngineError."""
    end = header.values.get("tokenizer.ggml.eos_token_id")
    named = {"bos": told["bos_token_id"], "eos": end, "pad": told["pad_token_id"]}
    for key, n in named.items():
        if n is not None and (n >= len(tokens) or types[n] == UNUSED):
            raise EngineError(f"{header.path!r} cannot be a base: its {key} token {n} is unused")
    return {key: tokens[n] for key, n in named.items() if n is not None}


def check_kept(header: Header, made: Any, folder: Path) -> None:
    """Refuse a tokenizer that transformers loads as another one; raises EngineError.

    For some model types it puts in parts of its own.
    """
    from ltf_lite.engines import pretrained

    found = pretrained.tokenizer(folder)
    keys = ("bos_token_id", "eos_token_id", "pad_token_id")
    same = found.get_vocab() == made.get_vocab()
    same = same and all(getattr(found, key) == getattr(made, key) for key in keys)
    for text in (PROBE, "".join(made.all_special_tokens)):
        same = same and found(text)["input_ids"] == made(text)["input_ids"]
    if not same:
        raise EngineError(
            f"{header.path!r} cannot be a base: transformers would not take its tokenizer as it is"
        )


def _pre(header: Header) -> str:
    """The name of the pre-tokenizer; raises EngineError for any that is not known."""
    model = header.value("tokenizer.ggml.model", str)
    if model != "gpt2":  # the file format's word for byte-level BPE
        kind = "SentencePiece" if model == "llama" else repr(model)
        raise EngineError(
            f"{header.path!r} cannot be a base: its tokenizer is {kind}, and only byte-level BPE "
            "is known; name the model's folder instead"
        )
    pre = header.value("tokenizer.ggml.pre", str)
    pre = SAME.get(pre, pre)
    known = ("qwen2",) if header.architecture in OWN else KNOWN
    if pre not in known:
        raise EngineError(
            f"{header.path!r} cannot be a base: its pre-tokenizer {pre!r} is none of "
            f"{', '.join(known)}, which are known for {header.architecture}"
        )
    return pre


def _tokens(header: Header, size: int) -> tuple[list[str], list[int]]:
    """The tokens' texts and types; raises EngineError where there is not one of each a row."""
    tokens = header.value("tokenizer.ggml.tokens", list)
    types = header.value("tokenizer.ggml.token_type", list, [NORMAL] * len(tokens))
    if not len(tokens) == len(types) <= size or not all(type(t) is str for t in tokens):
        raise EngineError(
            f"{header.path!r} cannot be a base: it has {len(tokens)} tokens, {len(types)} types "
            f"of them and {size} embeddings"
        )
    return tokens, types


def _merge(header: Header, pair: object) -> tuple[str, str]:
    left, blank, right = str(pair).partition(" ")
    if not (left and blank and right):
        raise EngineError(f"{header.path!r} cannot be a base: {pair!r} is no merge of two tokens")
    return left, right


def _pre_tokenizer(pre: str) -> Any:
    """What splits a text into the words that are merged apart from each other."""
    from tokenizers import Regex, pre_tokenizers

    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if pre == "gpt-2":
        return words
    if pre == "smollm":
        digits = pre_tokenizers.Digits(individual_digits=True)
        return pre_tokenizers.Sequence([digits, words])
    split = pre_tokenizers.Split(Regex(PATTERNS[pre]), "isolated")
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([split, plain])


def _surround(core: Any, header: Header, pre: str, tokens: list[str]) -> None:
    """Have the tokenizer put around a text what llama.cpp puts around it."""
    from tokenizers.processors import TemplateProcessing

    adds = {
        "bos": header.value("tokenizer.ggml.add_bos_token", bool, pre == BEGINS),
        "eos": header.value("tokenizer.ggml.add_eos_token", bool, False),
    }
    ids = {key: header.values.get(f"tokenizer.ggml.{key}_token_id") for key in adds}
    around = {key: n for key, n in ids.items() if adds[key] and n is not None}
    if around:
        special = [{"id": k, "ids": [n], "tokens": [tokens[n]]} for k, n in around.items()]
        pieces = [part for part in ("bos", "$A", "eos") if part == "$A" or part in around]
        core.post_processor = TemplateProcessing(single=pieces, special_tokens=special)
