"""Centers of molecules and of beads: where they are, and how forces on them act on the beads."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from openmm_cgml.errors import InputError
from openmm_cgml.potentials import Centers, PairSplineConfig
from openmm_cgml.priors import PriorSet
from openmm_cgml.priors.fitting import fit_pair_priors
from openmm_cgml.topology import CGTopology, ResidueTemplate
from tests.potentials.test_site_fits import config_of, measured_pressure
from tests.site_models import (
    CENTER_CUTOFF,
    CUTOFFS,
    SITES,
    bond_terms,
    center_priors,
    site_fluid,
    site_priors,
    site_topology,
)

UNEQUAL = ResidueTemplate(
    name="U", bead_names=("B1", "B2"), bead_type_names=("A", "B"), masses=(10.0, 30.0), bonds=((0, 1),)
)
OF = {"R": {"of": "molecules", "cutoff": CENTER_CUTOFF}, "C": {"of": "beads", "cutoff": CENTER_CUTOFF}}


def test_centers_of_molecules_are_centers_of_mass_wherever_the_beads_are_wrapped_to():
    topology = CGTopology.from_residues([(UNEQUAL, 5)])
    rng, box = np.random.default_rng(0), np.diag([2.0, 2.1, 2.2])
    first = rng.uniform(0, 2, (5, 1, 3))
    whole = np.concatenate([first, first + rng.uniform(-0.2, 0.2, (5, 1, 3))], axis=1).reshape(-1, 3)
    wrapped = whole + rng.integers(-2, 3, whole.shape) @ box
    centers = Centers.of(topology, "molecules", 2)
    assert centers.type_names == ("U",) and centers.n_sites == 5 and len(centers.exclusions) == 0
    wanted = (0.25 * whole[::2] + 0.75 * whole[1::2]) / 1.0
    for positions in (whole, wrapped):
        placed = centers.place(centers.axes(positions, box))
        off = (placed - wanted) @ np.linalg.inv(box)
        np.testing.assert_allclose(off, np.rint(off), atol=1e-12)
        by_torch = centers.place_torch(torch.tensor(positions), torch.tensor(box)).numpy()
        np.testing.assert_allclose(by_torch, placed, atol=1e-12)
    assert np.abs(centers.place(wrapped) - wanted).max() > 0.5, "the control: without the box"
    np.testing.assert_allclose(centers.mobilities(topology.masses, {}), 1 / 40)


def test_centers_of_beads_are_the_beads_and_keep_their_exclusions():
    topology = site_topology("C", 3)
    centers = Centers.of(topology, "beads", 2)
    positions = np.random.default_rng(0).normal(size=(topology.n_beads, 3))
    np.testing.assert_array_equal(centers.place(centers.axes(positions, np.eye(3))), positions)
    np.testing.assert_array_equal(centers.exclusions, topology.exclusions(2))
    pairs = np.array([[0, 0], [3, 4]])
    np.testing.assert_array_equal(centers.is_intra(positions, None, pairs), [True, False])


@pytest.mark.physics
@pytest.mark.parametrize("kind", ["R", "C"])
def test_forces_are_the_derivatives_of_the_energy(kind):
    topology, frames = site_topology(kind, 27), site_fluid(kind, 3, 1)
    priors = center_priors(kind)
    x, box = frames.positions[0], frames.box[0]
    forces, step = priors.forces(topology, frames)[0], 1e-5
    for bead, axis in ((0, 0), (7, 2), (31, 1)):
        moved = []
        for sign in (-1, 1):
            positions = x.copy()
            positions[bead, axis] += sign * step
            moved.append(priors.energies(topology, replace(frames, positions=positions[None], box=box[None]))[0])
        assert forces[bead, axis] == pytest.approx(-(moved[1] - moved[0]) / (2 * step), rel=1e-5, abs=1e-3)
    # The control: without the centers forces are others, and by as much as the centers' own carried to the beads.
    plain = site_priors(kind).forces(topology, frames)[0]
    assert np.abs(forces - plain).max() > 1
    assert np.abs(forces.sum(axis=0)).max() < 1e-8, "and they cancel"


def test_the_forces_of_a_center_are_shared_by_mass():
    topology = CGTopology.from_residues([(UNEQUAL, 2)])
    centers = Centers.of(topology, "molecules", 2)
    forces = np.array([[4.0, 0, 0], [0, 8.0, 0]])[:, :, None]
    carried = centers.carry(None, forces)[:, :, 0]
    np.testing.assert_allclose(carried, [[1, 0, 0], [3, 0, 0], [0, 2, 0], [0, 6, 0]])


def labelled(kind, n_frames, seed=0):
    """Frames with the forces between molecules that `center_priors` gives."""
    topology, frames = site_topology(kind, 27), site_fluid(kind, 3, n_frames, seed)
    forces = center_priors(kind, 20.0, exclude_bonds=3).forces(topology, frames, part="inter")
    return topology, replace(frames, forces=forces, forces_inter=forces)


@pytest.mark.physics
@pytest.mark.parametrize("kind", ["R", "C"])
def test_splines_between_centers_are_fitted_with_those_between_sites(kind):
    topology, frames = labelled(kind, 12)
    terms, found = fit_pair_priors(config_of(kind, centers=OF[kind]), topology, frames, 300.0, 3)
    assert found["force_matching"]["inter_force_r2"] > 0.9998
    priors = PriorSet(
        terms=(*bond_terms(kind), *terms), exclude_bonds=3, sites=SITES[kind], centers=OF[kind]["of"]
    )  # fmt: skip
    held_out = labelled(kind, 2, seed=9)[1]
    predicted = priors.forces(topology, held_out, part="inter")
    assert ((predicted - held_out.forces) ** 2).sum() < 1e-3 * (held_out.forces**2).sum()
    # The control: sites alone do not reach that far.
    _, blind = fit_pair_priors(config_of(kind), topology, frames, 300.0, 3)
    lacking = [1 - each["force_matching"]["inter_force_r2"] for each in (blind, found)]
    assert lacking[0] > 3 * lacking[1]


@pytest.mark.physics
@pytest.mark.parametrize("kind", ["R", "C"])
def test_the_pressure_of_both_together_is_the_one_asked_for(kind):
    topology, frames = labelled(kind, 6)
    noise = np.random.default_rng(2).normal(0, 50, frames.positions.shape)
    frames = replace(frames, forces_inter=frames.forces_inter + noise)
    config = config_of(kind, centers=OF[kind], pressure=700.0)
    terms, _ = fit_pair_priors(config, topology, frames, 300.0, 3)
    settings = {"exclude_bonds": 3, "sites": SITES[kind], "centers": OF[kind]["of"]}
    priors = PriorSet(terms=(*bond_terms(kind), *terms), **settings)
    of_sites = (term for term in terms if term.types in CUTOFFS)
    alone = PriorSet(terms=(*bond_terms(kind), *of_sites), exclude_bonds=3, sites=SITES[kind])
    assert measured_pressure(priors, topology, frames) == pytest.approx(700, abs=1)
    assert abs(measured_pressure(alone, topology, frames) - 700) > 20, "the control: the centers have a share in it"


def test_molecules_of_several_residues_have_no_center_with_a_name():
    topology = site_topology("C", 2)
    chain = replace(topology, residues=np.arange(8) // 2, residue_names=("C",) * 4)
    with pytest.raises(InputError, match=r"molecule 0 has several residues.*centers: \{of: beads"):
        Centers.of(chain, "molecules", 2)


def test_centers_stand_beside_sites():
    with pytest.raises(ValueError, match="centers stand beside sites"):
        PairSplineConfig(centers=OF["R"])
