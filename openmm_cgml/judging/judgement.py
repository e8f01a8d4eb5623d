"""A mapping judged on a recording: one line of the table for each thing that one should know before training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping as Dictionary
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.judging.distributions import maxima_of, shape_anisotropy
from openmm_cgml.judging.pair_fit import HeldOutFit, held_out_fit
from openmm_cgml.judging.structure import StructureJudgement, judge_structure, united_weights, weighted_share
from openmm_cgml.mapping import ForceMapReport, Mapping, TooFewSamplesError, optimal_force_weights
from openmm_cgml.mapping.labels import molecule_groups
from openmm_cgml.mapping.variance import position_covariance, variance_kept
from openmm_cgml.potentials import HarmonicBondConfig
from openmm_cgml.priors import PriorSet, fit_bonded_priors
from openmm_cgml.system import suggest_time_step
from openmm_cgml.topology import AtomTopology
from openmm_cgml.wholeness import BondForest

_SHAPE_FRAMES = 5


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What is known of a mapping before training.

    Attributes:
        name: The mapping.
        n_beads: Beads in the recording.
        atoms_per_bead: Mapped atoms per bead, the mean.
        bead_types: Number of beads of each type.
        structure: What it does to bonds, constraints and symmetry.
        variance_kept: Share of the motion of united atoms about the center of their molecule, in the recording, that a
            linear reconstruction from the beads keeps.
        force_maps: The force rms with uniform and with optimal weights, by kind of residue; empty where there are no
            optimal weights, and `notes` say why.
        maxima: Number of maxima of each kind of bond, angle and torsion, by "bonds", "angles", "torsions", bead types.
        anisotropy: Relative shape anisotropy of the beads by type: 0 sphere, 1/4 disk, 1 rod.
        time_step: Time step that the stiffest bond allows, a twentieth of its period [ps]; None without bonds that
            move.
        pair_fit: Pair splines between the beads, judged by frames that they were not fitted to; None where that was not
            done, and `notes` say why.
        notes: What could not be found out, and why.
    """

    name: str
    n_beads: int
    atoms_per_bead: float
    bead_types: Dictionary[str, int]
    structure: StructureJudgement
    variance_kept: float
    force_maps: tuple[ForceMapReport, ...]
    maxima: Dictionary[str, Dictionary[str, int]]
    anisotropy: Dictionary[str, float]
    time_step: float | None
    pair_fit: HeldOutFit | None
    notes: tuple[str, ...] = ()

    def force_rms(self, weights: str) -> float | None:
        """Force rms over all kinds of beads [kJ/mol/nm] with "uniform" or "optimal" weights; None where not known."""
        valid = [each for each in self.force_maps if weights == "optimal" or each.uniform_valid]
        if not self.force_maps or len(valid) < len(self.force_maps):
            return None
        values = [(getattr(each, f"{weights}_rms"), each.n_samples) for each in valid]
        squares, counts = zip(*((sum(x**2 for x in rms) * n, len(rms) * n) for rms, n in values), strict=True)
        return float(np.sqrt(sum(squares) / sum(counts)))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        return {
            **asdict(self),
            "force_maps": [report.to_dict() for report in self.force_maps],
            "notes": list(self.notes),
            "uniform_force_rms": self.force_rms("uniform"),
            "optimal_force_rms": self.force_rms("optimal"),
        }


