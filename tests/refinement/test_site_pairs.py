"""Splines between sites, refined in simulations; g(r) of beads judges."""

import numpy as np
import pytest

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames
from openmm_cgml.priors import PriorSet
from openmm_cgml.refinement import PairRefinementConfig, refine
from openmm_cgml.refinement.ensemble import Ensemble
from openmm_cgml.refinement.pair import PairTarget
from openmm_cgml.refinement.pair_step import PairStep
from openmm_cgml.simulation import SimulationConfig
from openmm_cgml.simulation.sampler import Sampler
from tests.fixtures import tiny_force_field
from tests.site_models import RING, SITES, bond_terms, center_priors, site_fluid, site_terms, site_topology

SIDE, STEP = 4, 0.003
SHORT = {
    "rounds": 1, "starts": 1, "duration": 0.6, "equilibration": 0.1, "first_equilibration": 0.0, "frame_interval": 0.1,
    "time_step": STEP, "threads": 1,
}  # fmt: skip


def with_depth(depth):
    priors = PriorSet(terms=(*bond_terms("R"), *site_terms(depth)), sites=SITES["R"])
    manifest = tiny_force_field(1).manifest.model_copy(update={"training": None})
    return ForceField(priors=priors, network=None, templates=(RING,), type_names=("A",), manifest=manifest)


def make_dataset(path, n_frames):
    topology, start = site_topology("R", SIDE**3), site_fluid("R", SIDE, 1)
    box, positions = start.box[0], start.positions[0]
    settings = {"temperature": 300.0, "duration": 100.0, "time_step": STEP, "frame_interval": 0.3, "threads": 1}
    system = with_depth(1.0).create_system(topology, box=box)
    sampler = Sampler.create(system, topology, positions, box, SimulationConfig(**settings))
    sampler.step(1000)
    frames = np.array([snapshot.positions for snapshot in sampler.frames(n_frames)])
    return ForceMatchingDataset.create(
        path,
        [Frames(positions=frames, forces=np.ones_like(frames), box=np.tile(box, (len(frames), 1, 1)))],
        topology=topology,
        temperature=300.0,
        mapping_fingerprint="test",
        source={"made": "for a test"},
        templates=[RING],
    )


def test_a_round_changes_the_splines_and_keeps_the_sites(tmp_path):
    dataset, force_field = make_dataset(tmp_path / "data", 12), with_depth(0.0)
    config = PairRefinementConfig(**SHORT)
    target = PairTarget(force_field, Ensemble(force_field, [dataset], config), config)
    assert target._reference.types == (("C", "C"), ("C", "H"), ("H", "H"))
    assert [statistics.types for statistics in target._beads] == [(("A", "A"),)] * 2
    result = refine(force_field, dataset, tmp_path / "out", config)
    assert {row["term"] for row in result.history} == {f"pair_spline {types}" for types in ("C-C", "C-H", "H-H")}
    assert len({row["all_gr_judged"] for row in result.history if row["round"] == 0}) == 1
    again = ForceField.load(result.path)
    assert again.priors.sites == force_field.priors.sites
    before, after = (
        {term.types: term.parameters["coefficients"] for term in each.priors.terms if term.form == "pair_spline"}
        for each in (force_field, again)
    )
    assert all(before[types] != after[types] for types in before)


@pytest.mark.slow
@pytest.mark.physics
def test_wrong_splines_between_sites_find_the_structure_of_the_reference(tmp_path):
    dataset = make_dataset(tmp_path / "data", 120)
    settings = {"duration": 12.0, "equilibration": 2.0, "first_equilibration": 4.0, "time_step": STEP, "threads": 1}
    right = refine(with_depth(1.0), dataset, tmp_path / "right", PairRefinementConfig(rounds=0, **settings)).history[0]
    result = refine(with_depth(4.0), dataset, tmp_path / "out", PairRefinementConfig(rounds=9, **settings))
    first, last = result.history[0], result.history[-1]
    assert first["all_gr_judged"] > 2 * right["all_gr_judged"], "the control, before any change"
    assert last["all_gr_judged"] < 0.6 * first["all_gr_judged"]


def with_centers(depth):
    force_field = with_depth(1.0)
    priors = center_priors("R", depth)
    return ForceField(
        priors=priors, network=None, templates=(RING,), type_names=("A",), manifest=force_field.manifest
    )  # fmt: skip


def test_beside_sites_the_centers_are_adjusted_and_judged(tmp_path):
    dataset, force_field = make_dataset(tmp_path / "data", 12), with_centers(1.0)
    config = PairRefinementConfig(**SHORT, pressure=1.0)
    target = PairTarget(force_field, Ensemble(force_field, [dataset], config), config)
    assert target._reference.types == (("R", "R"),) and target._beads[0] is target._reference
    result = refine(force_field, dataset, tmp_path / "out", config)
    assert {row["term"] for row in result.history} == {"pair_spline R-R"}
    again = ForceField.load(result.path)
    assert (
        again.priors.centers == "molecules"
        and "between centers of molecules" in (result.path / "README.md").read_text()
    )
    before, after = (
        {term.types: term.parameters["coefficients"] for term in each.priors.terms if term.form == "pair_spline"}
        for each in (force_field, again)
    )
    assert {types for types in before if before[types] != after[types]} == {("R", "R")}


@pytest.mark.slow
@pytest.mark.physics
def test_centers_mend_the_structure_that_sites_lack(tmp_path):
    dataset = make_dataset(tmp_path / "data", 120)
    settings = {"duration": 12.0, "equilibration": 2.0, "first_equilibration": 4.0, "time_step": STEP, "threads": 1}
    result = refine(with_centers(3.0), dataset, tmp_path / "out", PairRefinementConfig(rounds=6, **settings))
    first, last = result.history[0], result.history[-1]
    assert first["all_gr_judged"] > 2 * first["all_gr_floor"], "the control, before any change"
    assert last["all_gr_judged"] < 1.5 * last["all_gr_floor"]


def test_what_limited_pairs_lack_of_the_pressure_others_bring(tmp_path, monkeypatch):
    dataset, force_field = make_dataset(tmp_path / "data", 12), with_depth(1.0)
    config = PairRefinementConfig(**SHORT, pressure=1.0, step_size=1.0)
    ensemble = Ensemble(force_field, [dataset], config)
    target = PairTarget(force_field, ensemble, config)
    ensemble.pressure = (-200.0, 1.0)
    simulated = target._statistics(ensemble.reference)
    problem = target._prepare(simulated)
    row, wanted, excess = problem.virial_row(), target._lacking(1.0), problem.excess()
    second = problem.parts[1]

    def smaller(self, part, step):
        size = abs(step).max()
        return min(1.0, 1e-3 / size) if part.number == 1 and size > 0 else 1.0

    monkeypatch.setattr(PairStep, "_factor", smaller)
    step = problem.solve(excess, virial=wanted)
    assert row @ step == pytest.approx(wanted, rel=1e-6)
    assert abs(step[second.place]).max() <= 1e-3 * (1 + 1e-9)
    # The control: the limited step alone does not bring it.
    monkeypatch.setattr(PairStep, "_factor", lambda *_: 1.0)
    free = problem.solve(excess, virial=wanted)
    monkeypatch.setattr(PairStep, "_factor", smaller)
    limited, much = problem.limited(free)
    assert much == {second.place.start} and abs(row @ limited - wanted) > 1e-3 * abs(wanted)
