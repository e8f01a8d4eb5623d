"""Activations together with their derivatives."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

_LOG_2: float = torch.log(torch.tensor(2.0)).item()
"""In single precision, as the networks have it."""


def activate(kind: str, z: Tensor) -> tuple[Tensor, Tensor]:
    """Activation and its first derivative, each once differentiable, shapes as `z`.

    Args:
        kind: `shifted_softplus`, `tanh` or `silu`.
        z: Any shape.
    """
    return cast(tuple[Tensor, Tensor], _Activate.apply(kind, z))  # type: ignore[no-untyped-call]


class _Activate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, kind: str, z: Tensor) -> tuple[Tensor, Tensor]:
        if kind == "tanh":
            values = torch.tanh(z)
            slopes = torch.addcmul(torch.ones_like(z), values, values, value=-1)
            second = values * slopes * -2
        elif kind == "silu":
            s = torch.sigmoid(z)
            values, slopes = z * s, s * (1 + z * (1 - s))
            second = s * (1 - s) * (2 + z * (1 - 2 * s))
        else:
            values, slopes = functional.softplus(z) - _LOG_2, torch.sigmoid(z)
            second = slopes * (1 - slopes)
        ctx.save_for_backward(slopes, second)
        return values, slopes

    @staticmethod
    def backward(ctx: Any, on_values: Tensor, on_slopes: Tensor) -> tuple[None, Tensor]:  # type: ignore[override]
        slopes, second = ctx.saved_tensors
        return None, torch.addcmul(on_values * slopes, on_slopes, second)
