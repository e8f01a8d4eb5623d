"""Three-body terms against a plain sum over pairs of neighbors, their forces, and what leaves the energy as it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from openmm_cgml.errors import InputError
from openmm_cgml.potentials import ThreeBody, evaluate, three_body_types
from openmm_cgml.priors import PriorSet, PriorTerm
from tests.site_models import rotation, site_fluid, site_topology
from tests.three_body_models import SETTINGS, plain_energy, three_body_priors, three_body_terms


def bound(kind, side=3):
    topology = site_topology(kind, side**3)
    (potential,) = three_body_priors(kind, splines=False, bonds=False)._bind_three_body(topology)
    return topology, potential


def energy_of(potential, positions, box=None):
    return float(potential.energy(torch.tensor(positions), None if box is None else torch.tensor(box)))


@pytest.mark.physics
@pytest.mark.parametrize("kind", ["R", "C"])
@pytest.mark.parametrize("shape", ["cubic", "tilted", "open"])
def test_the_energy_is_the_sum_over_pairs_of_neighbors(kind, shape):
    topology, potential = bound(kind)
    frames = site_fluid(kind, n_frames=1, tilted=shape == "tilted")
    box = None if shape == "open" else frames.box[0]
    positions = frames.positions[0]
    wanted = plain_energy(potential, topology, positions, box)
    shifted = positions if box is None else positions + np.random.default_rng(0).integers(-2, 3, positions.shape) @ box
    assert energy_of(potential, shifted, box) == pytest.approx(wanted, rel=1e-9)
    assert abs(wanted) > 10
    with_own = plain_energy(potential, topology, positions, box, within=True)
    assert abs(with_own - wanted) > 10, "the control: beads of the own molecule would count"


@pytest.mark.physics
def test_forces_are_the_slopes_of_the_energy():
    _, potential = bound("C")
    positions, box = site_fluid("C").positions[0], site_fluid("C").box[0]
    _, forces = evaluate([potential], torch.tensor(positions), torch.tensor(box))
    rng, controls = np.random.default_rng(1), []
    for _ in range(4):
        direction = rng.normal(size=positions.shape)
        up, down = (energy_of(potential, positions + sign * 1e-5 * direction, box) for sign in (1, -1))
        slope, along = (up - down) / 2e-5, float((forces.numpy() * direction).sum())
        limit = 1e-5 * float(torch.linalg.norm(forces))
        assert abs(slope + along) < limit
        controls.append(abs(slope + 0.999 * along) > limit)
    assert any(controls), "the control must fail"
    assert np.abs(forces.numpy().sum(axis=0)).max() < 1e-9 * np.abs(forces.numpy()).sum()


@pytest.mark.physics
def test_turning_moving_and_renumbering_changes_nothing():
    topology, potential = bound("R")
    positions = site_fluid("R").positions[0]
    energy = energy_of(potential, positions)
    turned = positions @ rotation(np.random.default_rng(0)).T + np.array([3.0, -1.0, 0.5])
    assert energy_of(potential, turned) == pytest.approx(energy, rel=1e-9)
    order = np.random.default_rng(1).permutation(topology.n_molecules)
    assert energy_of(potential, positions.reshape(-1, 3, 3)[order].reshape(-1, 3)) == pytest.approx(energy, rel=1e-9)
    mirrored = positions * [-1, 1, 1]
    assert energy_of(potential, mirrored) == pytest.approx(energy, rel=1e-9)
    assert abs(energy_of(potential, positions * [1.02, 1, 1]) - energy) > 0.1, "the control: stretched"


@pytest.mark.physics
def test_it_ends_smoothly_at_the_cutoff_and_depends_on_the_angle():
    topology = replace(site_topology("R", 3), molecules=np.repeat(np.arange(3), 3))
    terms = {t.types: t.parameters for t in three_body_terms("R")}
    potential = ThreeBody.bind(topology, terms)
    apart = np.array([[0, 0, 0], [50, 0, 0], [60, 0, 0], [0.3, 0, 0], [70, 0, 0], [80, 0, 0]], float)

    def energy(distance, angle):
        third = distance * np.array([np.cos(angle), np.sin(angle), 0])
        return energy_of(potential, np.concatenate([apart, [third, [90, 0, 0], [95, 0, 0]]]))

    cutoff = SETTINGS.cutoff
    # The angle at the first bead is the only one: the third is farther than the cutoff from the second.
    inside, outside = (np.array([energy(cutoff - d, np.pi) for d in x]) for x in ((1e-3, 2e-3), (-1e-3, -2e-3)))
    assert np.abs(outside).max() < 1e-6 * np.abs(inside).max()
    assert abs(inside[1] / inside[0]) == pytest.approx(8, rel=0.1), "it goes with the third power"
    assert energy(0.4, np.pi) != pytest.approx(energy(0.4, np.pi / 2), rel=0.01)
    # Two bodies have none, wherever they are.
    two = apart.copy()
    alone = np.concatenate([two, [[30, 0, 0], [90, 0, 0], [95, 0, 0]]])
    assert energy_of(potential, alone) == pytest.approx(0, abs=1e-9)


def test_types_of_three_beads():
    assert three_body_types(("A",)) == (("A", "A", "A"),)
    assert set(three_body_types(("A", "B"))) == {
        ("A", "A", "A"), ("A", "A", "B"), ("B", "A", "B"), ("A", "B", "A"), ("A", "B", "B"), ("B", "B", "B"),
    }  # fmt: skip


def test_priors_with_it_are_version_1_4_and_read_back():
    priors = three_body_priors("C")
    again = PriorSet.from_json(priors.to_json())
    assert again.to_dict() == priors.to_dict() and again.to_dict()["version"] == "1.4"
    assert again.to_dict()["units"]["three_body"]["coefficients"] == "kJ/mol"
    without = replace(priors, terms=tuple(term for term in priors.terms if term.form != "three_body"))
    assert without.to_dict()["version"] == "1.2", "the control: others are written as before"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coefficients": (1.0, 2.0)}, "there are 2 coefficients; n_max 2 and l_max 3 take 12"),
        ({"n_max": 1.5}, "n_max is 1.5; it must be a whole number from 1 to 6"),
        ({"l_max": 7.0}, "l_max is 7; it must be a whole number from 0 to 6"),
        ({"cutoff": -0.5}, "cutoff is -0.5 nm; it must be a positive number"),
    ],
)
def test_terms_that_do_not_fit_are_refused(changes, message):
    (term,) = three_body_terms("R")
    with pytest.raises(InputError, match=message):
        PriorTerm(form="three_body", types=term.types, parameters={**term.parameters, **changes})


def test_a_missing_term_is_an_error():
    terms = three_body_terms("C")
    with pytest.raises(InputError, match="no three_body for bead types E-M-M; known are"):
        PriorSet(terms=[term for term in terms if term.types != ("E", "M", "M")])._bind_three_body(
            site_topology("C", 2)
        )
    wide = replace(terms[0], parameters={**terms[0].parameters, "cutoff": 0.5})
    with pytest.raises(InputError, match="all three_body terms share one cutoff"):
        PriorSet(terms=[wide, *terms[1:]])
    other = replace(terms[0], parameters={**terms[0].parameters, "coefficients": (1.0,) * 16})
    with pytest.raises(InputError, match="E-E-E has 16 coefficients, and takes 12"):
        PriorSet(terms=[other, *terms[1:]])._bind_three_body(site_topology("C", 2))


def test_what_is_bound_is_checked():
    _, potential = bound("C")
    with pytest.raises(InputError, match="the same in either order"):
        replace(potential, coefficients=potential.coefficients + np.arange(4)[None, :, None, None])
    with pytest.raises(InputError, match=r"expected \(n_types, n_channels, n_channels, l_max"):
        replace(potential, coefficients=potential.coefficients[:, :3])
    with pytest.raises(InputError, match=r"bead_types must lie within 0\.\.1"):
        replace(potential, bead_types=potential.bead_types + 1)
    with pytest.raises(InputError, match="no native OpenMM force"):
        potential.to_openmm(periodic=True)
