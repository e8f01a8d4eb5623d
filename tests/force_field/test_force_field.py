import copy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import openmm
import pytest
import torch
from openmm import app, unit
from safetensors.numpy import load, save

from openmm_cgml.engine import choose_backend
from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.force_field.self_test import evaluate_parts
from openmm_cgml.system import box_vectors
from openmm_cgml.topology import CGTopology, ResidueTemplate
from tests.fixtures import BENZENE_1, BENZENE_3, benzene_box, displaced, package_environment, tiny_force_field

BACKENDS = ["PythonForce", "TorchForce"]


def require(backend):
    if backend == "TorchForce":
        pytest.importorskip("openmmtorch", reason="openmmtorch is not installed", exc_type=ImportError)
        choice = choose_backend("auto")
        if choice.name != "TorchForce":
            pytest.skip(choice.reason)


def evaluate_system(system, positions, platform="Reference", groups=-1):
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform(platform))
    context.setPositions(positions)
    state = context.getState(energy=True, forces=True, groups=groups)
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    return state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole), forces


def evaluate_torch(force_field, topology, positions, box):
    parts = evaluate_parts(force_field.priors, force_field.network, topology, positions[None], box)
    energy = parts["energies_priors"][0] + parts["energies_network"][0]
    return energy, parts["forces_priors"][0] + parts["forces_network"][0]


@pytest.mark.physics
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("platform", "exact", "tolerance"),
    # Native forces on the CPU platform are computed in float32, tables of the filters by interpolation.
    [("Reference", True, 1e-9), ("Reference", False, 1e-3), ("CPU", True, 1e-3), ("CPU", False, 1e-3)],
)
@pytest.mark.parametrize("n_beads", [1, 3])
def test_the_openmm_system_is_the_network_plus_the_torch_priors(backend, platform, exact, tolerance, n_beads):
    require(backend)
    force_field = tiny_force_field(n_beads, dtype=torch.float64)
    topology, positions, box = benzene_box(n_beads, 64)
    positions = displaced(positions, box)
    system = force_field.create_system(topology, box=box, ml_backend=backend, exact=exact)
    expected_energy, expected = evaluate_torch(force_field, topology, positions, box)
    energy, forces = evaluate_system(system, positions, platform)
    scale = np.sqrt(np.mean(expected**2))
    assert np.abs(forces - expected).max() < tolerance * scale
    assert energy == pytest.approx(expected_energy, rel=tolerance)
    # The control: priors counted twice are seen.
    for potential in force_field.bind(topology):
        system.addForce(potential.to_openmm(periodic=True))
    assert np.abs(evaluate_system(system, positions, platform)[1] - expected).max() > 0.01 * scale


@pytest.mark.physics
@pytest.mark.parametrize("n_beads", [1, 3])
def test_every_force_has_a_name_and_a_group_and_the_groups_sum_to_the_total(n_beads):
    topology, positions, box = benzene_box(n_beads, 64)
    positions = displaced(positions, box)
    system = tiny_force_field(n_beads).create_system(topology, box=box, ml_backend="PythonForce")
    names = [force.getName() for force in system.getForces()]
    bonds = ["prior: harmonic bond"] if n_beads == 3 else []
    assert names == [*bonds, "prior: power repulsion", "network"]
    groups = [force.getForceGroup() for force in system.getForces()]
    assert len(set(groups)) == len(groups)
    assert 0 not in groups
    total_energy, total = evaluate_system(system, positions)
    parts = [evaluate_system(system, positions, groups={group}) for group in groups]
    assert sum(energy for energy, _ in parts) == pytest.approx(total_energy, rel=1e-10)
    scale = np.sqrt(np.mean(total**2))
    assert np.abs(sum(forces for _, forces in parts) - total).max() < 1e-10 * scale
    # The control: without one of the groups the sum is not the total.
    assert np.abs(sum(forces for _, forces in parts[1:]) - total).max() > 0.01 * scale


@pytest.mark.physics
@pytest.mark.parametrize("n_beads", [1, 3])
def test_a_box_twice_as_long_has_twice_the_energy(n_beads):
    force_field = tiny_force_field(n_beads, dtype=torch.float64)
    topology, positions, box = benzene_box(n_beads, 64)
    twice = CGTopology.from_residues([(force_field.templates[0], 128)], type_names=force_field.type_names)
    longer = box * [[2.0], [1.0], [1.0]]
    repeated = np.concatenate([positions, positions + box[0]])
    energy, forces = evaluate_system(force_field.create_system(topology, box=box, exact=True), positions)
    energy_twice, forces_twice = evaluate_system(force_field.create_system(twice, box=longer, exact=True), repeated)
    assert energy_twice == pytest.approx(2 * energy, rel=1e-10)
    scale = np.sqrt(np.mean(forces**2))
    assert np.abs(forces_twice - np.concatenate([forces, forces])).max() < 1e-9 * scale
    # The control: a copy that is shifted by something else than the lattice vector does not fit.
    shifted = np.concatenate([positions, positions + 0.9 * box[0]])
    assert evaluate_system(force_field.create_system(twice, box=longer), shifted)[0] != pytest.approx(2 * energy, 1e-3)


