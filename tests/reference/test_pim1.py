import sys
import time
from collections import Counter
from functools import cache

import numpy as np
import openmm
import pytest
from openmm import app, unit
from scipy.spatial import cKDTree

from openmm_cgml.errors import MissingDependencyError
from openmm_cgml.mapping import mapping_from_specification
from openmm_cgml.reference import pim1 as pim1_module
from openmm_cgml.reference.pim1 import chain_smiles, pim1
from openmm_cgml.reference.polymers import is_crossed
from openmm_cgml.specification import read_specification
from openmm_cgml.topology import AtomTopology

N_CHAINS, MONOMERS = 2, 3


@pytest.fixture(autouse=True)
def _needs_rdkit():
    pytest.importorskip("rdkit")


@cache
def system():
    pytest.importorskip("openmmforcefields")
    topology = pim1().topology(N_CHAINS, MONOMERS)
    topology.setUnitCellDimensions(openmm.Vec3(4.0, 4.0, 4.0))
    return (
        pim1()
        .gaff_force_field()
        .createSystem(
            topology, nonbondedMethod=app.PME, nonbondedCutoff=1.0, switchDistance=0.9, constraints=app.HBonds
        )
    )


@cache
def grown(n_chains=N_CHAINS, monomers=MONOMERS, edge=4.0, seed=1):
    return pim1().grow(n_chains, monomers, edge, np.random.default_rng(seed))


def bonds(topology):
    return np.array([(a.index, b.index) for a, b in topology.bonds()])


def neighbors(topology):
    found = [set() for _ in topology.atoms()]
    for i, j in bonds(topology).tolist():
        found[i].add(j)
        found[j].add(i)
    return found


def force(kind):
    return next(force for force in system().getForces() if isinstance(force, kind))


def test_repeat_unit_and_chains_have_the_known_formulas():
    assert Counter(pim1().body.elements) == {"C": 29, "H": 20, "N": 2, "O": 4}
    assert [pim1().n_atoms(n) for n in (2, 3, 10)] == [55 * n + 4 for n in (2, 3, 10)]
    assert Counter(pim1().head.elements) - Counter(pim1().body.elements) == {"H": 2}
    assert Counter(pim1().tail.elements) - Counter(pim1().body.elements) == {"F": 2}


def test_topology_is_the_molecule_of_its_smiles():
    from rdkit import Chem

    drawn = Chem.AddHs(Chem.MolFromSmiles(chain_smiles(6)))
    built = Chem.RWMol()
    topology = pim1().topology(1, 6)
    for atom in topology.atoms():
        built.AddAtom(Chem.Atom(atom.element.symbol))
    for i, j in bonds(topology).tolist():
        built.AddBond(i, j, Chem.BondType.SINGLE)
    for molecule in (drawn, built):
        for bond in molecule.GetBonds():
            bond.SetBondType(Chem.BondType.SINGLE)
            bond.SetIsAromatic(False)
        for atom in molecule.GetAtoms():
            atom.SetIsAromatic(False)
            atom.SetNoImplicit(True)
            atom.SetNumExplicitHs(0)
    assert Chem.MolToSmiles(built.GetMol()) == Chem.MolToSmiles(drawn)


def test_a_chain_is_one_ladder():
    topology = pim1().topology(1, 7)
    # Rings: two of five and two of six atoms in each spirobisindane unit, one phthalonitrile, two dioxanes but at the end.
    assert topology.getNumBonds() - topology.getNumAtoms() + 1 == 7 * 7 - 1
    between = Counter(
        tuple(sorted((a.residue.index, b.residue.index))) for a, b in topology.bonds() if a.residue != b.residue
    )
    assert between == {(i, i + 1): 2 for i in range(6)}


def test_joints_are_made_in_both_ways_and_never_three_times_the_same_in_a_row():
    ways = [is_crossed(joint) for joint in range(200)]
    assert 90 < sum(ways) < 110
    assert all(len(set(ways[i : i + 3])) == 2 for i in range(198))
    named = [
        {(a.name, b.name) for a, b in pim1().topology(1, 10).bonds() if a.residue.index == joint < b.residue.index}
        for joint in range(9)
    ]
    straight, crossed = {("C26", "O1"), ("C27", "O2")}, {("C26", "O2"), ("C27", "O1")}
    assert named == [crossed if is_crossed(joint) else straight for joint in range(9)]


