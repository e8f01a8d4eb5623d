"""Splines between sites fitted to forces on beads, with the pressure held."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from openmm_cgml.config import read_config
from openmm_cgml.errors import InputError
from openmm_cgml.potentials import PairData, PairSpline, PairSplineConfig, SitePairs, Sites
from openmm_cgml.priors import PriorConfig, PriorSet, PriorTerm, fit_priors
from openmm_cgml.priors.fitting import fit_pair_priors
from openmm_cgml.units import BOLTZMANN, KJ_PER_MOL_NM3_IN_BAR
from tests.site_models import CUTOFFS, SITES, bond_terms, site_fluid, site_priors, site_terms, site_topology

KT = BOLTZMANN * 300
DECLARED = {
    kind: {bead: {t.site_type: t.positions for t in SITES[kind] if t.bead_type == bead} for bead in beads}
    for kind, beads in (("R", "A"), ("C", "EM"))
}
BY_TYPES = {"-".join(types): cutoff for types, cutoff in CUTOFFS.items()}


def config_of(kind, **changes):
    settings = {"spacing": 0.025, "cutoff": BY_TYPES, "contacts_per_bead": 0.002, "sites": DECLARED[kind]}
    return PairSplineConfig(**{**settings, **changes})


def labelled(kind, n_frames=12, side=3, seed=0):
    """Frames with the forces between molecules that `site_priors` gives."""
    topology, frames = site_topology(kind, side**3), site_fluid(kind, side, n_frames, seed)
    forces = site_priors(kind).forces(topology, frames, part="inter")
    return topology, replace(frames, forces=forces, forces_inter=forces)


def priors_of(kind, terms):
    return PriorSet(terms=(*bond_terms(kind), *terms), sites=SITES[kind])


@pytest.mark.physics
@pytest.mark.parametrize("kind", ["R", "C"])
def test_forces_of_splines_between_sites_give_back_the_splines(kind):
    topology, frames = labelled(kind)
    terms, found = fit_pair_priors(config_of(kind), topology, frames, 300.0, 2)
    assert found["force_matching"]["inter_force_r2"] > 0.9998
    truth, deeper = ({term.types: term.parameters for term in site_terms(depth)} for depth in (1.0, 3.0))
    for term in terms:
        # Nearer, pairs are too few, or too much alike, to tell one spline from another.
        start = max(term.parameters["start"], truth[term.types]["start"]) + 0.1
        r = np.linspace(start, term.parameters["cutoff"], 60)
        slopes = [PairSpline.slopes(p, r) @ p["coefficients"] for p in (term.parameters, truth[term.types])]
        assert np.abs(slopes[0] - slopes[1]).max() < 2.0
        other = PairSpline.slopes(deeper[term.types], r) @ deeper[term.types]["coefficients"]
        assert np.abs(other - slopes[1]).max() > 4.0, "the control: deeper wells"
    held_out = labelled(kind, 2, seed=9)[1]
    predicted = priors_of(kind, terms).forces(topology, held_out, part="inter")
    r2 = 1 - ((predicted - held_out.forces) ** 2).sum() / (held_out.forces**2).sum()
    assert r2 > 0.999
    # The control: splines between the beads cannot see how molecules are turned.
    _, blind = fit_pair_priors(config_of(kind, sites=None, cutoff=0.75), topology, frames, 300.0, 2)
    assert blind["force_matching"]["inter_force_r2"] < 0.9


def measured_pressure(priors, topology, frames):
    """Pressure [bar] of molecules that move as a whole, from energies of boxes a little larger and smaller."""
    potentials = [potential for potential in priors.bind(topology) if isinstance(potential, SitePairs)]
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
    terms, found = fit_pair_priors(config_of(kind, pressure=700.0), topology, frames, 300.0, 3)
    priors = replace(priors_of(kind, terms), exclude_bonds=3)
    assert measured_pressure(priors, topology, frames) == pytest.approx(700, abs=1)
    free = found["force_matching"]["pressure"]["without_constraint"]
    terms, _ = fit_pair_priors(config_of(kind), topology, frames, 300.0, 3)
    priors = replace(priors_of(kind, terms), exclude_bonds=3)
    assert measured_pressure(priors, topology, frames) == pytest.approx(free, abs=1)
    assert abs(free - 700) > 50, "the control must differ"


def test_yaml_with_units_declares_sites(tmp_path):
    (tmp_path / "priors.yaml").write_text(
        "pairs:\n  form: spline\n  spacing: 0.25 angstrom\n  contacts_per_bead: 0.002\n"
        "  cutoff: {C-C: 0.65 nm, H-C: 5 angstrom, H-H: 0.4 nm}\n"
        "  sites:\n    A:\n      C: [[0.01 nm, 0.7 angstrom, 0 nm], [0.01 nm, -0.7 angstrom, 0 nm]]\n"
        "      H: [[-0.085 nm, 0.12 nm, 0 nm], [-0.085 nm, -0.12 nm, 0 nm]]\n"
    )
    config = read_config(tmp_path / "priors.yaml", PriorConfig)
    topology, frames = labelled("R", 12)
    priors = fit_priors(config, topology, frames, 300.0)
    found = {(t.site_type, t.bead_type): np.array(t.positions) for t in priors.sites}
    for template in SITES["R"]:
        np.testing.assert_allclose(found[template.site_type, template.bead_type], template.positions, atol=1e-12)
    cutoffs = {term.types: term.parameters["cutoff"] for term in priors.terms if term.form == "pair_spline"}
    assert cutoffs == pytest.approx(CUTOFFS)
    assert PriorSet.from_json(priors.to_json()).sites == priors.sites


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{cutoff: {C-C: 0.6 nm, C-H: 0.1 nm}}", "at most an eighth of the cutoff 0.1 nm"),
        ("{cutoff: {C-C: 0.6}}", "unit"),
        ("{sites: {A: {C: [[0 nm, 0 nm]]}}}", "pairs.sites.A.C.0"),
        ("{sites: {A: {C: []}}}", "three finite coordinates"),
        ("{sites: {}}", "sites names no site"),
        ("{form: power, sites: {A: {C: [[0 nm, 0 nm, 0 nm]]}}}", "which has no sites"),
    ],
)
def test_yaml_that_says_something_else_is_refused(tmp_path, text, message):
    (tmp_path / "priors.yaml").write_text(f"pairs: {text}\n")
    with pytest.raises(InputError, match=message):
        read_config(tmp_path / "priors.yaml", PriorConfig)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cutoff": {"C-C": 0.65, "C-H": 0.5}}, "pairs.cutoff has no value for H-H"),
        ({"cutoff": {**BY_TYPES, "X-Y": 0.5}}, "pairs.cutoff names 'X-Y'"),
        ({"cutoff": {**BY_TYPES, "H-H": 0.05}, "spacing": 0.005}, "H-H within 0.05 nm, so they have no spline"),
        ({"sites": {"Z": {"C": [(0, 0, 0)]}}}, "no bead has sites"),
    ],
)
def test_what_the_data_cannot_give_is_refused(changes, message):
    topology, frames = labelled("R", 4)
    with pytest.raises(InputError, match=message):
        fit_pair_priors(config_of("R", **changes), topology, frames, 300.0, 2)


def test_data_with_beads_in_line_are_refused():
    topology, frames = labelled("C", 4)
    positions = frames.positions.copy().reshape(len(frames), -1, 4, 3)
    positions[:, :5, 2] = 2 * positions[:, :5, 1] - positions[:, :5, 0]
    straight = replace(frames, positions=positions.reshape(frames.positions.shape))
    with pytest.raises(InputError, match="within 10 degrees of a straight line"):
        fit_pair_priors(config_of("C"), topology, straight, 300.0, 2)
    fit_pair_priors(config_of("C"), topology, frames, 300.0, 2)
    on_beads = {"E": {"C": [(0, 0, 0)]}, "M": {"C": [(0, 0, 0)]}}
    fit_pair_priors(config_of("C", cutoff=0.65, sites=on_beads), topology, straight, 300.0, 2)


@pytest.mark.physics
def test_a_site_at_every_bead_is_the_bead():
    topology, frames = labelled("C", 6)
    sites = Sites.of(topology, [t for t in SITES["C"] if t.site_type == "C"], 2)
    at_beads = {"E": {"E": [(0, 0, 0)]}, "M": {"M": [(0, 0, 0)]}}
    fits = []
    for declared in (None, at_beads):
        config = config_of("C", cutoff=0.7, spacing=0.05, sites=declared, pressure=100.0)
        fits.append(fit_pair_priors(config, topology, frames, 300.0, 2)[0])
    assert fits[0] == fits[1] or all(
        np.allclose(one.parameters["coefficients"], other.parameters["coefficients"], rtol=1e-6, atol=1e-8)
        for one, other in zip(*fits, strict=True)
    )
    assert PairData(topology=topology, frames=frames, kt=KT, exclude_bonds=2, sites=sites).types == (("C", "C"),)
    assert {term.types for term in fits[0]} == {("E", "E"), ("E", "M"), ("M", "M")}
    assert all(isinstance(term, PriorTerm) for term in fits[0])


def test_types_taken_for_others_are_fitted_together_and_must_be_known():
    topology, frames = labelled("C", 8)
    config = PairSplineConfig(cutoff=0.75, contacts_per_bead=0.002, alike={"E": "M"})
    terms, _ = fit_pair_priors(config, topology, frames, 300.0, 2)
    assert [term.types for term in terms] == [("M", "M")]
    apart, _ = fit_pair_priors(config.model_copy(update={"alike": {}}), topology, frames, 300.0, 2)
    assert [term.types for term in apart] == [("E", "E"), ("E", "M"), ("M", "M")], "the control"
    with pytest.raises(InputError, match=r"pairs\.alike names 'X', which is no bead type; there are"):
        fit_pair_priors(config.model_copy(update={"alike": {"X": "M"}}), topology, frames, 300.0, 2)
