"""Radial distribution functions of centers of mass and of beads, between and within molecules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from openmm_cgml.analysis.compare import RMSE_RANGE, compare_rdf, compute_half_rmse, compute_mass_below
from openmm_cgml.analysis.rdf import (
    PairDistributions,
    RadialDistribution,
    add_distributions,
    combine_distributions,
    compute_pair_distributions,
    compute_rdf,
)
from openmm_cgml.analysis.result import Result
from openmm_cgml.errors import InputError
from openmm_cgml.periodic import box_widths
from openmm_cgml.validation.limits import ValidationLimits
from openmm_cgml.validation.metric import Metric, name_worst
from openmm_cgml.validation.quantity import Comparison, Quantity, check_same_types
from openmm_cgml.validation.report.pictures import draw_rdf, draw_rdf_grid
from openmm_cgml.validation.report.plate import Plate

if TYPE_CHECKING:
    from openmm_cgml.validation.reference_summary import ReferenceSummary
    from openmm_cgml.validation.trajectory import Trajectory

POLYMER_RMSE_RANGE = (0.0, 1.5)
"""Distances over which g(r) of chains is compared, as far as the box allows [nm]."""
_LONGEST_RDF = 1.5
_NEAR_BONDS = 2
_INTER = "Beads of different molecules"


@dataclass(frozen=True, eq=False, kw_only=True)
class RadialStructure(Result):
    """Every g(r) of a trajectory.

    Attributes:
        n_beads: Beads.
        com: g(r) of the molecules' centers of mass; None for a single molecule.
        inter: g(r) between beads of different molecules by "A-B"; empty where the beads are the molecules.
        intra: g(r) between beads of one molecule by "A-B", bonded ones included.
        intra_far: g(r) between all beads of one molecule more than two bonds apart; None without chains.
    """

    n_beads: int
    com: RadialDistribution | None
    inter: Mapping[str, RadialDistribution]
    intra: Mapping[str, RadialDistribution]
    intra_far: RadialDistribution | None

    @property
    def inter_all(self) -> RadialDistribution | None:
        """g(r) between all beads of different molecules; None where the beads are the molecules."""
        return combine_distributions(self.inter, self.n_beads) if self.inter else None

    @property
    def intra_all(self) -> RadialDistribution | None:
        """g(r) between all beads of one molecule, in units of the density of all beads; None without bonds."""
        return combine_distributions(self.intra, self.n_beads) if self.intra else None

    @property
    def all_far(self) -> RadialDistribution | None:
        """g(r) over all pairs of beads but those at most two bonds apart; None without chains."""
        if self.intra_far is None or self.inter_all is None:
            return self.intra_far
        return add_distributions(self.intra_far, self.inter_all)

    @property
    def members(self) -> list[RadialDistribution]:
        """All g(r) that there are."""
        found = (self.com, self.intra_far, *self.inter.values(), *self.intra.values())
        return [rdf for rdf in found if rdf is not None]

    def check_ranges(self) -> None:
        """Refuse g(r) that are not of one trajectory."""
        self.require(self.n_beads >= 1, "n_beads", "one or more")
        alike = {(rdf.n_frames, len(rdf.counts)) for rdf in self.members}
        self.require(len(alike) <= 1, "inter", "of the frames and bins of all other g(r)")
        of_all = self.n_beads * (self.n_beads - 1) // 2
        self.require(self.intra_far is None or self.intra_far.n_pairs == of_all, "n_beads", "that of intra_far")
        per_volume = [rdf.scale * rdf.n_pairs for rdf in self.members if rdf.scale is not None]
        self.require(np.allclose(per_volume, per_volume[:1], rtol=1e-6, atol=0), "inter", "of the density of all pairs")


@dataclass(frozen=True, kw_only=True)
class Structure(Quantity[RadialStructure]):
    """Radial distribution functions.

    Small molecules are compared by g(r) of centers of mass and of the worst pair of types between molecules, chains by
    g(r) over all beads between and within them. The reference's own error is the difference of its halves.

    Limits: `gr_com_rmse`, largest RMSE of g(r) of the centers of mass; `gr_inter_rmse`, of that between beads of
    different molecules; `gr_intra_rmse`, of that within chains, relative to the height of its peak;
    `gr_below_first_bin`, largest fraction of g(r) below the reference's first occupied bin.

    Attributes:
        r_max: End of g(r) [nm]; by default 1.5 nm or half the smallest box width, whichever is smaller.
        bin_width: Bin width of g(r) [nm].
        n_blocks: Blocks of frames for the errors of g(r).
    """

    r_max: float | None = None
    bin_width: float = 0.01
    n_blocks: int = 10

    key, result = "structure", RadialStructure
    limits = ValidationLimits(gr_com_rmse=0.06, gr_inter_rmse=0.06, gr_intra_rmse=0.05, gr_below_first_bin=1e-4)

    def compute(self, trajectory: Trajectory) -> RadialStructure:
        """Every g(r) of the sample."""
        topology, sample = trajectory.topology, trajectory.sample
        assert sample.box is not None
        r_max = _choose_r_max(trajectory.box, self.bin_width) if self.r_max is None else self.r_max
        bins = {"r_max": r_max, "bin_width": self.bin_width, "n_blocks": self.n_blocks}
        com = None
        if topology.n_molecules > 1:
            com = compute_rdf(trajectory.centers[:: trajectory.stride], sample.box, **bins)  # type: ignore[arg-type]
        pairs = _compute_pairs(trajectory, bins)
        far = combine_distributions(pairs.intra, topology.n_beads) if trajectory.chain_lengths else None
        intra = {
            name: add_distributions(rdf, pairs.excluded[name]) if pairs.excluded else rdf
            for name, rdf in pairs.intra.items()
        }
        return RadialStructure(n_beads=topology.n_beads, com=com, inter=pairs.inter, intra=intra, intra_far=far)

    def compare(self, ours: RadialStructure, theirs: RadialStructure | None, comparison: Comparison) -> list[Metric]:
        """Differences of g(r), and what of it lies where the reference has nothing."""
        if theirs is None:
            return []
        check_same_types("g(r) between molecules", ours.inter, theirs.inter)
        if (ours.com is None) != (theirs.com is None):
            raise InputError(
                "one of simulation and reference has a single molecule, the other several; choose its own reference"
            )
        compare = _compare_chains if comparison.of_chains else _compare_molecules
        return compare(ours, theirs, comparison.limits)

    def collect_notes(self, ours: RadialStructure, theirs: RadialStructure | None, comparison: Comparison) -> list[str]:
        """Where the box is too small for the usual range."""
        usual = POLYMER_RMSE_RANGE if comparison.of_chains else RMSE_RANGE
        end = _common_range(usual, *ours.members, *([] if theirs is None else theirs.members))[1]
        if end > usual[1] - 1e-6:
            return []
        return [f"the box allows g(r) up to {end:g} nm only, so the comparison ends there"]

    def draw(self, runs: Sequence[tuple[str, RadialStructure]], reference: ReferenceSummary) -> list[Plate]:
        """Pictures of every g(r) of the reference, and of that of the runs."""
        theirs = reference.trajectory.get(self)
        if theirs is None:
            return []
        of_chains = bool(reference.trajectory.chain_lengths)
        first = _draw_all_beads(runs, theirs) if of_chains else _draw_centers(runs, theirs)
        return [*first, *_draw_inter(runs, theirs, of_chains), *_draw_intra(runs, theirs)]


def _choose_r_max(box: np.ndarray, bin_width: float) -> float:
    half = float(box_widths(box).min()) / 2
    return int(min(_LONGEST_RDF, half) / bin_width * (1 + 1e-9)) * bin_width


def _compute_pairs(trajectory: Trajectory, bins: Mapping[str, float]) -> PairDistributions:
    topology, sample = trajectory.topology, trajectory.sample
    if topology.n_beads == topology.n_molecules and len(set(topology.bead_types.tolist())) == 1:
        return PairDistributions(inter={}, intra={}, excluded={})  # the centers of mass are the beads
    assert sample.box is not None
    return compute_pair_distributions(
        sample.positions,
        sample.box,
        bead_types=topology.bead_types,
        type_names=topology.type_names,
        molecules=topology.molecules,
        excluded=topology.exclusions(_NEAR_BONDS),
        **bins,  # type: ignore[arg-type]
    )


def _common_range(usual: tuple[float, float], *rdfs: RadialDistribution) -> tuple[float, float]:
    """The usual range as far as all g(r) go."""
    return usual[0], min([usual[1], *(float(rdf.bin_edges[-1]) for rdf in rdfs)])


def _own_error(rdf: RadialDistribution, usual: tuple[float, float]) -> float | None:
    """RMSE between the two halves of the reference, over as much of the usual range as it has."""
    return compute_half_rmse(rdf, r_range=_common_range(usual, rdf))


def _compare_molecules(ours: RadialStructure, theirs: RadialStructure, limits: Mapping[str, float]) -> list[Metric]:
    r_range = _common_range(RMSE_RANGE, *ours.members, *theirs.members)
    metrics, below = [], {}
    if ours.com is not None and theirs.com is not None:
        metrics.append(_compare_centers(ours.com, theirs.com, r_range, limits["gr_com_rmse"]))
        below["centers of mass"] = compute_mass_below(ours.com, theirs.com)
    if theirs.inter:
        metrics.append(
            _compare_worst_pair(
                ("gr_inter_rmse", "g(r) between molecules: RMSE"), ours, theirs, r_range, limits["gr_inter_rmse"]
            )
        )
        below |= {name: compute_mass_below(ours.inter[name], rdf) for name, rdf in theirs.inter.items()}
    if below:
        worst = max(below, key=lambda name: below[name])
        metrics.append(
            Metric(
                key="gr_below_first_bin",
                label=name_worst("g(r) below the reference's first bin", below, worst),
                value=below[worst],
                highest=limits["gr_below_first_bin"],
            )
        )
    return metrics


def _compare_chains(ours: RadialStructure, theirs: RadialStructure, limits: Mapping[str, float]) -> list[Metric]:
    metrics = []
    if ours.inter_all is not None and theirs.inter_all is not None:
        metrics += _compare_inter_chains(ours, theirs, limits)
    if ours.intra_all is not None and theirs.intra_all is not None:
        named = ("gr_intra_rmse", "g(r) within molecules: RMSE / peak height")
        metrics.append(_compare_to_peak(named, ours.intra_all, theirs.intra_all, limits["gr_intra_rmse"]))
    if ours.intra_far is not None and theirs.intra_far is not None and theirs.intra_far.counts.any():
        named = ("gr_intra_far_rmse", "the same, beads more than two bonds apart")
        metrics.append(_compare_to_peak(named, ours.intra_far, theirs.intra_far, None))
    if ours.com is not None and theirs.com is not None:
        r_range = _common_range(POLYMER_RMSE_RANGE, ours.com, theirs.com)
        metrics.append(_compare_centers(ours.com, theirs.com, r_range, None))
    return metrics


def _compare_inter_chains(ours: RadialStructure, theirs: RadialStructure, limits: Mapping[str, float]) -> list[Metric]:
    first, second = ours.inter_all, theirs.inter_all
    assert first is not None and second is not None
    r_range = _common_range(POLYMER_RMSE_RANGE, first, second)
    return [
        Metric(
            key="gr_inter_rmse",
            label=f"g(r) between molecules, all beads, up to {r_range[1]:.3g} nm: RMSE",
            value=compare_rdf(first, second, r_range=r_range),
            reference_error=_own_error(second, POLYMER_RMSE_RANGE),
            highest=limits["gr_inter_rmse"],
        ),
        _compare_worst_pair(
            ("gr_inter_pairs_rmse", "g(r) between molecules by types: RMSE"), ours, theirs, r_range, None
        ),
        Metric(
            key="gr_below_first_bin",
            label="g(r) below the reference's first bin, all beads",
            value=compute_mass_below(first, second),
            highest=limits["gr_below_first_bin"],
        ),
    ]


def _compare_centers(
    ours: RadialDistribution, theirs: RadialDistribution, r_range: tuple[float, float], limit: float | None
) -> Metric:
    return Metric(
        key="gr_com_rmse",
        label="g(r) of centers of mass: RMSE",
        value=compare_rdf(ours, theirs, r_range=r_range),
        reference_error=_own_error(theirs, RMSE_RANGE),
        highest=limit,
    )


def _compare_worst_pair(
    named: tuple[str, str],
    ours: RadialStructure,
    theirs: RadialStructure,
    r_range: tuple[float, float],
    limit: float | None,
) -> Metric:
    """The RMSE of the pair of types that differs most; `named` is the metric's key and label."""
    pairs = {name: compare_rdf(ours.inter[name], rdf, r_range=r_range) for name, rdf in theirs.inter.items()}
    worst = max(pairs, key=lambda name: pairs[name])
    return Metric(
        key=named[0],
        label=name_worst(named[1], pairs, worst),
        value=pairs[worst],
        reference_error=_own_error(theirs.inter[worst], RMSE_RANGE),
        highest=limit,
    )


