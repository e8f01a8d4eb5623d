"""Differences between two results of one kind, such as a simulation's and its reference's."""

from __future__ import annotations

import numpy as np

from openmm_cgml.analysis.distributions import Distribution
from openmm_cgml.analysis.rdf import RadialDistribution
from openmm_cgml.errors import InputError

RMSE_RANGE = (0.3, 1.2)
"""Distances over which g(r) of small molecules is compared [nm]."""


def compute_gr_rmse(
    g: np.ndarray, reference: np.ndarray, bin_edges: np.ndarray, *, r_range: tuple[float, float] = RMSE_RANGE
) -> float:
    """Root mean square difference of two g(r) over the bins within a range of distances.

    Args:
        g: g(r), shape (n_bins,).
        reference: g(r) of the reference in the same bins, shape (n_bins,).
        bin_edges: Bin edges [nm], shape (n_bins + 1,).
        r_range: First and last distance compared [nm].

    Raises:
        InputError: If the bins do not reach the end of the range, or none is within it.
    """
    tolerance = 1e-6
    if bin_edges[-1] < r_range[1] - tolerance:
        raise InputError(
            f"g(r) ends at {bin_edges[-1]:g} nm and the comparison at {r_range[1]:g} nm; use a larger r_max"
        )
    inside = (bin_edges[:-1] >= r_range[0] - tolerance) & (bin_edges[1:] <= r_range[1] + tolerance)
    if not inside.any():
        raise InputError(
            f"g(r) has no bin between {r_range[0]:g} and {r_range[1]:g} nm, so there is nothing to compare"
        )
    return float(np.sqrt(np.mean((g - reference)[inside] ** 2)))


def compare_rdf(
    rdf: RadialDistribution, reference: RadialDistribution, *, r_range: tuple[float, float] = RMSE_RANGE
) -> float:
    """Root mean square difference of two radial distributions, which may end at different distances.

    Raises:
        InputError: If their bins differ or do not reach the end of the range.
    """
    n = min(len(rdf.g), len(reference.g))
    check_same_bins(rdf, reference)
    return compute_gr_rmse(rdf.g[:n], reference.g[:n], rdf.bin_edges[: n + 1], r_range=r_range)


def compute_half_rmse(rdf: RadialDistribution, *, r_range: tuple[float, float] = RMSE_RANGE) -> float | None:
    """Root mean square difference between the two halves of one run; None with fewer than two blocks.

    Raises:
        InputError: If the bins do not reach the end of the range.
    """
    halves = rdf.halves()
    return None if halves is None else compute_gr_rmse(*halves, rdf.bin_edges, r_range=r_range)


def compute_mass_below(rdf: RadialDistribution, reference: RadialDistribution) -> float:
    """Fraction of g(r), summed over the common bins, that lies below the reference's first occupied bin.

    A hole in a model's short-range repulsion shows here as a false peak.

    Raises:
        InputError: If their bins differ.
    """
    check_same_bins(rdf, reference)
    n = min(len(rdf.g), len(reference.g))
    total = float(rdf.g[:n].sum())
    return float(rdf.g[: reference.first_occupied_bin].sum()) / total if total > 0 else 0.0


def compute_fraction_outside(distribution: Distribution, reference: Distribution) -> float:
    """Fraction of samples in bins that lie wholly outside the reference's range of samples."""
    outside = (distribution.bin_edges[1:] <= reference.minimum) | (distribution.bin_edges[:-1] > reference.maximum)
    return float(np.sum(distribution.density[outside] * np.diff(distribution.bin_edges)[outside]))


def compute_js_divergence(distribution: Distribution, reference: Distribution) -> float:
    """Jensen-Shannon divergence of two distributions in bits: 0 if they are equal, 1 if they do not overlap.

    J. Lin, IEEE Trans. Inf. Theory 37, 145 (1991). Few samples leave a positive rest, about bins / (3 samples).

    Raises:
        InputError: If the widths of their bins differ.
    """
    p, q = align_densities(distribution, reference)
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    return float(max(0.0, sum(_relative_entropy(part, middle) for part in (p, q)) / 2))


def align_densities(distribution: Distribution, reference: Distribution) -> tuple[np.ndarray, np.ndarray]:
    """Densities of two distributions on the bins that hold both.

    Raises:
        InputError: If the widths of their bins differ.
    """
    widths = [float(each.bin_edges[1] - each.bin_edges[0]) for each in (distribution, reference)]
    if not np.isclose(widths[0], widths[1], rtol=1e-6):
        raise InputError(f"distributions with bins of {widths[0]:g} and {widths[1]:g}; compute both with one bin_width")
    starts = [round(float(each.bin_edges[0]) / widths[1]) for each in (distribution, reference)]
    ends = [start + len(each.density) for start, each in zip(starts, (distribution, reference), strict=True)]
    densities = np.zeros((2, max(ends) - min(starts)))
    for row, start, each in zip(densities, starts, (distribution, reference), strict=True):
        row[start - min(starts) : start - min(starts) + len(each.density)] = each.density
    return densities[0], densities[1]


def compute_mean_error(distribution: Distribution, reference: Distribution) -> float:
    """Relative difference of the means, (mean - reference) / reference."""
    return distribution.mean / reference.mean - 1.0


def compute_std_ratio(distribution: Distribution, reference: Distribution) -> float:
    """Ratio of the standard deviations.

    Raises:
        InputError: If the reference does not fluctuate.
    """
    if reference.std <= 0:
        raise InputError(
            "the reference's distribution has no width; it was constrained, so there is nothing to compare"
        )
    return distribution.std / reference.std


def _relative_entropy(p: np.ndarray, q: np.ndarray) -> float:
    """Kullback-Leibler divergence of p from q [bits]; q is positive where p is."""
    inside = p > 0
    return float(np.sum(p[inside] * np.log2(p[inside] / q[inside])))


def check_same_bins(rdf: RadialDistribution, reference: RadialDistribution) -> None:
    """Refuse two radial distributions whose bins differ in the range that they share.

    Raises:
        InputError: If the bin edges differ.
    """
    n = min(len(rdf.bin_edges), len(reference.bin_edges))
    if not np.allclose(rdf.bin_edges[:n], reference.bin_edges[:n], rtol=0, atol=1e-7):
        raise InputError(
            f"g(r) bins of {rdf.bin_edges[1]:g} nm and of {reference.bin_edges[1]:g} nm cannot be compared; "
            "compute both with the same bin_width"
        )
