"""Torsions with a series of cosines that fade out where their beads come into line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

import numpy as np
import openmm
from numpy.typing import NDArray
from pydantic import Field

from openmm_cgml.periodic import bond_angles
from openmm_cgml.potentials.bonded import BondedConfig
from openmm_cgml.potentials.coordinate import ANGLE, TORSION, Coordinate, Lengths
from openmm_cgml.potentials.cosine_series import (
    N_HARMONICS,
    CosineConfig,
    CosineSeries,
    cosine_between,
    cosine_series,
    lowest,
    powers_of_cosine,
)
from openmm_cgml.potentials.potential import Period
from openmm_cgml.potentials.torsion_vectors import TorsionVectors

if TYPE_CHECKING:
    import torch

FULL_ANGLE = math.radians(165)
"""Angle up to which a torsion acts in full [rad]; beyond it fades out."""
FULL_SQUARE = math.sin(FULL_ANGLE) ** 2
"""The square of its sine."""
STEEPEST = 23 / (math.pi - FULL_ANGLE) ** 2
"""More than the largest second derivative of a factor by its angle [1/rad^2]."""
_VISITED = 3.0  # kT above the minimum, which a time step has to hold


class FadingTorsionConfig(CosineConfig):
    """Torsions with a series of cosines that fade out at straight angles, trans being at 180 degrees.

    Attributes:
        coefficients: [k_1, k_2, ...], "fit", or a mapping from bead types such as "A-B-B-A" to either.
        harmonics: Length of a fitted series.
    """

    form: Literal["fading"] = "fading"  # type: ignore[assignment]
    harmonics: int = Field(default=4, ge=1, le=N_HARMONICS)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class FadingTorsion(CosineSeries):
    """E = sum over terms of s(theta_1) s(theta_2) U(phi), phi = 180 degrees being trans.

    U is the sum over n of k_n cos(n phi) less its least value, so that fading costs a torsion at its minimum nothing.
    theta_1 and theta_2 are the angles at the two inner beads, and s = x^2 (3 - 2 x) with x = sin^2(theta) over that of
    165 degrees, at most 1. So the force stays finite where beads come into line, which a torsion by itself does not
    allow; the idea is that of Bulacu et al., J. Chem. Theory Comput. 9, 3282 (2013), whose factor sin^3(theta) weakens
    torsions everywhere, where this one leaves angles below 165 degrees alone.

    Attributes:
        indices: Beads of each torsion in the order of their bonds, shape (n_terms, 4).
        coefficients: k_1, k_2, ... of each term [kJ/mol], of either sign, shape (n_terms, n_harmonics).

    Raises:
        InputError: If shapes disagree, a bead repeats or a coefficient is not finite.
    """

    key: ClassVar[str] = "fading_torsion"
    coordinate: ClassVar[Coordinate] = TORSION
    since: ClassVar[str] = "1.6"
    Config: ClassVar[type[BondedConfig]] = FadingTorsionConfig
    straight_angles: ClassVar[bool] = True

    @classmethod
    def weights(
        cls, positions: NDArray[Any], box: NDArray[Any] | None, members: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """The product of both factors s. See `BondedPotential.weights`."""
        angles = (bond_angles(positions, box, members[:, n : n + 3]) for n in range(2))
        first, second = (_fade(np.sin(each) ** 2) for each in angles)
        return np.asarray(first * second)

    def period(self, masses: NDArray[np.float64], lengths: Lengths, kt: float) -> Period | None:
        """Of the steepest that the angles' factors can be for torsions within 3 kT. See `Potential.period`."""
        found: list[tuple[float, str]] = []
        largest = np.minimum(-lowest(-self.coefficients) - lowest(self.coefficients), _VISITED * kt)
        for beads, energy in zip(self.indices.tolist(), largest.tolist(), strict=True):
            for three in (beads[:3], beads[1:]):
                inverse = ANGLE.inverse_mass(tuple(three), FULL_ANGLE, masses, lengths)
                if inverse and energy:
                    found.append((STEEPEST * energy * inverse, f"torsion {'-'.join(map(str, beads))}"))
        if not found:
            return None
        rate, term = max(found, key=lambda entry: entry[0])
        return Period(period=2 * math.pi / math.sqrt(rate), term=term)

    def energy(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Energy [kJ/mol], shape (...). See `Potential.energy`."""
        _, squares, one, other, in_line = TorsionVectors.of(self.indices, positions, box)
        fade = positions.new_ones(())
        for normal, (a, b) in ((one, squares[:2]), (other, squares[1:])):
            x = ((normal * normal).sum(-1) / (a * b * FULL_SQUARE)).clamp(max=1.0)
            fade = fade * x * x * (3 - 2 * x)
        series = cosine_series(cosine_between(one, other, in_line), positions.new_tensor(self.coefficients))
        return (fade * (series - positions.new_tensor(lowest(self.coefficients)))).sum(-1)

    def powers(self) -> NDArray[np.float64]:
        """Coefficients of the powers of cos(phi) in U [kJ/mol], shape (n_terms, n_harmonics + 1)."""
        result = powers_of_cosine(self.coefficients)
        result[:, 0] -= lowest(self.coefficients)
        return result

    def to_openmm(self, *, periodic: bool) -> openmm.CustomCompoundBondForce:
        """A `CustomCompoundBondForce`. See `Potential.to_openmm`."""
        rows = self.powers()
        names = [f"a{n}" for n in range(rows.shape[1])]
        series = names[-1]
        for name in names[-2::-1]:
            series = f"({series})*c + {name}"
        x, y = (f"min(1, sin(angle({beads}))^2/{FULL_SQUARE!r})" for beads in ("p1, p2, p3", "p2, p3, p4"))
        force = openmm.CustomCompoundBondForce(
            4, f"x^2*(3 - 2*x)*y^2*(3 - 2*y)*({series}); c = cos(dihedral(p1, p2, p3, p4)); x = {x}; y = {y}"
        )
        for name in names:
            force.addPerBondParameter(name)
        for beads, row in zip(self.indices.tolist(), rows.tolist(), strict=True):
            force.addBond(beads, row)
        return self.named(force, periodic=periodic)


def _fade(square: NDArray[np.float64]) -> NDArray[np.float64]:
    """The factor s of angles, from the squares of their sines."""
    x = np.minimum(square / FULL_SQUARE, 1.0)
    return np.asarray(x * x * (3 - 2 * x))
