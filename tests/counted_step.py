"""One tuning step at any size without its memory: fake tensors, their bytes counted.

python -m tests.counted_step    # the presets at their true size, beside the estimate; minutes
"""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import bitsandbytes as bnb
import torch
from bitsandbytes.functional import QuantState
from peft import LoraConfig, get_peft_model
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from transformers import AutoModelForCausalLM
from transformers.models.qwen2 import modeling_qwen2
from transformers.models.qwen3 import modeling_qwen3

from ltf_lite import presets
from ltf_lite.pipeline.needs import estimates_of
from ltf_lite.tuning import Tuning
from ltf_lite.tuning.losses import token_nll
from ltf_lite.tuning.memory import rows
from ltf_lite.tuning.shapes import config_of


class Bytes(TorchDispatchMode):
    """Counts the bytes of every tensor that lives, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: Any = weakref.WeakKeyDictionary()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return out

    def _add(self, storage) -> None:
        if storage in self.known:
            return
        size = self.known[storage] = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._drop, size)

    def _drop(self, size: int) -> None:
        self.now -= size


class Counted(NamedTuple):
    """Bytes of the weights, adapter included, and of everything at a step's peak."""

    weights: int
    peak: int


def counted_step(config: Any, settings: Tuning, in_4bit: bool, cuda: bool) -> Counted:
    """A step of two micro-batches of `max_length` tokens a row, as on a card or as on the CPU.

    AdamW's moments count although they are not made. The card's step is computed on the CPU's
    device with what differs there: 16 bits under autocast, and every layer's activations computed
    anew in the backward pass.
    """
    model = adapted(config, settings, in_4bit, cuda)
    with FakeTensorMode(), Bytes() as counted, as_on(cuda):
        materialize(model)
        weights = counted.now
        moments = sum(2 * p.nbytes for p in model.parameters() if p.requires_grad)
        for _ in range(2):  # at the second, the first one's gradients are there
            micro_batch(model.get_base_model(), settings, cuda)
        return Counted(weights, counted.peak + moments)


def micro_batch(base: Any, settings: Tuning, cuda: bool) -> None:
    ids = torch.zeros(sum(rows(settings)), settings.max_length, dtype=torch.long)
    with torch.autocast("cpu", torch.bfloat16, enabled=cuda):
        hidden = base.model(input_ids=ids, use_cache=False).last_hidden_state
        states, wanted = hidden[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
        loss = token_nll(states, wanted, base.get_output_embeddings()).sum()
        del hidden, states
    loss.backward()


def adapted(config: Any, settings: Tuning, in_4bit: bool, cuda: bool) -> Any:
    """The model with its adapter, shapes alone."""
    with torch.device("meta"):
        dtype = torch.bfloat16 if cuda else torch.float32
        base = AutoModelForCausalLM.from_config(config, dtype=dtype)
        if in_4bit:
            quantize(base, dtype)
        base.requires_grad_(False)
        if cuda:
            base.gradient_checkpointing_enable({"use_reentrant": False})
        lora = LoraConfig(
            r=settings.rank, target_modules=list(settings.targets), task_type="CAUSAL_LM"
        )
        return get_peft_model(base, lora).train()


def quantize(base: nn.Module, compute: torch.dtype) -> None:
    """Put layers with NF4's shapes in the place of the linear ones, the head's apart."""
    for parent in list(base.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear) and name != "lm_head":
                layer = bnb.nn.Linear4bit(64, 64, compute_dtype=compute, quant_type="nf4")
                layer.in_features, layer.out_features = child.in_features, child.out_features
                layer.weight, layer.bias = nf4(child.weight, compute), child.bias
                layer.support_avx512bf16_for_cpu = False
                setattr(parent, name, layer)
    base.is_loaded_in_4bit = True


def nf4(weight: nn.Parameter, dtype: torch.dtype) -> nn.Parameter:
    blocks = weight.numel() // 64
    packed = nn.Parameter(torch.empty(weight.numel() // 2, 1, dtype=torch.uint8), False)
    outer = QuantState(
        torch.empty(-(-blocks // 256)), code=torch.empty(256), blocksize=256, dtype=torch.float32
    )
    packed.quant_state = QuantState(
        torch.empty(blocks, dtype=torch.uint8),
        weight.shape,
        torch.empty(16),
        64,
        "nf4",
        dtype,
        torch.empty(()),
        outer,
    )
    packed.compress_statistics, packed.quant_type = True, "nf4"
    return packed


def materialize(model: nn.Module) -> None:
    """Every tensor of the model anew, where its bytes are counted."""
    done: dict[int, Any] = {}
    for module in model.modules():
        for name, old in list(module._parameters.items()):
            if old is None:
                continue
            if id(old) not in done:
                new = nn.Parameter(torch.empty(old.shape, dtype=old.dtype), old.requires_grad)
                for key in ("quant_state", "compress_statistics", "quant_type"):
                    if hasattr(old, key):
                        setattr(new, key, getattr(old, key))
                for state in (s for s in [getattr(old, "quant_state", None)] if s):
                    counted_state(state)
                    counted_state(state.state2)
                done[id(old)] = new
            module._parameters[name] = done[id(old)]
        for name, buffer in list(module._buffers.items()):
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)


def counted_state(state: QuantState) -> None:
    for key in ("absmax", "code", "offset"):
        if getattr(state, key) is not None:
            old = getattr(state, key)
            setattr(state, key, torch.empty(old.shape, dtype=old.dtype))


@contextmanager
def as_on(cuda: bool):
    """What fake tensors on the CPU would do otherwise than real ones, or than a card."""
    with (
        # with values unknown, a mask is built that is left out in truth
        mock.patch.object(modeling_qwen2, "create_causal_mask", return_value=None),
        mock.patch.object(modeling_qwen3, "create_causal_mask", return_value=None),
        # asked without a device it speaks of the card's, and peft asks so
        mock.patch.object(torch, "is_autocast_enabled", return_value=cuda),
    ):
        yield


def main() -> None:
    print(f"{'preset':<24}{'rows':>6}{'counted GiB':>14}{'estimate without its reserve':>31}")
    for name in presets.available():
        preset = presets.load(name)
        if not preset.model.load_in_4bit:
            continue
        whole, *_, smallest = estimates_of(preset, True)
        for found in (whole, smallest):
            settings = preset.tuning.model_copy(
                update={
                    "batch": found.successes,
                    "accumulation": 1,
                    "ratio": found.failures / found.successes,
                }
            )
            config = config_of(preset.model.base)
            counted = counted_step(config, settings, True, True).peak / 2**30
            told = (found.total - found.parts["libraries and fragments"]) / 2**30
            print(f"{name:<24}{sum(rows(settings)):>6}{counted:>14.2f}{told:>31.2f}", flush=True)


if __name__ == "__main__":
    main()
