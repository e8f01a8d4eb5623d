"""Angles with a series of cosines, smooth where three beads are in line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import openmm

from openmm_cgml.potentials.bonded import BondedConfig
from openmm_cgml.potentials.coordinate import ANGLE, Coordinate
from openmm_cgml.potentials.cosine_series import CosineConfig, CosineSeries, cosine_between, cosine_series, lowest
from openmm_cgml.potentials.potential import as_beads, minimum_image

if TYPE_CHECKING:
    import torch


class CosineAngleConfig(CosineConfig):
    """Angles with a series of cosines, which have no kink at 180 degrees and may be skewed.

    Attributes:
        coefficients: [k_1, k_2, ...], "fit", or a mapping from bead types such as "A-B-A" to either.
        harmonics: Length of a fitted series.
    """


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class CosineAngle(CosineSeries):
    """E = sum over terms and n = 1, 2, ... of k_n (cos(n theta) - cos(n theta0)), with theta at the middle bead.

    Theta0 is where the term is lowest, so that energies count from there: the coefficients of a narrow valley are
    large and cancel, and what they leave at every angle would cost single precision its last digits.
    A harmonic angle has a kink where the beads are in line, and one valley. This series has neither limit: its force
    is zero at 180 degrees, and four harmonics describe a skewed or a double valley. Two of them are the
    cosine-harmonic 1/2 k (cos(theta) - cos(theta0))^2: k_1 = -k cos(theta0), k_2 = k/4.

    Attributes:
        indices: Beads of each angle, the middle one at index 1, shape (n_terms, 3).
        coefficients: k_1, k_2, ... of each term [kJ/mol], of either sign, shape (n_terms, n_harmonics).

    Raises:
        InputError: If shapes disagree, a bead repeats or a coefficient is not finite.
    """

    key: ClassVar[str] = "cosine_angle"
    coordinate: ClassVar[Coordinate] = ANGLE
    Config: ClassVar[type[BondedConfig]] = CosineAngleConfig

    def energy(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Energy [kJ/mol], shape (...). See `Potential.energy`."""
        i, j, k = as_beads(self.indices, positions)
        first = minimum_image(positions[..., i, :] - positions[..., j, :], box)
        second = minimum_image(positions[..., k, :] - positions[..., j, :], box)
        cosine = cosine_between(first, second, first.new_tensor(1e-30))
        series = cosine_series(cosine, positions.new_tensor(self.coefficients))
        return (series - positions.new_tensor(lowest(self.coefficients))).sum(-1)

    def to_openmm(self, *, periodic: bool) -> openmm.Force:
        """A `CustomAngleForce`. See `Potential.to_openmm`."""
        harmonics = range(1, self.coefficients.shape[1] + 1)
        force = openmm.CustomAngleForce(_expression(harmonics.stop - 1))
        for name in ("lowest", *(f"k{n}" for n in harmonics)):
            force.addPerAngleParameter(name)
        values = np.column_stack([lowest(self.coefficients), self.coefficients])
        for (i, j, k), parameters in zip(self.indices.tolist(), values.tolist(), strict=True):
            force.addAngle(i, j, k, parameters)
        return self.named(force, periodic=periodic)


def _expression(n_harmonics: int) -> str:
    """The energy in terms of cos(n theta) = c_n by the recurrence of Chebyshev, so that a single cosine is taken."""
    energy = " + ".join(["-lowest", *(f"k{n}*(1 + c{n})" for n in range(1, n_harmonics + 1))])
    cosines = [f"c{n} = 2*c1*c{n - 1} - {f'c{n - 2}' if n > 2 else '1'}" for n in range(n_harmonics, 1, -1)]
    return "; ".join([energy, *cosines, "c1 = cos(theta)"])
