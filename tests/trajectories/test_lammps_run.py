"""A run of LAMMPS itself: what it dumps, with and without a thermostat that pushes atoms."""

import numpy as np
import pytest

from openmm_cgml.dataset.importing import import_trajectory
from openmm_cgml.reference.rerun import ForceCalculator
from openmm_cgml.shards import FrameStore
from openmm_cgml.trajectories import TrajectorySource, find_unit_system, read_atom_topology
from tests.reference.pcff.lammps_oracle import missing, run_program
from tests.trajectories.liquid import liquid_system, write_data

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

INPUT = """units {units}
atom_style full
read_data liquid.data
pair_style lj/cut {cutoff}
pair_coeff * * {epsilon} {sigma}
bond_style harmonic
bond_coeff 1 {stiffness} {length}
special_bonds lj 0 0 0
velocity all create 300 87287 loop geom
fix nve all nve
{thermostat}
timestep {step}
run 4000
dump d all custom 100 run.lammpstrj id type x y z ix iy iz vx vy vz fx fy fz
run 4000
"""
_KCAL, _EV = 4.184, 96.48533212331


def run_lammps(folder, units="real", zero="no"):
    """Forty frames of the liquid at 300 K with a Langevin thermostat, or without one at constant energy."""
    write_data(folder / "liquid.data")
    energy, time = {"real": (_KCAL, 1.0), "metal": (_EV, 1e-3)}[units]
    thermostat = f"fix t all langevin 300 300 {100 * time} 48279 zero {zero or 'no'}"
    text = INPUT.format(
        units=units, cutoff=8.5, epsilon=0.4 / energy, sigma=3.3, stiffness=150_000 / 200 / energy, length=1.42,
        thermostat=thermostat, step=2 * time,
    )  # fmt: skip
    if zero is None:  # equilibrated with the thermostat, dumped without
        text = text.replace("dump d", "unfix t\ndump d")
    (folder / "in.liquid").write_text(text)
    run_program(folder, "lmp", "-in", "in.liquid", "-log", "none")
    return folder / "run.lammpstrj"


@pytest.mark.physics
@pytest.mark.parametrize("units", ["real", "metal"])
def test_forces_of_lammps_are_those_of_openmm_in_every_unit(tmp_path, units):
    path = run_lammps(tmp_path, units, zero=None)
    topology = read_atom_topology(tmp_path / "liquid.data")
    source = TrajectorySource(paths=(path,), units=find_unit_system(units), time_step=0.002)
    result = import_trajectory(source, topology, tmp_path / "rec", temperature=300.0)
    assert {finding.what: str(finding.verdict) for finding in result.findings} | {"kinetic temperature": "good"} == {
        finding.what: "good" for finding in result.findings
    }  # the temperature of a small box at constant energy is its own
    frames = FrameStore.open(tmp_path / "rec").read()
    np.testing.assert_allclose(np.diff(frames.times), 0.2, rtol=1e-6)
    again = ForceCalculator(liquid_system())(frames.replace(energies={}))
    np.testing.assert_allclose(again.forces, frames.forces, atol=0.002 * float(np.abs(frames.forces).max()))


def test_random_forces_of_a_thermostat_in_a_dump_are_noticed(tmp_path):
    path = run_lammps(tmp_path)
    topology = read_atom_topology(tmp_path / "liquid.data")
    source = TrajectorySource(paths=(path,), units=find_unit_system("real"))
    result = import_trajectory(source, topology, tmp_path / "rec", temperature=300.0)
    odd = {finding.what: finding for finding in result.findings if finding.verdict == "odd"}
    assert "fix langevin" in odd["sum of forces"].advice
