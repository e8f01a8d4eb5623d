import warnings

import numpy as np
import pytest

from openmm_cgml.dataset.recording_checks import check_temperature, check_times
from openmm_cgml.errors import DatasetWarning, InputError
from openmm_cgml.shards import FrameStore
from openmm_cgml.units import BOLTZMANN
from tests.atoms import benzene_frames, write_recording

N_MOLECULES, N_FRAMES = 3, 60


def recording(path, kinetic_temperature=300.0, *, times=None, repeated=(), series=None, degrees=30, **metadata):
    """Benzene with kinetic energies of a temperature; each molecule has 36 coordinates less 6 constraints."""
    frames = benzene_frames(N_MOLECULES, N_FRAMES)
    count = degrees * N_MOLECULES
    rng = np.random.default_rng(1)
    kinetic = 0.5 * BOLTZMANN * kinetic_temperature * rng.chisquare(count, N_FRAMES) if series is None else series
    frames = frames.replace(energies={"kinetic": kinetic}, times=0.5 * np.arange(N_FRAMES) if times is None else times)[
        [*range(N_FRAMES), *repeated]
    ]
    return FrameStore.open(write_recording(path, N_MOLECULES, frames, **metadata))


def silently(check, *arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(*arguments)


@pytest.mark.physics
def test_kinetic_energies_of_the_declared_temperature_pass(tmp_path):
    silently(check_temperature, recording(tmp_path / "r"), 300.0)


@pytest.mark.physics
def test_constraints_count_as_no_degrees_of_freedom(tmp_path):
    """The control of the one before: energies of as many degrees of freedom as without constraints are told."""
    with pytest.warns(DatasetWarning, match=r"declares 300 K, its kinetic energies are those of 35\d"):
        check_temperature(recording(tmp_path / "r", degrees=36), 300.0)


@pytest.mark.physics
def test_frozen_atoms_are_counted_as_declared(tmp_path):
    store = recording(tmp_path / "r", degrees=15, degrees_of_freedom=15 * N_MOLECULES)
    silently(check_temperature, store, 300.0)
    with pytest.raises(InputError, match="declares 300 K"):
        check_temperature(recording(tmp_path / "without", degrees=15), 300.0)


def test_recording_of_another_temperature_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"declares 300 K, its kinetic energies are those of 9\d.*FrameWriter"):
        check_temperature(recording(tmp_path / "r", 100.0), 300.0)


def test_temperature_that_is_a_little_off_is_told(tmp_path):
    with pytest.warns(DatasetWarning, match=r"declares 300 K.*check thermostat"):
        check_temperature(recording(tmp_path / "r", 355.0), 300.0)


@pytest.mark.parametrize("series", [np.zeros(N_FRAMES), np.linspace(0, 200, N_FRAMES)], ids=["positions", "warming"])
def test_kinetic_energies_that_tell_no_temperature_are_passed_over(tmp_path, series):
    silently(check_temperature, recording(tmp_path / "r", series=series), 300.0)


def test_system_of_another_temperature_is_told(tmp_path):
    with pytest.warns(DatasetWarning, match=r"recorded at 300 K, the system.yaml says 450 K"):
        check_temperature(recording(tmp_path / "r"), 450.0)


def test_frames_after_a_restart_from_an_earlier_checkpoint_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"3 frames are there twice, the first is frame 55 at 27.5 ps"):
        check_times(recording(tmp_path / "r", repeated=(55, 56, 57)))


def test_times_that_run_backward_are_told(tmp_path):
    times = np.concatenate([np.arange(30.0), np.arange(30.0) + 0.25])
    with pytest.warns(DatasetWarning, match=r"times run backward \(frame 30 is at 0.25 ps, the one before at 29 ps\)"):
        check_times(recording(tmp_path / "r", times=times))


def test_times_in_order_pass(tmp_path):
    silently(check_times, recording(tmp_path / "r"))