@pytest.mark.parametrize("n_beads", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_saved_force_field_loads_as_the_same_one(tmp_path, n_beads, dtype):
    force_field = tiny_force_field(n_beads, dtype=dtype)
    topology, positions, box = benzene_box(n_beads, 64)
    loaded = ForceField.load(force_field.save(tmp_path / "m"))
    assert loaded.fingerprint == force_field.fingerprint
    assert loaded.templates == force_field.templates
    assert loaded.training_summary == force_field.training_summary
    before = evaluate_system(force_field.create_system(topology, box=box), positions)
    after = evaluate_system(loaded.create_system(topology, box=box), positions)
    assert before[0] == after[0]
    assert np.array_equal(before[1], after[1])


def test_priors_alone_are_a_force_field(tmp_path):
    force_field = tiny_force_field(3, network=False)
    loaded = ForceField.load(force_field.save(tmp_path / "m"))
    topology, _, box = benzene_box(3, 64)
    assert loaded.network is None
    system = loaded.create_system(topology, box=box)
    names = [force.getName() for force in system.getForces()]
    assert names == ["prior: harmonic bond", "prior: power repulsion"]


def test_the_fingerprint_follows_what_decides_about_forces(tmp_path):
    force_field = tiny_force_field(1)
    manifest = force_field.manifest.model_copy(update={"name": "renamed"})
    assert replace(force_field, manifest=manifest).fingerprint == force_field.fingerprint
    assert tiny_force_field(1, seed=1).fingerprint != force_field.fingerprint
    assert replace(force_field, network=None).fingerprint != force_field.fingerprint


def test_a_network_with_weights_that_are_not_finite_is_not_saved(tmp_path):
    force_field = tiny_force_field(1)
    with torch.no_grad():
        force_field.network.readout[2].bias.fill_(torch.nan)
    with pytest.raises(InputError, match=r"readout\.2\.bias"):
        force_field.save(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def resave(force_field, path, change, monkeypatch):
    """Save with tampered tensors, everything else consistent, as a faulty writer would."""
    files = ForceField._function_files

    def tampered(self):
        content = files(self)
        tensors = dict(load(content["weights.safetensors"]))
        change(tensors)
        return {**content, "weights.safetensors": save(tensors)}

    monkeypatch.setattr(ForceField, "_function_files", tampered)
    force_field.save(path)
    monkeypatch.undo()
    return path


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.pop("readout.2.bias"), r"readout\.2\.bias is missing"),
        (lambda t: t.update(other=np.zeros(3, np.float32)), "other is unknown"),
        (lambda t: t.update({"readout.2.bias": np.zeros(2, np.float32)}), r"shape \(2,\), not \(1,\)"),
        (lambda t: t.update({"readout.2.bias": np.zeros(1, np.int32)}), "int32"),
        (lambda t: t.update({"readout.2.bias": np.zeros(1, np.float64)}), "mixed"),
        (lambda t: t.update({"readout.2.bias": np.full(1, np.nan, np.float32)}), "NaN or infinity"),
    ],
)
def test_weights_that_do_not_fit_the_network_are_listed(tmp_path, monkeypatch, change, reason):
    path = resave(tiny_force_field(1), tmp_path / "m", change, monkeypatch)
    with pytest.raises(ArtifactError, match=reason):
        ForceField.load(path)


def test_a_force_field_that_computes_something_else_than_when_saved_is_refused(tmp_path, monkeypatch):
    def nudge(tensors):
        tensors["readout.2.weight"] = tensors["readout.2.weight"] * np.float32(1.0001)

    path = resave(tiny_force_field(1), tmp_path / "m", nudge, monkeypatch)
    with pytest.raises(ArtifactError, match="network differ by"):
        ForceField.load(path)


def test_a_network_that_is_not_in_the_registry_is_refused(tmp_path, monkeypatch):
    files = ForceField._function_files
    settings = b'{"kind": "os.system", "cutoff": 0.7}'
    monkeypatch.setattr(ForceField, "_function_files", lambda self: {**files(self), "network.json": settings})
    path = tiny_force_field(1).save(tmp_path / "m")
    monkeypatch.undo()
    with pytest.raises(ArtifactError, match=r"'os\.system' is unknown; known are schnet"):
        ForceField.load(path)


def test_names_that_lead_nowhere_are_refused(tmp_path):
    for name in ("no-such-model", tmp_path, ""):
        with pytest.raises(InputError):
            ForceField.load(name)


