"""Three-body terms fitted together with pair splines, with the pressure held."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from openmm_cgml.config import read_config
from openmm_cgml.errors import InputError
from openmm_cgml.potentials import PairSplineConfig, ThreeBodyConfig
from openmm_cgml.potentials.three_body_features import ThreeBodyFeatures
from openmm_cgml.priors import PriorConfig, PriorSet, fit_priors
from openmm_cgml.priors.fitting import fit_pair_priors
from openmm_cgml.units import BOLTZMANN, KJ_PER_MOL_NM3_IN_BAR
from tests.site_models import bond_terms, site_fluid, site_topology
from tests.three_body_models import three_body_priors, three_body_terms

KT = BOLTZMANN * 300
SETTINGS = ThreeBodyConfig(cutoff=0.75, n_max=1, l_max=2)
CONFIG = PairSplineConfig(cutoff=0.7, spacing=0.025, contacts_per_bead=0.002)


def labelled(kind, n_frames=12, seed=0):
    """Frames with the forces between molecules that `three_body_priors` gives."""
    topology, frames = site_topology(kind, 27), site_fluid(kind, 3, n_frames, seed)
    forces = three_body_priors(kind, SETTINGS).forces(topology, frames, part="inter")
    return topology, replace(frames, forces=forces, forces_inter=forces)


def score(priors, topology, frames):
    predicted = priors.forces(topology, frames, part="inter")
    return 1 - ((predicted - frames.forces) ** 2).sum() / (frames.forces**2).sum()


@pytest.mark.physics
@pytest.mark.parametrize("kind", ["R", "C"])
def test_forces_of_three_bodies_give_back_the_coefficients(kind):
    topology, frames = labelled(kind)
    terms, _ = fit_pair_priors(CONFIG, topology, frames, 300.0, 2, three_body=SETTINGS)
    truth = {term.types: np.array(term.parameters["coefficients"]) for term in three_body_terms(kind, SETTINGS)}
    found = {term.types: np.array(term.parameters["coefficients"]) for term in terms if term.form == "three_body"}
    assert found.keys() == truth.keys()
    largest = max(np.abs(values).max() for values in truth.values())
    for types, values in truth.items():
        np.testing.assert_allclose(found[types], values, atol=0.03 * largest)
    held_out = labelled(kind, 2, seed=9)[1]
    missed = 1 - score(PriorSet(terms=(*bond_terms(kind), *terms)), topology, held_out)
    assert missed < 2e-4
    # The control: splines alone cannot follow angles.
    blind, _ = fit_pair_priors(CONFIG, topology, frames, 300.0, 2)
    assert 1 - score(PriorSet(terms=(*bond_terms(kind), *blind)), topology, held_out) > 10 * missed


@pytest.mark.physics
def test_no_crowd_of_neighbors_gains_energy_without_end():
    topology, frames = labelled("C", 6)
    noise = np.random.default_rng(3).normal(0, 300, frames.positions.shape)
    frames = replace(frames, forces_inter=frames.forces_inter + noise)
    settings = ThreeBodyConfig(cutoff=0.75, n_max=2, l_max=2)
    terms, _ = fit_pair_priors(CONFIG, topology, frames, 300.0, 2, three_body=settings)
    (fitted,) = PriorSet(terms=terms)._bind_three_body(topology)
    lowest = np.linalg.eigvalsh(fitted.coefficients.transpose(0, 3, 1, 2)).min()
    assert lowest > -1e-3 * np.abs(fitted.coefficients).max()
    features = ThreeBodyFeatures(settings, topology.bead_types, topology.type_names)
    negative = np.where(np.arange(features.n) % 3 == 1, -1.0, 1.0)
    rows = features.cuts(negative)
    assert len(rows) and (rows @ negative > 0).all(), "the control: others have negative eigenvalues"


def measured_pressure(priors, topology, frames):
    """Pressure [bar] of molecules that move as a whole, from energies of boxes a little larger and smaller."""
    potentials = priors._bind_intermolecular(topology)
    pressures = []
    for positions, box in zip(frames.positions, frames.box, strict=True):
        centers = np.zeros((topology.n_beads, 3))
        for molecule in range(topology.n_molecules):
            own = topology.molecules == molecule
            centers[own] = np.average(positions[own], weights=topology.masses[own], axis=0)
        low, high = (
            sum(
                float(each.energy(torch.tensor(positions + step * centers), torch.tensor(box * (1 + step))))
                for each in potentials
            )
            for step in (-1e-6, 1e-6)
        )
        volume = np.linalg.det(box)
        slope = (high - low) / (volume * ((1 + 1e-6) ** 3 - (1 - 1e-6) ** 3))
        pressures.append((topology.n_molecules * KT / volume - slope) * KJ_PER_MOL_NM3_IN_BAR)
    return float(np.mean(pressures))


@pytest.mark.physics
@pytest.mark.parametrize("kind", ["R", "C"])
def test_the_pressure_of_the_fit_is_the_one_asked_for(kind):
    topology, frames = labelled(kind, 6)
    noise = np.random.default_rng(2).normal(0, 50, frames.positions.shape)
    frames = replace(frames, forces_inter=frames.forces_inter + noise)
    held = CONFIG.model_copy(update={"pressure": 700.0})
    terms, found = fit_pair_priors(held, topology, frames, 300.0, 4, three_body=SETTINGS)
    priors = PriorSet(terms=(*bond_terms(kind), *terms), exclude_bonds=4)
    assert measured_pressure(priors, topology, frames) == pytest.approx(700, abs=1)
    free = found["force_matching"]["pressure"]["without_constraint"]
    without = replace(priors, terms=tuple(term for term in priors.terms if term.form != "three_body"))
    assert abs(measured_pressure(without, topology, frames) - 700) > 20, "the control: the term presses, too"
    terms, _ = fit_pair_priors(CONFIG, topology, frames, 300.0, 4, three_body=SETTINGS)
    priors = PriorSet(terms=(*bond_terms(kind), *terms), exclude_bonds=4)
    assert measured_pressure(priors, topology, frames) == pytest.approx(free, abs=1)


def test_yaml_with_units_asks_for_it(tmp_path):
    (tmp_path / "priors.yaml").write_text(
        "pairs: {form: spline, spacing: 0.25 angstrom, cutoff: 7 angstrom, contacts_per_bead: 0.002}\n"
        "three_body: {cutoff: 6 angstrom, n_max: 1, l_max: 1}\n"
    )
    topology, frames = labelled("R", 4)
    priors = fit_priors(read_config(tmp_path / "priors.yaml", PriorConfig), topology, frames, 300.0)
    (term,) = [term for term in priors.terms if term.form == "three_body"]
    assert term.types == ("A", "A", "A") and term.parameters["cutoff"] == pytest.approx(0.6)
    assert len(term.parameters["coefficients"]) == 2
    assert priors.provenance["config"]["three_body"]["n_max"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("three_body: {cutoff: 0.6 nm}", "fitted together with splines between beads"),
        ("pairs: {form: power}\nthree_body: {cutoff: 0.6 nm}", "fitted together with splines between beads"),
        (
            "pairs: {form: spline, sites: {A: {C: [[0 nm, 0 nm, 0 nm]]}}}\nthree_body: {cutoff: 0.6 nm}",
            "without sites and alike, or leave three_body out",
        ),
        ("pairs: {form: spline}\nthree_body: {cutoff: 0.6}", "unit"),
        ("pairs: {form: spline}\nthree_body: {l_max: 7}", "l_max"),
        ("pairs: {form: spline}\nthree_body: {n_max: 0}", "n_max"),
    ],
)
def test_yaml_that_says_something_else_is_refused(tmp_path, text, message):
    (tmp_path / "priors.yaml").write_text(f"{text}\n")
    with pytest.raises(InputError, match=message):
        read_config(tmp_path / "priors.yaml", PriorConfig)


def test_negative_eigenvalues_can_be_set_to_zero():
    settings = ThreeBodyConfig(cutoff=0.75, n_max=3, l_max=1)
    topology = site_topology("C", 2)
    features = ThreeBodyFeatures(settings, topology.bead_types, topology.type_names)
    before = np.random.default_rng(0).normal(size=features.n)
    after = features.without_negative(before)
    assert len(features.cuts(before)) and not len(features.cuts(after))
    np.testing.assert_allclose(features.without_negative(after), after, atol=1e-9 * np.abs(after).max())
