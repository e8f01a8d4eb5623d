"""Polyethylene: residues, charges, and chains grown with rotational-isomeric statistics and excluded volume."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from openmm_cgml.errors import SimulationError
from openmm_cgml.periodic import minimum_image, periodic_tree
from openmm_cgml.reference.polymers import AtomisticPolymer, MonomerUnit

__all__ = ["POLYETHYLENE", "grow_backbones", "grow_polyethylene"]

_CC_BOND = 0.153  # nm
_CH_BOND = 0.109  # nm
_BACKBONE_ANGLE = math.radians(112.0)
_HALF_HCH_ANGLE = math.radians(54.0)

# Rotational isomers of P. J. Flory, Statistical Mechanics of Chain Molecules (1969), chapter V: gauche costs
# 0.5 kcal/mol over trans, and two gauche states of opposite sign in a row 2.0 kcal/mol more; weights at 300 K.
_STATES = np.radians([180.0, 67.0, -67.0])
_GAUCHE, _PENTANE = (math.exp(-energy / (0.0019872 * 300.0)) for energy in (0.5, 2.0))
_WEIGHTS = np.array([[1.0, _GAUCHE, _GAUCHE], [1.0, _GAUCHE, _GAUCHE * _PENTANE], [1.0, _GAUCHE * _PENTANE, _GAUCHE]])
_SPREAD = math.radians(10.0)  # of the torsions about their state

_CLOSEST = 0.38  # nm between carbons more than _NEAR bonds apart
_NEAR = 4
_RETREAT = (5, 30)  # carbons taken back where a chain has no way on
_MOST_TRIALS = 400  # per carbon


def grow_backbones(n_chains: int, n_carbons: int, edge: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Carbons of chains in a periodic cube [nm], shape (n_chains, n_carbons, 3), whole and without overlaps.

    Args:
        n_chains: Number of chains.
        n_carbons: Carbons per chain.
        edge: Edge of the cube [nm].
        generator: Source of randomness.

    Raises:
        SimulationError: The chains do not fit; the density is too high for growth.
    """
    chains: list[NDArray[np.float64]] = []
    for _ in range(n_chains):
        chains.append(_grow_one(n_carbons, edge, periodic_tree(chains, edge), generator))
    return np.stack(chains)


def _grow_one(n_carbons: int, edge: float, others: cKDTree, generator: np.random.Generator) -> NDArray[np.float64]:
    carbons = np.zeros((n_carbons, 3))
    states = np.zeros(n_carbons, dtype=np.int64)
    done = trials = 0
    while done < n_carbons:
        trials += 1
        if trials > _MOST_TRIALS * n_carbons:
            raise SimulationError(
                f"a chain of {n_carbons} carbons found no way through a box of {edge:.3f} nm; grow it at a lower "
                "reference.density in system.yaml"
            )
        for state in _draw_states(states[max(done - 1, 0)], generator):
            carbons[done] = _next_carbon(carbons[:done], edge, _STATES[state], generator)
            if _is_free(carbons[: done + 1], edge, others):
                states[done] = state
                done += 1
                break
        else:
            done = max(0, done - int(generator.integers(*_RETREAT)))
    return carbons