# What create_system refuses


def test_unknown_bead_types_are_named_with_their_beads():
    template = ResidueTemplate(name="BNZ", bead_names=("B1",), bead_type_names=("X",), masses=(78.1134,))
    topology = CGTopology.from_residues([(BENZENE_1, 3), (template, 7)])
    with pytest.raises(InputError, match=r"'X' \(beads 3, 4, 5, 6, 7, ... \(7 in all\)\).*knows B"):
        tiny_force_field(1).create_system(topology, box=[3, 3, 3])


def test_unknown_residues_and_beads_are_named():
    stranger = replace(BENZENE_1, name="TOL")
    renamed = replace(BENZENE_1, bead_names=("B2",))
    for template, reason in ((stranger, "'TOL'.*known are BNZ"), (renamed, r"\['B2'\].*\['B1'\]")):
        topology = CGTopology.from_residues([(template, 64)])
        for given in (topology, topology.to_openmm()):
            with pytest.raises(InputError, match=reason):
                tiny_force_field(1).create_system(given, box=[3, 3, 3])


def test_missing_and_additional_bonds_are_listed():
    open_ring = replace(BENZENE_3, bonds=((0, 1), (1, 2)))
    topology = CGTopology.from_residues([(open_ring, 64)])
    with pytest.raises(InputError, match="bonds missing: C1-C3; bonds that the model does not have: none"):
        tiny_force_field(3).create_system(topology, box=[3, 3, 3])
    model = replace(tiny_force_field(3), templates=(open_ring,))
    topology = CGTopology.from_residues([(BENZENE_3, 64)])
    with pytest.raises(InputError, match="bonds missing: none; bonds that the model does not have: C1-C3"):
        model.create_system(topology, box=[3, 3, 3])


def test_a_missing_or_small_box_is_refused_with_what_is_needed():
    topology, _, _ = benzene_box(1, 64)
    force_field = tiny_force_field(1)
    with pytest.raises(InputError, match=r"no periodic box.*setPeriodicBoxVectors"):
        force_field.create_system(topology)
    with pytest.raises(InputError, match=r"no periodic box"):
        force_field.create_system(topology.to_openmm())
    with pytest.raises(InputError, match=r"at least 1\.4 nm"):
        force_field.create_system(topology, box=[1.39, 3, 3])
    force_field.create_system(topology, box=[1.4, 3, 3])


def test_masses_other_than_those_trained_on_are_refused():
    topology, _, box = benzene_box(1, 64)
    masses = topology.masses.copy()
    masses[5] *= 2
    heavy = replace(topology, masses=masses)
    force_field = tiny_force_field(1)
    with pytest.raises(InputError, match=r"beads 5 .*156\.227 Da instead of 78\.1134"):
        force_field.create_system(heavy, box=box)
    system = force_field.create_system(topology, box=box)
    system.setParticleMass(5, 10.0)
    with pytest.raises(InputError, match="the System gives beads 5"):
        force_field.add_forces(system, topology)


def test_types_in_another_order_than_the_models_are_translated():
    force_field = tiny_force_field(1)
    topology, positions, box = benzene_box(1, 64)
    shuffled = replace(topology, type_names=("unused", "B"), bead_types=topology.bead_types + 1)
    expected = evaluate_system(force_field.create_system(topology, box=box), positions)[0]
    assert evaluate_system(force_field.create_system(shuffled, box=box), positions)[0] == expected


def test_unknown_backends_are_refused():
    topology, _, box = benzene_box(1, 64)
    with pytest.raises(InputError, match="unknown backend 'CUDA'"):
        tiny_force_field(1).create_system(topology, box=box, ml_backend="CUDA")


# What create_system and add_forces leave behind


def test_a_system_has_the_masses_and_the_box_of_the_topology():
    topology, _, box = benzene_box(3, 64)
    box = np.array([[2.5, 0, 0], [0.3, 2.4, 0], [-0.2, 0.5, 2.3]])
    for system in (
        tiny_force_field(3).create_system(topology, box=box),
        tiny_force_field(3).create_system(topology.to_openmm(box)),
    ):
        masses = [system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(system.getNumParticles())]
        assert np.allclose(masses, topology.masses)
        assert np.allclose(box_vectors(system.getDefaultPeriodicBoxVectors()), box)
        assert system.getNumConstraints() == 0
        assert all(force.usesPeriodicBoundaryConditions() for force in system.getForces())


