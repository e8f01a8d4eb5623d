import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import openmm
import pytest

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import CosineAngle, CosineTorsion, HarmonicAngle, HarmonicBond, PowerRepulsion
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.topology import CGTopology, ResidueTemplate
from tests.fixtures import coefficients_of, cosine_term
from tests.long_chains import BOX, chain_topology, doubled, grown_chains, image_pairs, rewrapped

BOND = PriorTerm(form="harmonic_bond", types=("B", "A"), parameters={"length": 0.25, "stiffness": 5000})
ANGLE = PriorTerm(form="harmonic_angle", types=("A", "B", "A"), parameters={"angle": 2.0, "stiffness": 50})


def repulsion(a: str, b: str, sigma: float = 0.4, **changes: float) -> PriorTerm:
    shared = {"epsilon": 4.184, "exponent": 7, "cutoff": 0.8, "switch_distance": 0.7}
    return PriorTerm(form="power_repulsion", types=(a, b), parameters={"sigma": sigma, **shared, **changes})


REPULSIONS = (repulsion("A", "A"), repulsion("A", "B", 0.45), repulsion("B", "B", 0.5))
PRIORS = PriorSet(terms=(BOND, ANGLE, *REPULSIONS), exclude_bonds=1, provenance={"made": "by hand"})


def chain(types: str = "ABA", bonds: tuple[tuple[int, int], ...] = ((0, 1), (1, 2)), count: int = 20) -> CGTopology:
    template = ResidueTemplate(
        name="MOL",
        bead_names=tuple(f"{t}{i}" for i, t in enumerate(types)),
        bead_type_names=tuple(types),
        masses=(20.0,) * len(types),
        bonds=bonds,
    )
    return CGTopology.from_residues([(template, count)])


def frames_of(topology: CGTopology, n_frames: int = 5, edge: float = 2.4) -> Frames:
    """Molecules of three beads on a lattice, shaken."""
    rng = np.random.default_rng(0)
    lattice = np.stack(np.meshgrid(*[np.arange(3) * edge / 3] * 3), axis=-1).reshape(-1, 3)[: topology.n_molecules]
    shape = np.arange(3)[:, None] * [0.24, 0.03, 0.0]
    noise = rng.normal(0, 0.02, (n_frames, topology.n_molecules, 3, 3))
    positions = (lattice[:, None] + shape + noise).reshape(n_frames, -1, 3)
    return Frames(positions=positions, box=np.tile(edge * np.eye(3), (n_frames, 1, 1)))


def test_binding_gives_one_potential_per_form() -> None:
    bond, angle, power = PRIORS.bind(chain())
    assert isinstance(bond, HarmonicBond)
    assert len(bond.indices) == 40
    assert set(bond.length) == {0.25}
    assert isinstance(angle, HarmonicAngle)
    assert angle.indices[0].tolist() == [0, 1, 2]
    assert isinstance(power, PowerRepulsion)
    assert power.sigma.tolist() == [[0.4, 0.45], [0.45, 0.5]]
    assert power.exclusions.tolist()[:2] == [[0, 1], [1, 2]]


def test_types_that_do_not_occur_need_no_terms() -> None:
    (power,) = PRIORS.bind(chain("B", (), 4))
    assert power.sigma.tolist() == [[0.5]]


@pytest.mark.physics
def test_forces_equal_those_of_the_openmm_system() -> None:
    topology = chain()
    frames = frames_of(topology)
    energies, forces = PRIORS.evaluate(topology, frames)
    system = openmm.System()
    for mass in topology.masses:
        system.addParticle(mass)
    for potential in PRIORS.bind(topology):
        system.addForce(potential.to_openmm(periodic=True))
    system.setDefaultPeriodicBoxVectors(*frames.box[0])
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    for index in range(len(frames)):
        context.setPositions(frames.positions[index])
        state = context.getState(energy=True, forces=True)
        assert energies[index] == pytest.approx(state.getPotentialEnergy()._value, rel=1e-9)
        theirs = state.getForces(asNumpy=True)._value
        assert np.abs(forces[index] - theirs).max() < 1e-6 * np.sqrt(np.mean(theirs**2))
    wrong = replace(PRIORS, exclude_bonds=2).forces(topology, frames)
    assert np.abs(wrong[-1] - theirs).max() > 1e-3 * np.sqrt(np.mean(theirs**2)), "the control must fail"


