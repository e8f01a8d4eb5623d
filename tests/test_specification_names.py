"""Names in a system.yaml that OpenMM and mdtraj read as others from files."""

import pytest

from openmm_cgml import InputError, read_specification


def write(path, residue, bead, *more):
    beads = ", ".join(f"{{name: {name}, type: T{i}, atoms: [X{i}]}}" for i, name in enumerate((bead, *more)))
    atoms = ", ".join(f"{{name: X{i}, element: C}}" for i in range(1 + len(more)))
    path.write_text(
        f"name: x\ntemperature: 300 K\nresidues:\n  - {{name: {residue}, count: 5, atoms: [{atoms}], beads: [{beads}]}}\n"
    )
    return path


@pytest.mark.parametrize(("given", "read"), [("SOL", "HOH"), ("TIP3", "HOH"), ("HID", "HIS"), ("LIG", "LIG")])
def test_residues_have_the_name_that_comes_back_from_files(tmp_path, given, read):
    (template,) = read_specification(write(tmp_path / "s.yaml", given, "W")).templates()
    assert (template.name, template.bead_names) == (read, ("W",))


def test_beads_have_the_name_that_comes_back_from_files(tmp_path):
    (template,) = read_specification(write(tmp_path / "s.yaml", "SOL", "OW")).templates()
    assert template.bead_names == ("O",)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("MOL", "'C 1'"), "'C 1'"),
        (("'_A'", "B"), "'_A'"),
        (("ALA", "CA", "CB"), "OpenMM bonds beads CA and CB"),
        (("CYS", "BB", "SG"), "disulfide"),
    ],
)
def test_names_that_would_not_come_back_are_refused_as_the_file_is_read(tmp_path, names, message):
    with pytest.raises(InputError, match=message):
        read_specification(write(tmp_path / "s.yaml", *names))
