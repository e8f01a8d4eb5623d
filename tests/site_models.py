"""Small molecules with sites for tests: rings of three beads, and chains whose ends differ from their middles."""

from __future__ import annotations

import numpy as np

from openmm_cgml.frames import Frames
from openmm_cgml.periodic import minimum_image
from openmm_cgml.potentials import Sites, SiteTemplate
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.topology import CGTopology, ResidueTemplate

RING = ResidueTemplate(
    name="R", bead_names=("B1", "B2", "B3"), bead_type_names=("A",) * 3, masses=(26.0,) * 3,
    bonds=((0, 1), (1, 2), (0, 2)),
)  # fmt: skip
CHAIN = ResidueTemplate(
    name="C", bead_names=("B1", "B2", "B3", "B4"), bead_type_names=("E", "M", "M", "E"),
    masses=(15.0, 14.0, 14.0, 15.0), bonds=((0, 1), (1, 2), (2, 3)),
)  # fmt: skip
SHAPES = {
    "R": 0.13 * np.array([[1, 0, 0], [-0.5, 3**0.5 / 2, 0], [-0.5, -(3**0.5) / 2, 0]]),
    "C": np.array([[0, 0, 0], [0.15, 0.02, 0.01], [0.2, 0.16, 0], [0.35, 0.17, 0.06]]),
}
RING_SITES = (
    SiteTemplate(site_type="C", bead_type="A", positions=((0.01, 0.07, 0), (0.01, -0.07, 0))),
    SiteTemplate(site_type="H", bead_type="A", positions=((-0.085, 0.12, 0), (-0.085, -0.12, 0))),
)
CHAIN_SITES = (
    SiteTemplate(site_type="C", bead_type="M", positions=((0.01, 0, 0),)),
    SiteTemplate(site_type="H", bead_type="M", positions=((-0.05, 0, 0.09), (-0.05, 0, -0.09))),
    SiteTemplate(site_type="C", bead_type="E", positions=((0, 0, 0),)),
    SiteTemplate(site_type="H", bead_type="E", positions=((-0.04, -0.1, 0), (-0.04, 0.05, 0.09), (-0.04, 0.05, -0.09))),
)
SITES = {"R": RING_SITES, "C": CHAIN_SITES}
RESIDUES = {"R": RING, "C": CHAIN}
CUTOFFS = {("C", "C"): 0.65, ("C", "H"): 0.5, ("H", "H"): 0.4}


def site_terms(depth: float = 1.0) -> tuple[PriorTerm, ...]:
    """A soft wall and a well for each pair of types."""
    terms = []
    for types, cutoff in CUTOFFS.items():
        n = round((cutoff - 0.2) / 0.025)
        start = cutoff - 0.025 * n
        r = start + 0.025 * (np.arange(n) - 1)
        x = (cutoff - r) / cutoff
        values = x**3 * (500 * np.exp(-(r - start) / 0.05) - 20 * depth * np.exp(-(((r - 0.35) / 0.08) ** 2)))
        parameters = {"start": start, "coefficients": tuple(values), "spacing": 0.025, "cutoff": cutoff}
        terms.append(PriorTerm(form="pair_spline", types=types, parameters=parameters))
    return tuple(terms)


def bond_terms(kind: str) -> tuple[PriorTerm, ...]:
    """A spring for each kind of bond."""
    types = {"R": [("A", "A")], "C": [("E", "M"), ("M", "M")]}[kind]
    length = {"R": 0.13 * 3**0.5, "C": 0.15}[kind]
    parameters = {"length": length, "stiffness": 50_000.0}
    return tuple(PriorTerm(form="harmonic_bond", types=each, parameters=parameters) for each in types)


def site_priors(kind: str, *, exclude_bonds: int = 2) -> PriorSet:
    """Springs and splines between sites."""
    return PriorSet(terms=(*bond_terms(kind), *site_terms()), exclude_bonds=exclude_bonds, sites=SITES[kind])


def site_topology(kind: str, n: int) -> CGTopology:
    """Molecules of one kind."""
    return CGTopology.from_residues([(RESIDUES[kind], n)])


def rotation(rng: np.random.Generator) -> np.ndarray:
    """A random rotation."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def site_fluid(
    kind: str, side: int = 3, n_frames: int = 2, seed: int = 0, *, tilted: bool = False, closest: float = 0.19
) -> Frames:
    """Molecules turned at random on a jittered lattice of side^3 points, whole, no two sites closer than `closest`."""
    rng = np.random.default_rng(seed)
    edge = side * 0.62
    box = edge * np.eye(3)
    if tilted:
        box[1, 0], box[2, 0], box[2, 1] = 0.3 * edge, -0.2 * edge, 0.4 * edge
    points = (np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) + 0.5) / side
    frames = [_fluid(kind, points @ box, box, rng, closest) for _ in range(n_frames)]
    return Frames(positions=np.array(frames), box=np.tile(box, (n_frames, 1, 1)))


def _fluid(kind: str, points: np.ndarray, box: np.ndarray, rng: np.random.Generator, closest: float) -> np.ndarray:
    shape = SHAPES[kind] - SHAPES[kind].mean(axis=0)
    sites = Sites.of(site_topology(kind, 1), SITES[kind], 2)
    beads: list[np.ndarray] = []
    placed = np.zeros((0, 3))
    for point in points:
        for _ in range(200):
            new = shape @ rotation(rng) + rng.normal(0, 0.004, shape.shape) + point + rng.uniform(-0.04, 0.04, 3)
            own = sites.place(sites.axes(new))
            distances = np.linalg.norm(minimum_image(own[:, None] - placed, box), axis=-1)
            if distances.min(initial=np.inf) > closest:
                break
        beads.append(new)
        placed = np.concatenate([placed, own])
    return np.concatenate(beads)


CENTERS = {"R": ("molecules", (("R", "R"),)), "C": ("beads", (("E", "E"), ("E", "M"), ("M", "M")))}
CENTER_CUTOFF = 0.9


def center_terms(kind: str, depth: float = 1.0) -> tuple[PriorTerm, ...]:
    """A smooth step beyond contact for each pair of types of centers."""
    n = round((CENTER_CUTOFF - 0.3) / 0.025)
    start = CENTER_CUTOFF - 0.025 * n
    x = 1 - 0.025 * (np.arange(n) - 1) / (CENTER_CUTOFF - start)
    values = tuple(6 * depth * x**3)
    parameters = {"start": start, "coefficients": values, "spacing": 0.025, "cutoff": CENTER_CUTOFF}
    return tuple(PriorTerm(form="pair_spline", types=types, parameters=parameters) for types in CENTERS[kind][1])


def center_priors(kind: str, depth: float = 1.0, *, exclude_bonds: int = 2) -> PriorSet:
    """Springs, splines between sites, and splines between centers of molecules (R) or of beads (C)."""
    return PriorSet(
        terms=(*bond_terms(kind), *site_terms(), *center_terms(kind, depth)),
        exclude_bonds=exclude_bonds,
        sites=SITES[kind],
        centers=CENTERS[kind][0],
    )
