import numpy as np
import pytest

from openmm_cgml.errors import ArtifactError
from openmm_cgml.runs import Snapshot
from openmm_cgml.runs.log import POTENTIAL, SPEED, STEP, LogWriter, read_log

OLD = "step,time_ps,temperature_K,potential_kJ_per_mol,kinetic_kJ_per_mol,steps_per_s\n5,0.025,300.000,-1.5,2.5,10.0\n"


def make_snapshot(step=10, **changes):
    values = {
        "step": step,
        "time": 0.005 * step,
        "positions": np.zeros((1, 3)),
        "velocities": np.zeros((1, 3)),
        "box": np.diag([2.0, 2.0, 2.5]),
        "potential_energy": -2.0,
        "kinetic_energy": 3.0,
        "temperature": 310.0,
    }
    return Snapshot(**{**values, **changes})


def test_a_log_reads_back_by_column(tmp_path):
    with LogWriter(tmp_path / "log.csv") as log:
        log.append(make_snapshot(5), 12.5)
        log.append(make_snapshot(10, potential_energy=-4.0), 13.5)
    read = read_log(tmp_path / "log.csv")
    np.testing.assert_array_equal(read[STEP], [5, 10])
    np.testing.assert_array_equal(read[POTENTIAL], [-2, -4])
    np.testing.assert_array_equal(read[SPEED], [12.5, 13.5])


def test_the_log_of_an_earlier_version_goes_on_with_its_own_columns(tmp_path):
    (tmp_path / "log.csv").write_text(OLD)
    with LogWriter(tmp_path / "log.csv") as log:
        log.append(make_snapshot(10), 12.0)
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines == [*OLD.splitlines(), "10,0.050000,310.000,-2,3,12.0"]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", OLD + "6,0.03\n", OLD + "6,x,1,1,1,1\n"])
def test_what_is_no_log_is_refused(tmp_path, text):
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(ArtifactError, match=r"log.csv"):
        read_log(tmp_path / "log.csv")
