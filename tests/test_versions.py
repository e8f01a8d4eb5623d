from importlib import metadata

from openmm_cgml.versions import versions_of


def test_versions_are_those_of_installed_packages_and_others_are_left_out():
    assert versions_of(["numpy", "no-such-package", "openmm"]) == {
        "numpy": metadata.version("numpy"),
        "openmm": metadata.version("openmm"),
    }
