"""Harmonic bonds, 1/2 k (r - r0)^2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_cgml.config import BondStiffness, Length
from openmm_cgml.potentials.bonded import BondedConfig, Fit
from openmm_cgml.potentials.coordinate import BOND, Coordinate
from openmm_cgml.potentials.harmonic import Harmonic, HarmonicConfig
from openmm_cgml.potentials.potential import (
    Parameter,
    as_beads,
    check_indices,
    check_positive,
    frozen_array,
    minimum_image,
    norm,
)

if TYPE_CHECKING:
    import torch


class HarmonicBondConfig(HarmonicConfig):
    """Harmonic bonds. A value is "fit", one for all bonds, or a mapping from bead types such as "A-B".

    Attributes:
        length: Equilibrium length.
        stiffness: Force constant.
        convention: What a given stiffness means: "half" is 1/2 k (r - r0)^2, OpenMM's; "full" is k (r - r0)^2 as in the
            papers, and is doubled.
    """

    length: Fit | Length | dict[str, Fit | Length] = "fit"
    stiffness: Fit | BondStiffness | dict[str, Fit | BondStiffness] = "fit"

    def settings(self) -> dict[str, Any]:
        """See `BondedConfig.settings`."""
        return {"length": self.length, "stiffness": self.stiffness}


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class HarmonicBond(Harmonic):
    """E = sum 1/2 k (r - r0)^2, OpenMM's convention: twice the k of papers that write k (l - l0)^2.

    Attributes:
        indices: Bonded beads, shape (n_terms, 2).
        length: Equilibrium lengths r0 [nm], shape (n_terms,).
        stiffness: Force constants k [kJ/mol/nm^2], shape (n_terms,).

    Raises:
        InputError: If shapes disagree, or a bead repeats, or a length or stiffness is not positive.
    """

    key: ClassVar[str] = "harmonic_bond"
    coordinate: ClassVar[Coordinate] = BOND
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "length": Parameter(unit="nm"),
        "stiffness": Parameter(unit="kJ/mol/nm^2"),
    }
    since: ClassVar[str] = "1.0"
    Config: ClassVar[type[BondedConfig]] = HarmonicBondConfig
    center: ClassVar[str] = "length"

    indices: NDArray[np.int64]
    length: NDArray[np.float64]
    stiffness: NDArray[np.float64]

    def __post_init__(self) -> None:
        indices = frozen_array(self.indices, np.int64, (None, 2), "bond indices")
        object.__setattr__(self, "indices", indices)
        object.__setattr__(self, "length", frozen_array(self.length, np.float64, (len(indices),), "bond length"))
        object.__setattr__(
            self, "stiffness", frozen_array(self.stiffness, np.float64, (len(indices),), "bond stiffness")
        )
        check_indices(indices, "bond")
        check_positive(self.length, "bond length", "nm")
        check_positive(self.stiffness, "bond stiffness", "kJ/mol/nm^2")

    def energy(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Energy [kJ/mol], shape (...). See `Potential.energy`."""
        i, j = as_beads(self.indices, positions)
        distance = norm(minimum_image(positions[..., j, :] - positions[..., i, :], box))
        length, stiffness = (positions.new_tensor(values) for values in (self.length, self.stiffness))
        return (0.5 * stiffness * (distance - length) ** 2).sum(-1)

    def to_openmm(self, *, periodic: bool) -> openmm.Force:
        """A `HarmonicBondForce`. See `Potential.to_openmm`."""
        force = openmm.HarmonicBondForce()
        for (i, j), length, stiffness in zip(
            self.indices.tolist(), self.length.tolist(), self.stiffness.tolist(), strict=True
        ):
            force.addBond(i, j, length, stiffness)
        return self.named(force, periodic=periodic)

    @classmethod
    def other_ways(cls) -> str:
        """See `Harmonic.other_ways`."""
        return "give its length and stiffness by hand"