def _draw_states(before: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """All three states in a random order, likelier ones first more often."""
    weights = _WEIGHTS[before]
    return generator.choice(3, size=3, replace=False, p=weights / weights.sum())


def _next_carbon(
    carbons: NDArray[np.float64], edge: float, torsion: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    if len(carbons) == 0:
        return generator.uniform(0.0, edge, 3)
    if len(carbons) == 1:
        return np.asarray(carbons[0] + _CC_BOND * _random_direction(generator))
    along = _unit(carbons[-1] - carbons[-2])
    before = carbons[-2] - carbons[-3] if len(carbons) > 2 else _random_direction(generator)
    normal = _unit(np.cross(before, along))
    angle, torsion = math.pi - _BACKBONE_ANGLE, torsion + _SPREAD * generator.normal()
    sideways = math.cos(torsion) * np.cross(normal, along) + math.sin(torsion) * normal
    return np.asarray(carbons[-1] + _CC_BOND * (math.cos(angle) * along + math.sin(angle) * sideways))


def _is_free(carbons: NDArray[np.float64], edge: float, others: cKDTree) -> bool:
    last = carbons[-1]
    if others.n and others.query_ball_point(last % edge, _CLOSEST, return_length=True):
        return False
    vectors = minimum_image(carbons[: -_NEAR - 1] - last, edge * np.eye(3))
    return not ((vectors**2).sum(axis=1) < _CLOSEST**2).any()


def grow_polyethylene(n_chains: int, monomers: int, edge: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Atoms of polyethylene chains in a periodic cube [nm], shape (n_atoms, 3). See `Grow` and `grow_backbones`."""
    backbones = grow_backbones(n_chains, 2 * monomers, edge, generator)
    return np.concatenate([_with_hydrogens(carbons) for carbons in backbones])


def _with_hydrogens(carbons: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each carbon followed by its hydrogens: three at the ends, two elsewhere."""
    before, after = carbons[1:-1] - carbons[:-2], carbons[1:-1] - carbons[2:]
    outward = _unit(_unit(before) + _unit(after))
    across = _unit(np.cross(before, after))
    atoms = [carbons[0], *_methyl(carbons[0], carbons[1], across[0])]
    for carbon, out, side in zip(carbons[1:-1], outward, across, strict=True):
        along, aside = math.cos(_HALF_HCH_ANGLE) * out, math.sin(_HALF_HCH_ANGLE) * side
        atoms += [carbon, carbon + _CH_BOND * (along + aside), carbon + _CH_BOND * (along - aside)]
    return np.stack([*atoms, carbons[-1], *_methyl(carbons[-1], carbons[-2], across[-1])])


def _methyl(
    carbon: NDArray[np.float64], neighbor: NDArray[np.float64], across: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Three hydrogens, staggered to the chain."""
    axis = _unit(carbon - neighbor)
    second = np.cross(axis, across)
    hydrogens = []
    for turn in np.radians([90.0, 210.0, 330.0]):
        sideways = math.cos(turn) * across + math.sin(turn) * second
        hydrogens.append(
            carbon + _CH_BOND * (math.cos(math.radians(70.5)) * axis + math.sin(math.radians(70.5)) * sideways)
        )
    return hydrogens


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _random_direction(generator: np.random.Generator) -> NDArray[np.float64]:
    return _unit(generator.normal(size=3))


def _residue(name: str, hydrogens: tuple[int, int]) -> MonomerUnit:
    """Two carbons, each followed by its hydrogens, with the charges that PCFF's bond increments give."""
    atoms: list[tuple[str, str, str, float]] = []
    bonds = [(0, hydrogens[0] + 1)]
    for carbon, count in enumerate(hydrogens, start=1):
        bonds += [(len(atoms), len(atoms) + number) for number in range(1, count + 1)]
        atoms += [(f"C{carbon}", "C", "c3", -0.053 * count)]
        atoms += [(f"H{carbon}{number}", "H", "hc", 0.053) for number in range(1, count + 1)]
    names, elements, types, charges = zip(*atoms, strict=True)
    return MonomerUnit(
        residue_name=name, atom_names=names, elements=elements, bonds=tuple(sorted(bonds)), types=types, charges=charges
    )


POLYETHYLENE = AtomisticPolymer(
    name="polyethylene",
    source="charges of PCFF's bond increments (H. Sun et al., J. Am. Chem. Soc. 116, 2978 (1994))",
    head=_residue("PEH", (3, 2)),
    body=_residue("PEM", (2, 2)),
    tail=_residue("PET", (2, 3)),
    links=(("C2", "C1"),),
    grow=grow_polyethylene,
)
