"""The weights of base + adapter, one tensor at a time, and the files they are written to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn.functional import linear

from ltf_lite.core.device import cuda
from ltf_lite.engines.torch.loading import four_bit
from ltf_lite.export.architecture import INDEX, QUANTIZED, expected_names
from ltf_lite.export.errors import ExportError
from ltf_lite.export.merge.adapter import Adapter

SHARD = 2**30  # bytes of a file: what is merged but not written yet is in memory
SAMPLES = 8  # random inputs on which a merged layer is compared


class Merged(NamedTuple):
    """A tensor of the merged model; `moved` is how far its layer's outputs are from unmerged."""

    name: str
    weight: torch.Tensor
    moved: float


def merged_tensors(
    config: Any, files: Mapping[str, Path], adapter: Adapter, load_in_4bit: bool
) -> Iterator[Merged]:
    """Every tensor of the merged model, in fp32 where it was quantized or merged, else as stored.

    `load_in_4bit` quantizes the base as tuning did, unless it is stored in 4 bits already.
    """
    stored_in_4bit = bool(getattr(config, "quantization_config", None))
    packs = parts(files)
    for name in expected_names(config):
        weight = read(files, name)
        packed = None
        if name in packs:
            packed = unpack(weight, {part: read(files, part) for part in packs[name]})
        # transformers quantizes all linear layers but the head: here, those are the projections
        elif load_in_4bit and not stored_in_4bit and name.endswith("_proj.weight"):
            packed = quantize(weight)
        factors = adapter.factors.get(name.removesuffix(".weight"))
        if packed is None and factors is None:
            yield Merged(name, weight, 0.0)
            continue
        yield merged(name, weight if packed is None else packed, factors, adapter.scaling)


def merged(name: str, base: torch.Tensor, factors: Any, scaling: float) -> Merged:
    """A linear layer W + scaling · B A, and how far from W x + scaling · B (A x) its outputs are.

    The base's own W x is bitsandbytes' where its weight is in 4 bits.
    """
    layer = forward_of(base)
    weight = dequantize(base)
    x = torch.randn(SAMPLES, weight.shape[1], generator=torch.Generator().manual_seed(0))
    unmerged = layer(x)
    if factors is not None:
        a, b = factors
        unmerged += scaling * linear(linear(x, a), b)
        weight = weight + scaling * (b @ a)
    off = (linear(x, weight) - unmerged).abs() / unmerged.abs().clamp(min=1)
    return Merged(name, weight, float(off.max()))


def forward_of(base: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """x (…, in) → W x (…, out) in fp32, W as it lies in memory."""
    import bitsandbytes

    if isinstance(base, bitsandbytes.nn.Params4bit):
        return lambda x: bitsandbytes.matmul_4bit(x, base, quant_state=base.quant_state)
    return lambda x: linear(x, base.float())


def dequantize(base: torch.Tensor) -> torch.Tensor:
    """A weight in fp32, whether it is in 4 bits or not."""
    import bitsandbytes

    if not isinstance(base, bitsandbytes.nn.Params4bit):
        return base.float()
    base.quant_state.dtype = torch.float32  # else it is rounded here, and once more when saved
    return bitsandbytes.functional.dequantize_4bit(base.data, base.quant_state)


def quantize(weight: torch.Tensor) -> Any:
    """A weight in NF4, doubly quantized, as the base that was tuned had it; on the CPU.

    Tuning on CUDA rounds a base to bfloat16 and quantizes it there, where sums run in another
    order: the same is done here where there is CUDA, for else a scale may differ in its last bits.
    """
    from bitsandbytes.nn import Params4bit

    card = cuda()
    dtype = torch.bfloat16 if card else torch.float32
    settings = four_bit(dtype)
    packed: Any = Params4bit(
        weight.to(dtype),
        compress_statistics=settings.bnb_4bit_use_double_quant,
        quant_type=settings.bnb_4bit_quant_type,
        quant_storage=settings.bnb_4bit_quant_storage,
    )
    return packed.to("cuda" if card else "cpu").to("cpu")


def unpack(weight: torch.Tensor, rest: dict[str, torch.Tensor]) -> Any:
    """A weight that is stored in 4 bits, from its parts; raises ExportError."""
    from bitsandbytes.nn import Params4bit

    try:
        return Params4bit.from_prequantized(weight, rest, device="cpu")
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise ExportError(f"the 4-bit weights are damaged: {error} (among {min(rest)})") from error


def parts(files: Iterable[str]) -> dict[str, list[str]]:
    """Name of each weight stored in 4 bits → the names of what belongs to it."""
    found: dict[str, list[str]] = {}
    for name in files:
        if match := QUANTIZED.search(name):
            found.setdefault(f"{name[: match.start()]}.weight", []).append(name)
    return found


def read(files: Mapping[str, Path], name: str) -> torch.Tensor:
    """One tensor; its file is closed at once, so that what was read leaves the memory again."""
    with safe_open(files[name], framework="pt") as tensors:
        return tensors.get_tensor(name)


def save_tensors(tensors: Iterable[tuple[str, torch.Tensor]], folder: Path) -> None:
    """Write tensors to one safetensors file, or to several of about SHARD bytes and an index."""
    places: dict[str, int] = {}
    total = number = 0
    for number, shard in enumerate(shards(tensors), 1):
        save_file(shard, folder / f"part-{number}", {"format": "pt"})
        places |= dict.fromkeys(shard, number)
        total += sum(tensor.nbytes for tensor in shard.values())
    if number == 1:
        (folder / "part-1").rename(folder / "model.safetensors")
        return
    names = [f"model-{k:05}-of-{number:05}.safetensors" for k in range(1, number + 1)]
    for k, name in enumerate(names, 1):
        (folder / f"part-{k}").rename(folder / name)
    index = {
        "metadata": {"total_size": total},
        "weight_map": {tensor: names[k - 1] for tensor, k in sorted(places.items())},
    }
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def shards(tensors: Iterable[tuple[str, torch.Tensor]]) -> Iterator[dict[str, torch.Tensor]]:
    """The tensors in groups of at most SHARD bytes; a larger tensor is a group of its own."""
    shard: dict[str, torch.Tensor] = {}
    size = 0
    for name, tensor in tensors:
        if shard and size + tensor.nbytes > SHARD:
            yield shard
            shard, size = {}, 0
        shard[name] = tensor
        size += tensor.nbytes
    if shard:
        yield shard
