import subprocess
import sys

import openmm
import pytest
from openmm import unit

from openmm_cgml.errors import InputError
from openmm_cgml.openmmml_plugin import CGMLPotentialImplFactory
from tests.fixtures import benzene_box, package_environment, tiny_force_field


@pytest.fixture
def ml_potential():
    mlpotential = pytest.importorskip("openmmml.mlpotential")
    mlpotential.MLPotential.registerImplFactory("openmm-cgml", CGMLPotentialImplFactory())  # as the entry point does
    return mlpotential.MLPotential


def energy(system, positions):
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
    context.setPositions(positions)
    return context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)


@pytest.mark.parametrize("n_beads", [1, 3])
def test_openmmml_gives_the_energies_and_masses_of_the_force_field(ml_potential, tmp_path, n_beads):
    force_field = tiny_force_field(n_beads)
    path = force_field.save(tmp_path / "m")
    topology, positions, box = benzene_box(n_beads, 64)
    potential = ml_potential("openmm-cgml", modelPath=path)
    system = potential.createSystem(topology.to_openmm(box), ml_backend="PythonForce")
    expected = energy(force_field.create_system(topology, box=box, ml_backend="PythonForce"), positions)
    assert energy(system, positions) == expected
    masses = [system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(system.getNumParticles())]
    assert masses == list(topology.masses)


def test_beads_without_elements_get_masses_too(ml_potential, tmp_path):
    path = tiny_force_field(1).save(tmp_path / "m")
    topology, _, box = benzene_box(1, 64)
    plain = openmm.app.Topology()
    plain.setPeriodicBoxVectors(topology.to_openmm(box).getPeriodicBoxVectors())
    chain = plain.addChain()
    for _ in range(64):
        plain.addAtom("B1", None, plain.addResidue("BNZ", chain))
    system = ml_potential("openmm-cgml", modelPath=path).createSystem(plain, ml_backend="PythonForce")
    assert system.getParticleMass(63).value_in_unit(unit.dalton) == 78.1134


def test_mixed_systems_and_missing_models_are_refused(ml_potential, tmp_path):
    with pytest.raises(InputError, match="modelPath"):
        ml_potential("openmm-cgml")
    potential = ml_potential("openmm-cgml", modelPath=tiny_force_field(1).save(tmp_path / "m"))
    topology, _, box = benzene_box(1, 64)
    with pytest.raises(InputError, match="mixed systems"):
        potential._impl.addForces(topology.to_openmm(box), openmm.System(), [0, 1], 0)


@pytest.mark.slow
def test_the_entry_point_imports_nothing_heavy():
    code = """
import sys
import openmm_cgml.openmmml_plugin
heavy = [name for name in ("torch", "openmm", "openmmml", "numpy", "openmm_cgml.force_field") if name in sys.modules]
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=package_environment())
