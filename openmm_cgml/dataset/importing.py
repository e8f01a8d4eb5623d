"""Trajectories of other programs as recordings: inspected before anything is written, then copied in chunks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from openmm_cgml.dataset.recording import RECORDING_KIND
from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.frames import Frames
from openmm_cgml.shards import FrameStore, FrameWriter
from openmm_cgml.storage import OutputKind, hold_output, read_json, write_sealed_json
from openmm_cgml.topology import AtomTopology
from openmm_cgml.trajectories.constraints import constraints_by_name, find_constraints
from openmm_cgml.trajectories.formats import find_format
from openmm_cgml.trajectories.reading import Tally, TrajectorySource, read_trajectory
from openmm_cgml.trajectories.sanity import Finding, Verdict, inspect_frames, refuse_impossible
from openmm_cgml.trajectories.topology_files import FileTopology
from openmm_cgml.units import DALTON_PER_NM3_IN_G_PER_CM3

__all__ = ["ImportResult", "describe_source", "describe_tally", "import_trajectory", "take_sample"]

REPORT_FILE = "import.json"
_SAMPLE = 100  # frames that are inspected before anything is written
_CHUNK = 50

Recompute = Callable[[Frames], Frames]
"""Gives frames their forces, from their positions."""


def _is_imported(manifest: Path) -> bool:
    try:
        metadata = read_json(manifest)["metadata"]
        return bool(metadata["kind"] == RECORDING_KIND and "imported" in metadata["source"])
    except (ArtifactError, KeyError, TypeError):
        return False


OUTPUT = OutputKind(
    verb="import",
    marker="manifest.json",
    members=("manifest.json", "frames-*.h5", "frames-*.tmp", REPORT_FILE),
    recognizes=_is_imported,
)


@dataclass(frozen=True, eq=False, kw_only=True)
class ImportResult:
    """What came in.

    Attributes:
        recording: Folder of the frames.
        n_frames: Frames that it holds.
        findings: What was found in them.
    """

    recording: Path
    n_frames: int
    findings: tuple[Finding, ...]


def import_trajectory(
    source: TrajectorySource,
    topology: FileTopology,
    output: str | os.PathLike[str],
    *,
    temperature: float,
    constraints: str = "auto",
    recompute: Recompute | None = None,
    recomputed_with: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ImportResult:
    """Write a recording that `map_recording` reads, of a run that another program made.

    The first hundred frames are inspected before anything is written; see `inspect_frames`. Memory does not grow with
    the length of the run. Forces are those of the files, or computed anew from the positions.

    Args:
        source: The files and their units.
        topology: Their atoms.
        output: Folder of the recording.
        temperature: Temperature of the run [K].
        constraints: "auto" finds which distances did not change; or "none", "hydrogens" (bonds to hydrogens), "bonds".
        recompute: Gives frames their forces, such as a `reference.ForceCalculator`; None takes those of the files.
        recomputed_with: What that uses, for the record.
        resume: Go on with what is there, with frames that were added to the files too.
        overwrite: Replace what is there.
        progress: Called with the number of frames done.

    Raises:
        InputError: Frames without forces, of other atoms, out of order, not finite, or as no run has them.
        OutputExistsError: The output is not empty and neither flag is set, or is no recording that was imported.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise InputError(f"temperature {temperature} K; that of the thermostat of the run is needed")
    tally = Tally()
    frames = read_trajectory(source, topology, needs_forces=recompute is None, chunk_frames=_CHUNK, tally=tally)
    if recompute is not None:
        frames = map(recompute, frames)
    sample, frames = take_sample(frames, source, tally)
    atoms = _with_constraints(topology.atoms, sample, constraints)
    findings = [_describe_constraints(atoms), *inspect_frames(sample, atoms, temperature)]
    refuse_impossible(findings, str(source.paths[0]))
    metadata = _metadata(source, atoms, temperature, sample, recomputed_with)
    inputs = [*source.paths, *source.forces]
    with hold_output(output, OUTPUT, overwrite=overwrite, resume=resume, inputs=inputs) as folder:
        with FrameWriter(folder, metadata=metadata, resume=resume) as writer:
            for part in _without(frames, writer.n_frames):
                writer.append(part)
                if progress is not None:
                    progress(writer.n_frames)
        findings += describe_tally(tally)
        write_sealed_json(folder / REPORT_FILE, {"findings": [asdict(finding) for finding in findings]})
        return ImportResult(
            recording=folder, n_frames=FrameStore.open(folder, verify=False).n_frames, findings=tuple(findings)
        )


