import numpy as np
import pytest

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.reference import ReferenceReport, format_report, report_reference
from openmm_cgml.reference.report import _vertex
from openmm_cgml.specification import LiteratureValue
from tests.reference import liquids


def test_report_has_energies_per_molecule_with_errors_beside_literature(tmp_path):
    report = report_reference(liquids.write_recording(tmp_path / "run" / "recording"), liquids.specification())
    inter = report.observables["intermolecular_energy"]
    assert inter.value == pytest.approx(-27.5, abs=0.5)
    assert 0.03 < inter.standard_error < 0.3
    vaporization = report.observables["vaporization_enthalpy"]
    assert vaporization.value == pytest.approx(8.314462618e-3 * 300.0 - inter.value)
    assert (vaporization.simulated, vaporization.experiment) == (30.0, 33.8)
    assert report.duration == pytest.approx(4.0)


def test_report_finds_the_recording_inside_a_run_and_survives_json(tmp_path):
    liquids.write_recording(tmp_path / "run" / "recording")
    report = report_reference(tmp_path / "run", liquids.specification())
    assert ReferenceReport.from_json(report.to_json()).observables["density"].value == liquids.DENSITY
    assert "33.8" in format_report(report)
    assert "20 frames" in format_report(report)


def test_density_error_comes_from_the_constant_pressure_run(tmp_path):
    samples = np.random.default_rng(1).normal(liquids.DENSITY, 0.01, 100)
    recording = liquids.write_recording(tmp_path / "recording")
    report = report_reference(recording, liquids.specification(), density_samples=samples)
    assert report.observables["density"].standard_error == pytest.approx(0.001, rel=0.5)


def test_density_that_still_changes_is_noted(tmp_path):
    recording = liquids.write_recording(tmp_path / "recording")
    noise = np.random.default_rng(1).normal(0, 0.01, 100)

    def notes(samples):
        return report_reference(recording, liquids.specification(), density_samples=samples).notes

    assert not any("density still changed" in note for note in notes(liquids.DENSITY + noise))
    drifting = liquids.DENSITY * np.linspace(0.9, 1.0, 100) + noise
    assert any("density still changed" in note and "from 0.45" in note for note in notes(drifting))


def test_vertex_recovers_a_known_peak():
    r = np.arange(0.3, 0.9, 0.01)
    position, height = _vertex(r, 1.83 * np.exp(-(((r - 0.562) / 0.1) ** 2) / 2))
    assert position == pytest.approx(0.562, abs=1e-3)
    assert height == pytest.approx(1.83, abs=0.005)


def test_too_few_frames_are_refused(tmp_path):
    with pytest.raises(InputError, match="9 finished frames; a report needs at least 10"):
        report_reference(liquids.write_recording(tmp_path / "recording", 9), liquids.specification())


def test_recording_without_intermolecular_energies_is_refused(tmp_path):
    recording = liquids.write_recording(tmp_path / "recording", energies=("bonded", "kinetic"))
    with pytest.raises(InputError, match="lacks intermolecular energies"):
        report_reference(recording, liquids.specification())


def test_folder_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="openmm-cgml/dataset"):
        report_reference(
            liquids.write_recording(tmp_path / "dataset", kind="openmm-cgml/dataset"), liquids.specification()
        )


def test_literature_in_another_unit_is_refused(tmp_path):
    wrong = {"density": LiteratureValue(unit="kg/m^3", experiment=874.0)}
    specification = liquids.specification().model_copy(update={"literature": wrong})
    with pytest.raises(InputError, match=r"'density'.*must be in 'g/cm\^3', not 'kg/m\^3'"):
        report_reference(liquids.write_recording(tmp_path / "recording"), specification)
