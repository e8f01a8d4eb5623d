"""A run killed at random moments ends like one that never was: no frame lost, doubled or torn."""

import os
import signal
import time

import numpy as np
import pytest
from openmm.app.internal import xtc_utils

from openmm_cgml.shards import FrameStore
from openmm_cgml.simulation import simulate_system

N_KILLS = 12


def run(liquid, output, config):
    return simulate_system(
        liquid.system,
        liquid.topology,
        liquid.positions,
        liquid.box,
        output=output,
        config=config,
        resume=True,
        progress=False,
    )


def count_lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def is_done(child):
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def run_and_kill(liquid, output, config, n_frames, seconds):
    """Run in a child process that gets SIGKILL some seconds after it logged so many frames; whether it was not done."""
    logged = count_lines(output / "log.csv")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            run(liquid, output, config)
            status = 0
        finally:
            os._exit(status)
    while count_lines(output / "log.csv") < logged + n_frames and not is_done(child):
        time.sleep(0.001)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_run_killed_at_random_moments_loses_doubles_and_tears_no_frame(liquid, config, tmp_path):
    config = config.model_copy(update={"duration": 4.0})
    run(liquid, tmp_path / "whole", config)
    rng = np.random.default_rng(5)
    kills = sum(
        run_and_kill(liquid, tmp_path / "parts", config, rng.integers(0, 14), rng.uniform(0.0, 0.02))
        for _ in range(N_KILLS)
    )
    result = run(liquid, tmp_path / "parts", config)
    assert kills >= 3
    assert (result.status, result.n_frames) == ("complete", 160)
    expected = 0.025 * np.arange(1, 161)
    whole, parts = (FrameStore.open(tmp_path / name / "trajectory").read() for name in ("whole", "parts"))
    np.testing.assert_allclose(parts.times, expected)
    np.testing.assert_array_equal(parts.positions, whole.positions)
    _, _, times, steps = xtc_utils.read_xtc(str(tmp_path / "parts" / "trajectory.xtc").encode())
    np.testing.assert_allclose(times, expected, atol=1e-5)
    np.testing.assert_array_equal(steps, 5 * np.arange(1, 161))
    rows = [line.split(",") for line in (tmp_path / "parts" / "log.csv").read_text().splitlines()[1:]]
    assert [int(row[0]) for row in rows] == list(range(5, 801, 5))
    assert (tmp_path / "parts" / "trajectory.xtc").read_bytes() == (tmp_path / "whole" / "trajectory.xtc").read_bytes()
