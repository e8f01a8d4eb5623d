"""Excluded volume, epsilon (sigma/r)^n, switched smoothly to zero at the cutoff."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import openmm
import torch
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.potentials.neighbors import find_pairs
from openmm_cgml.potentials.potential import Potential, frozen_array, minimum_image, norm
from openmm_cgml.wholeness import BondForest

_PairSearch = Callable[[NDArray[np.float64], NDArray[np.float64] | None], NDArray[np.int64]]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class PowerRepulsion(Potential):
    """E = sum over pairs epsilon (sigma/r)^n S(r), the papers' excluded volume with its energy unit made explicit.

    S falls from 1 at the switch distance to 0 at the cutoff as OpenMM's switching function does,
    S = 1 - 10 x^3 + 15 x^4 - 6 x^5 with x = (r - r_switch)/(r_cutoff - r_switch): same function in training and in
    OpenMM, and energy is conserved.

    Attributes:
        bead_types: Bead type of every bead, shape (n_beads,).
        sigma: Lengths by type pair [nm], symmetric, shape (n_types, n_types).
        epsilon: Energies by type pair [kJ/mol], symmetric, shape (n_types, n_types).
        exponent: The power n.
        cutoff: Distance from which the energy is zero [nm].
        switch_distance: Distance from which it is switched off [nm], below the cutoff.
        exclusions: Pairs that do not interact, i < j, shape (n_exclusions, 2).

    Raises:
        InputError: If shapes disagree, a table is not symmetric or positive, or 0 < switch_distance < cutoff fails.
    """

    name: ClassVar[str] = "power repulsion"

    bead_types: NDArray[np.int64]
    sigma: NDArray[np.float64]
    epsilon: NDArray[np.float64]
    exponent: int
    cutoff: float
    switch_distance: float
    exclusions: NDArray[np.int64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "bead_types", frozen_array(self.bead_types, np.int64, (None,), "bead_types"))
        object.__setattr__(self, "exclusions", frozen_array(self.exclusions, np.int64, (None, 2), "exclusions"))
        n_types = len(self.sigma)
        for field, unit in (("sigma", "nm"), ("epsilon", "kJ/mol")):
            table = frozen_array(getattr(self, field), np.float64, (n_types, n_types), field)
            object.__setattr__(self, field, table)
            if not ((table > 0).all() and (table == table.T).all()):
                raise InputError(f"{field} [{unit}] must be positive and symmetric in the types, not {table.tolist()}")
        self._check()

    def _check(self) -> None:
        if isinstance(self.exponent, bool) or int(self.exponent) != self.exponent or self.exponent < 1:
            raise InputError(f"exponent is {self.exponent!r}; it must be an integer of at least 1")
        if not 0 < self.switch_distance < self.cutoff:
            raise InputError(
                f"switch_distance {self.switch_distance:g} nm must lie between 0 and the cutoff {self.cutoff:g} nm: "
                "a repulsion cut off abruptly does not conserve energy"
            )
        n_types, n_beads = len(self.sigma), len(self.bead_types)
        if n_beads and not 0 <= self.bead_types.min() <= self.bead_types.max() < n_types:
            raise InputError(f"bead_types must lie within 0..{n_types - 1}, as sigma has {n_types} types")
        i, j = self.exclusions.T
        if ((i < 0) | (i >= j) | (j >= n_beads)).any():
            raise InputError(f"exclusions must be pairs 0 <= i < j < {n_beads}, the number of beads")

    def energy(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Energy [kJ/mol], shape (...). See `Potential.energy`.

        Raises:
            InputError: If the cutoff exceeds half the box, where the minimum image would miss pairs.
        """
        return self._energy_of(self._find, positions, box)

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
            pairs = self._find(frame, cell)
            return pairs[:, ~forest.is_intra(frame, cell, pairs)]

        return self._energy_of(find, positions, box)

    def _energy_of(self, find: _PairSearch, positions: torch.Tensor, box: torch.Tensor | None) -> torch.Tensor:
        """Energy [kJ/mol] of the pairs that a search finds in each frame, shape (...)."""
        shape, n_beads = positions.shape[:-2], positions.shape[-2]
        flat = positions.reshape(-1, n_beads, 3)
        boxes = None if box is None else box.to(positions).expand(*shape, 3, 3).reshape(-1, 3, 3)
        frames, pairs = _find_in_all(find, flat, boxes)
        beads = flat.reshape(-1, 3)
        offset = frames * n_beads
        vectors = beads.index_select(0, offset + pairs[1]) - beads.index_select(0, offset + pairs[0])
        if boxes is not None:
            vectors = minimum_image(vectors[:, None, :], boxes[frames])[:, 0, :]
        types = torch.tensor(self.bead_types, device=positions.device)
        energies = self.pair_energy(norm(vectors), types[pairs[0]], types[pairs[1]])
        return flat.new_zeros(len(flat)).index_add(0, frames, energies).reshape(shape)

    def pair_energy(
        self, distance: torch.Tensor, type_i: torch.Tensor | int, type_j: torch.Tensor | int
    ) -> torch.Tensor:
        """Energy [kJ/mol] of pairs, shape (n_pairs,).

        Args:
            distance: Distances [nm], shape (n_pairs,).
            type_i: Bead types of the first beads, shape (n_pairs,), or one for all.
            type_j: Likewise of the second beads.
        """
        sigma, epsilon = (distance.new_tensor(table)[type_i, type_j] for table in (self.sigma, self.epsilon))
        x = ((distance - self.switch_distance) / (self.cutoff - self.switch_distance)).clamp(0, 1)
        switch = 1 + x**3 * (x * (15 - 6 * x) - 10)
        return epsilon * (sigma / distance) ** int(self.exponent) * switch

    def to_openmm(self, *, periodic: bool) -> openmm.CustomNonbondedForce:
        """A `CustomNonbondedForce` with OpenMM's switching function. See `Potential.to_openmm`."""
        coefficient = self.epsilon * self.sigma ** int(self.exponent)
        n_types = len(coefficient)
        if n_types == 1:  # a constant is faster than a table of one element
            force = openmm.CustomNonbondedForce(f"{float(coefficient[0, 0])!r}/r^{int(self.exponent)}")
        else:
            force = openmm.CustomNonbondedForce(f"coefficient(type1, type2)/r^{int(self.exponent)}")
            table = openmm.Discrete2DFunction(n_types, n_types, coefficient.ravel().tolist())
            force.addTabulatedFunction("coefficient", table)
            force.addPerParticleParameter("type")
        for bead_type in self.bead_types.tolist():
            force.addParticle([] if n_types == 1 else [bead_type])
        for i, j in self.exclusions.tolist():
            force.addExclusion(i, j)
        method = force.CutoffPeriodic if periodic else force.CutoffNonPeriodic
        force.setNonbondedMethod(method)
        force.setCutoffDistance(self.cutoff)
        force.setUseSwitchingFunction(True)
        force.setSwitchingDistance(self.switch_distance)
        force.setName(f"prior: {self.name}")
        return force

    def _find(self, frame: NDArray[np.float64], cell: NDArray[np.float64] | None) -> NDArray[np.int64]:
        """Pairs that interact, shape (2, n_pairs)."""
        return find_pairs(frame, cell, self.cutoff, exclusions=self.exclusions)


