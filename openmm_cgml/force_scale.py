"""Whether forces and positions are those of an equilibrium at some temperature: units, signs and frames compared.

In equilibrium <sum_i F_i . w_i> = -kT <sum_i div_i w_i> for any displacement field w(R), by partial integration: also
for mapped forces, which have the gradient of the potential of mean force as their mean, and for rigid molecules if w
moves them as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.correlation import effective_samples
from openmm_cgml.periodic import box_widths, find_pairs, pair_vectors
from openmm_cgml.units import BOLTZMANN

__all__ = ["ForceScale", "Work", "bond_work", "compare_work", "pair_work"]

_NEIGHBORS = 12  # of each particle, that the forces of unbonded ones are compared with
_SIGNIFICANT = 6.0  # standard errors
_FACTOR = 1.5
_UNITS = {
    41.84: "kcal/mol/angstrom",
    4.184: "kcal/mol/nm",
    96.485: "eV/nm",
    964.85: "eV/angstrom",
    10.0: "kJ/mol/angstrom, or positions in nm where they are in angstrom",
}

Work = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Sum F . w and sum div w of each frame, shape (n_frames,) each."""


@dataclass(frozen=True, kw_only=True)
class ForceScale:
    """How large forces are beside what positions and temperature ask for.

    Attributes:
        ratio: 1 for equilibrium samples; the factor by which forces times lengths are too large.
        error: Its standard error.
    """

    ratio: float
    error: float

    @property
    def is_off(self) -> bool:
        """Whether the ratio is off by more than a factor of 1.5 and than its error allows."""
        off = max(self.ratio, 0.0) * _FACTOR < 1 or self.ratio > _FACTOR
        return off and abs(self.ratio - 1) >= _SIGNIFICANT * self.error

    def complaint(self, temperature: float) -> str | None:
        """A warning, if the ratio is off; else None.

        Args:
            temperature: That of the data [K].
        """
        if not self.is_off:
            return None
        return (
            f"forces times lengths are {self.ratio:.3g} +- {self.error:.2g} times what equilibrium at {temperature:g} "
            f"K gives{self.guess()}. Forces are in kJ/mol/nm, positions in nm, the temperature in K; check "
            "these units, that forces and positions are of the same frames, and that the frames are equilibrium samples"
        )

    def guess(self) -> str:
        """What units or sign would make it so, as the end of a sentence; empty where none would."""
        if self.error > 0.1 * abs(self.ratio):
            return ""
        if abs(self.ratio + 1) < 0.25:
            return ", as for gradients of the energy in place of forces (their negatives)"
        for factor, name in _UNITS.items():
            if abs(self.ratio * factor - 1) < 0.25:
                return f", as for forces in {name}"
            if abs(self.ratio / factor - 1) < 0.25:
                return f", a factor of {factor:g} between units"
        return ""


def compare_work(work: Work, temperature: float) -> ForceScale:
    """The ratio of the two sides of the identity, with the error that correlated frames leave.

    Args:
        work: Both sums of every frame, as `bond_work` and `pair_work` give them; not all divergences zero.
        temperature: Temperature [K].
    """
    observed, expected = work[0], -BOLTZMANN * temperature * work[1]
    ratio = float(observed.mean() / expected.mean())
    residual = observed - ratio * expected
    independent = effective_samples(residual[:, None])
    error = float(residual.std() / max(independent, 1.0) ** 0.5 / abs(expected.mean()))
    return ForceScale(ratio=ratio, error=error)


def bond_work(
    positions: NDArray[np.floating],
    box: NDArray[np.floating] | None,
    forces: NDArray[np.floating],
    bonds: NDArray[np.int64],
    kinds: NDArray[np.int64],
) -> Work | None:
    """For w = (r - <r>) along each bond, which gives <F (r - <r>)> = -kT <1 + 2 (r - <r>)/r>.

    Args:
        positions: Positions [nm], shape (n_frames, n, 3).
        box: Box vectors in rows [nm], shape (n_frames, 3, 3), or None.
        forces: Forces [kJ/mol/nm], shape (n_frames, n, 3).
        bonds: Bonded pairs, shape (n_bonds, 2).
        kinds: Which bonds are alike and have one mean length, shape (n_bonds,).

    Returns:
        The sums, or None without bonds that vibrate: constrained ones tell nothing.
    """
    i, j = bonds.T
    if not len(i):
        return None
    vectors = pair_vectors(positions, box, i, j)
    lengths = np.linalg.norm(vectors, axis=2)
    work, divergence = np.zeros(len(positions)), np.zeros(len(positions))
    pull = ((forces[:, j] - forces[:, i]) * vectors).sum(axis=2) / lengths / 2
    for kind in np.unique(kinds):
        own = lengths[:, kinds == kind]
        stretch = own - own.mean()
        if stretch.std() > 1e-3 * own.mean():
            work += (pull[:, kinds == kind] * stretch).sum(axis=1)
            divergence += (1 + 2 * stretch / own).sum(axis=1)
    return (work, divergence) if divergence.any() else None


def pair_work(
    positions: NDArray[np.floating], box: NDArray[np.floating] | None, forces: NDArray[np.floating]
) -> Work | None:
    """For w that pushes near particles apart by (1/r^2 - 1/(b r)) for r < b, with the divergence -2/(b r^2) per pair.

    The field is that of Borgis et al., Mol. Phys. 111, 3486 (2013). Particles may be centers of mass of molecules with
    the sums of their forces.

    Args:
        positions: Positions [nm], shape (n_frames, n, 3).
        box: Box vectors in rows [nm], shape (n_frames, 3, 3), or None.
        forces: Forces [kJ/mol/nm], shape (n_frames, n, 3).

    Returns:
        The sums, or None without a box or neighbors.
    """
    n_frames, n = positions.shape[:2]
    if box is None or n < 2:
        return None
    work, divergence = np.zeros(n_frames), np.zeros(n_frames)
    for k in range(n_frames):
        edges, x = np.asarray(box[k], np.float64), np.asarray(positions[k], np.float64)
        half = 0.4999 * float(box_widths(edges).min())
        reach = min((3 * _NEIGHBORS / (4 * np.pi * n / np.linalg.det(edges))) ** (1 / 3), half)
        i, j = find_pairs(x, edges, reach)
        vectors = pair_vectors(x, edges, i, j)
        r = np.linalg.norm(vectors, axis=1)
        push = (1 / r**2 - 1 / (reach * r)) / r
        difference = np.asarray(forces[k, j], np.float64) - np.asarray(forces[k, i], np.float64)
        work[k] = ((difference * vectors).sum(axis=1) * push).sum()
        divergence[k] = -2 * (1 / (reach * r**2)).sum()
    return (work, divergence) if divergence.any() else None
