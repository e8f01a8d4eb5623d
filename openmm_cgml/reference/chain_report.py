"""What a recording says about its chains: their size and shape, with errors from chain to chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.analysis.gyration import compute_squared_gyration
from openmm_cgml.analysis.molecules import compute_centers_of_mass
from openmm_cgml.periodic import torsion_angles
from openmm_cgml.shards import FrameStore
from openmm_cgml.topology import AtomTopology

__all__ = ["ChainSizes", "chain_observables", "measure_chain_sizes"]

_CHUNK = 50
_TRANS = np.radians(120.0)


@dataclass(frozen=True, eq=False, kw_only=True)
class ChainSizes:
    """Mean over the frames for each chain.

    Attributes:
        squared_end_to_end: Squared distance between the centers of mass of first and last residue [nm^2],
            shape (n_chains,).
        squared_radius_of_gyration: Mass-weighted [nm^2], shape (n_chains,).
        trans: Share of backbone torsions beyond 120 degrees, shape (n_chains,), for chains of carbons whose backbone
            is a line; None for others.
    """

    squared_end_to_end: NDArray[np.float64]
    squared_radius_of_gyration: NDArray[np.float64]
    trans: NDArray[np.float64] | None


def measure_chain_sizes(store: FrameStore, atoms: AtomTopology) -> ChainSizes:
    """Sizes of the chains of a recording, each molecule a chain.

    Args:
        store: Frames with whole molecules.
        atoms: The atoms.
    """
    chains = [np.flatnonzero(atoms.molecules == number) for number in np.unique(atoms.molecules)]
    backbones = _backbones(atoms, chains)
    ends = np.array([[atoms.residues[chain].min(), atoms.residues[chain].max()] for chain in chains])
    sums = np.zeros((3, len(chains)))
    for frames in store.chunks(_CHUNK):
        residues = compute_centers_of_mass(frames.positions, atoms.masses, atoms.residues)
        sums[0] += ((residues[:, ends[:, 1]] - residues[:, ends[:, 0]]) ** 2).sum(axis=(0, 2))
        sums[1] += compute_squared_gyration(frames.positions, atoms.masses, atoms.molecules).sum(axis=0)
        for number, carbons in enumerate(backbones or ()):
            quadruples = np.lib.stride_tricks.sliding_window_view(carbons, 4)
            torsions = np.abs(torsion_angles(frames.positions, None, quadruples))
            sums[2, number] += (torsions > _TRANS).mean(axis=1).sum()
    squared_ends, radii, trans = sums / store.n_frames
    return ChainSizes(
        squared_end_to_end=squared_ends,
        squared_radius_of_gyration=radii,
        trans=None if backbones is None else trans,
    )


def chain_observables(sizes: ChainSizes, total_mass: float) -> dict[str, tuple[float, float | None, str]]:
    """Averages over the chains as (value, standard error from chain to chain, unit).

    Args:
        sizes: Sizes of every chain.
        total_mass: Mass of one chain [Da].
    """
    ratio = 100.0 * sizes.squared_end_to_end / total_mass  # angstrom^2 mol/g
    values: Mapping[str, tuple[NDArray[np.float64] | None, str]] = {
        "squared_end_to_end_distance": (sizes.squared_end_to_end, "nm^2"),
        "squared_radius_of_gyration": (sizes.squared_radius_of_gyration, "nm^2"),
        "squared_end_to_end_per_mass": (ratio, "angstrom^2 mol/g"),
        "trans_fraction": (sizes.trans, ""),
    }
    return {name: (*_mean(each), unit) for name, (each, unit) in values.items() if each is not None}


def _mean(values: NDArray[np.float64]) -> tuple[float, float | None]:
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return float(values.mean()), error


def _backbones(atoms: AtomTopology, chains: list[NDArray[np.int64]]) -> list[NDArray[np.int64]] | None:
    """Carbons of each chain in the order of its bonds, if these are all its heavy atoms and bonded in a line."""
    elements = np.asarray(atoms.elements)
    if set(elements) != {"C", "H"}:
        return None
    found = []
    for chain in chains:
        carbons = chain[elements[chain] == "C"]
        bonds = atoms.bonds[np.isin(atoms.bonds, carbons).all(axis=1)]
        in_line = np.stack([carbons[:-1], carbons[1:]], axis=1)
        if len(carbons) < 4 or not np.array_equal(np.sort(bonds, axis=1)[np.argsort(bonds.min(axis=1))], in_line):
            return None
        found.append(carbons)
    return found
