"""Trajectories of beads, of somebody else's mapping, as datasets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from openmm_cgml.dataset.force_matching import ForceMatchingDataset
from openmm_cgml.dataset.importing import describe_source, describe_tally, take_sample
from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.topology import AtomTopology, CGTopology, ResidueTemplate
from openmm_cgml.trajectories.reading import Tally, TrajectorySource, read_trajectory
from openmm_cgml.trajectories.sanity import Finding, inspect_frames, refuse_impossible
from openmm_cgml.trajectories.topology_files import FileTopology

__all__ = ["BeadImport", "bead_topology", "import_beads"]

_CHUNK = 50


@dataclass(frozen=True, eq=False, kw_only=True)
class BeadImport:
    """What came in.

    Attributes:
        dataset: The frames, to be fitted to.
        findings: What was found in them.
    """

    dataset: ForceMatchingDataset
    findings: tuple[Finding, ...]


def import_beads(
    source: TrajectorySource,
    topology: FileTopology,
    types: Sequence[str],
    output: str | os.PathLike[str],
    *,
    temperature: float,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> BeadImport:
    """Write a dataset of frames that are mapped already; `fit` takes it.

    Forces must be those on the beads: of a coarse-grained run, or atomistic ones that were mapped with the positions.
    Where every bead is a molecule they are all between molecules; else pair splines are fitted to what bonded priors
    leave.

    Args:
        source: The files and their units.
        topology: Their beads, as `read_bead_topology` gives them.
        types: Type of each bead.
        output: Folder of the dataset.
        temperature: Temperature of the run [K].
        resume: Go on with what is there.
        overwrite: Replace what is there.
        progress: Called with the number of frames done.

    Raises:
        InputError: Frames without forces, of other beads, out of order, not finite, or as no run has them; residues of
            one name that differ.
        OutputExistsError: The output is not empty and neither flag is set, or is no dataset.
    """
    beads, templates = bead_topology(topology.atoms, types)
    tally = Tally()
    sample, frames = take_sample(read_trajectory(source, topology, chunk_frames=_CHUNK, tally=tally), source, tally)
    findings = inspect_frames(sample, topology.atoms, temperature)
    refuse_impossible(findings, str(source.paths[0]))
    dataset = ForceMatchingDataset.create(
        output,
        _reporting(frames, progress),
        topology=beads,
        temperature=temperature,
        mapping_fingerprint="imported",
        source={"imported": describe_source(source)},
        templates=templates,
        resume=resume,
        overwrite=overwrite,
    )
    return BeadImport(dataset=dataset, findings=(*findings, *describe_tally(tally)))


def bead_topology(atoms: AtomTopology, types: Sequence[str]) -> tuple[CGTopology, list[ResidueTemplate]]:
    """The beads as this package has them, and a template of each kind of residue.

    Args:
        atoms: The beads as they were read.
        types: Type of each.

    Raises:
        InputError: Residues of one name differ in their beads or bonds.
    """
    names = tuple(dict.fromkeys(types))
    numbers = {name: number for number, name in enumerate(names)}
    beads = CGTopology(
        type_names=names,
        bead_types=np.array([numbers[each] for each in types]),
        bead_names=atoms.names,
        masses=atoms.masses,
        molecules=atoms.molecules,
        residues=atoms.residues,
        residue_names=atoms.residue_names,
        bonds=atoms.bonds,
    )
    return beads, _templates(atoms, types)


def _templates(atoms: AtomTopology, types: Sequence[str]) -> list[ResidueTemplate]:
    order = np.argsort(atoms.residues, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(atoms.residues[order])) + 1)
    within: list[list[tuple[int, int]]] = [[] for _ in members]
    place = {int(bead): number for own in members for number, bead in enumerate(own)}
    for i, j in atoms.bonds.tolist():
        if atoms.residues[i] == atoms.residues[j]:
            within[atoms.residues[i]].append((place[i], place[j]))
    found: dict[str, ResidueTemplate] = {}
    for number, own in enumerate(members):
        template = ResidueTemplate(
            name=atoms.residue_names[number],
            bead_names=tuple(atoms.names[bead] for bead in own),
            bead_type_names=tuple(types[bead] for bead in own),
            masses=tuple(atoms.masses[own].tolist()),
            bonds=tuple(within[number]),
        )
        if found.setdefault(template.name, template) != template:
            raise InputError(
                f"residue {number} is called {template.name} and differs from the first one of that name in its "
                "beads, types, "
                "masses or bonds; give other residues another name in the topology file"
            )
    return list(found.values())


def _reporting(frames: Iterator[Frames], progress: Callable[[int], None] | None) -> Iterator[Frames]:
    done = 0
    for part in frames:
        yield part.replace(energies={name: values for name, values in part.energies.items() if name != "kinetic"})
        done += len(part)
        if progress is not None:
            progress(done)