def _compare_to_peak(
    named: tuple[str, str], ours: RadialDistribution, theirs: RadialDistribution, limit: float | None
) -> Metric:
    """An RMSE relative to the height of the reference's peak; `named` is the metric's key and label."""
    peak, own = float(theirs.g.max()), _own_error(theirs, POLYMER_RMSE_RANGE)
    r_range = _common_range(POLYMER_RMSE_RANGE, ours, theirs)
    return Metric(
        key=named[0],
        label=named[1],
        value=compare_rdf(ours, theirs, r_range=r_range) / peak,
        reference_error=None if own is None else own / peak,
        highest=limit,
    )


Runs = Sequence[tuple[str, RadialStructure]]


def _draw_centers(runs: Runs, theirs: RadialStructure) -> list[Plate]:
    if theirs.com is None:
        return []
    curves = [(name, ours.com) for name, ours in runs if ours.com is not None]
    png = draw_rdf("Centers of mass of molecules", theirs.com, curves)
    return [Plate(name="gr-centers-of-mass", png=png, caption="g(r) of the molecules' centers of mass")]


def _draw_all_beads(runs: Runs, theirs: RadialStructure) -> list[Plate]:
    """g(r) of chains over all beads, between and within them."""
    plates = []
    for name, title, caption in (
        ("inter_all", _INTER, "g(r) between molecules, over all beads"),
        ("intra_far", "Beads of one molecule", "g(r) within molecules, over all beads more than two bonds apart"),
    ):
        expected: RadialDistribution | None = getattr(theirs, name)
        curves = [(run, rdf) for run, ours in runs if (rdf := getattr(ours, name)) is not None]
        if expected is not None and expected.counts.any() and curves:
            png = draw_rdf(title, expected, curves, r_range=POLYMER_RMSE_RANGE)
            plates.append(Plate(name=f"gr-{name.replace('_', '-')}", png=png, caption=caption))
    return plates


