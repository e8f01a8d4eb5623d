"""Which pictures the runs and the reference allow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from openmm_cgml.analysis.compare import POLYMER_RMSE_RANGE
from openmm_cgml.analysis.diffusion import MeanSquareDisplacement
from openmm_cgml.analysis.rdf import RadialDistribution
from openmm_cgml.validation.reference_summary import ReferenceSummary
from openmm_cgml.validation.report.chain_pictures import draw_internal_distances, draw_relaxation
from openmm_cgml.validation.report.page import Plate
from openmm_cgml.validation.report.pictures import draw_distributions, draw_msd, draw_rdf, draw_rdf_grid, draw_series
from openmm_cgml.validation.simulation_run import SimulationRun
from openmm_cgml.validation.trajectory_summary import TrajectorySummary
from openmm_cgml.validation.transfer import longest_chains

Done = Sequence[tuple[str, TrajectorySummary]]
"""Names and summaries of the runs that have one."""


def draw_plates(runs: Sequence[SimulationRun], reference: ReferenceSummary) -> list[Plate]:
    """The pictures that the runs and the reference allow."""
    done = [(run.name, run.summary) for run in runs if run.summary is not None]
    atomistic = reference.trajectory
    plates = []
    if done and atomistic.com is not None and not atomistic.chains:
        curves = [(name, summary.com) for name, summary in done if summary.com is not None]
        png = draw_rdf("Centers of mass of molecules", atomistic.com, curves)
        plates.append(Plate(name="gr-centers-of-mass", png=png, caption="g(r) of the molecules' centers of mass"))
    plates += _draw_all_beads(done, atomistic)
    plates += _draw_inter(done, atomistic)
    if done and any(np.count_nonzero(rdf.counts) > 10 for rdf in atomistic.intra.values()):  # else bonds show it all
        curves_of = [(name, summary.intra) for name, summary in done]
        seen = {name: rdf for name, rdf in atomistic.intra.items() if rdf.counts.any()}
        png = draw_rdf_grid("Beads of one molecule", seen, curves_of)
        plates.append(Plate(name="gr-intra", png=png, caption="g(r) within molecules", wide=len(seen) > 1))
    plates += _draw_distributions(done, atomistic)
    plates += _draw_chains(done, atomistic)
    if any(len(run.times) for run in runs):
        png = draw_series(runs, reference.temperature)
        caption = "Temperature and potential energy; dotted: end of what is left out as equilibration"
        plates.append(Plate(name="time-series", png=png, caption=caption))
    return plates + _draw_displacements(done, atomistic)


def _draw_all_beads(done: Done, reference: TrajectorySummary) -> list[Plate]:
    """g(r) of chains over all beads, between and within them."""
    if not done or not reference.chains:
        return []
    plates = []
    for name, title, caption in (
        ("inter_all", "Beads of different molecules", "g(r) between molecules, over all beads"),
        ("intra_far", "Beads of one molecule", "g(r) within molecules, over all beads more than two bonds apart"),
    ):
        theirs: RadialDistribution | None = getattr(reference, name)
        curves = [(run, rdf) for run, summary in done if (rdf := getattr(summary, name)) is not None]
        if theirs is not None and theirs.counts.any() and curves:
            png = draw_rdf(title, theirs, curves, r_range=POLYMER_RMSE_RANGE)
            plates.append(Plate(name=f"gr-{name.replace('_', '-')}", png=png, caption=caption))
    return plates


def _draw_inter(done: Done, reference: TrajectorySummary) -> list[Plate]:
    if not done or not reference.inter:
        return []
    caption = "g(r) between beads of different molecules"
    if len(reference.inter) == 1:
        if reference.chains:
            return []  # it is that over all beads
        ((name, rdf),) = reference.inter.items()
        png = draw_rdf(
            f"Beads of different molecules, {name}", rdf, [(run, summary.inter[name]) for run, summary in done]
        )
        return [Plate(name="gr-inter", png=png, caption=caption)]
    png = draw_rdf_grid(
        "Beads of different molecules", reference.inter, [(run, summary.inter) for run, summary in done]
    )
    return [Plate(name="gr-inter", png=png, caption=f"{caption}, by types", wide=True)]


def _draw_distributions(done: Done, reference: TrajectorySummary) -> list[Plate]:
    plates = []
    for kind, title, quantity, unit, scale in (
        ("bonds", "Bond lengths", "bond length", "nm", 1.0),
        ("angles", "Angles", "angle", "degree", 180 / np.pi),
        ("torsions", "Torsions", "torsion angle, without sign", "degree", 180 / np.pi),
    ):
        theirs = getattr(reference, kind)
        if done and theirs:
            runs = [(name, getattr(summary, kind)) for name, summary in done]
            png = draw_distributions(title, quantity, unit, theirs, runs, scale=scale)
            caption = f"{title}; 180 degrees is trans" if kind == "torsions" else title
            plates.append(Plate(name=kind, png=png, caption=caption, wide=len(theirs) > 1))
    return plates


def _draw_chains(done: Done, reference: TrajectorySummary) -> list[Plate]:
    chains = [(name, longest_chains(summary)) for name, summary in done]
    ours = [(name, found) for name, found in chains if found is not None]
    theirs = longest_chains(reference)
    if not ours or theirs is None:
        return []
    caption = "Mean squared internal distances per bond of the longest chains"
    plates = [Plate(name="internal-distances", png=draw_internal_distances(theirs, ours), caption=caption)]
    if any(found.relaxation is not None for _, found in ours):
        png = draw_relaxation(theirs, ours)
        plates.append(Plate(name="relaxation", png=png, caption="Autocorrelation of end-to-end vectors"))
    return plates


def _draw_displacements(done: Done, reference: TrajectorySummary) -> list[Plate]:
    plates = []
    for name, of in (("bead_msd", "beads"), ("msd", "centers of mass")):
        theirs: MeanSquareDisplacement | None = getattr(reference, name)
        curves = [(run, msd) for run, summary in done if (msd := getattr(summary, name)) is not None]
        if curves:
            caption = f"Mean square displacement of the {of}"
            plates.append(Plate(name=name.replace("_", "-"), png=draw_msd(of, theirs, curves), caption=caption))
    return plates
