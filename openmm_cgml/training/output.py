"""The last layer of a network: nothing before training, and after it as much as frames that it did not see bear out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from openmm_cgml.networks import SchNet
from openmm_cgml.training.batches import FrameStore, Key
from openmm_cgml.training.metrics import predict


def zero_output(network: SchNet) -> None:
    """Make the energy of a network zero everywhere, so that training begins with the priors alone.

    Args:
        network: The network, changed in place.
    """
    for layer in _last_layers(network):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)


def fit_output_scale(network: SchNet, store: FrameStore, keys: Sequence[Key], *, n_knots: int) -> dict[str, float]:
    """Multiply the energy of a network by the factor up to 1 that its forces on other frames ask for.

    The factor s = <F f> / <f f> of the network's forces f and what the priors leave over, F, has the least error there;
    with it the error is at most that of the priors alone, which is s = 0. A network that learned too little is not
    blown up: where there are no data nothing says that its forces should be larger. A network with separate readouts
    has a factor for each if the forces are split.

    Args:
        network: A trained network, changed in place.
        store: Labeled frames.
        keys: Frames that it was not trained on.
        n_knots: Knots of the filters.

    Returns:
        The factor of each part: "inter" and "intra", or "all".
    """
    predictions = predict(network, store, keys, n_knots=n_knots)
    rest = predictions.reference - predictions.prior
    if network.separate and network.intra_blocks and predictions.inter_residual is not None:
        own = predictions.forces - predictions.prior - predictions.inter
        scales = {
            "inter": _scale(predictions.inter, predictions.inter_residual),
            "intra": _scale(own, rest - predictions.inter_residual),
        }
    else:
        scales = {"all": _scale(predictions.forces - predictions.prior, rest)}
    factors = list(scales.values())
    for layer, factor in zip(_last_layers(network), factors * 2, strict=False):
        with torch.no_grad():
            layer.weight.mul_(factor)
            layer.bias.mul_(factor)
    return scales


def _scale(forces: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    square = float(np.sum(forces * forces))
    return min(max(float(np.sum(forces * wanted)) / square, 0.0), 1.0) if square > 0 else 1.0


def _last_layers(network: SchNet) -> list[nn.Linear]:
    """The layers that give energies: that of the one readout, or those of both."""
    readouts = [network.readout, network.intra_readout] if network.separate else [network.readout]
    layers = [readout[-1] for readout in readouts if isinstance(readout, nn.Sequential)]
    return [layer for layer in layers if isinstance(layer, nn.Linear)]
