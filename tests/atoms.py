"""Small atomistic systems with made-up forces, and recordings of them."""

import numpy as np

from openmm_cgml.frames import Frames
from openmm_cgml.shards import FrameWriter
from openmm_cgml.specification import read_specification
from openmm_cgml.topology import AtomTopology
from openmm_cgml.units import BOLTZMANN

NAMES = tuple(f"C{i}" for i in range(1, 7)) + tuple(f"H{i}" for i in range(1, 7))
ELEMENTS = ("C",) * 6 + ("H",) * 6
BONDS = np.array([(i, (i + 1) % 6) for i in range(6)] + [(i, i + 6) for i in range(6)])
CONSTRAINTS = np.array([(i, i + 6) for i in range(6)])
CUBIC = np.eye(3) * 2.5
TRICLINIC = np.array([[2.5, 0.0, 0.0], [0.8, 2.4, 0.0], [-0.9, 0.7, 2.3]])


def benzene_specification(n_beads):
    return read_specification(f"benzene-{n_beads}bead")


def benzene_atoms(n_molecules, *, constraints=CONSTRAINTS):
    shifts = 12 * np.arange(n_molecules)[:, None, None]
    owner = np.repeat(np.arange(n_molecules), 12)
    return AtomTopology(
        names=NAMES * n_molecules,
        elements=ELEMENTS * n_molecules,
        masses=np.array([12.011 if element == "C" else 1.008 for element in ELEMENTS * n_molecules]),
        residues=owner,
        residue_names=("BNZ",) * n_molecules,
        molecules=owner,
        bonds=(shifts + BONDS).reshape(-1, 2),
        constraints=(shifts + np.asarray(constraints).reshape(-1, 2)).reshape(-1, 2),
    )


def benzene_frames(n_molecules, n_frames, *, seed=0, box=CUBIC):
    """Whole molecules at random places, random forces."""
    rng = np.random.default_rng(seed)
    angles = np.arange(6) * np.pi / 3
    ring = np.stack([np.cos(angles), np.sin(angles), np.zeros(6)], axis=1)
    shape = np.concatenate([0.139 * ring, 0.248 * ring])
    turns = np.linalg.qr(rng.normal(size=(n_frames, n_molecules, 3, 3)))[0]
    centers = rng.random((n_frames, n_molecules, 3)) @ box
    positions = centers[:, :, None] + np.einsum("ai,fmij->fmaj", shape, turns)
    positions = positions.reshape(n_frames, -1, 3) + rng.normal(scale=0.003, size=(n_frames, 12 * n_molecules, 3))
    forces = rng.normal(scale=500.0, size=positions.shape)
    kinetic = 0.5 * BOLTZMANN * 300.0 * 30 * n_molecules  # 36 coordinates less 6 constraints each
    return Frames(
        positions=positions,
        box=np.tile(box, (n_frames, 1, 1)),
        forces=forces,
        forces_inter=0.1 * forces + rng.normal(size=forces.shape),
        energies={"inter": rng.normal(-100, 5, n_frames), "kinetic": rng.normal(kinetic, 5, n_frames)},
        times=0.5 * np.arange(n_frames),
    )


def write_recording(path, n_molecules, frames, **changes):
    metadata = {
        "kind": "openmm-cgml/recording",
        "temperature": 300.0,
        "atoms": benzene_atoms(n_molecules).to_dict(),
        "source": {"force_field": "made up"},
        "density": 0.84,
        **changes,
    }
    with FrameWriter(path, metadata=metadata, frames_per_shard=4, resume=True) as writer:
        writer.append(frames)
    return path
