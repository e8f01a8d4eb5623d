"""Displacements of molecules and beads, and the diffusion coefficient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from openmm_cgml.analysis.chains import find_chains, find_linear_molecules
from openmm_cgml.analysis.conformation import MIN_CHAIN_BEADS
from openmm_cgml.analysis.diffusion import CM2_PER_S, DiffusionCoefficient, MeanSquareDisplacement, fit_diffusion
from openmm_cgml.analysis.result import Result
from openmm_cgml.validation.limits import ValidationLimits
from openmm_cgml.validation.metric import Metric
from openmm_cgml.validation.quantity import Comparison, Quantity
from openmm_cgml.validation.report.pictures import draw_msd
from openmm_cgml.validation.report.plate import Plate

if TYPE_CHECKING:
    from openmm_cgml.topology import CGTopology
    from openmm_cgml.validation.reference_summary import ReferenceSummary
    from openmm_cgml.validation.trajectory import Trajectory


@dataclass(frozen=True, eq=False, kw_only=True)
class Displacements(Result):
    """Mean square displacements of a trajectory.

    Attributes:
        msd: That of the centers of mass.
        diffusion: Diffusion coefficient of the centers of mass.
        bead_msd: That of all beads of systems with chains; None elsewhere.
        inner_msd: That of the beads in the inner half of each chain, which do not feel the chain's ends.
    """

    msd: MeanSquareDisplacement
    diffusion: DiffusionCoefficient
    bead_msd: MeanSquareDisplacement | None
    inner_msd: MeanSquareDisplacement | None

    def check_ranges(self) -> None:
        """Refuse a diffusion coefficient that is not the slope of the displacements."""
        fit, times = self.diffusion, self.msd.times
        slack = 1e-6 * times[-1]
        inside = (times >= fit.fit_start - slack) & (times <= fit.fit_end + slack)
        self.require(inside.sum() >= 2, "diffusion", "a fit over two lag times or more")
        slope = np.polyfit(times[inside], self.msd.msd[inside], 1)[0] / 6
        scale = self.msd.msd.max() / times[-1]
        self.require(abs(fit.value - slope) <= 1e-4 * scale, "diffusion", f"{slope:.6g} nm^2/ps")


class Mobility(Quantity[Displacements]):
    """Diffusion of molecules, and displacement of the beads of chains, in CG time.

    Limits: `frozen_ratio`, smallest ratio of the diffusion coefficient to the reference's; below it the run is frozen.
    """

    key, result = "mobility", Displacements
    limits = ValidationLimits(frozen_ratio=0.01)

    def compute(self, trajectory: Trajectory) -> Displacements | None:
        """Displacements; None without enough evenly spaced times."""
        msd = trajectory.compute_msd(trajectory.centers)
        if msd is None:
            return None
        positions, bead_msd, inner_msd = trajectory.frames.positions, None, None
        if trajectory.chain_lengths:
            bead_msd = trajectory.compute_msd(positions)
            inner_msd = trajectory.compute_msd(positions[:, _find_inner_beads(trajectory.topology)])
        return Displacements(msd=msd, diffusion=fit_diffusion(msd), bead_msd=bead_msd, inner_msd=inner_msd)

    def compare(self, ours: Displacements, theirs: Displacements | None, comparison: Comparison) -> list[Metric]:
        """Diffusion coefficient beside the reference's, and how much faster beads move."""
        expected = None if theirs is None else theirs.diffusion
        frozen = None if expected is None else expected.value * comparison.limits["frozen_ratio"]
        diffusion = Metric(
            key="diffusion",
            label="diffusion coefficient (CG time)",
            unit="10⁻⁵ cm²/s",
            value=ours.diffusion.value * _IN_1E5,
            error=_in_1e5(ours.diffusion.standard_error),
            reference=None if expected is None else _in_1e5(expected.value),
            reference_error=None if expected is None else _in_1e5(expected.standard_error),
            lowest=_in_1e5(frozen),
        )
        beads = _compare_beads(ours, theirs) if theirs is not None and comparison.of_chains else []
        return [*beads, diffusion]

    def draw(self, runs: Sequence[tuple[str, Displacements]], reference: ReferenceSummary) -> list[Plate]:
        """Displacements of beads and of centers of mass."""
        plates, theirs = [], reference.trajectory.get(self)
        for name, of in (("bead_msd", "beads"), ("msd", "centers of mass")):
            curves = [(run, msd) for run, ours in runs if (msd := getattr(ours, name)) is not None]
            if curves:
                png = draw_msd(of, None if theirs is None else getattr(theirs, name), curves)
                caption = f"Mean square displacement of the {of}"
                plates.append(Plate(name=name.replace("_", "-"), png=png, caption=caption))
        return plates


def _find_inner_beads(topology: CGTopology) -> np.ndarray:
    """Beads of the inner half of each chain, shape (n_inner,)."""
    chains = find_chains(topology, find_linear_molecules(topology, min_beads=MIN_CHAIN_BEADS))
    return np.concatenate([chain[len(chain) // 4 : len(chain) - len(chain) // 4] for chain in chains])


def _compare_beads(ours: Displacements, theirs: Displacements) -> list[Metric]:
    """How much faster beads move than in the reference, at a tenth of the longest common lag time."""
    first, second = ours.bead_msd, theirs.bead_msd
    if first is None or second is None:
        return []
    time = min(float(first.times[-1]), float(second.times[-1])) / 10
    if time < max(float(first.times[1]), float(second.times[1])):
        return []
    found, expected = (float(np.interp(time, msd.times, msd.msd)) for msd in (first, second))
    return [
        Metric(
            key="bead_msd_ratio",
            label=f"displacement² of beads in {time:.3g} ps (CG time) over the reference's",
            value=found / expected,
        )
    ]


_IN_1E5 = CM2_PER_S * 1e5
"""One nm^2/ps [1e-5 cm^2/s]."""


def _in_1e5(value: float | None) -> float | None:
    """A diffusion coefficient [nm^2/ps] in 1e-5 cm^2/s."""
    return None if value is None else value * _IN_1E5


MOBILITY = Mobility()