def _find_in_all(
    find: _PairSearch, positions: torch.Tensor, boxes: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Frame index of each pair, shape (n_pairs,), and its beads, shape (2, n_pairs)."""
    coordinates = positions.detach().cpu().numpy().astype(np.float64)
    cells = None if boxes is None else boxes.detach().cpu().numpy().astype(np.float64)
    found = [find(frame, None if cells is None else cells[index]) for index, frame in enumerate(coordinates)]
    frames = np.repeat(np.arange(len(found)), [pairs.shape[1] for pairs in found])
    pairs = np.concatenate(found, axis=1) if found else np.zeros((2, 0), np.int64)
    return torch.from_numpy(frames).to(positions.device), torch.from_numpy(pairs).to(positions.device)


def switched_power(
    distances: torch.Tensor, coefficient: torch.Tensor, exponent: float, switch_distance: float, cutoff: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Energies c r^-n S(r) [kJ/mol] of `PowerRepulsion` and their derivatives by r [kJ/mol/nm].

    The derivative is written out because a custom operator, in which tables are made, cannot differentiate.

    Args:
        distances: r [nm].
        coefficient: c [kJ/mol nm^n], of a shape that fits that of the distances.
        exponent: n.
        switch_distance: Where S begins to fall [nm].
        cutoff: Where it is 0 [nm].
    """
    x = ((distances - switch_distance) / (cutoff - switch_distance)).clamp(0.0, 1.0)
    switch = 1.0 + x * x * x * (x * (15.0 - 6.0 * x) - 10.0)
    fall = -30.0 * x * x * (1.0 - x) * (1.0 - x) / (cutoff - switch_distance)
    bare = coefficient * torch.pow(distances, -exponent)
    return bare * switch, bare * (fall - exponent * switch / distances)