def test_body_and_chains_are_neutral_and_every_residue_has_the_charges_of_a_long_chain():
    from rdkit.Chem import AllChem

    assert sum(pim1().body.charges) == pytest.approx(0.0, abs=1e-9)
    assert sum(pim1().head.charges) + sum(pim1().tail.charges) == pytest.approx(0.0, abs=1e-9)
    molecule = AllChem.AddHs(AllChem.MolFromSmiles(chain_smiles(10)))
    AllChem.ComputeGasteigerCharges(molecule)
    charges = [a.GetDoubleProp("_GasteigerCharge") for a in molecule.GetAtoms() if a.GetSymbol() != "H"]
    ours = [
        charge
        for unit_ in pim1().units(10)
        for charge, element in zip(unit_.charges, unit_.elements, strict=True)
        if element != "H"
    ]
    np.testing.assert_allclose(ours, charges, atol=1e-5)


def test_gaff_has_every_bond_and_angle():
    topology = pim1().topology(N_CHAINS, MONOMERS)
    around = neighbors(topology)
    n_angles = sum(len(atoms) * (len(atoms) - 1) // 2 for atoms in around)
    n_bonds = force(openmm.HarmonicBondForce).getNumBonds() + system().getNumConstraints()
    assert n_bonds == topology.getNumBonds()
    assert force(openmm.HarmonicAngleForce).getNumAngles() == n_angles


def test_every_bond_but_those_to_linear_nitriles_has_torsions():
    topology = pim1().topology(N_CHAINS, MONOMERS)
    around, torsions = neighbors(topology), force(openmm.PeriodicTorsionForce)
    names = [atom.name for atom in topology.atoms()]
    turned = {frozenset(torsions.getTorsionParameters(i)[1:3]) for i in range(torsions.getNumTorsions())}
    inner = [bond for bond in bonds(topology).tolist() if min(len(around[i]) for i in bond) > 1]
    free = {frozenset(names[i] for i in bond) for bond in inner if frozenset(bond) not in turned}
    # About a line there is no torsion.
    assert free == {frozenset(("C24", "C25")), frozenset(("C28", "C29"))}


def test_ring_systems_are_kept_flat():
    torsions = force(openmm.PeriodicTorsionForce)
    topology = pim1().topology(N_CHAINS, MONOMERS)
    around = neighbors(topology)
    impropers = Counter()
    for index in range(torsions.getNumTorsions()):
        atoms = torsions.getTorsionParameters(index)[:4]
        impropers.update(c for c in atoms if set(atoms) - {c} == around[c])
    flat = [atom.index for atom in topology.atoms() if atom.element.symbol == "C" and len(around[atom.index]) == 3]
    assert sorted(impropers) == flat
    assert set(impropers.values()) == {1}


def test_mapping_makes_a_linear_chain_of_three_beads_per_monomer():
    specification = read_specification("pim-1")
    atoms = AtomTopology.from_openmm(pim1().topology(2, 10))
    beads = mapping_from_specification(specification, atoms).target
    types = [specification.type_names[i] for i in beads.bead_types]
    assert types == 2 * ["S2H", "S1", "P", *["S2", "S1", "P"] * 8, "S2", "S1", "PF"]
    assert sorted(specification.type_names) == ["P", "PF", "S1", "S2", "S2H"]
    assert beads.bonds.tolist() == [[i, i + 1] for i in range(59) if i != 29]
    mass = dict(zip(types, beads.masses, strict=True))
    assert mass["S1"] - mass["S2"] == pytest.approx(12.011, abs=1e-2)
    assert mass["S2H"] - mass["S2"] == pytest.approx(2.016, abs=1e-2)
    assert beads.masses.sum() == pytest.approx(2 * (10 * 460.5 + 2.0 + 38.0), rel=1e-3)


def test_no_constraint_straddles_two_beads():
    constrained = [system().getConstraintParameters(i)[:2] for i in range(system().getNumConstraints())]
    atoms = AtomTopology.from_openmm(pim1().topology(N_CHAINS, MONOMERS), constrained)
    assert len(atoms.constraints) == N_CHAINS * (20 * MONOMERS + 2)
    mapping_from_specification(read_specification("pim-1"), atoms)


def test_system_file_names_the_polymer_and_its_links():
    (chain,) = read_specification("pim-1").chains
    assert chain.name == pim1().name
    assert (chain.head, chain.body, chain.tail) == tuple(unit_.residue_name for unit_ in pim1().units(3))
    assert chain.links == pim1().links


def test_equilibration_is_the_published_one():
    stages = read_specification("pim-1").reference.equilibration
    assert len(stages) == 21
    assert sum(stage.duration for stage in stages) == pytest.approx(1560.0)
    highest = max(stage.pressure or 0.0 for stage in stages)
    pressures = [stage.pressure for stage in stages]
    assert pressures[2::3] == pytest.approx([*(f * highest for f in (0.02, 0.6, 1.0, 0.5, 0.1, 0.01)), 1.0])
    assert pressures[0::3] == pressures[1::3] == [None] * 7
    assert all(stage.time_step <= 0.002 for stage in stages if (stage.pressure or 0.0) > 1.0)
    assert {stage.temperature for stage in stages[0::3]} == {600.0}
    assert {stage.temperature for stage in [*stages[1::3], *stages[2::3]]} == {300.0}


def test_growth_is_the_same_for_the_same_seed_only():
    again, other = (pim1().grow(N_CHAINS, MONOMERS, 4.0, np.random.default_rng(seed)) for seed in (1, 2))
    assert np.array_equal(grown(), again)
    assert np.abs(grown() - other).max() > 0.1


def test_chains_are_whole_with_sensible_bonds():
    pairs = bonds(pim1().topology(N_CHAINS, MONOMERS))
    lengths = np.linalg.norm(grown()[pairs[:, 0]] - grown()[pairs[:, 1]], axis=1)
    assert lengths.min() > 0.09 and lengths.max() < 0.165


def closest(positions, edge, topology):
    """Smallest distances between chains or periodic images, and within a chain between atoms more than 4 bonds apart."""
    n_atoms = len(positions) // len(list(topology.chains()))
    wrapped = np.minimum(positions % edge, np.nextafter(edge, 0.0))
    pairs = cKDTree(wrapped, boxsize=edge).query_pairs(0.3, output_type="ndarray")
    vectors = positions[pairs[:, 0]] - positions[pairs[:, 1]]
    shifts = edge * np.rint(vectors / edge)
    distances = np.linalg.norm(vectors - shifts, axis=1)
    around = neighbors(topology)
    within = [{i} for i in range(len(positions))]
    for _ in range(4):
        within = [reached.union(*(around[i] for i in reached)) for reached in within]
    near = np.array([j in within[i] for i, j in pairs.tolist()], dtype=bool)
    inter = (pairs[:, 0] // n_atoms != pairs[:, 1] // n_atoms) | shifts.any(axis=1)
    return distances[inter].min(initial=0.3), distances[~inter & ~near].min(initial=0.3)


@pytest.mark.slow
def test_ten_chains_of_ten_grow_fast_without_overlaps_and_with_both_hands():
    topology = pim1().topology(10, 10)
    edge = 9.17
    before = time.process_time()
    positions = pim1().grow(10, 10, edge, np.random.default_rng(3))
    assert time.process_time() - before < 20.0
    between, within = closest(positions, edge, topology)
    assert between >= 0.28
    assert within > 0.18
    index = {(atom.residue.index, atom.name): atom.index for atom in topology.atoms()}
    c, a, b, d = (positions[[index[r, name] for r in range(100)]] for name in ("C11", "C3", "C10", "C12"))
    hands = np.sign(np.einsum("ni,ni->n", a - c, np.cross(b - c, d - c)))
    assert 25 < (hands > 0).sum() < 75


@pytest.mark.slow
def test_a_box_runs_at_300_kelvin():
    integrator = openmm.LangevinMiddleIntegrator(300.0, 1.0, 0.001)
    integrator.setRandomNumberSeed(1)
    simulation = app.Simulation(
        pim1().topology(N_CHAINS, MONOMERS), system(), integrator, openmm.Platform.getPlatform("CPU"), {"Threads": "1"}
    )
    simulation.context.setPositions(grown())
    simulation.context.setPeriodicBoxVectors(*(4.0 * np.eye(3)))
    simulation.minimizeEnergy(tolerance=50.0, maxIterations=500)
    minimized = simulation.context.getState(energy=True).getPotentialEnergy()._value
    simulation.context.setVelocitiesToTemperature(300.0, 2)
    simulation.step(500)
    state = simulation.context.getState(energy=True, positions=True)
    kinetic = state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole)
    n_free = 3 * system().getNumParticles() - system().getNumConstraints()
    assert 200.0 < 2.0 * kinetic / (n_free * 0.0083144626) < 400.0
    assert minimized < state.getPotentialEnergy()._value < minimized + n_free * 0.0083144626 * 300.0
    moved = np.linalg.norm(state.getPositions(asNumpy=True)._value - grown(), axis=1)
    assert moved.max() < 1.0


def test_without_rdkit_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    monkeypatch.setitem(sys.modules, "rdkit.Chem", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'openmm-cgml\[polymers\]'"):
        pim1_module.chemistry()
