"""Energies of the written XML against what tleap says, with OpenMM as the reader of both."""

import io

import numpy as np
import openmm
import pytest
from openmm import app

from openmm_cgml.errors import InputError, MissingDependencyError
from openmm_cgml.reference.mixture import mixture_of
from openmm_cgml.specification import read_specification
from openmm_cgml.starting import StartConfig, ambertools, force_field_xml, start_system
from openmm_cgml.starting.ambertools import find_program, neutralized, parametrize
from openmm_cgml.starting.force_field_xml import (
    ParametrizedMolecule,
    check_energies,
    compare_energies,
    water_parameters,
    water_positions,
)
from openmm_cgml.starting.molecules import read_smiles


def has_ambertools():
    try:
        return bool(find_program("antechamber"))
    except MissingDependencyError:
        return False


needs_ambertools = pytest.mark.skipif(not has_ambertools(), reason="AmberTools is not installed")


def parametrized(smiles, charges="gasteiger"):
    molecule = read_smiles(smiles, "MOL")
    return ParametrizedMolecule(molecule=molecule, parameters=parametrize(molecule, charges))


# Conjugated centers as the first atom (an improper that tleap writes backwards), small rings, several torsion terms.
@needs_ambertools
@pytest.mark.slow
@pytest.mark.parametrize("smiles", ["CO", "c1ccsc1", "C=C1CC1", "CC(=O)NC", "FC(F)(F)C#N", "C[N+](=O)[O-]", "CS(C)=O"])
def test_energies_and_forces_are_those_of_tleap(smiles):
    each = parametrized(smiles)
    xml = force_field_xml.force_field_xml([each])
    assert compare_energies(xml, each) < 1e-6
    assert sum(_charges(each.parameters.system)) == pytest.approx(0, abs=1e-6)


@needs_ambertools
@pytest.mark.slow
@pytest.mark.parametrize("smiles", ["c1ccccc1C", "C=CCc1ccccc1", "c1ccncc1"])
def test_atoms_that_are_alike_keep_their_places_from_the_files_to_the_liquid(tmp_path, smiles):
    """OpenMM may match a molecule mirrored by its symmetry, which takes an improper to another order of atoms."""
    each = parametrized(smiles)
    start_system(tmp_path / "x", StartConfig(smiles=(smiles,), molecules=300, charges="gasteiger"))
    mixture = mixture_of(read_specification(tmp_path / "x"), {read_specification(tmp_path / "x").residues[0].name: 1})
    system = mixture.create_system(mixture.topology(), nonbondedMethod=app.NoCutoff)
    positions = each.molecule.positions + np.random.default_rng(0).normal(
        scale=0.01, size=each.molecule.positions.shape
    )
    (ours, forces), (wanted, wanted_forces) = (
        force_field_xml._evaluate(s, positions) for s in (system, each.parameters.system)
    )
    assert ours == pytest.approx(wanted, rel=1e-6)
    np.testing.assert_allclose(forces, wanted_forces, atol=1e-3)


@needs_ambertools
@pytest.mark.slow
def test_parameters_that_gaff_2_has_are_taken_from_it_every_time():
    """An amide's nitrogen is a type of GAFF-2 alone: relatives of GAFF-1 are 427.6 kcal/mol/angstrom^2."""
    molecule = read_smiles("CC(=O)NC", "MOL")
    carbonyl, nitrogen = molecule.atom_names.index("C2"), molecule.atom_names.index("N1")
    for _ in range(4):
        system = parametrize(molecule, "gasteiger").system
        (bonds,) = (f for f in system.getForces() if isinstance(f, openmm.HarmonicBondForce))
        terms = {frozenset(bonds.getBondParameters(i)[:2]): bonds.getBondParameters(i)[3] for i in range(11)}
        assert terms[frozenset((carbonyl, nitrogen))]._value == pytest.approx(336.07 * 2 * 418.4, rel=1e-4)


@needs_ambertools
@pytest.mark.slow
def test_charges_by_am1_bcc_are_the_published_ones_of_methanol():
    system = parametrized("CO", "bcc").parameters.system
    assert _charges(system) == pytest.approx([0.1167, -0.5988, 0.0287, 0.0287, 0.0287, 0.3960], abs=2e-3)


@needs_ambertools
@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('k1="43.932', 'k1="44.932'),  # an improper of the amide
        ('lj14scale="0.5"', 'lj14scale="0.6"'),
        ("<Improper ", "<Nothing "),
    ],
)
def test_a_force_field_that_differs_is_noticed(old, new):
    each = parametrized("CC(=O)NC")
    xml = force_field_xml.force_field_xml([each])
    changed = xml.replace(old, new, 1)
    assert changed != xml
    assert compare_energies(changed, each) > 1e-4
    with pytest.raises(InputError, match="differs from tleap's by"):
        check_energies(changed, [each])