def _draw_inter(runs: Runs, theirs: RadialStructure, of_chains: bool) -> list[Plate]:
    caption = "g(r) between beads of different molecules"
    if len(theirs.inter) > 1:
        png = draw_rdf_grid(_INTER, theirs.inter, [(run, ours.inter) for run, ours in runs])
        return [Plate(name="gr-inter", png=png, caption=f"{caption}, by types", wide=True)]
    if not theirs.inter or of_chains:
        return []  # of chains, it is that over all beads
    ((name, rdf),) = theirs.inter.items()
    png = draw_rdf(f"{_INTER}, {name}", rdf, [(run, ours.inter[name]) for run, ours in runs])
    return [Plate(name="gr-inter", png=png, caption=caption)]


def _draw_intra(runs: Runs, theirs: RadialStructure) -> list[Plate]:
    if not any(np.count_nonzero(rdf.counts) > 10 for rdf in theirs.intra.values()):
        return []  # bonds show it all
    seen = {name: rdf for name, rdf in theirs.intra.items() if rdf.counts.any()}
    png = draw_rdf_grid("Beads of one molecule", seen, [(run, ours.intra) for run, ours in runs])
    return [Plate(name="gr-intra", png=png, caption="g(r) within molecules", wide=len(seen) > 1)]


STRUCTURE = Structure()
