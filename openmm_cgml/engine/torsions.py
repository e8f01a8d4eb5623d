"""Torsions that fade out where beads come into line, evaluated by the engine.

OpenMM has a force of their form, a `CustomCompoundBondForce`, whose evaluation on the CPU takes some hundred times as
long as a compiled loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save

from openmm_cgml.engine import torsion_kernels
from openmm_cgml.engine.pythonforce import positions_and_box
from openmm_cgml.potentials.fading_torsion import FULL_SQUARE, FadingTorsion
from openmm_cgml.potentials.torsion_vectors import STRAIGHT


class TorsionFunction:
    """The callable that `PythonForce` holds for fading torsions: `State` in, energy and forces out.

    OpenMM copies and serializes it with the System; what is stored are beads and coefficients, so a copy works in
    another process that has this package.
    """

    def __init__(self, torsions: FadingTorsion, *, periodic: bool) -> None:
        """Args:
        torsions: The torsions bound to the beads of the System.
        periodic: Whether to use the State's box.
        """
        self.torsions, self.periodic = torsions, periodic
        self._indices, self._powers = np.array(torsions.indices), torsions.powers()  # writable, as kernels are compiled

    def __call__(self, state: Any) -> tuple[float, NDArray[np.float64]]:
        """Energy [kJ/mol] and forces [kJ/mol/nm], shape (n_beads, 3), at an OpenMM state."""
        return self.evaluate(*positions_and_box(state, self.periodic))

    def evaluate(
        self, positions: NDArray[np.float64], box: NDArray[np.float64] | None
    ) -> tuple[float, NDArray[np.float64]]:
        """Energy [kJ/mol] and forces [kJ/mol/nm], shape (n_beads, 3).

        Args:
            positions: Bead positions [nm], shape (n_beads, 3).
            box: Reduced box vectors [nm], shape (3, 3), or None.
        """
        forces = np.zeros(positions.shape)
        cell = positions if box is None else box  # not looked at without periodicity
        settings = self._indices, self._powers, FULL_SQUARE, STRAIGHT
        energy = torsion_kernels.add_torsions(*settings, positions, cell, box is not None, forces)
        return float(energy), forces

    def __reduce__(self) -> tuple[Any, ...]:
        arrays = {name: torch.tensor(getattr(self.torsions, name)) for name in ("indices", "coefficients")}
        return _rebuild, (save(arrays), self.periodic)


def _rebuild(packed: bytes, periodic: bool) -> TorsionFunction:
    arrays = {name: tensor.numpy() for name, tensor in load(packed).items()}
    return TorsionFunction(FadingTorsion(**arrays), periodic=periodic)


def create_torsion_force(torsions: FadingTorsion, *, periodic: bool) -> Any:
    """A `PythonForce` of torsions, named as their native force."""
    import openmm

    return torsions.named(openmm.PythonForce(TorsionFunction(torsions, periodic=periodic)), periodic=periodic)
