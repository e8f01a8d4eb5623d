"""Torsions with a series of cosines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import openmm
from numpy.typing import NDArray
from pydantic import Field

from openmm_cgml.potentials.bonded import BondedConfig
from openmm_cgml.potentials.coordinate import TORSION, Coordinate
from openmm_cgml.potentials.cosine_series import (
    N_HARMONICS,
    CosineConfig,
    CosineSeries,
    cosine_between,
    cosine_series,
    powers_of_cosine,
)
from openmm_cgml.potentials.torsion_vectors import TorsionVectors

if TYPE_CHECKING:
    import torch

_RYCKAERT_BELLEMANS = 5  # the highest power of the cosine in OpenMM's form


class CosineTorsionConfig(CosineConfig):
    """Torsions with a series of cosines, trans being at 180 degrees.

    Attributes:
        coefficients: [k_1, k_2, ...], "fit", or a mapping from bead types such as "A-B-B-A" to either.
        harmonics: Length of a fitted series.
    """

    harmonics: int = Field(default=3, ge=1, le=N_HARMONICS)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class CosineTorsion(CosineSeries):
    """E = sum over terms and n = 1, 2, ... of k_n (1 + cos(n phi)), phi = 180 degrees being trans.

    The series is even: it cannot tell a molecule from its mirror image, as a network of distances cannot either.
    The force of any torsion grows without limit where three of its beads come into line; exactly in line it is zero
    here (and undefined in OpenMM), so do not give torsions to chains whose angles reach 180 degrees.

    Attributes:
        indices: Beads of each torsion in the order of their bonds, shape (n_terms, 4).
        coefficients: k_1, k_2, ... of each term [kJ/mol], of either sign, shape (n_terms, n_harmonics).

    Raises:
        InputError: If shapes disagree, a bead repeats or a coefficient is not finite.
    """

    key: ClassVar[str] = "cosine_torsion"
    coordinate: ClassVar[Coordinate] = TORSION
    Config: ClassVar[type[BondedConfig]] = CosineTorsionConfig

    def energy(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Energy [kJ/mol], shape (...). See `Potential.energy`."""
        vectors = TorsionVectors.of(self.indices, positions, box)
        cosine = cosine_between(vectors.one, vectors.other, vectors.in_line)
        return cosine_series(cosine, positions.new_tensor(self.coefficients)).sum(-1)

    def to_openmm(self, *, periodic: bool) -> openmm.Force:
        """A `RBTorsionForce`, or with six harmonics a `PeriodicTorsionForce`. See `Potential.to_openmm`.

        The former takes a third of the time, since it evaluates a torsion once and not once for each harmonic.
        """
        if self.coefficients.shape[1] > _RYCKAERT_BELLEMANS:
            return self.named(self._by_harmonics(), periodic=periodic)
        force = openmm.RBTorsionForce()
        for beads, powers in zip(self.indices.tolist(), self._powers().tolist(), strict=True):
            force.addTorsion(*beads, *powers)
        return self.named(force, periodic=periodic)

    def _by_harmonics(self) -> openmm.PeriodicTorsionForce:
        force = openmm.PeriodicTorsionForce()
        for beads, coefficients in zip(self.indices.tolist(), self.coefficients.tolist(), strict=True):
            for n, coefficient in enumerate(coefficients, start=1):
                if coefficient:
                    force.addTorsion(*beads, n, 0.0, coefficient)
        return force

    def _powers(self) -> NDArray[np.float64]:
        """Coefficients of the powers 0 to 5 of cos(phi - 180 degrees) [kJ/mol], shape (n_terms, 6)."""
        powers = powers_of_cosine(self.coefficients)
        signed = powers * (-1.0) ** np.arange(powers.shape[1])
        return np.pad(signed, ((0, 0), (0, _RYCKAERT_BELLEMANS + 1 - powers.shape[1])))
