"""Pair splines between beads fitted to half of some frames and judged by the other half."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.periodic import box_widths
from openmm_cgml.potentials import PairData, PairSpline, PairSplineConfig
from openmm_cgml.potentials.force_matching import NormalEquations
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import BOLTZMANN

_MOST_PARTICLES = 24_000  # beads times frames, which take a few seconds
_LEAST_FRAMES = 4
_RARE = 0.05  # of the beads, below which a type shares the splines of the most similar one
_LONGEST_CUTOFF = 1.2  # nm
_KNOTS = 40


@dataclass(frozen=True, kw_only=True)
class HeldOutFit:
    """How well pair splines between the beads tell the forces between molecules in frames that they have not seen.

    Attributes:
        r2: Share of the mean square force that the splines explain. The rest is noise of the mapping, forces of more
            than two beads, and orientation.
        force_rms: Of the forces between molecules, per component [kJ/mol/nm].
        residual_rms: Of what is left of them [kJ/mol/nm].
        n_frames: Frames in each half.
        cutoff: Of the splines [nm].
    """

    r2: float
    force_rms: float
    residual_rms: float
    n_frames: int
    cutoff: float


def held_out_fit(topology: CGTopology, frames: Frames, temperature: float) -> HeldOutFit:
    """Splines fitted to the first half of the frames, judged by the second.

    Args:
        topology: The beads.
        frames: Mapped frames, with the intermolecular part of the forces.
        temperature: Temperature [K].

    Raises:
        InputError: Fewer than four frames, or no forces between molecules.
    """
    if len(frames) < _LEAST_FRAMES:
        raise InputError(f"{len(frames)} frames; two halves take at least {_LEAST_FRAMES}")
    most = max(_LEAST_FRAMES, _MOST_PARTICLES // topology.n_beads)
    chosen = frames[np.linspace(0, len(frames) - 1, min(len(frames), most)).round().astype(int)]
    half = len(chosen) // 2
    kt, alike = BOLTZMANN * temperature, _alike(topology)
    train, test = (
        PairData(topology=topology, frames=part, kt=kt, exclude_bonds=2, alike=alike)
        for part in (chosen[:half], chosen[half:])
    )
    cutoff = _LONGEST_CUTOFF
    if chosen.box is not None:
        cutoff = min(cutoff, 0.49 * float(box_widths(chosen.box).min()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about walls of rare pairs, which no simulation will feel
        found = PairSpline.fit(train, PairSplineConfig(cutoff=cutoff, spacing=cutoff / _KNOTS, alike=dict(alike)))
        equations = NormalEquations(PairSpline, found.parameters, test)
    solution = np.concatenate([PairSpline.to_coefficients(values) for values in found.parameters.values()])
    residual = equations.rmse(solution)
    if not equations.mean_square:
        raise InputError("all forces between molecules are zero")
    return HeldOutFit(
        r2=1 - residual**2 / equations.mean_square,
        force_rms=equations.mean_square**0.5,
        residual_rms=residual,
        n_frames=half,
        cutoff=cutoff,
    )


def _alike(topology: CGTopology) -> dict[str, str]:
    """Rare bead types, such as those of chain ends, and the frequent type that is nearest in mass."""
    counts = np.bincount(topology.bead_types, minlength=len(topology.type_names))
    masses = np.bincount(topology.bead_types, weights=topology.masses, minlength=len(counts)) / np.maximum(counts, 1)
    frequent = np.flatnonzero(counts >= _RARE * topology.n_beads)
    rare = [t for t in np.flatnonzero(counts).tolist() if t not in frequent]
    nearest = {t: int(frequent[np.argmin(np.abs(masses[frequent] - masses[t]))]) for t in rare} if len(frequent) else {}
    return {topology.type_names[t]: topology.type_names[other] for t, other in nearest.items()}
