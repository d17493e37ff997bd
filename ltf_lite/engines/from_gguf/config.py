"""The config.json that a GGUF file's metadata stand for, and what its weights are stored in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ltf_lite.engines.base import EngineError
from ltf_lite.engines.from_gguf.header import Header, read_header
from ltf_lite.engines.from_gguf.names import ARCHITECTURES, END_KEYS, expected_names

CLASSES = {theirs: ours for ours, theirs in ARCHITECTURES.items()}
EMBEDDINGS, HEAD, FACTORS = "token_embd.weight", "output.weight", "rope_freqs.weight"
ROPE = "rope_freqs."  # before the name of what tells the rotary scaling, no weight
PLAIN = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def config_of(path: str | Path) -> dict[str, Any]:
    """The config.json of a GGUF file, from its metadata alone; raises EngineError."""
    return config(read_header(path))


def weights_of(path: str | Path) -> dict[str, float]:
    """Type of weights → the share of the file's weights that it holds, the largest first."""
    found: Counter[str] = Counter()
    for tensor in read_header(path).tensors.values():
        found[kind_name(tensor.kind)] += tensor.values
    return {kind: count / (found.total() or 1) for kind, count in found.most_common()}


def config(header: Header) -> dict[str, Any]:
    """The config.json of a file; raises EngineError for what is no base of a known kind."""
    kind = header.architecture
    if kind not in CLASSES:
        raise EngineError(
            f"{header.path!r} cannot be a base: its architecture is {kind!r}, and known are "
            f"{', '.join(CLASSES)}; name the model's folder instead"
        )
    if EMBEDDINGS not in header.tensors:
        raise EngineError(f"{header.path!r} cannot be a base: it has no tensor {EMBEDDINGS}")
    heads, hidden = (header.own(k, int) for k in ("attention.head_count", "embedding_length"))
    layers = header.own("block_count", int)
    if heads < 1 or not 0 < layers < len(header.tensors):
        raise EngineError(
            f"{header.path!r} cannot be a base: its metadata tell {layers} layers and {heads} heads"
        )
    width = header.own("attention.key_length", int, hidden // heads)
    told: dict[str, Any] = {
        "architectures": [CLASSES[kind]],
        "model_type": kind,
        "vocab_size": header.tensors[EMBEDDINGS].shape[0],
        "hidden_size": hidden,
        "intermediate_size": header.own("feed_forward_length", int),
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": header.own("attention.head_count_kv", int, heads),
        "head_dim": width,
        "max_position_embeddings": header.own("context_length", int),
        "rms_norm_eps": _short(header.own("attention.layer_norm_rms_epsilon", float)),
        "hidden_act": "silu",
        "rope_parameters": _rope(header, width),
        "tie_word_embeddings": HEAD not in header.tensors,
        "attention_bias": "blk.0.attn_output.bias" in header.tensors,
        "mlp_bias": "blk.0.ffn_gate.bias" in header.tensors,
        "dtype": _dtype(header),
    }
    _check_tensors(header, told)
    return told | ends(header, told["vocab_size"])


def ends(header: Header, size: int) -> dict[str, Any]:
    """The ids of the tokens with a meaning: where a text begins, ends, and is filled up."""
    found = {key: header.values.get(f"tokenizer.ggml.{key}_token_id") for key in END_KEYS}
    stops = list(dict.fromkeys(token for token in found.values() if token is not None))
    told: dict[str, Any] = {
        "bos_token_id": header.values.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": stops[0] if len(stops) == 1 else stops or None,
        "pad_token_id": header.values.get("tokenizer.ggml.padding_token_id"),
    }
    for token in (*stops, told["bos_token_id"], told["pad_token_id"]):
        if token is not None and not (type(token) is int and 0 <= token < size):
            raise EngineError(
                f"{header.path!r} cannot be a base: it names the token {token!r}, and its "
                f"embeddings are 0 to {size - 1}"
            )
    return told


def names(told: Mapping[str, Any]) -> dict[str, str]:
    """Tensor name → GGUF tensor name, of a config.json."""
    return expected_names(SimpleNamespace(**told))


def kind_name(kind: int) -> str:
    """The format's name of a type of weights."""
    from gguf import GGMLQuantizationType

    try:
        return GGMLQuantizationType(kind).name
    except ValueError:
        return f"type {kind}"


def _rope(header: Header, width: int) -> dict[str, Any]:
    """The `rope_parameters`; raises EngineError for what they cannot say."""
    turned = header.own("rope.dimension_count", int, width)
    scaling = header.own("rope.scaling.type", str, "none")
    theta = _short(header.own("rope.freq_base", float, 10000.0))
    if turned != width:
        raise EngineError(
            f"{header.path!r} cannot be a base: it turns {turned} of the {width} values of a head"
        )
    if FACTORS in header.tensors:
        return _scaled(header, theta)
    if scaling == "linear":
        factor = _short(header.own("rope.scaling.factor", float))
        return {"rope_type": "linear", "rope_theta": theta, "factor": factor}
    if scaling != "none":
        raise EngineError(f"{header.path!r} cannot be a base: its rotary scaling is {scaling!r}")
    return {"rope_type": "default", "rope_theta": theta}


def _scaled(header: Header, theta: float) -> dict[str, Any]:
    from ltf_lite.engines.from_gguf.rope import llama3
    from ltf_lite.engines.from_gguf.weights import array

    told = llama3(array(header, FACTORS), theta)
    if told is None or header.architecture != "llama":
        raise EngineError(
            f"{header.path!r} cannot be a base: its rotary factors are not of Llama 3's scaling"
        )
    return told


def _dtype(header: Header) -> str:
    """What the weights are kept in: what the file has, 16 bits for quantized ones."""
    return PLAIN.get(kind_name(header.tensors[EMBEDDINGS].kind), "float16")


def _check_tensors(header: Header, told: Mapping[str, Any]) -> None:
    """Refuse tensors that are missing or have no place in the model; raises EngineError."""
    from gguf.quants import _type_traits  # what it can dequantize has no public list

    wanted = set(names(told).values())
    found = {name for name in header.tensors if not name.startswith(ROPE)}
    if unknown := sorted(found - wanted):
        raise EngineError(
            f"{header.path!r} cannot be a base: its tensor {unknown[0]} has no place in a "
            f"{told['architectures'][0]}"
        )
    if missing := sorted(wanted - found):
        raise EngineError(f"{header.path!r} cannot be a base: it lacks the tensor {missing[0]}")
    readable = {kind.name for kind in _type_traits} | PLAIN.keys()
    for name, tensor in header.tensors.items():
        if (kind := kind_name(tensor.kind)) not in readable:
            raise EngineError(
                f"{header.path!r} cannot be a base: its tensor {name} is {kind}, which cannot be "
                "turned back into numbers here"
            )


def _short(value: float) -> float:
    """The shortest number that 32 bits round to this one: 1e-05, not 9.999999747378752e-06."""
    import numpy as np

    return float(str(np.float32(value)))
