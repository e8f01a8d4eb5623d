"""What forces say of pair coefficients, and what follows from it in a refinement."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import ThreeBodyConfig, evaluate
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.refinement import PairRefinementConfig
from openmm_cgml.refinement.ensemble import Ensemble
from openmm_cgml.refinement.forces import ForceLikelihood
from openmm_cgml.refinement.pair import PairTarget
from tests.fixtures import benzene_box, tiny_force_field
from tests.refinement.test_site_pairs import SHORT, make_dataset, with_centers, with_depth
from tests.site_models import site_fluid, site_topology

TOPOLOGY = site_topology("R", 27)


def forces_between(force_field, frames):
    """Of the pair splines, by automatic differentiation."""
    total = np.zeros(frames.positions.shape)
    topology = site_topology("R", frames.positions.shape[1] // 3)
    pairs = [each for each in force_field.bind(topology) if "bond" not in each.name]
    for index, (positions, box) in enumerate(zip(frames.positions, frames.box, strict=True)):
        x = torch.tensor(positions, dtype=torch.float64, requires_grad=True)
        sum(each.energy(x, torch.tensor(box, dtype=torch.float64)) for each in pairs).backward()
        total[index] = -x.grad.numpy()
    return total


@pytest.fixture(scope="module")
def frames():
    """Frames whose forces are those of known splines, and a little more."""
    fluid = site_fluid("R", 3, n_frames=3)
    forces = forces_between(with_centers(1.0), fluid)
    noise = np.random.default_rng(1).normal(scale=0.1 * forces.std(), size=forces.shape)
    return Frames(positions=fluid.positions, box=fluid.box, forces=forces + noise, forces_inter=forces + noise)


def pair_terms(force_field):
    return [term for term in force_field.priors.terms if term.form == "pair_spline"]


def coefficients_of(force_field, factor=1.0):
    return np.concatenate([factor * np.array(term.parameters["coefficients"]) for term in pair_terms(force_field)])


def test_the_splines_that_made_the_forces_are_likelier_than_others(frames):
    force_field = with_centers(1.0)
    likelihood = ForceLikelihood.of(force_field, TOPOLOGY, frames, 300.0)
    types = [term.types for term in pair_terms(force_field)]
    true = coefficients_of(force_field)
    matrix, slope = likelihood.derivatives(types, true)
    # At the truth the slope is what the noise makes: of a size with its own curvature, of variance one.
    n_frames = len(frames.positions)
    assert n_frames * slope @ np.linalg.solve(matrix, slope) < 3 * len(true)
    worse = 0.5 * true
    assert n_frames * (matrix @ (worse - true)) @ (worse - true) > 30 * len(true), "the control"
    # Terms in another order are the same.
    turned, again = likelihood.derivatives(types[::-1], coefficients_of(replace_order(force_field)))
    assert np.trace(turned) == pytest.approx(np.trace(matrix)) and abs(again).sum() == pytest.approx(abs(slope).sum())


def replace_order(force_field):
    terms = [term for term in force_field.priors.terms if term.form != "pair_spline"]
    return replace(force_field, priors=replace(force_field.priors, terms=(*terms, *pair_terms(force_field)[::-1])))


def test_what_is_not_splines_alone_is_refused(frames):
    force_field = with_centers(1.0)
    with pytest.raises(InputError, match="force_weight"):
        ForceLikelihood.of(tiny_force_field(1), TOPOLOGY, frames, 300.0)
    bare = Frames(positions=frames.positions, box=frames.box, forces=frames.forces)
    with pytest.raises(InputError, match="no intermolecular part"):
        ForceLikelihood.of(force_field, TOPOLOGY, bare, 300.0)


def test_sites_follow_the_centers(frames, tmp_path):
    dataset, force_field = make_dataset(tmp_path / "data", 12), with_centers(1.0)
    config = PairRefinementConfig(**SHORT, force_weight=0.01)
    ensemble = Ensemble(force_field, [dataset], config)
    reference = ensemble.reference
    forces = forces_between(with_centers(1.5), reference)
    ensemble.reference = replace(reference, forces=forces, forces_inter=forces)
    target = PairTarget(force_field, ensemble, config)
    before = {term.types: term.parameters["coefficients"] for term in pair_terms(force_field)}
    target.change(ensemble.judge, 0)
    after = {term.types: term.parameters["coefficients"] for term in pair_terms(target.force_field)}
    assert all(before[types] != after[types] for types in before)
    assert {row["term"] for row in target.measure(ensemble.judge, 1)} == {"pair_spline R-R"}
    # Of all that the sites could be beside these centers, forces want nothing else, but for what walls forbid.
    parts = target._parts(target._reference.distances)
    likelihood = target._forces
    present = np.concatenate([part.coefficients for part in parts])
    _, slope = likelihood.derivatives([part.term.types for part in parts], present)
    assert [part.follows for part in parts] == [False, True, True, True]
    first = np.concatenate([np.array(before[part.term.types]) for part in parts])
    _, other = likelihood.derivatives([part.term.types for part in parts], first)
    sites = slice(parts[1].place.start, None)
    assert np.linalg.norm(slope[sites]) < 0.5 * np.linalg.norm(other[sites])
    # The control: without a weight they stay.
    plain = PairTarget(force_field, ensemble, PairRefinementConfig(**SHORT))
    plain.change(ensemble.judge, 0)
    kept = {term.types: term.parameters["coefficients"] for term in pair_terms(plain.force_field)}
    assert {types for types in kept if kept[types] != before[types]} == {("R", "R")}


def test_rare_pairs_may_follow_the_forces_too(tmp_path):
    """One type of centers, so there is nothing to choose from; what is no pair, and all of them, are refused."""
    dataset, force_field = make_dataset(tmp_path / "data", 12), with_centers(1.0)
    for followers, match in ((("X-R",), "no pairs R-X; there are R-R"), (("R-R",), "leave some")):
        config = PairRefinementConfig(**SHORT, force_weight=0.01, followers=followers)
        ensemble = Ensemble(force_field, [dataset], config)
        forces = np.ones_like(ensemble.reference.positions)
        ensemble.reference = replace(ensemble.reference, forces=forces, forces_inter=forces)
        with pytest.raises(InputError, match=match):
            PairTarget(force_field, ensemble, config)
    with pytest.raises(ValueError, match="force_weight is 0"):
        PairRefinementConfig(followers=("R-R",))


def test_followers_change_only_as_forces_ask(tmp_path):
    dataset, force_field = make_dataset(tmp_path / "data", 12), with_depth(1.0)
    config = PairRefinementConfig(**SHORT, force_weight=0.01, followers=("H-C", "H-H"))
    ensemble = Ensemble(force_field, [dataset], config)
    forces = forces_between(force_field, ensemble.reference)
    ensemble.reference = replace(ensemble.reference, forces=forces, forces_inter=forces)
    target = PairTarget(force_field, ensemble, config)
    parts = target._parts(target._reference.distances)
    assert [(part.term.types, part.follows) for part in parts] == [
        (("C", "C"), False), (("C", "H"), True), (("H", "H"), True),
    ]  # fmt: skip
    assert {row["term"] for row in target.measure(ensemble.judge, 0)} == {"pair_spline C-C"}
    before = {part.term.types: part.coefficients for part in parts}
    target.change(ensemble.judge, 0)
    after = {part.term.types: part.coefficients for part in target._parts(target._reference.distances)}
    # The forces are those of these very splines, so the followers move as little as the one that is adjusted asks.
    moved = {types: np.abs(after[types] - before[types]).max() for types in before}
    assert moved["C", "C"] > 0
    likelihood = target._forces
    types = [part.term.types for part in parts]
    _, slope = likelihood.derivatives(types, np.concatenate([after[each] for each in types]))
    stay = {**before, ("C", "C"): after["C", "C"]}
    _, other = likelihood.derivatives(types, np.concatenate([stay[each] for each in types]))
    followers = slice(len(before["C", "C"]), None)
    assert np.linalg.norm(slope[followers]) < np.linalg.norm(other[followers])


def test_pair_splines_explain_what_three_body_terms_leave():
    """Forces of splines and a three-body term together ask for the splines that made them."""
    rng = np.random.default_rng(3)
    plain = tiny_force_field(1, network=False)
    kind = plain.type_names[0]
    topology, start, box = benzene_box(1, 100, density=0.84)
    blank = {
        "start": 0.4,
        "spacing": 0.05,
        "cutoff": 0.9,
        "coefficients": (40.0, 15.0, 3.0, -1.0, -1.5, -1.0, -0.5, -0.2, -0.1, 0.0),
    }
    config = ThreeBodyConfig(cutoff=0.7, n_max=1, l_max=1)
    terms = (
        PriorTerm(form="pair_spline", types=(kind, kind), parameters=blank),
        PriorTerm(form="three_body", types=(kind,) * 3, parameters=config.parameters([400.0, 250.0])),
    )
    force_field = replace(plain, priors=PriorSet(terms=terms, exclude_bonds=2))
    positions = start + rng.normal(scale=0.02, size=(4, *start.shape))
    boxes = np.tile(box, (4, 1, 1))
    forces = np.array([
        evaluate(force_field.bind(topology), torch.tensor(x), torch.tensor(box))[1].numpy() for x in positions
    ])  # fmt: skip
    likelihood = ForceLikelihood.of(force_field, topology, Frames(positions=positions, box=boxes, forces=forces), 300.0)
    true = np.array(blank["coefficients"])
    matrix, slope = likelihood.derivatives([(kind, kind)], true)
    assert np.abs(slope).max() < 1e-2 * np.abs(matrix @ true).max()
    alone = replace(force_field, priors=PriorSet(terms=terms[:1], exclude_bonds=2))
    other = ForceLikelihood.of(alone, topology, Frames(positions=positions, box=boxes, forces=forces), 300.0)
    matrix, slope = other.derivatives([(kind, kind)], true)
    assert np.abs(slope).max() > 3e-2 * np.abs(matrix @ true).max(), "the control"
