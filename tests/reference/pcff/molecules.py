"""Small hydrocarbons with distorted geometry: topologies, PCFF types and positions for the tests."""

import numpy as np
from openmm import Vec3, app

CARBON = app.Element.getBySymbol("C")
HYDROGEN = app.Element.getBySymbol("H")
TETRAHEDRAL = np.deg2rad(109.471)


def alkane(torsions, noise=0.004, seed=0):
    """A linear alkane of len(torsions) + 3 carbons: topology and positions [nm].

    Args:
        torsions: Backbone torsions [deg].
        noise: Standard deviation of the displacement of every atom [nm], so that no term is at its minimum.
    """
    backbone = _backbone(np.deg2rad(torsions))
    n = len(backbone)
    elements, positions, bonds = [CARBON] * n, list(backbone), [(i, i + 1) for i in range(n - 1)]
    for i in range(n):
        for hydrogen in _hydrogens(backbone, i):
            bonds.append((i, len(positions)))
            elements.append(HYDROGEN)
            positions.append(hydrogen)
    return molecule(elements, bonds), np.array(positions) + _noise(len(positions), noise, seed)


def toluene(noise=0.004, seed=0):
    """Toluene: topology, PCFF types and positions [nm]. It has the terms that an alkane lacks."""
    around = np.arange(6) * np.pi / 3
    ring = np.stack([np.cos(around), np.sin(around), 0 * around], axis=1)
    methyl = np.array([0.140 + 0.151, 0.0, 0.0])
    spin = np.deg2rad([10.0, 130.0, 250.0])
    tips = np.stack([0 * spin + 0.036, 0.103 * np.cos(spin), 0.103 * np.sin(spin)], axis=1)
    positions = np.concatenate([0.140 * ring, 0.249 * ring[1:], methyl[None], methyl + tips])
    bonds = [(i, (i + 1) % 6) for i in range(6)] + [(i, i + 5) for i in range(1, 6)] + [(0, 11)]
    bonds += [(11, 12), (11, 13), (11, 14)]
    elements = [CARBON] * 6 + [HYDROGEN] * 5 + [CARBON] + [HYDROGEN] * 3
    types = ["cp"] * 6 + ["hc"] * 5 + ["c3"] + ["hc"] * 3
    return molecule(elements, bonds), types, positions + _noise(15, noise, seed)


def copies(topology, positions, shifts):
    """The molecule once per shift [nm]: topology and positions."""
    result = app.Topology()
    for _ in shifts:
        residue = result.addResidue("MOL", result.addChain())
        atoms = [result.addAtom(atom.name, atom.element, residue) for atom in topology.atoms()]
        for bond in topology.bonds():
            result.addBond(atoms[bond[0].index], atoms[bond[1].index])
    return result, np.concatenate([positions + np.asarray(shift) for shift in shifts])


def in_cube(topology, length):
    """The topology, given a cubic box of that length [nm]."""
    topology.setUnitCellDimensions(Vec3(length, length, length))
    return topology


def molecule(elements, bonds):
    topology = app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    atoms = [topology.addAtom(f"{e.symbol}{i}", e, residue) for i, e in enumerate(elements)]
    for i, j in bonds:
        topology.addBond(atoms[i], atoms[j])
    return topology


def _backbone(torsions):
    bend = np.deg2rad(112.0)
    points = [np.zeros(3), np.array([0.153, 0.0, 0.0])]
    points.append(points[1] + 0.153 * np.array([-np.cos(bend), np.sin(bend), 0.0]))
    for torsion in torsions:
        a, b, c = points[-3:]
        along = _unit(c - b)
        normal = _unit(np.cross(b - a, along))
        local = [-np.cos(bend), np.sin(bend) * np.cos(torsion), np.sin(bend) * np.sin(torsion)]
        points.append(c + 0.153 * (local @ np.stack([along, np.cross(normal, along), normal])))
    return np.array(points)


def _hydrogens(backbone, i):
    n, here = len(backbone), backbone[i]
    if 0 < i < n - 1:
        outward = _unit(2 * here - backbone[i - 1] - backbone[i + 1])
        normal = _unit(np.cross(here - backbone[i - 1], backbone[i + 1] - here))
        return [here + 0.110 * (0.577 * outward + side * 0.816 * normal) for side in (1, -1)]
    inner, second = (1, 2) if i == 0 else (n - 2, n - 3)
    axis = _unit(here - backbone[inner])
    across = _unit(np.cross(axis, backbone[second] - backbone[inner]))
    spokes = [np.cos(t) * across + np.sin(t) * np.cross(axis, across) for t in np.deg2rad([90.0, 210.0, 330.0])]
    return [here + 0.110 * (0.334 * axis + 0.943 * spoke) for spoke in spokes]


def _unit(vector):
    return vector / np.linalg.norm(vector)


def _noise(n, scale, seed):
    return np.random.default_rng(seed).normal(0.0, scale, (n, 3))
