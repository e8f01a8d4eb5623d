import warnings

import numpy as np
import pytest

from openmm_cgml.errors import DatasetWarning
from openmm_cgml.frames import Frames
from openmm_cgml.potentials.rare_pairs import Contact, supported_contacts
from openmm_cgml.priors import PriorConfig, fit_priors
from openmm_cgml.topology import CGTopology, ResidueTemplate

EDGE, DIAMETER = 2.2, 0.3


def hard_spheres(n_rare, n_frames=15, n_common=90):
    """Spheres of one size, some of which have a type of their own."""
    rng = np.random.default_rng(2)
    residues = [
        (ResidueTemplate(name=name, bead_names=("B",), bead_type_names=(name,), masses=(20.0,)), count)
        for name, count in (("I", n_rare), ("W", n_common))
    ]
    n = n_rare + n_common
    positions = np.empty((n_frames, n, 3))
    for frame in positions:
        count = 0
        while count < n:
            point = rng.random(3) * EDGE
            vectors = frame[:count] - point
            vectors -= np.rint(vectors / EDGE) * EDGE
            if not count or np.linalg.norm(vectors, axis=1).min() > DIAMETER:
                frame[count] = point
                count += 1
    box = np.tile(EDGE * np.eye(3), (n_frames, 1, 1))
    return CGTopology.from_residues(residues), Frames(positions=positions, box=box)


def wall(priors, first, second):
    """Where the excluded volume is 5 kT [nm]."""
    distances = np.linspace(0.2, 0.9, 701)
    return distances[np.argmax(priors.pair_energy(first, second, distances) < 5 * 2.494)]


def test_rare_pair_gets_the_size_of_its_beads_and_is_named():
    topology, frames = hard_spheres(n_rare=2)
    with pytest.warns(DatasetWarning, match=r"excluded volume of I-I: only \d+ pairs .*repulsion.sigma of I-I by hand"):
        priors = fit_priors(PriorConfig(repulsion={"cutoff": 1.0}), topology, frames, 300.0)
    assert wall(priors, "I", "I") == pytest.approx(DIAMETER, abs=0.03)
    assert wall(priors, "I", "I") == pytest.approx(wall(priors, "W", "W"), abs=0.03)


def test_pairs_of_which_there_are_many_keep_what_the_data_show():
    topology, frames = hard_spheres(n_rare=40, n_common=50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        priors = fit_priors(PriorConfig(repulsion={"cutoff": 1.0}), topology, frames, 300.0)
    assert wall(priors, "I", "I") == pytest.approx(DIAMETER, abs=0.03)


def contact(distance, n_near, rank=0):
    return Contact(distance=distance, rank=rank, n_near=n_near, shell=1.25 * distance)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ({("A", "B"): contact(0.4, 500), ("B", "B"): contact(0.5, 500)}, 0.3),  # what is left of the unlike pair
        ({("B", "B"): contact(0.5, 500)}, 0.5),  # the smallest that is known
        ({("A", "B"): contact(0.4, 3)}, 0.9),  # nothing is known
        ({("A", "B"): contact(0.9, 500), ("B", "B"): contact(0.5, 500)}, 0.9),  # never farther than what was seen
    ],
)
def test_rare_pair_takes_what_other_pairs_tell(others, expected):
    with pytest.warns(DatasetWarning):
        found = supported_contacts({("A", "A"): contact(0.9, 3), **others}, [("A", "A")])
    assert found["A", "A"] == pytest.approx(expected)


def test_nothing_is_said_of_a_rare_pair_that_is_given_by_hand():
    topology, frames = hard_spheres(n_rare=2)
    sigma = {"I-I": 0.33, "I-W": "fit", "W-W": "fit"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        priors = fit_priors(PriorConfig(repulsion={"cutoff": 1.0, "sigma": sigma}), topology, frames, 300.0)
    (term,) = (term for term in priors.terms if term.types == ("I", "I"))
    assert term.parameters["sigma"] == 0.33


def test_wall_is_shown_by_more_pairs_than_a_gas_has():
    assert contact(0.4, 500).shows_a_wall
    assert not contact(0.4, 3).shows_a_wall
    assert not contact(0.4, 40, rank=20).shows_a_wall
