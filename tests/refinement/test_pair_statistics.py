"""Histograms of pairs between molecules against what they should be."""

import numpy as np
import openmm
import pytest
import torch

from openmm_cgml.analysis.rdf import combine_distributions, compute_pair_distributions
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import PairSpline, PowerRepulsion
from openmm_cgml.refinement.pair_statistics import PairStatistics
from openmm_cgml.simulation.probe import scale_molecules
from openmm_cgml.topology import CGTopology
from tests.site_models import site_fluid, site_priors, site_topology
from tests.training.dimers import TEMPLATE, dimer_frames


@pytest.fixture(scope="module")
def dimers():
    topology = CGTopology.from_residues([(TEMPLATE, 27)])
    frames = dimer_frames(3, 27, edge=2.4)
    return topology, Frames(positions=frames.positions, box=frames.box)


def test_gr_is_that_of_the_analysis(dimers):
    topology, frames = dimers
    statistics = PairStatistics.of(topology, frames, 1.1)
    analysis = compute_pair_distributions(
        frames.positions, frames.box, bead_types=topology.bead_types, type_names=topology.type_names,
        molecules=topology.molecules, r_max=1.1, bin_width=0.01, n_blocks=2,
    )  # fmt: skip
    for number, types in enumerate(statistics.types):
        np.testing.assert_allclose(statistics.gr(number), analysis.inter["-".join(types)].g, rtol=1e-5, atol=1e-6)
    whole = combine_distributions(analysis.inter, topology.n_beads).g
    np.testing.assert_allclose(statistics.gr(), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.physics
def test_forces_times_arms_are_the_molecular_virial(dimers):
    topology, frames = dimers
    statistics = PairStatistics.of(topology, frames, 1.1)
    repulsion = PowerRepulsion(
        bead_types=topology.bead_types, sigma=np.full((2, 2), 0.5), epsilon=np.ones((2, 2)), exponent=3, cutoff=1.1,
        switch_distance=0.8, exclusions=topology.exclusions(2),
    )  # fmt: skip
    parameters = {"sigma": 0.5, "epsilon": 1.0, "exponent": 3, "cutoff": 1.1, "switch_distance": 0.8}
    slopes = PowerRepulsion.slopes(parameters, statistics.distances) @ PowerRepulsion.to_coefficients(parameters)
    for frame in range(3):
        energies = []
        for scale in (1 - 1e-5, 1 + 1e-5):
            system = openmm.System()
            for _ in range(topology.n_beads):
                system.addParticle(1.0)
            system.setDefaultPeriodicBoxVectors(*(scale * frames.box[frame]))
            system.addForce(repulsion.to_openmm(periodic=True))
            platform = openmm.Platform.getPlatform("Reference")
            context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
            context.setPositions(scale_molecules(frames.positions[frame], topology, scale))
            energies.append(context.getState(energy=True).getPotentialEnergy()._value)
        by_scaling = (energies[1] - energies[0]) / 2e-5
        found = float(statistics.arms[frame].sum(axis=0, dtype=float) @ slopes)
        assert found == pytest.approx(by_scaling, rel=2e-3)
        plain = float(statistics.counts[frame].sum(axis=0, dtype=float) @ (slopes * statistics.distances))
        assert plain != pytest.approx(by_scaling, rel=2e-3), "the control, which takes beads for molecules, must fail"


@pytest.mark.physics
@pytest.mark.parametrize("kind", ["R", "C"])
def test_pairs_of_sites_make_the_energy_and_the_virial(kind):
    topology, frames = site_topology(kind, 27), site_fluid(kind, 3, 2)
    priors = site_priors(kind, exclude_bonds=3)
    *_, bound = priors.bind(topology)
    statistics = PairStatistics.of(topology, frames, 0.65, bound.sites)
    terms = {tuple(sorted(term.types)): term for term in priors.terms if term.form == "pair_spline"}
    energies, slopes, beads_alone = np.zeros(2), np.zeros(2), np.zeros(2)
    for number, types in enumerate(statistics.types):
        parameters = terms[types].parameters
        within = statistics.distances < parameters["cutoff"]
        weights = PairSpline.to_coefficients(parameters)
        values, steepness = (
            (of(parameters, statistics.distances) @ weights) * within for of in (PairSpline.features, PairSpline.slopes)
        )
        energies += statistics.counts[:, number].astype(float) @ values
        slopes += statistics.arms[:, number].astype(float) @ steepness
        beads_alone += statistics.counts[:, number].astype(float) @ (steepness * statistics.distances)
    for frame, (positions, box) in enumerate(zip(frames.positions, frames.box, strict=True)):
        low, mid, high = (
            float(bound.energy(torch.tensor(scale_molecules(positions, topology, scale)), torch.tensor(scale * box)))
            for scale in (1 - 1e-6, 1, 1 + 1e-6)
        )
        assert energies[frame] == pytest.approx(mid, rel=5e-3, abs=1)
        by_scaling = (high - low) / 2e-6
        assert slopes[frame] == pytest.approx(by_scaling, rel=0.01)
        assert beads_alone[frame] != pytest.approx(by_scaling, rel=0.01), "the control: sites taken for molecules"
