import numpy as np
import pytest

from openmm_cgml.builder.geometry import relax_molecule
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.topology import CGTopology, ResidueTemplate


def test_one_bead_lies_at_the_origin():
    template = ResidueTemplate(name="A", bead_names=("A1",), bead_type_names=("A",), masses=(10.0,))
    molecule = CGTopology.from_residues([(template, 1)])
    assert np.array_equal(relax_molecule(molecule, (), np.random.default_rng(0)), np.zeros((1, 3)))


def test_a_chain_gets_its_bond_lengths_and_angles_about_its_centre_of_mass():
    n = 6
    template = ResidueTemplate(
        name="CHN",
        bead_names=tuple(f"A{i}" for i in range(n)),
        bead_type_names=("A",) * n,
        masses=tuple(10.0 + i for i in range(n)),
        bonds=tuple((i, i + 1) for i in range(n - 1)),
    )
    priors = PriorSet(
        terms=(
            PriorTerm(form="harmonic_bond", types=("A", "A"), parameters={"length": 0.3, "stiffness": 1e5}),
            PriorTerm(form="harmonic_angle", types=("A", "A", "A"), parameters={"angle": 2.0, "stiffness": 300.0}),
        )
    )
    molecule = CGTopology.from_residues([(template, 1)])
    positions = relax_molecule(molecule, priors.bind(molecule), np.random.default_rng(1))
    steps = np.diff(positions, axis=0)
    assert np.linalg.norm(steps, axis=1) == pytest.approx(np.full(n - 1, 0.3), abs=1e-3)
    cosines = -(steps[1:] * steps[:-1]).sum(axis=1) / 0.09
    assert np.arccos(cosines) == pytest.approx(np.full(n - 2, 2.0), abs=1e-2)
    assert np.average(positions, axis=0, weights=molecule.masses) == pytest.approx(np.zeros(3), abs=1e-12)