@pytest.mark.physics
def test_intermolecular_part_is_what_acts_between_molecules() -> None:
    topology = chain()
    frames = frames_of(topology)
    inter = PRIORS.forces(topology, frames, part="inter")
    rest = PRIORS.forces(topology, frames) - inter
    net = rest.reshape(len(frames), topology.n_molecules, 3, 3).sum(axis=2)
    assert np.abs(net).max() < 1e-9 * np.abs(rest).max()  # what is left acts within molecules alone
    apart = Frames(positions=frames.positions + 100 * topology.molecules[:, None])
    assert not PRIORS.forces(topology, apart, part="inter").any()
    assert np.abs(inter.reshape(len(frames), -1, 3, 3).sum(axis=2)).max() > 1, "the control must fail"


@pytest.mark.physics
def test_a_chain_longer_than_the_box_and_its_own_images_act_between_molecules() -> None:
    topology, whole = chain_topology(), grown_chains()
    priors = PriorSet(terms=tuple(repulsion(*pair, 0.3) for pair in ("EE", "EM", "MM")), exclude_bonds=2)
    pairs, vectors = image_pairs(topology, whole, 0.8)[0]
    lengths = np.linalg.norm(vectors, axis=1)
    expected = priors.pair_energy("M", "M", lengths).sum()  # all types have the same sigma
    slopes = (priors.pair_energy("M", "M", lengths + 1e-6) - priors.pair_energy("M", "M", lengths - 1e-6)) / 2e-6
    forces = np.zeros_like(whole)
    for bead, sign in zip(pairs, (-1, 1), strict=True):
        np.add.at(forces, bead, sign * (slopes / lengths)[:, None] * vectors)
    frames = Frames(positions=np.stack([whole, rewrapped(whole, "scattered")]), box=np.stack([BOX, BOX]))
    found, found_forces = priors.evaluate(topology, frames, part="inter")
    assert found == pytest.approx(expected, rel=1e-5)
    assert found_forces[1] == pytest.approx(forces, abs=1e-4 * np.abs(forces).max())
    many, box = doubled(whole)
    twice = priors.energies(topology.repeated(2), Frames(positions=many[None], box=box[None]), part="inter")
    assert twice == pytest.approx(2 * expected, rel=1e-5)
    strangers = topology.molecules[pairs[0]] != topology.molecules[pairs[1]]
    assert lengths[~strangers].min() < 0.5, "by molecule numbers alone, this would be left out"


def test_evaluation_in_chunks_gives_the_same_as_frame_by_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    topology = chain()
    frames = frames_of(topology, 7)
    together = PRIORS.evaluate(topology, frames)
    monkeypatch.setattr("openmm_cgml.priors.prior_set._BEADS_PER_CHUNK", 130)
    pieces = PRIORS.evaluate(topology, frames)
    np.testing.assert_allclose(together[0], pieces[0], rtol=1e-12)
    np.testing.assert_allclose(together[1], pieces[1], rtol=1e-10, atol=1e-8)
    np.testing.assert_array_equal(PRIORS.energies(topology, frames), pieces[0])


def test_pair_energy_is_that_of_two_beads() -> None:
    distance = np.array([0.3, 0.5, 0.75])
    dimer = chain("AB", (), 1)
    expected = [
        PRIORS.energies(dimer, Frames(positions=np.array([[[0.0, 0, 0], [0, r, 0]]])), part="all")[0] for r in distance
    ]
    np.testing.assert_allclose(PRIORS.pair_energy("B", "A", distance), expected, rtol=1e-12)
    assert PRIORS.pair_energy("A", "A", np.array([0.4]))[0] == pytest.approx(4.184)
    assert not PriorSet(terms=(BOND,)).pair_energy("A", "B", distance).any()