@needs_ambertools
@pytest.mark.slow
def test_two_molecules_in_one_file_keep_their_parameters():
    one, other = parametrized("CO"), parametrized("CC")
    other = ParametrizedMolecule(molecule=read_smiles("CC", "ETH"), parameters=other.parameters)
    xml = force_field_xml.force_field_xml([one, other])
    assert compare_energies(xml, one) < 1e-6 and compare_energies(xml, other) < 1e-6


def test_water_is_openmms_tip3p():
    molecule = read_smiles("O", "HOH")
    each = ParametrizedMolecule(molecule=molecule, parameters=water_parameters())
    xml = force_field_xml.force_field_xml([each])
    assert compare_energies(xml, each) < 1e-9
    topology = app.Topology()
    chain = topology.addChain()
    for _ in range(2):
        residue = topology.addResidue("HOH", chain)
        atoms = [topology.addAtom(n, app.Element.getBySymbol(n[0]), residue) for n in ("O", "H1", "H2")]
        topology.addBond(atoms[0], atoms[1])
        topology.addBond(atoms[0], atoms[2])
    pair = np.concatenate([water_positions(), water_positions() + np.array([0.3, 0.02, 0.01])])
    systems = [
        app.ForceField(source).createSystem(topology, nonbondedMethod=app.NoCutoff)
        for source in (io.StringIO(xml), "tip3p.xml")
    ]
    energies = [force_field_xml._evaluate(system, pair)[0] for system in systems]
    assert energies[0] == pytest.approx(energies[1], rel=1e-9) and abs(energies[0]) > 1
    assert systems[0].getNumConstraints() == 6  # rigid


def test_a_force_that_amber_does_not_have_is_refused():
    parameters = water_parameters()
    parameters.system.addForce(openmm.CustomBondForce("r"))
    each = ParametrizedMolecule(molecule=read_smiles("O", "HOH"), parameters=parameters)
    with pytest.raises(InputError, match="CustomBondForce, which is no part"):
        force_field_xml.force_field_xml([each])


MOL2 = (
    "@<TRIPOS>MOLECULE\nMOL\n@<TRIPOS>ATOM\n 1 C1 0 0 0 c3 1 MOL {}\n 2 O1 0 0 1 oh 1 MOL {}\n@<TRIPOS>BOND\n 1 1 2 1\n"
)


def test_what_rounding_leaves_of_charges_is_taken_off():
    lines = neutralized(MOL2.format("0.401000", "-0.400000"), "CO").splitlines()
    assert [float(line.split()[-1]) for line in lines[3:5]] == pytest.approx([0.4005, -0.4005], abs=1e-9)
    assert lines[5:] == ["@<TRIPOS>BOND", " 1 1 2 1"]
    with pytest.raises(InputError, match=r"add up to 0\.2000 e"):
        neutralized(MOL2.format("0.6", "-0.4"), "CO")


def test_missing_programs_name_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(ambertools, "_places", lambda name: iter([tmp_path / name]))
    with pytest.raises(
        MissingDependencyError, match=r"no program 'antechamber'.*pip install 'openmm-cgml\[molecules\]'"
    ):
        find_program("antechamber")
    (tmp_path / "antechamber").write_text("#!/bin/sh\n")
    (tmp_path / "antechamber").chmod(0o755)
    assert find_program("antechamber") == tmp_path / "antechamber"


def test_a_program_that_gives_up_is_quoted(monkeypatch, tmp_path):
    program = tmp_path / "giving-up"
    program.write_text("#!/bin/sh\necho 'no convergence' > sqm.out\necho 'Cannot run sqm' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(ambertools, "_places", lambda name: iter([program]))
    with pytest.raises(InputError, match="gives up on 'CO': Cannot run sqm / no convergence; --charges gasteiger"):
        parametrize(read_smiles("CO", "MTH"), "bcc")


def test_parameters_by_far_analogy_are_noted_and_missing_ones_refused():
    molecule = read_smiles("CO", "MTH")
    near = "c3-oh   1   2   same as c3-os, penalty score=  3.0\nX -X -c -o  10.5 180 2  (use general term), penalty score= 60.0"
    assert list(ambertools._by_analogy(near, molecule)) == []
    far = "a-b-c 1 2 same as d-e-f, penalty score=218.5\na-b-g 1 2 same as d-e-f, penalty score= 20.0"
    (note,) = ambertools._by_analogy(far, molecule)
    assert "lacks 2 parameters" in note and "218.5" in note
    with pytest.raises(InputError, match="GAFF-2 has no parameters"):
        list(ambertools._by_analogy("a-b 0.0 0.0 ATTN, need revision", molecule))


def _charges(system):
    (force,) = (f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    return [force.getParticleParameters(i)[0]._value for i in range(force.getNumParticles())]
