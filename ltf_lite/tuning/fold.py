"""LoRA's matrices added to their weights before the multiplications, where that is less work."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn
from torch.nn.functional import linear

from ltf_lite.tuning.together import at_once


@contextmanager
def folded(model: nn.Module, pool: ThreadPoolExecutor | None = None) -> Iterator[list[Tensor]]:
    """Inside, LoRA layers multiply by W + s B A, formed once; at its end B and A get gradients.

    It gives these sums. Backward passes to them belong inside too, as many as there are pieces;
    the model must not change in between. Only peft's plain layers in fp32 whose rank is high for
    their width are meant (see `plain` and `pays`); to all others, and outside, nothing happens.
    The sums are formed, and their gradients handed on, by the threads of `pool`.
    """
    layers = [layer for layer in model.modules() if plain(layer) and pays(layer)]
    sums = list(at_once(whole, layers, pool))
    leaves = [each.detach().requires_grad_() for each in sums]
    for layer, weight in zip(layers, leaves, strict=True):
        layer.forward = partial(multiply, layer, weight)
    try:
        yield leaves
    finally:
        for layer in layers:
            del layer.forward  # uncovers the class's own
    # No two of them reach the same weight.
    list(at_once(back_to_weights, list(zip(sums, leaves, strict=True)), pool))


@contextmanager
def summed(model: nn.Module) -> Iterator[None]:
    """Inside, where nothing is trained, LoRA layers on a CPU multiply once, by W + s B A.

    The sum is rounded to W's precision, as merging does it; W itself stays as it is.
    """
    layers: list[Any] = [layer for layer in model.modules() if alone(layer)]
    layers = [layer for layer in layers if layer.base_layer.weight.device.type == "cpu"]
    with torch.no_grad():
        for layer in layers:
            (name,) = layer.active_adapters
            weight = layer.base_layer.weight
            up, down = layer.lora_B[name].weight.float(), layer.lora_A[name].weight.float()
            added = torch.addmm(weight.float(), up, down, alpha=layer.scaling[name])
            layer.forward = partial(multiply, layer, added.to(weight.dtype))
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # uncovers the class's own


def whole(layer: Any) -> Tensor:
    """W + s B A of the layer's only adapter."""
    (name,) = layer.active_adapters
    up, down = layer.lora_B[name].weight, layer.lora_A[name].weight
    with torch.enable_grad():
        return torch.addmm(layer.base_layer.weight, up, down, alpha=layer.scaling[name])


def back_to_weights(pair: tuple[Tensor, Tensor]) -> None:
    """Give B and A the gradient that their sum's leaf has, if any."""
    sum_, leaf = pair
    if leaf.grad is not None:
        sum_.backward(leaf.grad)


def multiply(layer: Any, weight: Tensor, x: Tensor) -> Tensor:
    """The layer's forward pass, by `weight` unless its adapter is switched off."""
    # 16 bits would round the sum, and with it the small changes that train.
    if layer.disable_adapters or torch.is_autocast_enabled(x.device.type):
        return type(layer).forward(layer, x)
    return linear(x, weight, layer.base_layer.bias)


def plain(layer: Any) -> bool:
    """Whether W + s B A in fp32 is all that the layer is."""
    return (
        alone(layer)
        and layer.base_layer.weight.dtype
        == layer.lora_A[layer.active_adapters[0]].weight.dtype
        == torch.float32
    )


def alone(layer: Any) -> bool:
    """Whether the layer is a matrix and one adapter's two: no 4 bits, no dropout, no variant."""
    if type(layer) is not Linear or type(layer.base_layer) is not nn.Linear:
        return False
    names = layer.active_adapters
    return (
        len(names) == 1
        and names[0] in layer.lora_A
        and names[0] not in layer.lora_variant
        and isinstance(layer.lora_dropout[names[0]], nn.Identity)
        and not (layer.lora_bias[names[0]] or layer.fan_in_fan_out or layer.merged)
        and "forward" not in vars(layer)
    )


def pays(layer: Any) -> bool:
    """Whether a forward and backward pass over many tokens is faster by the sum.

    A token costs 4 d_in d_out operations with W and 6 r (d_in + d_out) with B and A, but 6 d_in
    d_out with their sum, whose gradient is needed: the sum is less work below 3 r (d_in + d_out).
    Apart, the output is also scaled and added, which measured on a CPU makes it 4 in place of 3.
    """
    d_out, d_in = layer.base_layer.weight.shape
    return d_in * d_out < 4 * layer.r[layer.active_adapters[0]] * (d_in + d_out)
