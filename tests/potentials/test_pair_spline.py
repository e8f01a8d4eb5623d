"""Pair splines: their shape, their walls, and their fit to forces with the pressure held."""

from dataclasses import replace

import numpy as np
import openmm
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openmm import unit

from openmm_cgml.config import read_config
from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import PairData, PairSpline, PairSplineConfig
from openmm_cgml.priors import PriorConfig, PriorSet, PriorTerm, fit_priors
from openmm_cgml.topology import CGTopology, ResidueTemplate
from openmm_cgml.units import BOLTZMANN, KJ_PER_MOL_NM3_IN_BAR

KT = BOLTZMANN * 300
EDGE = 2.4
BEAD = ResidueTemplate(name="A", bead_names=("B1",), bead_type_names=("A",), masses=(40.0,), bonds=())
DIMER = ResidueTemplate(
    name="D", bead_names=("B1", "B2"), bead_type_names=("A", "B"), masses=(40.0, 20.0), bonds=((0, 1),)
)


def spline_term(start=0.3, spacing=0.025, cutoff=0.8, types=("A", "A"), depth=1.0):
    """A soft core with a well."""
    n = round((cutoff - start) / spacing)
    r = start + spacing * (np.arange(n) - 1)
    x = (cutoff - r) / cutoff
    values = x**3 * (60 * np.exp(-(r - start) / 0.05) - 6 * depth * np.exp(-(((r - 0.5) / 0.1) ** 2)))
    parameters = {"start": cutoff - n * spacing, "coefficients": tuple(values), "spacing": spacing, "cutoff": cutoff}
    return PriorTerm(form="pair_spline", types=types, parameters=parameters)


def fluid(topology, n_frames=4, seed=0, closest=0.3):
    """Random beads, or dimers, that do not overlap."""
    rng = np.random.default_rng(seed)
    sizes = np.bincount(topology.molecules)
    frames = []
    while len(frames) < n_frames:
        placed = np.zeros((0, 3))
        while len(placed) < topology.n_beads:
            direction = rng.normal(size=3)
            arms = np.array([[0.0] * 3, 0.2 * direction / np.linalg.norm(direction)])[: sizes[0]]
            new = rng.uniform(0, EDGE, 3) + arms
            delta = new[:, None] - placed[None]
            delta -= EDGE * np.round(delta / EDGE)
            if not len(placed) or np.linalg.norm(delta, axis=-1).min() > closest:
                placed = np.concatenate([placed, new])
        frames.append(placed)
    positions = np.array(frames)
    return Frames(positions=positions, box=np.tile(EDGE * np.eye(3), (n_frames, 1, 1)))


def beads(n=60):
    return CGTopology.from_residues([(BEAD, n)])


def with_forces(topology, frames, priors):
    return replace(frames, forces=priors.forces(topology, frames), forces_inter=None)


def data_of(topology, frames, exclude_bonds=2):
    return PairData(topology=topology, frames=frames, kt=KT, exclude_bonds=exclude_bonds)


@pytest.mark.physics
def test_the_forces_of_a_spline_give_back_the_spline():
    topology, truth = beads(), spline_term()
    frames = with_forces(topology, fluid(topology, 12, closest=0.26), PriorSet(terms=(truth,)))
    config = PairSplineConfig(cutoff=0.8, spacing=0.025, contacts_per_bead=0.001)
    found = PairSpline.fit(data_of(topology, frames), config)
    (parameters,) = found.parameters.values()
    r = np.linspace(0.3, 0.8, 101)
    energies = [PairSpline.features(p, r) @ p["coefficients"] for p in (parameters, truth.parameters)]
    assert np.abs(energies[0] - energies[1]).max() < 1e-3
    assert found.provenance["force_matching"]["inter_force_r2"] > 1 - 1e-8
    # The control: noise on the forces is seen.
    rng = np.random.default_rng(1)
    noisy = replace(frames, forces=frames.forces + rng.normal(0, 20, frames.forces.shape))
    assert PairSpline.fit(data_of(topology, noisy), config).provenance["force_matching"]["inter_force_r2"] < 0.999


def measured_pressure(priors, topology, frames):
    """Pressure [bar] of molecules that move as a whole, from OpenMM's energies of boxes a little larger and smaller."""
    pressures = []
    for positions, box in zip(frames.positions, frames.box, strict=True):
        energies = []
        for factor in (1 - 1e-5, 1 + 1e-5):
            centers = np.zeros((topology.n_beads, 3))
            for molecule in range(topology.n_molecules):
                own = topology.molecules == molecule
                centers[own] = np.average(positions[own], weights=topology.masses[own], axis=0)
            system = openmm.System()
            for mass in topology.masses:
                system.addParticle(mass)
            system.setDefaultPeriodicBoxVectors(*(box * factor))
            for potential in priors.bind(topology):
                system.addForce(potential.to_openmm(periodic=True))
            platform = openmm.Platform.getPlatform("Reference")
            context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
            context.setPositions(positions + (factor - 1) * centers)
            energies.append(context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole))
        volume = np.linalg.det(box)
        slope = (energies[1] - energies[0]) / (volume * ((1 + 1e-5) ** 3 - (1 - 1e-5) ** 3))
        pressures.append((topology.n_molecules * KT / volume - slope) * KJ_PER_MOL_NM3_IN_BAR)
    return float(np.mean(pressures))


