"""A tokenizer as a GGUF file states it: tokens, types, merges, the pre-tokenizer's name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
from transformers import GenerationConfig

from ltf_lite.engines import pretrained
from ltf_lite.engines.template import default_template
from ltf_lite.export.architecture import in_one_line, read_object
from ltf_lite.export.errors import ExportError

LLAMA_BPE = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA_BPE.replace(r"\p{N}{1,3}", r"\p{N}")
# (what the pre-tokenizer does, whether the model takes a whole known word before it merges) → name
PRE_TOKENIZERS = {
    ((f"split {LLAMA_BPE}", "bytes"), True): "llama-bpe",
    ((f"split {LLAMA_BPE}", "bytes"), False): "smaug-bpe",
    ((f"split {QWEN2}", "bytes"), False): "qwen2",
    (("split words into bytes",), False): "gpt-2",
    (("single digits", "split words into bytes"), False): "smollm",
}
END_KEYS = ("eos", "eot", "eom")  # a GGUF file has room for three tokens that end a generation


@dataclass(frozen=True)
class Vocabulary:
    """What export knows of a tokenizer; `ends` are the tokens that end a generation."""

    tokens: list[str]
    types: list[int]
    merges: list[str]
    pre: str
    bos: int | None
    pad: int | None
    ends: tuple[int, ...]
    add_bos: bool
    chat_template: str | None


def read_vocabulary(model_dir: str | Path, size: int) -> Vocabulary:
    """The vocabulary of a model directory, filled up to the `size` rows of its embeddings.

    Read from the tokenizer as transformers loads it, which for some model types is not quite what
    tokenizer.json says. Raises ExportError.
    """
    if not (Path(model_dir) / "tokenizer.json").is_file():
        raise ExportError(
            f"{str(model_dir)!r} has no tokenizer.json, which export reads: put the files of its "
            "tokenizer beside config.json"
        )
    try:
        tokenizer = pretrained.tokenizer(model_dir)
        state = json.loads(tokenizer.backend_tokenizer.to_str())
    except pretrained.ForeignCode as error:
        raise ExportError(str(error)) from error
    except Exception as error:  # tokenizers' own errors have no type
        raise ExportError(
            f"cannot read the tokenizer of {str(model_dir)!r}: {in_one_line(error)}"
        ) from error
    pre, merges = check_model(state)
    tokens, types = token_list(state, size)
    return Vocabulary(
        tokens,
        types,
        merges,
        pre,
        tokenizer.bos_token_id,
        tokenizer.pad_token_id,
        end_tokens(model_dir, tokenizer),
        adds_bos(tokenizer),
        default_template(tokenizer.chat_template),
    )


def check_model(state: dict[str, Any]) -> tuple[str, list[str]]:
    """The pre-tokenizer's name and the merges of a tokenizer.json; raises ExportError."""
    model = state["model"]
    if model["type"] != "BPE" or model.get("byte_fallback"):
        kind = "BPE with byte fallback" if model["type"] == "BPE" else model["type"]
        raise ExportError(f"cannot export a {kind} tokenizer: only byte-level BPE is known")
    pre = pre_tokenizer(state["pre_tokenizer"], bool(model.get("ignore_merges")))
    normalizer = state.get("normalizer")
    if normalizer and normalizer["type"] != "NFC":
        raise ExportError(f"cannot export a tokenizer with the normalizer {normalizer['type']}")
    if not model["merges"]:
        raise ExportError("cannot export a tokenizer without merges: llama.cpp cannot load it")
    return pre, [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]


def pre_tokenizer(state: dict[str, Any] | None, ignore_merges: bool) -> str:
    """llama.cpp's name for a pre-tokenizer; raises ExportError where it is none of the known."""
    parts = [] if state is None else state.get("pretokenizers", [state])
    name = PRE_TOKENIZERS.get((tuple(map(describe, parts)), ignore_merges))
    if name is None:
        shown = json.dumps(state, ensure_ascii=False)
        raise ExportError(
            f"cannot export the pre-tokenizer {shown} with ignore_merges = {ignore_merges}: it is "
            f"none of {', '.join(PRE_TOKENIZERS.values())}"
        )
    return name


def describe(part: dict[str, Any]) -> str:
    """What one part of a pre-tokenizer does, in the words of PRE_TOKENIZERS."""
    kind = part["type"]
    if kind == "Split" and part["behavior"] == "Isolated" and not part["invert"]:
        return f"split {part['pattern'].get('Regex')}"
    if kind == "ByteLevel" and not part["add_prefix_space"]:
        return "split words into bytes" if part["use_regex"] else "bytes"
    if kind == "Digits" and part["individual_digits"]:
        return "single digits"
    return json.dumps(part)


def token_list(state: dict[str, Any], size: int) -> tuple[list[str], list[int]]:
    """Texts and types of `size` tokens; rows without a token are unused. Raises ExportError."""
    kind = gguf.TokenType
    tokens = [f"[PAD{n}]" for n in range(size)]
    types = [int(kind.UNUSED)] * size
    added = {t["content"]: t for t in state["added_tokens"]}
    known = state["model"]["vocab"] | {text: t["id"] for text, t in added.items()}
    if known and max(known.values()) >= size:
        raise ExportError(
            f"the tokenizer has a token {max(known.values())}, the model only {size} embeddings: "
            "they are not of one model"
        )
    for text, index in known.items():
        tokens[index] = text
        special = text in added and added[text]["special"]
        types[index] = int(
            kind.CONTROL if special else kind.USER_DEFINED if text in added else kind.NORMAL
        )
    return tokens, types


def adds_bos(tokenizer: Any) -> bool:
    """Whether a text begins with BOS; raises ExportError for anything else put around it."""
    bare = tokenizer("1", add_special_tokens=False)["input_ids"]
    whole = tokenizer("1")["input_ids"]
    if whole == bare:
        return False
    if whole == [tokenizer.bos_token_id, *bare]:
        return True
    raise ExportError("cannot export a tokenizer that puts more than BOS around a text")


def end_tokens(model_dir: str | Path, tokenizer: Any) -> tuple[int, ...]:
    """The tokens that end a generation in transformers; raises ExportError beyond three."""
    ends = tokenizer.eos_token_id
    if ends is None:  # what generation_config.json ends on is no help: tuning teaches this one
        raise ExportError(
            f"the tokenizer of {str(model_dir)!r} names no end token, so its model could not learn "
            "to stop: give it an eos_token in tokenizer_config.json"
        )
    if (Path(model_dir) / "generation_config.json").is_file():
        read_object(Path(model_dir) / "generation_config.json")
        told = GenerationConfig.from_pretrained(model_dir).eos_token_id
        ends = ends if told is None else told
    ends = (ends,) if isinstance(ends, int) else tuple(ends)
    if len(ends) > len(END_KEYS):
        raise ExportError(f"a GGUF file has room for three end tokens, the model has {len(ends)}")
    return ends
