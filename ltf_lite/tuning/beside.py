"""LoRA beside 16-bit weights on a CPU, one function a layer with a backward pass of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ltf_lite.tuning.fold import alone


@contextmanager
def beside(model: nn.Module) -> Iterator[None]:
    """Inside, LoRA layers over bf16 weights compute x W' + s x A' B' in bf16 throughout.

    peft computes the adapter's part in fp32, whose copies and multiplications take as long as the
    layer. A and B stay in fp32, and so do their gradients; they must not change inside. To other
    layers than peft's plain ones, and outside, nothing happens.
    """
    layers: list[Any] = [layer for layer in model.modules() if meant(layer)]
    for layer in layers:
        (name,) = layer.active_adapters
        down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
        scale = float(layer.scaling[name])
        with torch.no_grad():  # rounded once for all passes
            pair = Pair(down, up, down.bfloat16(), (scale * up).bfloat16(), scale)
        layer.forward = partial(multiply, layer, pair)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # uncovers the class's own


def meant(layer: Any) -> bool:
    """Whether the layer is peft's plain one, in bf16 with an adapter in fp32, on the CPU."""
    return (
        alone(layer)
        and layer.base_layer.weight.dtype == torch.bfloat16
        and layer.lora_A[layer.active_adapters[0]].weight.dtype == torch.float32
        and layer.base_layer.weight.device.type == "cpu"
    )


class Pair(NamedTuple):
    """A layer's A and B, the same in bf16 (A and s B), and s."""

    down: Tensor
    up: Tensor
    a: Tensor
    b: Tensor
    scale: float


def multiply(layer: Any, pair: Pair, x: Tensor) -> Any:
    """The layer's forward pass, by the class's own where its adapter is switched off."""
    if layer.disable_adapters or torch.is_autocast_enabled(x.device.type):
        return type(layer).forward(layer, x)
    base = layer.base_layer
    found = Beside.apply(x, base.weight, *pair)
    return found if base.bias is None else found + base.bias


class Beside(torch.autograd.Function):
    """x W' + x A' (s B)', x being (..., d_in) in the dtype of W, a and b; see `Pair`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, down: Tensor, up: Tensor, *pair: Any
    ) -> Tensor:
        a, b, scale = pair
        flat = x.reshape(-1, x.shape[-1])
        inner = flat @ a.T
        ctx.save_for_backward(flat, inner, weight, a, b)
        ctx.scale, ctx.shape = scale, x.shape
        return (flat @ weight.T).addmm_(inner, b.T).view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable  # W is frozen, and nobody needs a second derivative
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        flat, inner, weight, a, b = ctx.saved_tensors
        slope = upstream.reshape(-1, upstream.shape[-1])
        through = slope @ b
        back = None
        if ctx.needs_input_grad[0]:
            back = (slope @ weight).addmm_(through, a).view(ctx.shape)
        down = (through.T @ flat).float()
        up = ctx.scale * (slope.T @ inner).float()
        return back, None, down, up, None, None, None
