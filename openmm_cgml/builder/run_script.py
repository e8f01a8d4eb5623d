"""The script that `openmm-cgml build` writes: plain OpenMM, as a person would write it.

Nothing of a model's or a user's text ever becomes part of the code: every value is a Python literal of a number, and
the model is the folder beside the script.
"""

from __future__ import annotations

from dataclasses import dataclass

MODEL_FOLDER = "force_field"
"""Where the model lies beside the script."""

_TEMPLATE = '''"""Minimization, then {duration!r} ps of NVT at {temperature!r} K, of the beads in topology.cif.

An ordinary OpenMM script, yours to change. Run it with `python run.py` (or `python run.py 1000` for 1000 steps);
it writes trajectory.xtc, log.csv and final.cif beside itself. The model is the folder force_field/ beside it, so this
folder can be moved and copied as a whole.
"""

import sys
from pathlib import Path

from openmm import LangevinMiddleIntegrator
from openmm.app import PDBxFile, Simulation, StateDataReporter, XTCReporter
from openmm.unit import femtosecond, kelvin, nanometer, picosecond

from openmm_cgml import ForceField
from openmm_cgml.builder import write_structure

folder = Path(__file__).resolve().parent
temperature = {temperature!r} * kelvin
time_step = {time_step!r} * femtosecond{time_step_note}
n_steps = int(sys.argv[1]) if len(sys.argv) > 1 else {n_steps!r}

force_field = ForceField.load(folder / "force_field")
start = PDBxFile(str(folder / "topology.cif"))
system = force_field.create_system(start.topology, pair_backend="auto")  # "native": pair priors as OpenMM forces

integrator = LangevinMiddleIntegrator(temperature, 1 / picosecond, time_step)
integrator.setRandomNumberSeed({seed!r})
simulation = Simulation(start.topology, system, integrator)
simulation.context.setPositions(start.positions)
simulation.minimizeEnergy(maxIterations=100)
simulation.context.setVelocitiesToTemperature(temperature, {seed!r})

simulation.reporters.append(XTCReporter(str(folder / "trajectory.xtc"), 200))
quantities = dict(step=True, time=True, potentialEnergy=True, temperature=True, speed=True)
simulation.reporters.append(StateDataReporter(str(folder / "log.csv"), 200, **quantities))
progress = dict(progress=True, remainingTime=True, totalSteps=n_steps)
simulation.reporters.append(StateDataReporter(sys.stdout, max(n_steps // 20, 1), **quantities, **progress))
simulation.step(n_steps)

state = simulation.context.getState(positions=True, enforcePeriodicBox=True)
positions, box = state.getPositions(asNumpy=True), state.getPeriodicBoxVectors(asNumpy=True)
beads = force_field.bead_topology(start.topology)
write_structure(folder / "final.cif", beads, positions.value_in_unit(nanometer), box.value_in_unit(nanometer))
'''


@dataclass(frozen=True, kw_only=True)
class RunScript:
    """What the script runs.

    Attributes:
        temperature: Temperature [K].
        time_step: Time step [ps].
        allowed: The time step that the stiffest prior allows [ps], or None without priors.
        duration: Simulated time [ps].
        seed: Seed of velocities and thermostat, above 0 (OpenMM takes 0 as "any").
    """

    temperature: float
    time_step: float
    allowed: float | None
    duration: float
    seed: int

    def text(self) -> str:
        """The script."""
        note = "" if self.allowed is None else f"  # the stiffest prior allows {1000 * self.allowed:.1f}"
        return _TEMPLATE.format(
            temperature=_short(self.temperature),
            time_step=_short(1000 * self.time_step),
            time_step_note=note,
            duration=_short(self.duration),
            n_steps=round(self.duration / self.time_step),
            seed=int(self.seed),
        )


def _short(value: float) -> float | int:
    """The number as a person writes it: six digits, and no decimal point where there is nothing behind it."""
    rounded = float(f"{float(value):.6g}")
    return int(rounded) if rounded.is_integer() else rounded