def judge_mapping(
    mapping: Mapping,
    atoms: AtomTopology,
    frames: Frames,
    *,
    temperature: float,
    name: str = "",
    fit_pairs: bool = True,
) -> Judgement:
    """What is known of a mapping from the frames of a recording.

    Args:
        mapping: The mapping, with uniform force weights, whether or not constraints allow them; every atom in at most
            one bead.
        atoms: The atoms.
        frames: Some dozen frames of the atoms, far apart in time, with forces.
        temperature: Temperature of the frames [K].
        name: What the mapping is called.
        fit_pairs: Fit splines between the beads; it takes the most time.

    Raises:
        InputError: Frames of other atoms, an atom in two beads, or a molecule that cannot be made whole.
    """
    notes: list[str] = []
    beads = beads_of_atoms(mapping)
    mapped = mapping(frames)
    structure, types = judge_structure(atoms, beads), mapping.target.bead_types
    maxima = maxima_of(mapping.target, mapped)
    if short := [section for section, found in maxima.items() if not found and _has(mapping, section)]:
        notes.append(f"no {' or '.join(short)} has the 100 samples that a distribution takes")
    return Judgement(
        name=name,
        n_beads=mapping.n_beads,
        atoms_per_bead=float((beads >= 0).sum() / mapping.n_beads),
        bead_types={n: int((types == t).sum()) for t, n in enumerate(mapping.target.type_names) if (types == t).any()},
        structure=structure,
        variance_kept=_variance_kept(atoms, beads, frames),
        force_maps=_force_maps(mapping, atoms, frames, notes),
        maxima=maxima,
        anisotropy=shape_anisotropy(mapping, atoms.masses, frames[:: max(1, len(frames) // _SHAPE_FRAMES)]),
        time_step=_time_step(mapping, mapped, temperature, notes),
        pair_fit=_pair_fit(mapping, mapped, temperature, notes) if fit_pairs else None,
        notes=tuple(notes),
    )


def beads_of_atoms(mapping: Mapping) -> NDArray[np.int64]:
    """The bead of each atom, -1 for atoms in none, shape (n_atoms,).

    Raises:
        InputError: An atom is part of two beads.
    """
    weights = mapping.position_weights
    shared = np.flatnonzero(np.bincount(weights.indices, minlength=mapping.n_atoms) > 1)
    if len(shared):
        raise InputError(f"atom {shared[0]} is part of two beads; only mappings with each atom in one are judged")
    beads = np.full(mapping.n_atoms, -1, dtype=np.int64)
    beads[weights.indices] = np.repeat(np.arange(mapping.n_beads), np.diff(weights.indptr))
    return beads


def _has(mapping: Mapping, section: str) -> bool:
    topology = mapping.target
    members = {"bonds": topology.bonds, "angles": topology.angles, "torsions": topology.dihedrals}
    return len(members[section]) > 0


def _variance_kept(atoms: AtomTopology, beads: NDArray[np.int64], frames: Frames) -> float:
    positions = np.asarray(frames.positions, np.float64)
    if frames.box is not None:
        forest = BondForest.from_bonds(atoms.bonds, atoms.n_atoms)
        positions = forest.make_whole(positions, np.asarray(frames.box, np.float64))
    groups, shares = [g for g in molecule_groups(atoms) if (beads[g.atoms[0]] >= 0).any()], []
    for group in groups:
        heavy, united, weights = united_weights(group, beads[group.atoms[0]])
        if heavy.n_heavy == 1:
            shares.append(1.0)
            continue
        samples = np.einsum("ha,fcax->fchx", united, positions[:, group.atoms])
        covariance = position_covariance(samples.reshape(-1, heavy.n_heavy, 3))
        shares.append(variance_kept(covariance, weights))
    return weighted_share(groups, shares)


def _force_maps(mapping: Mapping, atoms: AtomTopology, frames: Frames, notes: list[str]) -> tuple[ForceMapReport, ...]:
    if frames.forces is None:
        notes.append("the recording has no forces")
        return ()
    try:
        return optimal_force_weights(mapping, [frames], atoms)[1]
    except TooFewSamplesError as error:
        notes.append(f"{error} (here: more `--frames`)")
    except InputError as error:
        notes.append(str(error))
    return ()


def _time_step(mapping: Mapping, mapped: Frames, temperature: float, notes: list[str]) -> float | None:
    """That of the stiffest harmonic bond by Boltzmann inversion."""
    topology = mapping.target
    if not len(topology.bonds):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a harmonic bond is a rough description here, and maxima are counted apart
            terms = fit_bonded_priors(HarmonicBondConfig(), topology, mapped, temperature)
        potentials = PriorSet(terms=terms, exclude_bonds=2).bind(topology)
    except InputError as error:
        notes.append(f"no time step: {error}")
        return None
    step = suggest_time_step(potentials, topology.masses, temperature=temperature)
    return None if step is None else step.time_step


def _pair_fit(mapping: Mapping, mapped: Frames, temperature: float, notes: list[str]) -> HeldOutFit | None:
    try:
        return held_out_fit(mapping.target, mapped, temperature)
    except InputError as error:
        notes.append(f"no pair splines: {error}")
        return None


def table_of(judgements: Sequence[Judgement]) -> str:
    """The judgements side by side, one column each, with notes below."""
    rows = [("", [j.name for j in judgements])]
    rows += [(title, [_cell(j, title) for j in judgements]) for title in _ROWS]
    first = max(len(title) for title, _ in rows)
    widths = [max(len(cells[column]) for _, cells in rows) for column in range(len(judgements))]
    lines = [
        title.ljust(first) + "".join(f"  {cell.rjust(w)}" for cell, w in zip(cells, widths, strict=True))
        for title, cells in rows
    ]
    notes = [f"{j.name}: {note}" for j in judgements for note in j.notes]
    return "\n".join([*(line.rstrip() for line in lines), *([""] if notes else []), *notes])


def _cell(judgement: Judgement, title: str) -> str:
    value = _ROWS[title](judgement)
    return "-" if value is None else str(value)


def _many(counts: Dictionary[str, int]) -> int | None:
    """The largest number of maxima."""
    return max(counts.values(), default=None)


def _fit_cell(judgement: Judgement, what: str) -> str | None:
    fit = judgement.pair_fit
    if fit is None:
        return None
    return f"{fit.r2:.3f}" if what == "r2" else f"{fit.residual_rms:.0f} of {fit.force_rms:.0f}"


def _rms_cell(judgement: Judgement, weights: str) -> str | None:
    rms = judgement.force_rms(weights)
    if rms is None and weights == "uniform" and judgement.force_maps:
        return "not valid"
    return None if rms is None else f"{rms:.0f}"


_ROWS: dict[str, Any] = {
    "beads": lambda j: j.n_beads,
    "atoms per bead": lambda j: f"{j.atoms_per_bead:.1f}",
    "bead types": lambda j: len(j.bead_types),
    "disconnected beads": lambda j: j.structure.disconnected,
    "constraints cut": lambda j: j.structure.constraints_cut,
    "molecules divided unlike their kind": lambda j: j.structure.uneven_molecules,
    "equivalent atoms told apart (kinds)": lambda j: j.structure.uneven_atoms,
    "variance lost, recording": lambda j: f"{1 - j.variance_kept:.3f}",
    "variance lost, network of bonds": lambda j: f"{1 - j.structure.network_variance_kept:.2f}",
    "force rms, uniform weights [kJ/mol/nm]": lambda j: _rms_cell(j, "uniform"),
    "force rms, optimal weights [kJ/mol/nm]": lambda j: _rms_cell(j, "optimal"),
    "maxima of bonds": lambda j: _many(j.maxima["bonds"]),
    "maxima of angles": lambda j: _many(j.maxima["angles"]),
    "maxima of torsions": lambda j: _many(j.maxima["torsions"]),
    "bead anisotropy (0 sphere, 1 rod)": lambda j: f"{_mean_anisotropy(j):.2f}",
    "time step of the stiffest bond [fs]": lambda j: None if j.time_step is None else f"{1000 * j.time_step:.1f}",
    "R2 of pair splines, held out": lambda j: _fit_cell(j, "r2"),
    "left of the forces between molecules": lambda j: _fit_cell(j, "left"),
}


def _mean_anisotropy(judgement: Judgement) -> float:
    counts = [judgement.bead_types[name] for name in judgement.anisotropy]
    return float(np.average(list(judgement.anisotropy.values()), weights=counts))
