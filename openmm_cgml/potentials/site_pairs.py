"""A pair form between sites or centers, as a potential of the beads that these are rebuilt from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.potentials.coordinate import Lengths
from openmm_cgml.potentials.pair import PairPotential
from openmm_cgml.potentials.points import BuiltPoints
from openmm_cgml.potentials.potential import Period, Potential
from openmm_cgml.wholeness import BondForest

if TYPE_CHECKING:
    import torch

NO_NATIVE_FORCE = (
    "priors between sites have no native OpenMM force, since a System of beads has no particles at the sites; the ML "
    'force evaluates them: take pair_backend="engine" or "auto" (--pair-backend)'
)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class SitePairs(Potential):
    """The energy of a pair form at sites or centers; forces act on all beads that tell where one is.

    It is no form of its own: its terms are those of the pair form, keyed by the types of the points.

    Attributes:
        sites: The sites of the beads, or the centers of molecules or beads.
        pairs: The pair form, bound to the points as others are to beads.
        between: What they are called.
    """

    key: ClassVar[str] = "site_pairs"
    is_native: ClassVar[bool] = False

    sites: BuiltPoints
    pairs: PairPotential
    between: str = "sites"

    @classmethod
    def n_types(cls) -> int:
        """Two, of sites."""
        return 2

    @property
    def name(self) -> str:
        """What it is called in words."""
        return f"{self.pairs.name} between {self.between}"

    @property
    def cutoff(self) -> float:
        """Distance between the points from which the energy is zero [nm]."""
        return self.pairs.cutoff

    def energy(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Energy [kJ/mol], shape (...). See `Potential.energy`.

        Raises:
            InputError: If the cutoff exceeds half the box, where the minimum image would miss pairs.
        """
        return self.pairs.energy(self.sites.place_torch(positions, box), box)

    def inter_energy(
        self, forest: BondForest, positions: torch.Tensor, box: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The part of `energy` that acts between different molecules, or a molecule and its own periodic images.

        Args:
            forest: The molecules.
            positions: As for `energy`.
            box: As for `energy`.

        Raises:
            InputError: If the cutoff exceeds half the box, where the minimum image would miss pairs.
        """

        def find(frame: NDArray[np.float64], cell: NDArray[np.float64] | None) -> NDArray[np.int64]:
            pairs = self.pairs.find(frame, cell)
            return pairs[:, ~self.sites.is_intra(frame, cell, pairs)]

        whole = positions if box is None else positions - _shifts(forest, positions, box)
        return self.pairs.energy_of(find, self.sites.place_torch(whole), box)

    def to_openmm(self, *, periodic: bool) -> openmm.Force:
        """There is none.

        Raises:
            InputError: Always.
        """
        raise InputError(NO_NATIVE_FORCE)

    def period(self, masses: NDArray[np.float64], lengths: Lengths, kt: float) -> Period | None:
        """The period of two points that collide with 5 kT, each as light as it is in any direction."""
        return self.pairs.collision_period(self.sites.mobilities(masses, lengths), kt)


def _shifts(forest: BondForest, positions: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
    """How far each bead is from its place in the whole molecule [nm], shape (..., n_beads, 3)."""
    cells = box.detach().cpu().numpy().astype(np.float64)
    images = forest.images(positions.detach().cpu().numpy().astype(np.float64), cells)
    return positions.new_tensor(images @ cells)
