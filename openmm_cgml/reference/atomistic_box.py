"""AtomisticBox: what the staged run needs to know of a box, whatever molecules it holds."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.reference.isolated_molecules import IsolatedMolecules
from openmm_cgml.specification import ReferenceSpecification
from openmm_cgml.units import DALTON_PER_NM3_IN_G_PER_CM3

__all__ = ["AtomisticBox", "box_length", "check_length", "scale_centers"]


class AtomisticBox(abc.ABC):
    """Molecules in a cubic periodic box.

    Attributes:
        force_field: Name of the force field, for the record.
        source: Where its parameters come from.
        n_molecules: Number of molecules.
        total_mass: Real mass of all atoms [Da].
        sizes: Atoms of each molecule, in the order of the topology, shape (n_molecules,).
        counts: Number of molecules by residue, where there are several kinds; empty otherwise.
    """

    force_field: str
    source: str
    n_molecules: int
    total_mass: float
    sizes: NDArray[np.int64]
    counts: Mapping[str, int] = MappingProxyType({})

    @abc.abstractmethod
    def topology(self) -> app.Topology:
        """All atoms and bonds, molecule by molecule."""

    @abc.abstractmethod
    def create_system(self, settings: ReferenceSpecification, length: float) -> openmm.System:
        """The System in a cube of edge `length` [nm], bonds to hydrogen constrained, by force groups.

        Raises:
            InputError: The box is smaller than twice the cutoff.
        """

    @abc.abstractmethod
    def start(
        self,
        settings: ReferenceSpecification,
        *,
        density: float,
        temperature: float,
        seed: int,
        platform: openmm.Platform,
        properties: dict[str, str],
        progress: Callable[[float], None],
    ) -> tuple[NDArray[np.float64], float]:
        """Starting positions [nm], shape (n_atoms, 3), molecules whole, and the edge of their cube [nm].

        Args:
            settings: How the box is simulated.
            density: Density to reach [g/cm^3].
            temperature: Temperature of the dynamics, if there is any [K].
            seed: Seed of places and velocities.
            platform: OpenMM platform.
            properties: Platform properties.
            progress: Called with the density reached so far.
        """

    def isolated(
        self, settings: ReferenceSpecification, length: float, platform: openmm.Platform, properties: dict[str, str]
    ) -> IsolatedMolecules | None:
        """What tells intermolecular forces apart; None if the System's force groups do."""
        return None


def box_length(total_mass: float, density: float) -> float:
    """Edge of the cube [nm] that holds `total_mass` [Da] at `density` [g/cm^3]."""
    return float((total_mass * DALTON_PER_NM3_IN_G_PER_CM3 / density) ** (1.0 / 3.0))


def scale_centers(positions: NDArray[np.floating], sizes: NDArray[np.integer], scale: float) -> NDArray[np.float64]:
    """Positions [nm] with every molecule moved rigidly so that its geometric center is scaled by `scale`.

    Args:
        positions: Whole molecules, one after the other [nm], shape (n_atoms, 3).
        sizes: Atoms of each molecule, shape (n_molecules,).
        scale: Factor, 1 for no change.
    """
    starts = np.cumsum(sizes) - sizes
    centers = np.add.reduceat(np.asarray(positions, dtype=np.float64), starts, axis=0) / sizes[:, None]
    return np.asarray(positions + (scale - 1.0) * np.repeat(centers, sizes, axis=0))


def check_length(length: float, cutoff: float, what: str) -> None:
    """Raise if a box is smaller than twice the cutoff.

    Args:
        length: Edge of the box [nm].
        cutoff: Cutoff of the non-bonded forces [nm].
        what: What the box holds, for the message.

    Raises:
        InputError: It is.
    """
    if length < 2.0 * cutoff:
        raise InputError(
            f"{what} fill a box of {length:.3f} nm, less than twice the cutoff of {cutoff:g} nm; simulate more, or set "
            "a shorter reference.cutoff in system.yaml"
        )