@pytest.mark.physics
@pytest.mark.parametrize("is_dimer", [False, True])
def test_the_pressure_of_the_fit_is_the_one_asked_for(is_dimer):
    topology = CGTopology.from_residues([(DIMER, 30)]) if is_dimer else beads()
    frames = fluid(topology, 6)
    rng = np.random.default_rng(2)
    noise = rng.normal(0, 100, frames.positions.shape)
    frames = replace(frames, forces=noise, forces_inter=noise)
    bonds = (
        PriorTerm(form="harmonic_bond", types=("A", "B"), parameters={"length": 0.2, "stiffness": 1e4}),
    ) * is_dimer
    priors = []
    for pressure in (None, 500.0):
        config = PairSplineConfig(cutoff=0.8, spacing=0.05, contacts_per_bead=0.01, pressure=pressure)
        found = PairSpline.fit(data_of(topology, frames), config)
        terms = [PriorTerm(form="pair_spline", types=t, parameters=p) for t, p in found.parameters.items()]
        priors.append(PriorSet(terms=(*terms, *bonds)))
    assert measured_pressure(priors[1], topology, frames) == pytest.approx(500, abs=1)
    without = found.provenance["force_matching"]["pressure"]["without_constraint"]
    assert measured_pressure(priors[0], topology, frames) == pytest.approx(without, abs=1)
    assert abs(without - 500) > 50, "the control must differ"


def test_a_fit_ends_in_a_wall_whatever_the_forces():
    topology = beads()
    frames = fluid(topology, 4)
    truth = PriorSet(terms=(spline_term(),))
    frames = replace(frames, forces=-truth.forces(topology, frames))  # beads that pull each other into one another
    found = PairSpline.fit(data_of(topology, frames), PairSplineConfig(cutoff=0.8, contacts_per_bead=0.001))
    (parameters,) = found.parameters.values()
    r = np.linspace(0.0, parameters["start"], 50)
    slopes = PairSpline.slopes(parameters, r) @ parameters["coefficients"]
    assert (slopes <= 1e-6).all()
    assert slopes[0] < slopes[-1] - 1e4 * 0.9 * parameters["start"]


def test_one_line_of_yaml_fits_it(tmp_path):
    (tmp_path / "priors.yaml").write_text("pairs: {form: spline, cutoff: 0.8 nm, pressure: 1 atm}\n")
    config = read_config(tmp_path / "priors.yaml", PriorConfig)
    topology = beads()
    frames = with_forces(topology, fluid(topology, 12), PriorSet(terms=(spline_term(),)))
    priors = fit_priors(config, topology, frames, 300.0)
    assert [term.form for term in priors.terms] == ["pair_spline"]
    assert priors.provenance["force_matching"]["pressure"]["value"] == pytest.approx(1.01325)
    (tmp_path / "priors.yaml").write_text("pairs: {cutoff: 0.8 nm}\nrepulsion: {cutoff: 0.8 nm}\n")
    with pytest.raises(InputError, match="leave repulsion out"):
        read_config(tmp_path / "priors.yaml", PriorConfig)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forces": None}, "the frames have no forces"),
        ({"box": None}, "no box, so there is no pressure"),
    ],
)
def test_frames_that_cannot_be_fitted_to_are_refused(change, message):
    topology = beads()
    frames = with_forces(topology, fluid(topology, 2), PriorSet(terms=(spline_term(),)))
    with pytest.raises(InputError, match=message):
        PairSpline.fit(data_of(topology, replace(frames, **change)), PairSplineConfig(cutoff=0.8, pressure=1.0))


def test_total_forces_of_molecules_are_not_taken_for_those_between_them():
    topology = CGTopology.from_residues([(DIMER, 20)])
    frames = fluid(topology, 2)
    with pytest.raises(InputError, match="no intermolecular part of the forces"):
        PairSpline.fit(data_of(topology, replace(frames, forces=frames.positions)), PairSplineConfig(cutoff=0.8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": 0.31}, "a whole number of spacings"),
        ({"coefficients": (0.0, 0.0, 5.0, 1.0) * 5}, "begins with the slope"),
        ({"coefficients": (5.0, 1.0)}, "takes 20 coefficients, not 2"),
        ({"coefficients": ()}, "must be a list of finite numbers"),
        ({"coefficients": 3.0}, "must be a list of finite numbers"),
        ({"coefficients": (float("nan"),) * 20}, "must be a list of finite numbers"),
    ],
)
def test_what_is_no_spline_is_refused(change, message):
    parameters = {**spline_term().parameters, **change}
    with pytest.raises(InputError, match=message):
        PriorTerm(form="pair_spline", types=("A", "A"), parameters=parameters)


@given(st.integers(0, 10_000), st.integers(10, 40))
def test_files_give_it_back(seed, n):
    rng = np.random.default_rng(seed)
    values = (50.0, 10.0, 1.0, *rng.normal(size=n - 3))
    parameters = {"start": 1.2 - 0.02 * n, "coefficients": values, "spacing": 0.02, "cutoff": 1.2}
    priors = PriorSet(terms=(PriorTerm(form="pair_spline", types=("A", "B"), parameters=parameters),))
    again = PriorSet.from_json(priors.to_json())
    assert again.terms == priors.terms
    assert again.to_dict()["version"] == "1.2"


def test_contact_is_where_the_wall_has_the_energy():
    (potential,) = PriorSet(terms=(spline_term(),)).bind(beads(2))
    distance, curvature = potential.contact(0, 0, 5 * KT)
    priors = PriorSet(terms=(spline_term(),))
    assert priors.pair_energy("A", "A", np.array([distance]))[0] == pytest.approx(5 * KT, rel=0.05)
    assert curvature > 0