def test_angles_of_two_forms_and_torsions_bind_to_the_beads_of_their_types() -> None:
    topology = chain("AABB", ((0, 1), (1, 2), (2, 3)), 3)
    bonds = [
        PriorTerm(form="harmonic_bond", types=types, parameters={"length": 0.25, "stiffness": 5000})
        for types in (("A", "A"), ("A", "B"), ("B", "B"))
    ]
    harmonic = PriorTerm(form="harmonic_angle", types=("B", "A", "A"), parameters={"angle": 2.0, "stiffness": 50})
    cosine = cosine_term("cosine_angle", ("B", "B", "A"), [3.0, -1.0])
    torsion = cosine_term("cosine_torsion", ("B", "B", "A", "A"), [1.0, 0.0, 2.0])
    priors = PriorSet(terms=(*bonds, harmonic, cosine, torsion))
    _, first, second, third = priors.bind(topology)
    assert isinstance(first, HarmonicAngle)
    assert first.indices.tolist() == [[0, 1, 2], [4, 5, 6], [8, 9, 10]]
    assert isinstance(second, CosineAngle)
    assert second.indices.tolist() == [[1, 2, 3], [5, 6, 7], [9, 10, 11]]
    assert second.coefficients.tolist() == [[3.0, -1.0]] * 3
    assert isinstance(third, CosineTorsion)
    assert third.indices.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert third.coefficients.tolist() == [[1.0, 0.0, 2.0]] * 3
    assert PriorSet.from_json(priors.to_json()).terms == priors.terms
    with pytest.raises(InputError, match=r"no harmonic_angle or cosine_angle for bead types A-B-A \(beads \[0, 1, 2\]"):
        priors.bind(chain())
    with pytest.raises(InputError, match=r"no cosine_torsion for bead types A-A-B-A .* known are A-A-B-B"):
        other = cosine_term("cosine_angle", ("A", "B", "A"), [1.0])
        PriorSet(terms=(*bonds, harmonic, other, torsion)).bind(chain("AABA", ((0, 1), (1, 2), (2, 3))))


def test_excluded_pairs_are_those_without_repulsion() -> None:
    topology = chain()
    *_, power = PRIORS.bind(topology)
    assert power.exclusions.tolist() == PRIORS.excluded_pairs(topology).tolist()
    assert len(replace(PRIORS, exclude_bonds=2).excluded_pairs(topology)) > len(PRIORS.excluded_pairs(topology))


def test_missing_terms_are_named() -> None:
    with pytest.raises(InputError, match=r"no harmonic_bond for bead types A-A \(beads \[0, 1\] .* known are A-B"):
        PRIORS.bind(chain("AAB"))
    with pytest.raises(InputError, match="no harmonic_angle for bead types B-A-B"):
        PRIORS.bind(chain("BAB"))
    with pytest.raises(InputError, match="no power_repulsion for bead types A-B, B-B"):
        PriorSet(terms=(BOND, REPULSIONS[0])).bind(chain())
    with pytest.raises(InputError, match="no bond term"):
        PriorSet(terms=REPULSIONS).bind(chain())


def test_frames_of_another_topology_are_refused() -> None:
    with pytest.raises(InputError, match="frames have 60 beads, the topology 30"):
        PRIORS.forces(chain(count=10), frames_of(chain()))