def test_forces_join_a_system_that_holds_others():
    force_field = tiny_force_field(1)
    topology, positions, box = benzene_box(1, 64)
    system = openmm.System()
    for mass in topology.masses:
        system.addParticle(mass)
    system.setParticleMass(0, 0.0)  # a bead held in place
    system.setDefaultPeriodicBoxVectors(*map(openmm.Vec3, *zip(*box.tolist(), strict=True)))
    restraint = openmm.CustomExternalForce("10*(x-1)^2")
    restraint.addParticle(3)
    restraint.setForceGroup(1)
    system.addForce(restraint)
    alone = evaluate_system(system, positions)[0]
    force_field.add_forces(system, topology)
    expected = evaluate_system(force_field.create_system(topology, box=box), positions)[0]
    assert evaluate_system(system, positions)[0] == pytest.approx(expected + alone, rel=1e-12)
    assert [force.getForceGroup() for force in system.getForces()] == [1, 2, 3]
    assert system.getParticleMass(0)._value == 0.0
    with pytest.raises(InputError, match=r"64 particles and the topology 27"):
        force_field.add_forces(system, benzene_box(1, 27, density=0.5)[0])


def test_the_system_runs_and_copies():
    topology, positions, box = benzene_box(3, 64)
    system = tiny_force_field(3).create_system(topology, box=box, ml_backend="PythonForce", remove_cm_motion=True)
    integrator = openmm.LangevinMiddleIntegrator(300, 5, 0.001)
    simulation = app.Simulation(topology.to_openmm(box), copy.deepcopy(system), integrator)
    simulation.context.setPositions(positions)
    simulation.minimizeEnergy(maxIterations=20)
    simulation.step(5)
    assert evaluate_system(system, positions)[0] == evaluate_system(copy.deepcopy(system), positions)[0]


# Other programs


def test_a_topology_passes_through_parmed():
    parmed_openmm = pytest.importorskip("parmed.openmm")
    force_field = tiny_force_field(3)
    topology, positions, box = benzene_box(3, 64)
    structure = parmed_openmm.load_topology(topology.to_openmm(box), xyz=positions * unit.nanometer)
    assert [atom.mass for atom in structure.atoms] == pytest.approx(list(topology.masses))
    again = force_field.create_system(structure.topology, box=box)
    expected = evaluate_system(force_field.create_system(topology, box=box), positions)[0]
    assert evaluate_system(again, positions)[0] == expected


def test_a_system_without_the_network_passes_through_parmed():
    parmed_openmm = pytest.importorskip("parmed.openmm")
    force_field = tiny_force_field(3, network=False)
    topology, positions, box = benzene_box(3, 64)
    system = force_field.create_system(topology, box=box)
    with pytest.warns(Warning, match="CustomNonbondedForce"):  # ParmEd keeps what it can express: the bonds
        structure = parmed_openmm.load_topology(topology.to_openmm(box), system, xyz=positions * unit.nanometer)
    assert len(structure.bonds) == len(topology.bonds)
    assert all(bond.type.req == pytest.approx(2.37) for bond in structure.bonds)


def test_a_topology_passes_through_modeller():
    force_field = tiny_force_field(3)
    topology, positions, box = benzene_box(3, 64)
    modeller = app.Modeller(topology.to_openmm(box), positions * unit.nanometer)
    modeller.delete([residue for residue in modeller.topology.residues() if residue.index >= 60])
    modeller.add(topology.to_openmm(box), (positions + 0.1) * unit.nanometer)
    system = force_field.create_system(modeller.topology)
    assert system.getNumParticles() == 3 * (60 + 64)
    assert modeller.topology.getNumBonds() == 3 * (60 + 64)


def test_a_topology_passes_through_mdtraj():
    mdtraj = pytest.importorskip("mdtraj")
    force_field = tiny_force_field(3)
    topology, positions, box = benzene_box(3, 64)
    theirs = mdtraj.Topology.from_openmm(topology.to_openmm(box))
    assert theirs.n_bonds == len(topology.bonds)
    assert [atom.element.mass for atom in theirs.atoms] == pytest.approx(list(topology.masses))
    again = theirs.to_openmm()
    expected = evaluate_system(force_field.create_system(topology, box=box), positions)[0]
    assert evaluate_system(force_field.create_system(again, box=box), positions)[0] == expected


@pytest.mark.slow
def test_loading_imports_neither_training_nor_lightning(tmp_path):
    path = tiny_force_field(1).save(tmp_path / "m")
    code = f"""
import sys
from openmm_cgml import ForceField
ForceField.load({str(path)!r})
print([name for name in ("lightning", "pytorch_lightning", "openmm_cgml.training", "mdtraj") if name in sys.modules])
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=package_environment())
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", sorted((Path(__file__).parent / "artifacts").iterdir()), ids=lambda path: path.name)
def test_artifacts_of_every_released_format_still_load(path):
    force_field = ForceField.load(path)  # reproduces the energies and forces recorded when it was written
    topology, positions, box = benzene_box(3, 64)
    assert np.isfinite(evaluate_system(force_field.create_system(topology, box=box), positions)[0])
