"""The force field of a polymer's residues against tleap's topologies of short chains."""

import io

import numpy as np
import openmm
import pytest
from openmm import app, unit

from openmm_cgml.errors import InputError
from openmm_cgml.starting import polymer_parameters
from openmm_cgml.starting.ambertools import parametrize
from openmm_cgml.starting.force_field_xml import ParametrizedMolecule, compare_systems
from openmm_cgml.starting.oligomers import make_oligomer, read_repeat_unit
from openmm_cgml.starting.polymer_parameters import parametrize_polymer, residue_charges
from tests.starting.liquids import fake_parameters
from tests.starting.test_force_field_xml import needs_ambertools

NAMES = ("AAH", "AAM", "AAT")


def made_of(smiles, charges="bcc"):
    repeat = read_repeat_unit(smiles)
    return parametrize_polymer(repeat, make_oligomer(repeat, 3, NAMES), charges)


# One, two, three and four atoms along the chain; a ring, an amide, branches, a double bond.
@needs_ambertools
@pytest.mark.slow
@pytest.mark.parametrize(
    "smiles",
    ["[*]C[*]", "[*]CC(C)[*]", "[*]CCO[*]", "[*]CC(c1ccccc1)[*]", "[*]NCCC(=O)[*]", "[*]C/C=C\\C[*]"],
)
def test_energies_of_a_longer_chain_are_those_of_tleap(smiles):
    """Seven units, longer than any chain that the force field was written from."""
    repeat = read_repeat_unit(smiles)
    made = parametrize_polymer(repeat, make_oligomer(repeat, 3, NAMES), "gasteiger")
    chain = make_oligomer(repeat, 7, NAMES)
    topology = chain.topology()
    system = app.ForceField(io.StringIO(made.xml)).createSystem(
        topology, residueTemplates={residue: residue.name for residue in topology.residues()}
    )
    charges = polymer_parameters._charges(system)
    assert charges.sum() == pytest.approx(0.0, abs=1e-6)
    assert charges[list(chain.residues[3])].sum() == pytest.approx(0.0, abs=1e-6)
    each = ParametrizedMolecule(molecule=chain.molecule, parameters=parametrize(chain.molecule, charges.tolist()))
    assert compare_systems(made.xml, chain.topology(), each) < 1e-6


@needs_ambertools
@pytest.mark.slow
def test_a_force_field_without_the_terms_between_residues_is_noticed():
    repeat = read_repeat_unit("[*]CCO[*]")
    made = parametrize_polymer(repeat, make_oligomer(repeat, 3, NAMES), "gasteiger")
    chain = make_oligomer(repeat, 4, NAMES)
    start = made.xml.index('<Proper class1="AAM-C2" class2="AAM-O1" class3="AAM-C1"')
    damaged = made.xml[:start] + made.xml[made.xml.index("\n", start) + 1 :]
    own = residue_charges(make_oligomer(repeat, 3, NAMES), polymer_parameters._charges(made.chain.parameters.system))
    spread = polymer_parameters._spread_charges(chain, own)
    each = ParametrizedMolecule(molecule=chain.molecule, parameters=parametrize(chain.molecule, spread))
    assert compare_systems(made.xml, chain.topology(), each) < 1e-6
    assert compare_systems(damaged, chain.topology(), each) > 1e-4


@pytest.mark.parametrize("smiles", ["[*]CC(C)[*]", "[*]C[*]", "[*]CC(C)(C)CO[*]"])
def test_what_is_written_has_every_term_of_a_long_chain(monkeypatch, smiles):
    monkeypatch.setattr(polymer_parameters, "parametrize", fake_parameters)
    monkeypatch.setattr(polymer_parameters, "compare_systems", lambda *_: 0.0)  # made-up bonds depend on the geometry
    repeat = read_repeat_unit(smiles)
    made = parametrize_polymer(repeat, make_oligomer(repeat, 3, NAMES))
    chain = make_oligomer(repeat, 8, NAMES)
    topology = chain.topology()
    system = app.ForceField(io.StringIO(made.xml)).createSystem(
        topology, residueTemplates={residue: residue.name for residue in topology.residues()}
    )
    (bonds,) = (force for force in system.getForces() if isinstance(force, openmm.HarmonicBondForce))
    assert bonds.getNumBonds() == topology.getNumBonds()
    masses = [system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(system.getNumParticles())]
    np.testing.assert_allclose(masses, chain.molecule.masses)


def test_the_inner_residue_is_neutral_and_the_ends_are_together():
    chain = make_oligomer(read_repeat_unit("[*]CCO[*]"), 3, NAMES)
    charges = np.random.default_rng(1).normal(scale=0.2, size=chain.molecule.n_atoms)
    charges -= charges.mean()
    head, body, tail = residue_charges(chain, charges)
    assert [body.sum(), head.sum() + tail.sum()] == pytest.approx([0.0, 0.0], abs=1e-12)
    np.testing.assert_allclose(np.diff(body), np.diff(charges[list(chain.residues[1])]))


def test_units_of_alternating_types_are_refused(monkeypatch):
    def alternating(molecule, charges="bcc"):
        parameters = fake_parameters(molecule, charges)
        types = tuple(f"t{number // 9 % 2}" for number in range(molecule.n_atoms))
        return type(parameters)(system=parameters.system, types=types, source="made up", notes=())

    monkeypatch.setattr(polymer_parameters, "parametrize", alternating)
    with pytest.raises(InputError, match="take two units as the repeat unit"):
        made_of("[*]CC(C)[*]")


def test_a_force_field_that_differs_is_refused(monkeypatch):
    monkeypatch.setattr(polymer_parameters, "parametrize", fake_parameters)
    monkeypatch.setattr(polymer_parameters, "compare_systems", lambda *_: 1e-3)
    with pytest.raises(InputError, match=r"differs from tleap's by 0\.001"):
        made_of("[*]CC(C)[*]")