def take_sample(frames: Iterator[Frames], source: TrajectorySource, tally: Tally) -> tuple[Frames, Iterator[Frames]]:
    """The first hundred frames, and all of them again.

    Args:
        frames: Frames in chunks.
        source: Where they come from, for the message.
        tally: What happened while they were read.

    Raises:
        InputError: There are none.
    """
    first: list[Frames] = []
    for part in frames:
        first.append(part)
        if sum(map(len, first)) >= _SAMPLE:
            break
    if not first:
        if tally.without_forces:
            raise InputError(
                f"{source.paths[0]}: none of {tally.without_forces} frames has forces. Write them with the trajectory "
                "(LAMMPS "
                "fx fy fz, GROMACS nstfout, Amber ntwf), give them as an array (--forces FILE.npy), or have them "
                "computed "
                "from the positions with the force field of the run (--rerun)"
            )
        raise InputError(f"{source.paths[0]}: {tally.n_read} frames, and none is left after those that are passed over")
    return Frames.concatenate(first), chain(first, frames)


def _with_constraints(atoms: AtomTopology, sample: Frames, kind: str) -> AtomTopology:
    pairs = find_constraints(sample, atoms) if kind == "auto" else constraints_by_name(kind, atoms)
    return replace(atoms, constraints=pairs)


def _describe_constraints(atoms: AtomTopology) -> Finding:
    """How many atoms, molecules, bonds and constraints there are.

    Raises:
        InputError: There are hydrogens and no bonds.
    """
    n_bonds, n = len(atoms.bonds), len(atoms.constraints)
    missing = atoms.n_atoms > 1 and not n_bonds
    if missing and "H" in atoms.elements:
        raise InputError(
            f"the topology has {atoms.n_atoms} atoms, hydrogens among them, and no bonds, so molecules cannot be "
            "told. Give one "
            "with bonds: LAMMPS data file, prmtop, tpr, top, PSF, PDB with CONECT"
        )
    return Finding(
        what="atoms, bonds, constraints",
        value=f"{atoms.n_atoms} in {int(atoms.molecules.max()) + 1} molecules, {n_bonds}, {n}",
        verdict=Verdict.ODD if missing else Verdict.GOOD,
        advice="no bonds, so every atom is a molecule of its own, as in argon" if missing else "",
    )


def describe_tally(tally: Tally) -> list[Finding]:
    """What happened while frames were read, as lines of the table."""
    found = [Finding(what="frames read", value=str(tally.n_read))]
    if tally.repeated:
        found.append(
            Finding(
                what="frames of a restart", value=str(tally.repeated), verdict=Verdict.ODD,
                advice="these were written twice, and are in the recording once",
            )
        )  # fmt: skip
    if tally.without_forces:
        found.append(Finding(what="frames without forces", value=f"{tally.without_forces}, passed over"))
    if tally.split:
        found.append(Finding(what="frames with molecules in pieces", value=f"{tally.split}, made whole"))
    box = "changes from frame to frame" if tally.box_changes else "stays the same"
    return [*found, Finding(what="box", value=box)]


def describe_source(source: TrajectorySource) -> dict[str, Any]:
    """Where frames come from, for the record."""
    return {
        "files": [path.name for path in source.paths],
        "format": find_format(source.paths[0]).name,
        "units": source.units_of(source.paths[0]).name,
        "every": source.every,
        "first": source.first,
        "forces": "array" if source.forces else "of the files",
    }


def _metadata(
    source: TrajectorySource, atoms: AtomTopology, temperature: float, sample: Frames, recomputed_with: str | None
) -> dict[str, Any]:
    imported = {**describe_source(source), **({"forces": recomputed_with} if recomputed_with else {})}
    metadata: dict[str, Any] = {
        "kind": RECORDING_KIND,
        "temperature": float(temperature),
        "atoms": atoms.to_dict(),
        "source": {"imported": imported},
    }
    density = _constant_density(sample, atoms)
    return metadata if density is None else {**metadata, "density": density}


def _constant_density(sample: Frames, atoms: AtomTopology) -> float | None:
    if sample.box is None or not np.allclose(sample.box, sample.box[:1], rtol=1e-6):
        return None
    volume = float(np.linalg.det(np.asarray(sample.box[0], np.float64)))
    return round(float(atoms.masses.sum()) / volume * DALTON_PER_NM3_IN_G_PER_CM3, 6)


def _without(frames: Iterator[Frames], n_done: int) -> Iterator[Frames]:
    """The frames beyond the first `n_done`, in single precision."""
    for part in frames:
        if n_done < len(part):
            yield _single(part[n_done:])
        n_done = max(0, n_done - len(part))


def _single(frames: Frames) -> Frames:
    names: Mapping[str, Any] = {
        "positions": frames.positions,
        "forces": frames.forces,
        "forces_inter": frames.forces_inter,
    }
    return frames.replace(
        **{n: None if values is None else np.asarray(values, np.float32) for n, values in names.items()}
    )
