"""A system that is a folder of files alone: no Python knows its molecule."""

import numpy as np
import pytest

from openmm_cgml.dataset import map_recording
from openmm_cgml.errors import InputError
from openmm_cgml.reference import ReferenceConfig, run_reference
from openmm_cgml.reference.mixture import mixture_of
from openmm_cgml.specification import read_specification

SYSTEM = """
name: chlorine
temperature: 300 kelvin
residues:
  - name: CLM
    count: 27
    atoms: [{name: CL1, element: Cl}, {name: CL2, element: Cl}]
    beads: [{name: B1, type: CL2, atoms: [CL1, CL2]}]
reference:
  force_field: chlorine.xml
  molecule: chlorine.pdb
  density: 0.7 g/cm^3
  time_step: 2 fs
  cutoff: 0.7 nm
  switch_distance: 0.6 nm
"""
FORCE_FIELD = """<ForceField>
  <AtomTypes><Type name="Cl" class="Cl" element="Cl" mass="35.453"/></AtomTypes>
  <Residues><Residue name="CLM">
    <Atom name="CL1" type="Cl"/><Atom name="CL2" type="Cl"/><Bond atomName1="CL1" atomName2="CL2"/>
  </Residue></Residues>
  <HarmonicBondForce><Bond class1="Cl" class2="Cl" length="0.199" k="190000"/></HarmonicBondForce>
  <NonbondedForce coulomb14scale="0.833333" lj14scale="0.5">
    <Atom type="Cl" charge="0" sigma="0.335" epsilon="1.45"/>
  </NonbondedForce>
</ForceField>
"""
MOLECULE = """HETATM    1  CL1 CLM A   1       0.000   0.000   0.000  1.00  0.00          Cl
HETATM    2  CL2 CLM A   1       1.990   0.000   0.000  1.00  0.00          Cl
CONECT    1    2
CONECT    2    1
END
"""
FILES = {"system.yaml": SYSTEM, "chlorine.xml": FORCE_FIELD, "chlorine.pdb": MOLECULE}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.slow
def test_a_folder_alone_is_simulated_and_mapped(folder):
    specification = read_specification(folder)
    config = ReferenceConfig(
        molecules=27,
        relaxation_duration=0.04,
        duration=0.2,
        frame_interval=0.01,
        density=0.7,
        platform="CPU",
        threads=1,
    )
    result = run_reference(specification, folder / "run", config)
    dataset = map_recording(result.recording, specification, folder / "data")
    frames = dataset.frames()
    assert (dataset.topology.n_beads, len(frames)) == (27, 20)
    assert dataset.topology.masses == pytest.approx(70.906, abs=0.01)
    # One bead a molecule: all of its force is intermolecular.
    np.testing.assert_allclose(frames.forces, frames.forces_inter, atol=0.5)
    assert np.abs(frames.forces).max() > 1.0
    (folder / "chlorine.xml").write_text(FORCE_FIELD.replace("0.335", "0.336"))
    with pytest.raises(InputError, match="force_field: was 'chlorine-"):
        run_reference(read_specification(folder), folder / "run", config, resume=True)


def test_the_model_is_named_by_the_content_of_its_file(folder):
    first = mixture_of(read_specification(folder)).name
    assert first.startswith("chlorine-")
    (folder / "chlorine.xml").write_text(FORCE_FIELD.replace("0.335", "0.336"))
    assert mixture_of(read_specification(folder)).name != first


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("chlorine.xml", "</ForceField>", "<Script>print()</Script></ForceField>", "holds Script, which runs code"),
        ("chlorine.xml", "</ForceField>", "", "not readable as XML"),
        ("chlorine.xml", "ForceField>", "System>", "is a <System>"),
        ("chlorine.pdb", "CLM A   1       1.990", "CLM A   2       1.990", "holds 2 residues"),
        ("system.yaml", "chlorine.pdb", "bromine.pdb", r"bromine\.pdb: no such file"),
        ("system.yaml", "  molecule: chlorine.pdb\n", "", "an XML file needs the PDB file"),
    ],
)
def test_what_is_no_model_is_refused(folder, name, old, new, message):
    (folder / name).write_text(FILES[name].replace(old, new))
    with pytest.raises(InputError, match=message):
        mixture_of(read_specification(folder))
