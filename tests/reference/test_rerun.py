import numpy as np
import openmm
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.reference.rerun import ForceCalculator, create_system_from_files
from openmm_cgml.trajectories.topology_files import read_atom_topology
from tests.trajectories.liquid import BONDS, liquid_system, run_liquid, write_data


def frames_of(run, n=6):
    return Frames(
        positions=run.positions[:n], box=np.tile(run.box, (n, 1, 1)), energies={"kinetic": np.arange(n) + 1.0}
    )


def test_forces_computed_anew_are_those_of_the_run_and_split(tmp_path):
    run = run_liquid()
    found = ForceCalculator(liquid_system())(frames_of(run))
    np.testing.assert_allclose(found.forces, run.forces[:6], rtol=1e-4, atol=0.02)
    np.testing.assert_allclose(found.energies["kinetic"], np.arange(6) + 1.0)
    # What is within a molecule here is its bond alone.
    rest = (found.forces - found.forces_inter).reshape(6, -1, 2, 3)
    np.testing.assert_allclose(rest.sum(axis=2), 0, atol=5e-3)
    vectors = run.positions[:6, BONDS[:, 1]] - run.positions[:6, BONDS[:, 0]]
    lengths = np.linalg.norm(vectors, axis=2, keepdims=True)
    np.testing.assert_allclose(rest[:, :, 0], 150_000 * (lengths - 0.142) * vectors / lengths, atol=0.05)


def test_long_molecules_are_split_as_short_ones_are(monkeypatch):
    frames = frames_of(run_liquid())
    listed = ForceCalculator(liquid_system())(frames)
    monkeypatch.setattr("openmm_cgml.reference.rerun._LARGEST_LISTED", 1)
    isolated = ForceCalculator(liquid_system())(frames)
    np.testing.assert_allclose(isolated.forces_inter, listed.forces_inter, atol=0.02)
    np.testing.assert_allclose(isolated.energies["inter"], listed.energies["inter"], rtol=1e-4)


def test_a_system_that_cannot_be_split_gives_total_forces_and_says_why():
    system = liquid_system()
    force = openmm.CustomManyParticleForce(3, "0*distance(p1,p2)")
    force.setNonbondedMethod(force.CutoffPeriodic)
    force.setCutoffDistance(0.3)
    for _ in range(128):
        force.addParticle([], 0)
    system.addForce(force)
    calculator = ForceCalculator(system)
    assert calculator.reason
    found = calculator(frames_of(run_liquid()))
    assert found.forces_inter is None
    np.testing.assert_allclose(found.forces, run_liquid().forces[:6], rtol=1e-4, atol=0.02)


def test_virtual_sites_are_placed_and_have_no_part_in_the_frames():
    system = liquid_system()
    pairs = next(force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    for i, j in BONDS.tolist():
        site = system.addParticle(0.0)
        system.setVirtualSite(site, openmm.TwoParticleAverageSite(i, j, 0.5, 0.5))
        pairs.addParticle(0.0, 0.33, 0.0)
        pairs.addException(i, site, 0, 1, 0)
        pairs.addException(j, site, 0, 1, 0)
    found = ForceCalculator(system, np.arange(128))(frames_of(run_liquid()))
    np.testing.assert_allclose(found.forces, run_liquid().forces[:6], rtol=1e-4, atol=0.02)


def test_frames_that_do_not_fit_the_system_are_refused():
    calculator, run = ForceCalculator(liquid_system()), run_liquid()
    with pytest.raises(InputError, match="frames of 100 atoms for a System of 128"):
        calculator(Frames(positions=run.positions[:1, :100], box=run.box[None]))
    with pytest.raises(InputError, match="the frames have no box"):
        calculator(Frames(positions=run.positions[:1]))
    with pytest.raises(InputError, match="particle 127 is no virtual site"):
        ForceCalculator(liquid_system(), np.arange(127))


def test_a_system_of_a_file_is_the_system(tmp_path):
    system = liquid_system()
    system.addForce(openmm.MonteCarloBarostat(1, 300))
    (tmp_path / "s.xml").write_text(openmm.XmlSerializer.serialize(system))
    atoms = read_atom_topology(write_data(tmp_path / "a.data")).atoms
    made = create_system_from_files([tmp_path / "s.xml"], atoms, run_liquid().box)
    assert not any("Barostat" in type(force).__name__ for force in made.getForces())
    np.testing.assert_allclose(
        ForceCalculator(made)(frames_of(run_liquid())).forces, run_liquid().forces[:6], rtol=1e-4, atol=0.02
    )


FORCE_FIELD = """<ForceField>
 <AtomTypes><Type name="c" class="c" element="C" mass="12.011"/><Type name="o" class="o" element="O" mass="15.999"/></AtomTypes>
 <Residues><Residue name="M1"><Atom name="C1" type="c"/><Atom name="O1" type="o"/><Bond atomName1="C1" atomName2="O1"/></Residue></Residues>
 <HarmonicBondForce><Bond class1="c" class2="o" length="0.142" k="150000"/></HarmonicBondForce>
 <NonbondedForce coulomb14scale="0" lj14scale="0"><Atom class="c" charge="0" sigma="0.33" epsilon="0.4"/><Atom class="o" charge="0" sigma="0.33" epsilon="0.4"/></NonbondedForce>
</ForceField>"""


def test_a_force_field_is_applied_to_the_atoms_of_the_topology(tmp_path):
    (tmp_path / "f.xml").write_text(FORCE_FIELD)
    atoms, run = read_atom_topology(write_data(tmp_path / "a.data")).atoms, run_liquid()
    system = create_system_from_files([tmp_path / "f.xml"], atoms, run.box, cutoff=0.85)
    pairs = next(force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    assert pairs.getNonbondedMethod() == openmm.NonbondedForce.PME
    np.testing.assert_allclose(ForceCalculator(system)(frames_of(run)).forces, run.forces[:6], rtol=1e-4, atol=0.1)


def test_files_that_make_no_system_are_refused_by_name(tmp_path):
    atoms = read_atom_topology(write_data(tmp_path / "a.data")).atoms
    with pytest.raises(InputError, match="no such file"):
        create_system_from_files([tmp_path / "none.xml"], atoms, None)
    for name, text in (("a.xml", "<ForceField></ForceField>"), ("b.prmtop", "nothing"), ("c.psf", "PSF")):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=name):
            create_system_from_files([tmp_path / name], atoms, None)


GROMACS = """[ defaults ]
1 2 yes 0.5 0.8333
[ atomtypes ]
c c 6 12.011 0.0 A 0.33 0.4
o o 8 15.999 0.0 A 0.33 0.4
[ moleculetype ]
CO 1
[ atoms ]
1 c 1 CO C1 1 0.0 12.011
2 o 1 CO O1 1 0.0 15.999
[ bonds ]
1 2 1 0.142 150000
[ system ]
liquid
[ molecules ]
CO 64
"""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a file that MDAnalysis leaves open
def test_a_gromacs_topology_gives_atoms_and_forces(tmp_path):
    (tmp_path / "a.top").write_text(GROMACS)
    run, topology = run_liquid(), read_atom_topology(tmp_path / "a.top")
    assert topology.atoms.elements == ("C", "O") * 64
    np.testing.assert_array_equal(topology.atoms.bonds, BONDS)
    system = create_system_from_files([tmp_path / "a.top"], topology.atoms, run.box, cutoff=0.85)
    np.testing.assert_allclose(ForceCalculator(system)(frames_of(run)).forces, run.forces[:6], rtol=1e-4, atol=0.1)
