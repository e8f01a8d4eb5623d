import copy

import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.simulation.platform import available_platforms, choose_platform, fingerprint_system


def test_the_fastest_platform_is_chosen_with_a_reason():
    choice = choose_platform()
    assert choice.name in available_platforms()
    assert choice.name != "Reference"
    assert choice.reason.startswith("fastest that works")


def test_threads_go_to_the_cpu_platform():
    assert choose_platform("CPU", 2).properties == {"Threads": "2"}
    assert choose_platform("Reference", 2).properties == {}


def test_a_platform_that_is_not_there_is_refused_with_those_that_are(monkeypatch):
    monkeypatch.setattr("openmm_cgml.simulation.platform.available_platforms", lambda: ("Reference", "CPU"))
    with pytest.raises(InputError, match=r"CUDA is not available; available are Reference, CPU"):
        choose_platform("CUDA")


def test_a_platform_that_does_not_work_is_passed_over_and_named(monkeypatch):
    def probe(choice):
        return "no device" if choice.name == "CUDA" else None

    monkeypatch.setattr("openmm_cgml.simulation.platform.available_platforms", lambda: ("Reference", "CPU", "CUDA"))
    monkeypatch.setattr("openmm_cgml.simulation.platform._probe", probe)
    assert choose_platform().name == "CPU"
    assert "CUDA: no device" in choose_platform().reason
    with pytest.raises(InputError, match=r"CUDA does not work here: no device"):
        choose_platform("CUDA")


@pytest.mark.parametrize(
    "change",
    [
        lambda system: system.setParticleMass(3, 79.0),
        lambda system: system.getForce(1).setEnergyFunction("4.2*(0.4/r)^12"),
        lambda system: system.getForce(0).setBondParameters(0, 0, 1, 0.51, 50000.0),
        lambda system: system.addConstraint(0, 1, 0.5),
        lambda system: system.removeForce(0),
    ],
)
def test_every_change_of_a_system_changes_its_fingerprint(dimers, change):
    before = fingerprint_system(dimers.system)
    assert fingerprint_system(copy.deepcopy(dimers.system)) == before
    change(dimers.system)
    assert fingerprint_system(dimers.system) != before


def test_what_a_python_force_computes_enters_by_its_identity(dimers):
    assert fingerprint_system(dimers.system, "one") != fingerprint_system(dimers.system, "two")
