"""Write a model directory as one GGUF file: metadata, vocabulary, and a table of tensors."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors import safe_open

from ltf_lite.engines.dialect import KEY, SEARCH_KEY, SYSTEM_KEY, chats, said
from ltf_lite.export.architecture import (
    architecture,
    check_names,
    expected_names,
    head_dim,
    heads_of,
    permute,
    read_config,
    rope_factors,
    rows,
    tensor_files,
)
from ltf_lite.export.errors import ExportError
from ltf_lite.export.gguf.vocabulary import END_KEYS, Vocabulary, read_vocabulary

# Asks a model that learnt no chat as it learnt: the text, a line break, nothing else. One that is
# typed has no line break at its end.
PLAINLY = "{% for message in messages %}{{ message['content'] | trim }}{{ '\n' }}{% endfor %}"
DTYPES = {
    "f16": (np.float16, gguf.LlamaFileType.MOSTLY_F16),
    "f32": (np.float32, gguf.LlamaFileType.ALL_F32),
}


def write_gguf(
    model_dir: str | Path,
    out_path: str | Path,
    dtype: str = "f16",
    name: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """The model of a directory as one GGUF file, its matrices in `dtype`, the rest in f32.

    `metadata` adds strings, `ltf.task` for example; `ltf.dialect`, `ltf.system` and `ltf.search`
    are what the directory says it speaks. One that says another dialect than a chat gets a chat
    template that asks as it learnt. The file appears under its name only when it is whole. Raises
    ExportError, and EngineError where the directory speaks no known dialect.
    """
    if dtype not in DTYPES:
        raise ExportError(f"cannot write a GGUF of {dtype!r} (known: {', '.join(DTYPES)})")
    model_dir, out_path = Path(model_dir), Path(out_path)
    config = read_config(model_dir)
    arch = architecture(config)
    files = tensor_files(model_dir)
    check_names(config, files)
    size = rows(files["model.embed_tokens.weight"], "model.embed_tokens.weight")
    vocabulary = read_vocabulary(model_dir, size)
    own = said(model_dir)
    learnt = {KEY: own and own.name, SYSTEM_KEY: own and own.system}
    if own and own.search is not None:
        learnt[SEARCH_KEY] = str(own.search).lower()
    if own and not chats(own.name):
        vocabulary = replace(vocabulary, chat_template=PLAINLY)
    says = {key: text for key, text in learnt.items() if text} | dict(metadata or {})
    out_path.parent.mkdir(parents=True, exist_ok=True)
    partial = out_path.with_name(out_path.name + ".partial")
    writer = gguf.GGUFWriter(partial, arch)
    try:
        writer.add_name(name or model_dir.name)
        writer.add_file_type(DTYPES[dtype][1])
        add_shape(writer, config, size)
        add_vocabulary(writer, vocabulary)
        for key, value in says.items():
            writer.add_string(key, value)
        write_tensors(writer, config, files, dtype)
        writer.close()
        os.replace(partial, out_path)
    except BaseException:
        writer.close()
        partial.unlink(missing_ok=True)
        raise
    return out_path


def add_shape(writer: gguf.GGUFWriter, config: Any, size: int) -> None:
    """What the layers look like."""
    writer.add_vocab_size(size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim(config))
    writer.add_value_length(head_dim(config))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(head_dim(config))
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])


def add_vocabulary(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    """Tokens, merges, and the tokens with a meaning."""
    writer.add_tokenizer_model("gpt2")  # the file format's word for byte-level BPE
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    writer.add_add_bos_token(vocabulary.add_bos)
    writer.add_add_eos_token(False)
    if vocabulary.bos is not None:
        writer.add_bos_token_id(vocabulary.bos)
    if vocabulary.pad is not None:
        writer.add_pad_token_id(vocabulary.pad)
    for key, token in zip(END_KEYS, vocabulary.ends, strict=False):
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", token)
    if vocabulary.chat_template is not None:
        writer.add_chat_template(vocabulary.chat_template)


def write_tensors(
    writer: gguf.GGUFWriter, config: Any, files: Mapping[str, Path], dtype: str
) -> None:
    """Announce every tensor, then write them one by one, so that one at a time is in memory."""
    factors = rope_factors(config)
    if factors is not None:
        writer.add_tensor_info("rope_freqs.weight", factors.shape, factors.dtype, factors.nbytes)
    names = expected_names(config)
    for name, theirs in names.items():
        with safe_open(files[name], framework="pt") as tensors:
            shape = tensors.get_slice(name).get_shape()
        kind = np.dtype(DTYPES[dtype][0] if len(shape) > 1 else np.float32)
        writer.add_tensor_info(theirs, shape, kind, int(np.prod(shape)) * kind.itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    if factors is not None:
        writer.write_tensor_data(factors)
    for array in converted(config, names, files, dtype):
        writer.write_tensor_data(array)


def converted(
    config: Any, names: Mapping[str, str], files: Mapping[str, Path], dtype: str
) -> Iterator[np.ndarray]:
    """The tensors as the file has them, in the order of `names`; raises ExportError on overflow."""
    for name in names:
        with safe_open(files[name], framework="pt") as tensors:
            array = tensors.get_tensor(name).float().numpy()
        heads = heads_of(name, config)
        if heads is not None:
            array = permute(array, heads)
        largest = np.abs(array).max(initial=0)  # NaN if anything is
        if not np.isfinite(largest):
            raise ExportError(f"the tensor {name} holds NaN or infinity: the model is damaged")
        if array.ndim > 1 and dtype == "f16":
            if largest > np.finfo(np.float16).max:
                raise ExportError(f"the tensor {name} does not fit into 16 bits: write f32 instead")
            array = array.astype(np.float16)
        yield array
