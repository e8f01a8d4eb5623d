"""Forces computed anew by OpenMM from the positions of a trajectory, with their intermolecular part."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.reference.force_kinds import is_bonded, is_nonbonded
from openmm_cgml.reference.interaction_split import BONDED_GROUP, INTERMOLECULAR_GROUP, split_interactions
from openmm_cgml.reference.isolated_molecules import IsolatedMolecules
from openmm_cgml.reference.recorder import read_frame
from openmm_cgml.reference.system_molecules import checked_molecules
from openmm_cgml.topology import AtomTopology, chain_id

__all__ = ["ForceCalculator", "create_system_from_files"]

_LARGEST_LISTED = 60
"""Atoms of the largest molecule whose pairs are listed; those of longer ones are taken off as isolated molecules."""


class ForceCalculator:
    """Gives frames the forces of an OpenMM System, split as a `ForceRecorder` does.

    Total forces, their intermolecular part and the energies "inter", "bonded" and "intra_nonbonded" take the place of
    what frames had; kinetic energies stay. Where a System cannot be split (implicit solvent, polarizable and many-body
    forces), there are total forces and "potential" only.

    Attributes:
        reason: Why the System is not split; None if it is.
    """

    def __init__(
        self,
        system: openmm.System,
        kept: NDArray[np.int64] | None = None,
        *,
        platform: str | None = None,
        threads: int = 1,
    ) -> None:
        """Args:
            system: The System of the run, without barostat; it is changed.
            kept: Numbers of the atoms among its particles, as `FileTopology` has them; by default all. The others
                must be virtual sites, which are placed by them.
            platform: OpenMM platform; by default the CPU's.
            threads: Threads of the CPU platform.

        Raises:
            InputError: Particles that are no atoms are no virtual sites.
        """
        n = system.getNumParticles()
        self._kept = np.arange(n) if kept is None else np.asarray(kept)
        _check_sites(system, self._kept)
        name = platform or "CPU"
        target = openmm.Platform.getPlatform(name)
        properties = {"Threads": str(threads)} if name == "CPU" else {}
        self.reason, self._isolated = _split(system, target, properties)
        self._context = openmm.Context(system, openmm.VerletIntegrator(0.001), target, properties)

    def __call__(self, frames: Frames) -> Frames:
        """The frames with forces and energies computed from their positions.

        Raises:
            InputError: The frames have another number of atoms, or no box where the System needs one.
            SimulationError: Forces are not finite.
        """
        if frames.n_particles != len(self._kept):
            raise InputError(
                f"frames of {frames.n_particles} atoms for a System of {len(self._kept)}; give that of the run"
            )
        if frames.box is None and self._context.getSystem().usesPeriodicBoundaryConditions():
            raise InputError("the System is periodic and the frames have no box; give the force field without a cutoff")
        return Frames.concatenate([self._one(frames[number : number + 1]) for number in range(len(frames))])

    def _one(self, frame: Frames) -> Frames:
        if frame.box is not None:
            self._context.setPeriodicBoxVectors(*_reduced(np.asarray(frame.box[0], np.float64)))
        positions = np.zeros((self._context.getSystem().getNumParticles(), 3))
        positions[self._kept] = frame.positions[0]
        self._context.setPositions(positions)
        self._context.computeVirtualSites()
        found = read_frame(self._context, isolated=self._isolated)
        assert found.forces is not None
        energies = {name: values for name, values in found.energies.items() if name != "kinetic"}
        inter = found.forces_inter
        return frame.replace(
            forces=found.forces[:, self._kept],
            forces_inter=None if inter is None else inter[:, self._kept],
            energies={**{n: v for n, v in frame.energies.items() if n == "kinetic"}, **energies},
        )


def create_system_from_files(
    files: Sequence[str | os.PathLike[str]],
    topology: AtomTopology,
    box: NDArray[np.floating] | None,
    *,
    cutoff: float = 1.0,
) -> openmm.System:
    """The System of an OpenMM System or ForceField XML, an Amber prmtop or a GROMACS top; particle-mesh Ewald in a box.

    Args:
        files: One file; or several ForceField XML files that belong together.
        topology: The atoms, for ForceField files.
        box: Box vectors in rows [nm], shape (3, 3), or None.
        cutoff: Of non-bonded forces [nm]; a System XML has its own.

    Raises:
        InputError: A file is missing, of no known format, or does not fit the atoms.
    """
    paths = [Path(file) for file in files]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: no such file")
    settings: dict[str, Any] = {
        "nonbondedMethod": app.NoCutoff if box is None else app.PME,
        "nonbondedCutoff": cutoff * unit.nanometer,
        "constraints": None,  # of no matter for forces; the rigid water of the files would have no bonds
        "rigidWater": False,
    }
    try:
        system = _create(paths, topology, box, settings)
    except InputError:
        raise
    except Exception as error:  # OpenMM's readers raise what comes
        raise InputError(f"{paths[0]}: OpenMM makes no System of it ({' '.join(str(error).split())[:300]})") from error
    _remove_barostats(system)
    return system


def _create(
    paths: Sequence[Path], topology: AtomTopology, box: NDArray[np.floating] | None, settings: dict[str, Any]
) -> openmm.System:
    vectors = None if box is None else _reduced(np.asarray(box, np.float64)) * unit.nanometer
    suffix = paths[0].suffix.lower()
    if suffix == ".xml":
        if ElementTree.parse(paths[0]).getroot().tag == "System":
            return openmm.XmlSerializer.deserialize(paths[0].read_text(encoding="utf8"))
        made = _openmm_topology(topology, vectors)
        return app.ForceField(*map(str, paths)).createSystem(made, **settings)
    if suffix in (".prmtop", ".parm7"):
        return app.AmberPrmtopFile(str(paths[0]), periodicBoxVectors=vectors).createSystem(**settings)
    if suffix == ".top":
        return app.GromacsTopFile(str(paths[0]), periodicBoxVectors=vectors).createSystem(**settings)
    raise InputError(
        f"{paths[0]}: forces are computed with an OpenMM System or ForceField (.xml), an Amber .prmtop or a GROMACS "
        ".top; of any "
        "other, make the System in Python and write openmm.XmlSerializer.serialize(system)"
    )


def _openmm_topology(topology: AtomTopology, vectors: Any) -> app.Topology:
    made, atoms = app.Topology(), []
    residues: dict[int, Any] = {}
    chains: dict[int, Any] = {}
    for number, (name, element) in enumerate(zip(topology.names, topology.elements, strict=True)):
        residue, molecule = int(topology.residues[number]), int(topology.molecules[number])
        if residue not in residues:
            if molecule not in chains:
                chains[molecule] = made.addChain(id=chain_id(molecule))
            residues[residue] = made.addResidue(topology.residue_names[residue], chains[molecule])
        atoms.append(made.addAtom(name, app.Element.getBySymbol(element), residues[residue]))
    for i, j in topology.bonds.tolist():
        made.addBond(atoms[i], atoms[j])
    if vectors is not None:
        made.setPeriodicBoxVectors(vectors)
    return made


def _check_sites(system: openmm.System, kept: NDArray[np.int64]) -> None:
    others = np.setdiff1d(np.arange(system.getNumParticles()), kept)
    wrong = [number for number in others.tolist() if not system.isVirtualSite(number)]
    if len(kept) and int(kept.max()) >= system.getNumParticles():
        raise InputError(
            f"the System has {system.getNumParticles()} particles, the topology more; give that of the run"
        )
    if wrong:
        raise InputError(
            f"the System has {system.getNumParticles()} particles, the trajectory {len(kept)} atoms, and particle "
            f"{wrong[0]} is no virtual site; give the System of the atoms in the trajectory"
        )


def _split(
    system: openmm.System, platform: openmm.Platform, properties: dict[str, str]
) -> tuple[str | None, IsolatedMolecules | None]:
    """Why the System cannot be split, or None; and what takes the interactions within molecules off, if anything
    does.
    """
    try:
        largest = max(map(len, checked_molecules(system, None)))
        if largest <= _LARGEST_LISTED:
            split_interactions(system)
            return None, None
        isolated = IsolatedMolecules.from_system(system, platform, properties)
    except InputError as error:
        return str(error), None
    for force in system.getForces():
        if is_bonded(force):
            force.setForceGroup(BONDED_GROUP)
        elif is_nonbonded(force):
            force.setForceGroup(INTERMOLECULAR_GROUP)
            if isinstance(force, openmm.NonbondedForce):
                force.setReciprocalSpaceForceGroup(-1)
    return None, isolated


def _remove_barostats(system: openmm.System) -> None:
    for number in reversed(range(system.getNumForces())):
        force = system.getForce(number)
        if "Barostat" in type(force).__name__ or isinstance(force, openmm.CMMotionRemover):
            system.removeForce(number)


def _reduced(box: NDArray[np.float64]) -> Any:
    """Box vectors in the reduced form that OpenMM asks for."""
    from openmm.app.internal.unitcell import reducePeriodicBoxVectors

    return reducePeriodicBoxVectors([openmm.Vec3(*row) for row in box.tolist()] * unit.nanometer).value_in_unit(
        unit.nanometer
    )
