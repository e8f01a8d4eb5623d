"""Molecules with three-body terms for tests, and their energy by a plain sum over pairs of neighbors."""

from __future__ import annotations

import numpy as np

from openmm_cgml.periodic import minimum_image
from openmm_cgml.potentials import ThreeBody, ThreeBodyConfig, three_body_types
from openmm_cgml.potentials.three_body import Layout
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.topology import CGTopology
from tests.site_models import bond_terms

TYPES = {"R": ("A",), "C": ("E", "M")}
SETTINGS = ThreeBodyConfig(cutoff=0.75, n_max=2, l_max=3)


def three_body_terms(kind: str, config: ThreeBodyConfig = SETTINGS, scale: float = 300.0) -> tuple[PriorTerm, ...]:
    """A term for every three bead types, with coefficients at random that have no negative eigenvalues."""
    rng, names, n = np.random.default_rng(7), TYPES[kind], config.n_max
    factors = rng.normal(0, scale**0.5, (len(names), config.l_max + 1, len(names) * n, len(names) * n))
    tables = factors @ factors.swapaxes(2, 3)
    terms = []
    for types in three_body_types(names):
        one, middle, other = map(names.index, types)
        pairs = Layout.of(types, n).radial
        own = [tables[middle, :, one * n + a, other * n + b] for a, b in pairs]
        parameters = config.parameters(np.concatenate(own).tolist())
        terms.append(PriorTerm(form="three_body", types=types, parameters=parameters))
    return tuple(terms)


def spline_terms(kind: str, cutoff: float = 0.7) -> tuple[PriorTerm, ...]:
    """A soft wall and a well for each pair of bead types."""
    names, terms = TYPES[kind], []
    for number, types in enumerate((a, b) for k, a in enumerate(names) for b in names[k:]):
        n = round((cutoff - 0.2) / 0.025)
        r = cutoff - 0.025 * n + 0.025 * (np.arange(n) - 1)
        x = (cutoff - r) / cutoff
        values = x**3 * (4000 * np.exp(-(r - 0.2) / 0.06) - (20 + 10 * number) * np.exp(-(((r - 0.45) / 0.08) ** 2)))
        parameters = {
            "start": cutoff - 0.025 * n, "coefficients": tuple(values), "spacing": 0.025, "cutoff": cutoff
        }  # fmt: skip
        terms.append(PriorTerm(form="pair_spline", types=types, parameters=parameters))
    return tuple(terms)


def three_body_priors(
    kind: str, config: ThreeBodyConfig = SETTINGS, *, splines: bool = True, bonds: bool = True
) -> PriorSet:
    """Springs, splines between beads and three-body terms."""
    terms = (bond_terms(kind) if bonds else ()) + (spline_terms(kind) if splines else ())
    return PriorSet(terms=(*terms, *three_body_terms(kind, config)))


def plain_energy(
    potential: ThreeBody,
    topology: CGTopology,
    positions: np.ndarray,
    box: np.ndarray | None,
    *,
    within: bool = False,
) -> float:
    """Energy [kJ/mol] by a sum over pairs of neighbors; of all molecules, or with `within` of the own one, too."""
    vectors = minimum_image(positions[None] - positions[:, None], box)
    distances = np.linalg.norm(vectors, axis=-1) + 9 * np.eye(len(positions))
    if not within:
        distances[topology.molecules[:, None] == topology.molecules] = 9
    total, n_max, cutoff = 0.0, potential.n_max, potential.cutoff
    for i in range(len(positions)):
        neighbors = np.flatnonzero(distances[i] < cutoff)
        radial = (1 - distances[i, neighbors, None] / cutoff) ** (3 + np.arange(n_max))
        directions = vectors[i, neighbors] / distances[i, neighbors, None]
        types = potential.bead_types[neighbors]
        for a in range(len(neighbors)):
            for b in range(a):
                by_angle = np.polynomial.legendre.legvander(directions[a] @ directions[b], potential.l_max)
                for n in range(n_max):
                    for k in range(n_max):
                        own = potential.coefficients[
                            potential.bead_types[i], types[a] * n_max + n, types[b] * n_max + k
                        ]
                        total += radial[a, n] * radial[b, k] * float(np.squeeze(by_angle) @ own)
    return total
