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

TOPOLOGY, SITES = site_topology("R", 27), site_topology("R", 64)


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


def present_in(force_field):
    return {term.types: np.array(term.parameters["coefficients"]) for term in pair_terms(force_field)}


def coefficients_of(force_field):
    return np.concatenate(list(present_in(force_field).values()))


def test_the_splines_that_made_the_forces_are_likelier_than_others(frames):
    force_field = with_centers(1.0)
    likelihood = ForceLikelihood.of(force_field, TOPOLOGY, frames, 300.0)
    types = [term.types for term in pair_terms(force_field)]
    true, present = coefficients_of(force_field), present_in(force_field)
    matrix, slope = likelihood.derivatives(present, types)
    # At the truth the slope is what the noise makes: of a size with its own curvature, of variance one.
    n_frames = len(frames.positions)
    assert n_frames * slope @ np.linalg.solve(matrix, slope) < 3 * len(true)
    worse = 0.5 * true
    assert n_frames * (matrix @ (worse - true)) @ (worse - true) > 30 * len(true), "the control"
    # Those of some terms are rows and columns of those of all.
    some, again = likelihood.derivatives(present, types[:0:-1])
    n = len(present[types[0]])
    assert np.trace(some) == pytest.approx(np.trace(matrix[n:, n:]))
    assert abs(again).sum() == pytest.approx(abs(slope[n:]).sum())


def test_what_is_not_splines_alone_is_refused(frames):
    force_field = with_centers(1.0)
    with pytest.raises(InputError, match="force_weight"):
        ForceLikelihood.of(tiny_force_field(1), TOPOLOGY, frames, 300.0)
    bare = Frames(positions=frames.positions, box=frames.box, forces=frames.forces)
    with pytest.raises(InputError, match="no intermolecular part"):
        ForceLikelihood.of(force_field, TOPOLOGY, bare, 300.0)


def prepared(tmp_path, force_field, made_by, **settings):
    """A target whose reference has the forces of a force field."""
    config = PairRefinementConfig(**SHORT, **settings)
    ensemble = Ensemble(force_field, [make_dataset(tmp_path / "data", 12)], config)
    forces = forces_between(made_by, ensemble.reference)
    forces += np.random.default_rng(2).normal(scale=forces.std(), size=forces.shape)
    ensemble.reference = replace(ensemble.reference, forces=forces, forces_inter=forces)
    return PairTarget(force_field, ensemble, config), ensemble


def test_sites_stay_and_forces_hold_the_centers(tmp_path):
    """A change towards another structure costs less of the likelihood of the forces, the more these count."""
    lost = []
    for weight in (0.0, 0.1, 10.0):
        force_field = with_centers(3.0)
        target, ensemble = prepared(tmp_path / str(weight), force_field, force_field, force_weight=weight)
        before = present_in(force_field)
        target.change(ensemble.judge, 0)
        after = present_in(target.force_field)
        assert {types for types in before if (before[types] != after[types]).any()} == {("R", "R")}
        likelihood = target._forces or ForceLikelihood.of(force_field, SITES, ensemble.reference, 300.0)
        matrix, slope = likelihood.derivatives(before, [("R", "R")])
        change = after["R", "R"] - before["R", "R"]
        lost.append(change @ matrix @ change / 2 + slope @ change)
    assert lost[0] > 0 > lost[2] and lost[0] > lost[1] > lost[2]


def test_followers_are_pairs_and_not_all(tmp_path):
    for followers, match in ((("X-R",), "no pairs R-X; there are"), (("R-R",), "leave no pairs")):
        with pytest.raises(InputError, match=match):
            prepared(tmp_path / match, with_centers(1.0), with_centers(1.0), force_weight=0.01, followers=followers)
    with pytest.raises(ValueError, match="force_weight is 0"):
        PairRefinementConfig(followers=("R-R",))


def test_followers_change_as_forces_ask(tmp_path):
    force_field = with_depth(1.0)
    target, ensemble = prepared(
        tmp_path, force_field, with_depth(1.5), force_weight=0.01, followers=("H-C", "H-H"), step_size=1.0
    )
    parts = target._parts(target._reference.distances)
    assert [(part.term.types, part.follows) for part in parts] == [
        (("C", "C"), False), (("C", "H"), True), (("H", "H"), True),
    ]  # fmt: skip
    assert {row["term"] for row in target.measure(ensemble.judge, 0)} == {"pair_spline C-C"}
    before, followers = present_in(force_field), [("C", "H"), ("H", "H")]
    step = target._prepare(target._statistics(ensemble.judge))
    for part in parts[1:]:
        told = target._forces.virial[target._forces.places[part.term.types]]
        np.testing.assert_array_equal(step.virial_row()[part.place], told)
        assert told.any(), "they press, though they have no features"
    target.change(ensemble.judge, 0)
    after = present_in(target.force_field)
    assert all((before[types] != after[types]).any() for types in before)
    # Of all that they could be beside the others as these are now, forces want nothing else, but for what walls forbid.
    _, slope = target._forces.derivatives(after, followers)
    _, other = target._forces.derivatives({**before, ("C", "C"): after["C", "C"]}, followers)
    assert np.linalg.norm(slope) < 0.5 * np.linalg.norm(other)


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
    matrix, slope = likelihood.derivatives({(kind, kind): true}, [(kind, kind)])
    assert np.abs(slope).max() < 1e-2 * np.abs(matrix @ true).max()
    alone = replace(force_field, priors=PriorSet(terms=terms[:1], exclude_bonds=2))
    other = ForceLikelihood.of(alone, topology, Frames(positions=positions, box=boxes, forces=forces), 300.0)
    matrix, slope = other.derivatives({(kind, kind): true}, [(kind, kind)])
    assert np.abs(slope).max() > 3e-2 * np.abs(matrix @ true).max(), "the control"


def test_walls_of_centers_need_not_be_steep_whoever_tells_them(tmp_path):
    target, ensemble = prepared(tmp_path, with_centers(1.0), with_centers(1.0), force_weight=0.01, followers=("C-C",))
    assert target._kept_apart == {("R", "R")}
    step = target._prepare(target._statistics(ensemble.judge))
    for part in step.parts:
        _, limits = step._walls([part], np.zeros(step.n))
        _, own = part.form.walls(part.term.parameters)
        rows, _ = part.form.walls(part.term.parameters)
        allowed = limits + rows @ part.coefficients
        assert (allowed >= own - 1e-9).all()
        assert (allowed.min() > -1.0) == (part.term.types == ("R", "R"))