def test_box_below_twice_the_cutoff_is_refused() -> None:
    topology = chain()
    with pytest.raises(InputError, match=r"1\.4 nm wide and the cutoff 0\.8 nm"):
        PRIORS.forces(topology, frames_of(topology, edge=1.4))


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ((BOND, BOND), "harmonic_bond A-B appears twice"),
        ((repulsion("A", "B"), repulsion("B", "A")), "power_repulsion A-B appears twice"),
        ((repulsion("A", "A"), repulsion("A", "B", exponent=6)), "share one exponent, but here it is 7 for A-A, 6 for"),
        ((repulsion("A", "A"), repulsion("A", "B", cutoff=0.9)), "share one cutoff"),
        ((ANGLE, cosine_term("cosine_angle", ANGLE.types, [1.0])), "A-B-A has a harmonic_angle and a cosine_angle"),
    ],
)
def test_terms_that_contradict_each_other_are_refused(terms: tuple[PriorTerm, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PriorSet(terms=terms)


@pytest.mark.parametrize(
    ("form", "types", "parameters", "message"),
    [
        ("morse", ("A", "B"), {}, "unknown prior form 'morse'; known are harmonic_bond"),
        ("harmonic_bond", ("A",), {}, "needs 2 bead types"),
        ("harmonic_bond", ("A", "B"), {"length": 0.2, "k": 1}, "missing: stiffness; unknown: k"),
        ("harmonic_bond", ("A", "B"), {"length": 0.2, "stiffness": -3}, "A-B: stiffness is -3 kJ/mol/nm.2; it must be"),
        ("harmonic_bond", ("A", "B"), {"length": np.nan, "stiffness": 1}, "length is nan"),
    ],
)
def test_wrong_terms_are_refused(form: str, types: tuple[str, ...], parameters: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        PriorTerm(form=form, types=types, parameters=parameters)


def test_series_of_cosines_take_one_to_six_coefficients_of_either_sign() -> None:
    assert coefficients_of(cosine_term("cosine_angle", ("A", "B", "A"), [-1.0] * 6)) == (-1.0,) * 6
    for coefficients in ([], [1.0] * 7):
        with pytest.raises(InputError, match=f"has {len(coefficients)} coefficients; it takes 1 to 6"):
            cosine_term("cosine_angle", ("A", "B", "A"), coefficients)
    with pytest.raises(InputError, match="k1 is inf kJ/mol; it must be a finite number"):
        cosine_term("cosine_torsion", ("A",) * 4, [np.inf])


@pytest.mark.parametrize("model", ["benzene-1bead-schnet", "benzene-3bead-schnet"])
def test_priors_written_before_the_series_of_cosines_still_load(model: str) -> None:
    text = (Path(__file__).parents[2] / "models" / model / "priors.json").read_text()
    assert json.loads(text)["version"] == "1.0"
    assert PriorSet.from_json(text).to_dict() == json.loads(text)


def test_version_is_that_of_the_first_reader_that_knows_all_terms() -> None:
    angle = cosine_term("cosine_angle", ("B", "A", "B"), (1.0, 2.0))
    assert PRIORS.to_dict()["version"] == "1.0"
    assert replace(PRIORS, terms=(*PRIORS.terms, angle)).to_dict()["version"] == "1.1"


def test_json_round_trip_is_readable_and_exact() -> None:
    text = PRIORS.to_json()
    again = PriorSet.from_json(text)
    assert again.to_dict() == PRIORS.to_dict()
    assert again.terms == PRIORS.terms
    content = json.loads(text)
    assert content["units"]["harmonic_bond"] == {"length": "nm", "stiffness": "kJ/mol/nm^2"}
    assert content["terms"][0] == {
        "form": "harmonic_bond",
        "types": ["A", "B"],
        "parameters": {"length": 0.25, "stiffness": 5000.0},
    }


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: c.pop("units"), r"priors.json: keys missing: \['units'\]"),
        (lambda c: c.update(extra=1), r"unknown: \['extra'\]"),
        (lambda c: c.update(schema="other"), "schema is 'other'"),
        (lambda c: c.update(version="2.0"), "version is '2.0'; this program reads 1.6"),
        (lambda c: c["units"]["harmonic_bond"].update(length="angstrom"), "units are"),
        (lambda c: c["terms"][1]["parameters"].pop("angle"), "term 1: harmonic_angle A-B-A: parameters missing: angle"),
        (lambda c: c["terms"][0]["parameters"].update(stiffness=-1), "term 0: .* stiffness is -1"),
        (lambda c: c["terms"][0]["parameters"].update(stiffness="1"), "term 0: stiffness is '1'; expected a number"),
        (lambda c: c["terms"][0].update(types="AB"), "term 0: types must be a list"),
        (lambda c: c["terms"].append(c["terms"][0]), "harmonic_bond A-B appears twice"),
        (lambda c: c.update(terms={}), "terms is dict; expected a list"),
        (lambda c: c.update(exclude_bonds=-1), "exclude_bonds is -1"),
        (lambda c: c.update(exclude_bonds=None), "exclude_bonds must be an integer"),
    ],
)
def test_damaged_json_is_refused_by_name(damage, message: str) -> None:
    content = PRIORS.to_dict()
    content = json.loads(json.dumps(content))
    damage(content)
    with pytest.raises(ArtifactError, match=message):
        PriorSet.from_json(json.dumps(content), name="priors.json")


