import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.simulation import SimulationConfig


def make(**changes):
    return SimulationConfig(**{"temperature": "300 kelvin", "duration": "10 ps", "time_step": "5 fs", **changes})


def test_times_are_rounded_to_whole_steps_and_frames():
    config = make(time_step="3 fs", frame_interval="1 ps", checkpoint_interval="5.3 ps")
    assert config.steps_per_frame == 333
    assert config.steps_per_checkpoint == 5 * 333
    assert config.n_steps == 10 * 333


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_step": 0.0}, "time_step is 0; it must be greater than zero"),
        ({"time_step": 5}, "frame_interval is 1 ps, less than one time step of 5 ps"),
        ({"duration": "0.5 ps", "frame_interval": "1 ps"}, "nothing would be recorded"),
        ({"friction": -1.0}, "friction is -1"),
        ({"temperature": "300 nm"}, "temperature"),
        ({"platform": "GPU"}, "platform"),
        ({"timestep": "5 fs"}, "time_step"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        make(**changes)


def test_a_run_shorter_than_the_default_frame_interval_has_one_frame():
    config = make(duration="0.2 ps")
    assert (config.frame_interval, config.n_steps, config.steps_per_frame) == (0.2, 40, 40)


def test_a_pressure_has_a_unit_in_files_and_is_in_bar():
    assert make(pressure="1 atm").pressure == pytest.approx(1.01325)
    with pytest.raises(InputError, match=r"pressure"):
        make(pressure="1 nm")
