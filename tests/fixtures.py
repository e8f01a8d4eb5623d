"""Tiny force fields with random weights, and boxes to use them in."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import openmm_cgml
from openmm_cgml.force_field import ForceField, Manifest, TrainingSummary
from openmm_cgml.networks import SchNet, SchNetConfig
from openmm_cgml.potentials.cosine_series import COSINES, cosine_parameters
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.topology import ChainTemplate, ResidueTemplate

BENZENE_1 = ResidueTemplate(name="BNZ", bead_names=("B1",), bead_type_names=("B",), masses=(78.1134,))
BENZENE_3 = ResidueTemplate(
    name="BNZ",
    bead_names=("C1", "C2", "C3"),
    bead_type_names=("C2H2",) * 3,
    masses=(26.0378,) * 3,
    bonds=((0, 1), (1, 2), (0, 2)),
)
POLYETHYLENE = tuple(
    ResidueTemplate(
        name=name,
        bead_names=("C1", "C2"),
        bead_type_names=types,
        masses=tuple({"CH2": 14.027, "CH3": 15.035}[kind] for kind in types),
        bonds=((0, 1),),
    )
    for name, types in (("PEH", ("CH3", "CH2")), ("PEM", ("CH2", "CH2")), ("PET", ("CH2", "CH3")))
)
POLYETHYLENE_CHAIN = ChainTemplate(
    name="polyethylene", head="PEH", body="PEM", tail="PET", links=(("C2", "C1"),), monomers=50, count=10
)
DENSITY = 0.84
"""Density of the boxes [g/cm^3]."""


def tiny_force_field(n_beads=1, *, network=True, seed=0, dtype=torch.float32, include_bonded=True):
    """A force field for benzene of one or three beads with a small random network and real priors."""
    template = BENZENE_1 if n_beads == 1 else BENZENE_3
    types = tuple(dict.fromkeys(template.bead_type_names))
    return ForceField(
        priors=_priors(n_beads),
        network=_network(n_beads, seed, dtype, include_bonded) if network else None,
        templates=(template,),
        type_names=types,
        manifest=Manifest(
            name=f"tiny-benzene-{n_beads}bead",
            description="Random weights, for tests.",
            training=TrainingSummary(temperature=300.0, density=DENSITY, n_frames=3, n_molecules=64),
        ),
    )


def tiny_chain_force_field(*, network=True, seed=0, dtype=torch.float32, conformations=None):
    """A force field for polyethylene of two beads per monomer with a small random network and real priors."""
    types = ("CH3", "CH2")
    pairs = [("CH2", "CH2"), ("CH2", "CH3"), ("CH3", "CH3")]
    repulsion = {"sigma": 0.25, "epsilon": 4.184, "exponent": 8, "cutoff": 0.6, "switch_distance": 0.5}
    terms = [PriorTerm(form="power_repulsion", types=pair, parameters=repulsion) for pair in pairs]
    bond = {"length": 0.166, "stiffness": 182_000.0}
    terms += [PriorTerm(form="harmonic_bond", types=pair, parameters=bond) for pair in pairs[:2]]
    summary = {} if conformations is None else {"conformations": conformations}
    return ForceField(
        priors=PriorSet(terms=tuple(terms), exclude_bonds=3),
        network=_network(3, seed, dtype, include_bonded=False, n_types=2) if network else None,
        templates=POLYETHYLENE,
        type_names=types,
        chains=(POLYETHYLENE_CHAIN,),
        manifest=Manifest(
            name="tiny-polyethylene",
            training=TrainingSummary(
                temperature=300.0,
                density=DENSITY,
                n_frames=3,
                n_molecules=10,
                closest_approach={"CH2-CH2": 0.3, "CH3-CH2": 0.3, "CH3-CH3": 0.3},
                **summary,
            ),
        ),
    )


def polyethylene_conformations():
    """Histograms of a chain with an angle near 112 degrees, 60 % trans, and no two gauche of opposite sign in a row."""
    angle = (np.arange(60) + 0.5) * np.pi / 60
    angles = np.rint(1e5 * np.exp(-0.5 * ((angle - 1.955) / 0.07) ** 2)).astype(int).tolist()
    fine = _three_states(60)
    coarse = fine.reshape(20, 3, 3).sum(axis=1)
    allowed = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 0.05], [1.0, 0.05, 1.0]])
    pairs = np.einsum("ia,ab,jb->ij", coarse, allowed, coarse)
    torsions = np.rint(1e5 * fine @ (allowed @ coarse.sum(axis=0))).astype(int).tolist()
    ends = ["CH2-CH2", "CH2-CH3"]
    return {
        "angles": {f"CH2-{end}": angles for end in ends},
        "torsions": {f"CH2-CH2-{end}": torsions for end in ends},
        "torsion_pairs": {f"CH2-CH2-CH2-{end}": np.rint(1e5 * pairs).astype(int).tolist() for end in ends},
    }


def _three_states(n_bins):
    """Weight of trans, gauche+ and gauche- in bins of a torsion, shape (n_bins, 3)."""
    turn = -np.pi + (np.arange(n_bins) + 0.5) * 2 * np.pi / n_bins
    apart = [np.angle(np.exp(1j * (turn - center))) for center in (np.pi, 1.15, -1.15)]
    return np.stack([weight * np.exp(-0.5 * (x / 0.2) ** 2) for weight, x in zip((3, 1, 1), apart, strict=True)], 1)


def benzene_box(n_beads=1, n_molecules=64, *, seed=0, density=DENSITY):
    """Topology, positions and box vectors of a random box of benzene at liquid density."""
    from openmm_cgml.builder import build_box

    return build_box(tiny_force_field(n_beads, network=False), n_molecules, density=density, seed=seed)


def displaced(positions, box, *, seed=0, scale=0.01):
    """Positions with noise, and each bead moved by lattice vectors of its own, which change no energy."""
    rng = np.random.default_rng(seed)
    images = rng.integers(-2, 3, size=positions.shape)
    return positions + rng.normal(scale=scale, size=positions.shape) + images @ box


def package_environment():
    """Environment variables with which another Python process finds this package from any folder."""
    root = str(Path(openmm_cgml.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}


def _network(n_beads, seed, dtype, include_bonded, n_types=1):
    config = SchNetConfig(
        n_features=12,
        n_filters=16,
        n_inter_blocks=2,
        n_intra_blocks=0 if n_beads == 1 else 1,
        n_basis=10,
        cutoff=0.7,
        intra_cutoff=None if n_beads == 1 else 0.5,
        include_bonded=include_bonded,
        energy_scale=10.0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = SchNet(config, n_types)
        # Random readouts start small; larger weights make the network's share of the forces count in comparisons.
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(1.2)
    return network.to(dtype).eval().requires_grad_(False)


def _priors(n_beads):
    kind = "B" if n_beads == 1 else "C2H2"
    terms = [
        PriorTerm(
            form="power_repulsion",
            types=(kind, kind),
            parameters={"sigma": 0.36, "epsilon": 4.184, "exponent": 12, "cutoff": 0.7, "switch_distance": 0.6},
        )
    ]
    if n_beads == 3:
        terms.append(
            PriorTerm(form="harmonic_bond", types=(kind, kind), parameters={"length": 0.237, "stiffness": 80000.0})
        )
    return PriorSet(terms=tuple(terms), exclude_bonds=2)


def cosine_term(form: str, types: tuple[str, ...], coefficients: Sequence[float]) -> PriorTerm:
    """A term of a series of cosines, "cosine_angle" or "cosine_torsion", with coefficients k_1, k_2, ... [kJ/mol]."""
    return PriorTerm(form=form, types=types, parameters=cosine_parameters(coefficients))


def coefficients_of(term: PriorTerm) -> tuple[float, ...]:
    """All six coefficients of a series of cosines [kJ/mol]."""
    return tuple(term.parameters[name] for name in COSINES)