def test_json_with_a_repeated_key_is_refused() -> None:
    with pytest.raises(ArtifactError, match="twice"):
        PriorSet.from_json('{"schema": "a", "schema": "b"}')


def spline_term(types, scale=1.0):
    values = tuple(scale * x for x in (9, 5, 2, 1, 0.5, 0.1))
    parameters = {"start": 0.3, "spacing": 0.1, "cutoff": 0.9, "coefficients": values}
    return PriorTerm(form="pair_spline", types=types, parameters=parameters)


def test_types_that_are_taken_for_others_have_their_pairs():
    ends = ResidueTemplate(
        name="E", bead_names=("B1", "B2"), bead_type_names=("A", "X"), masses=(10.0, 12.0), bonds=((0, 1),)
    )
    topology = CGTopology.from_residues([(ends, 4)])
    bond = PriorTerm(form="harmonic_bond", types=("A", "X"), parameters={"length": 0.2, "stiffness": 1000.0})
    priors = PriorSet(terms=(bond, spline_term(("A", "A"))), alike={"X": "A"})
    content = priors.to_dict()
    assert content["version"] == "1.5" and content["alike"] == {"X": "A"}
    assert PriorSet.from_json(priors.to_json()).to_dict() == content
    positions = np.random.default_rng(0).uniform(0, 2, (1, 8, 3))
    frames = Frames(positions=positions, box=np.eye(3)[None] * 2.0)
    kinds = (("A", "A"), ("A", "X"), ("X", "X"))
    written_out = PriorSet(terms=(bond, *map(spline_term, kinds)))
    for part in ("all", "inter"):
        found, wanted = (each.evaluate(topology, frames, part=part) for each in (priors, written_out))
        np.testing.assert_allclose(found[0], wanted[0])
        np.testing.assert_allclose(found[1], wanted[1])
    other = PriorSet(terms=(bond, *(spline_term(types, 1.0 + ("X" in types)) for types in kinds)))
    assert np.abs(other.forces(topology, frames) - found[1]).max() > 1, "the control: other splines of X"
    r = np.array([0.4, 0.7])
    np.testing.assert_array_equal(priors.pair_energy("X", "A", r), priors.pair_energy("A", "A", r))
    with pytest.raises(ArtifactError, match="expected names of bead types by name"):
        PriorSet.from_dict({**content, "alike": {}})


@pytest.mark.parametrize(
    ("alike", "message"),
    [
        ({"A": "X"}, r"A is taken for X, but there is pair_spline A-A; leave it out"),
        ({"X": "Y", "Y": "A"}, "Y, which is taken for A; name the last one"),
    ],
)
def test_types_that_cannot_be_taken_for_others_are_refused(alike, message):
    with pytest.raises(InputError, match=message):
        PriorSet(terms=(spline_term(("A", "A")),), alike=alike)
