"""Bonds with two maxima: a spline gets their distribution in refinement, a spring cannot."""

import numpy as np
import pytest

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.force_field import ForceField, Manifest
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import BOND, Samples, SplineBond, SplineBondConfig
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.refinement import BondedRefinementConfig, refine
from openmm_cgml.topology import CGTopology, ResidueTemplate
from openmm_cgml.units import BOLTZMANN

KT = BOLTZMANN * 300
DIMER = ResidueTemplate(
    name="DIM", bead_names=("A0", "A1"), bead_type_names=("A",) * 2, masses=(28.0,) * 2, bonds=((0, 1),)
)
N_FRAMES, N_DIMERS, EDGE = 300, 125, 5.0
SPRING = {"length": 0.25, "stiffness": 17_000.0}


def two_wells(r):
    """Energy of polyethylene's bonds with one bead per monomer, about: gauche at 0.234 nm, trans at 0.258 nm."""
    wells = (0.234, 34e-6, 1.5), (0.258, 28e-6, 0.0)
    return -KT * np.log(sum(np.exp(-((r - center) ** 2) / 2 / width - depth) for center, width, depth in wells))


def frames():
    """Dimers that do not feel each other, their bonds drawn from the exact distribution."""
    rng = np.random.default_rng(0)
    grid = np.linspace(0.2, 0.3, 20_001)
    energy = two_wells(grid)
    total = np.cumsum(grid**2 * np.exp(-(energy - energy.min()) / KT))
    r = np.interp(rng.uniform(size=(N_FRAMES, N_DIMERS)), total / total[-1], grid)
    turns = rng.normal(size=(N_FRAMES, N_DIMERS, 3))
    sites = np.stack(np.meshgrid(*[np.arange(5.0)] * 3), axis=-1).reshape(-1, 3)
    first = np.broadcast_to(sites, turns.shape)
    second = first + r[..., None] * turns / np.linalg.norm(turns, axis=-1, keepdims=True)
    positions = np.stack([first, second], axis=2).reshape(N_FRAMES, -1, 3)
    return Frames(positions=positions, forces=np.ones_like(positions), box=np.tile(EDGE * np.eye(3), (N_FRAMES, 1, 1)))


def parabola(samples):
    """A spline over the range of the samples that is a spring in it."""
    basis = SplineBond.basis_for(Samples.of(BOND, samples), KT, SplineBondConfig())
    centers = basis.low + basis.spacing * (np.arange(basis.n) - 1)
    return SplineBond.from_coefficients(SPRING["stiffness"] * (centers - SPRING["length"]) ** 2 / 2, basis)


def force_field(form, parameters):
    term = PriorTerm(form=form, types=("A", "A"), parameters=parameters)
    return ForceField(
        priors=PriorSet(terms=(term,)),
        network=None,
        templates=(DIMER,),
        type_names=("A",),
        manifest=Manifest(name="toy", description="Dimers."),
    )


@pytest.mark.slow
@pytest.mark.physics
def test_a_refined_spline_gets_two_maxima_and_a_spring_does_not(tmp_path):
    topology, exact = CGTopology.from_residues([(DIMER, N_DIMERS)]), frames()
    dataset = ForceMatchingDataset.create(
        tmp_path / "data",
        [exact],
        topology=topology,
        temperature=300.0,
        mapping_fingerprint="test",
        source={"made": "for a test"},
        templates=[DIMER],
    )
    config = BondedRefinementConfig(rounds=4, duration=50.0, frame_interval=0.1, first_equilibration=2.0, threads=1)
    start = parabola(BOND.samples(exact, topology.bonds))
    last = {}
    for form, parameters in (("spline_bond", start), ("harmonic_bond", SPRING)):
        result = refine(force_field(form, parameters), dataset, tmp_path / form, config)
        assert result.history[0]["js_divergence"] > 0.05
        last[form] = result.history[-1]
    assert last["spline_bond"]["js_divergence"] < 0.002
    assert last["harmonic_bond"]["mean_error"] < 0.005
    assert last["harmonic_bond"]["std_ratio"] == pytest.approx(1, abs=0.05)
    assert last["harmonic_bond"]["js_divergence"] > 0.05, "the control must fail: mean and width hide it"
