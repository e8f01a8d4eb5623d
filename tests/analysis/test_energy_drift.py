import numpy as np
import pytest

from openmm_cgml.analysis.energy_drift import EnergyDrift, compute_energy_drift
from openmm_cgml.errors import InputError
from openmm_cgml.units import BOLTZMANN

TIMES = np.arange(0.0, 50.0, 0.1)
NOISE = np.random.default_rng(0).normal(0, 0.5, len(TIMES))
SYSTEM = {"temperature": 300.0, "degrees_of_freedom": 297}


@pytest.mark.physics
def test_drift_is_the_slope_of_the_energy_with_its_error():
    unit = BOLTZMANN * 300.0 * 297
    drift = compute_energy_drift(TIMES, 0.02 * TIMES * unit + NOISE, **SYSTEM)
    assert drift.slope == pytest.approx(20.0, abs=3 * drift.standard_error)
    assert 0 < drift.standard_error < 0.1
    assert drift.fluctuation == pytest.approx(0.5 / (BOLTZMANN * 300.0), rel=0.1)
    none = compute_energy_drift(TIMES, NOISE, **SYSTEM)
    assert abs(none.slope) < 3 * none.standard_error, "the control drifts nowhere"


@pytest.mark.physics
def test_correlated_energies_have_the_larger_error():
    smooth = np.convolve(np.random.default_rng(1).normal(0, 1, 10 * len(TIMES)), np.ones(100) / 10, "same")
    drifts = [compute_energy_drift(TIMES, smooth[k * 500 : (k + 1) * 500], **SYSTEM) for k in range(10)]
    spread = np.std([drift.slope for drift in drifts], ddof=1)
    claimed = np.mean([drift.standard_error for drift in drifts])
    assert 0.4 < spread / claimed < 2.5
    shuffled = [np.random.default_rng(k).permutation(smooth[k * 500 : (k + 1) * 500]) for k in range(10)]
    uncorrelated = np.mean([compute_energy_drift(TIMES, each, **SYSTEM).standard_error for each in shuffled])
    assert uncorrelated < claimed / 3


def test_two_frames_are_refused_and_results_go_to_json_and_back():
    with pytest.raises(InputError, match="at least 3"):
        compute_energy_drift(TIMES[:2], NOISE[:2], **SYSTEM)
    drift = compute_energy_drift(TIMES, NOISE, **SYSTEM)
    assert EnergyDrift.from_json(drift.to_json()).slope == pytest.approx(drift.slope, rel=1e-8)
