"""LoRA's matrices added to their weight before the multiplication, where that is less work."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn
from torch.nn.functional import linear


def fold(model: nn.Module) -> None:
    """Let the model's LoRA layers multiply by W + s B A while they train, where that pays.

    Names, weights and files stay peft's. Of `peft`'s layers only plain ones over a plain
    `nn.Linear` are meant: 4-bit weights, dropout and variants (DoRA) compute as before.
    """
    for layer in model.modules():
        if type(layer) is Linear and type(layer.base_layer) is nn.Linear:
            layer.__class__ = Folding


class Folding(Linear):
    """peft's Linear, whose training pass multiplies once where `pays` says so."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        name = self.active_adapters[0] if len(self.active_adapters) == 1 else None
        if args or kwargs or not self.training or name is None or not self.plain(name, x):
            return super().forward(x, *args, **kwargs)
        base, down, up = self.base_layer, self.lora_A[name].weight, self.lora_B[name].weight
        if not pays(x.shape[:-1].numel(), len(down), base.in_features, base.out_features):
            return super().forward(x)
        weight = torch.addmm(base.weight, up, down, alpha=self.scaling[name])
        return linear(x, weight, base.bias)

    def plain(self, name: str, x: Tensor) -> bool:
        """Whether W + s B A is all that the layer is, and keeps the adapter's precision.

        W in 16 bits would round the sum, and with it the small changes that train.
        """
        return (
            name in self.lora_A
            and not (self.disable_adapters or self.merged)
            and name not in self.lora_variant
            and isinstance(self.lora_dropout[name], nn.Identity)
            and not (self.lora_bias[name] or self.fan_in_fan_out)
            and x.dtype == self.base_layer.weight.dtype == self.lora_A[name].weight.dtype
            and not torch.is_autocast_enabled(x.device.type)
        )


def pays(tokens: int, rank: int, d_in: int, d_out: int) -> bool:
    """Whether a training pass over that many tokens is fewer operations with B A folded in.

    Multiplications forward and backward, apart: 4 d_in d_out tokens for the frozen weight and
    6 rank (d_in + d_out) tokens for B and A. Folded: 6 d_in d_out tokens for the sum, whose
    gradient is needed, and 6 rank d_in d_out to form it and to go back to B and A.
    """
    return d_in * d_out * (tokens + 3 * rank) < 3 * rank * (d_in + d_out) * tokens
