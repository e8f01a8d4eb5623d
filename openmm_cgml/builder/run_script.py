"""The script that `openmm-cgml build` writes: plain OpenMM, as a person would write it."""

from __future__ import annotations

import json
from dataclasses import dataclass

_TEMPLATE = '''"""{title}: minimization, then {duration} ps of NVT at {temperature:g} K.

An ordinary OpenMM script, yours to change. Run it with `python run.py` (or `python run.py 1000` for 1000 steps);
it writes trajectory.xtc, log.csv and final.cif beside itself.
"""

import sys
from pathlib import Path

from openmm import LangevinMiddleIntegrator
from openmm.app import PDBxFile, Simulation, StateDataReporter, XTCReporter
from openmm.unit import femtosecond, kelvin, picosecond

from openmm_cgml import ForceField

folder = Path(__file__).resolve().parent
temperature = {temperature:g} * kelvin
time_step = {time_step:g} * femtosecond{time_step_note}
n_steps = int(sys.argv[1]) if len(sys.argv) > 1 else {n_steps}

force_field = ForceField.load({model})
start = PDBxFile(str(folder / "topology.cif"))
system = force_field.create_system(start.topology)

integrator = LangevinMiddleIntegrator(temperature, 1 / picosecond, time_step)
integrator.setRandomNumberSeed({seed})
simulation = Simulation(start.topology, system, integrator)
simulation.context.setPositions(start.positions)
simulation.minimizeEnergy(maxIterations=100)
simulation.context.setVelocitiesToTemperature(temperature, {seed})

simulation.reporters.append(XTCReporter(str(folder / "trajectory.xtc"), 200))
quantities = dict(step=True, time=True, potentialEnergy=True, temperature=True, speed=True)
simulation.reporters.append(StateDataReporter(str(folder / "log.csv"), 200, **quantities))
progress = dict(progress=True, remainingTime=True, totalSteps=n_steps)
simulation.reporters.append(StateDataReporter(sys.stdout, max(n_steps // 20, 1), **quantities, **progress))
simulation.step(n_steps)

state = simulation.context.getState(positions=True, enforcePeriodicBox=True)
with open(folder / "final.cif", "w") as file:
    PDBxFile.writeFile(simulation.topology, state.getPositions(), file, keepIds=True)
'''


@dataclass(frozen=True, kw_only=True)
class RunScript:
    """What the script runs.

    Attributes:
        title: What is simulated, in words.
        model: Name or path of the force field.
        temperature: Temperature [K].
        time_step: Time step [ps].
        note: Why this time step, in words; may be empty.
        duration: Simulated time [ps].
        seed: Seed of velocities and thermostat, above 0 (OpenMM takes 0 as "any").
    """

    title: str
    model: str
    temperature: float
    time_step: float
    note: str
    duration: float
    seed: int

    def text(self) -> str:
        """The script."""
        n_steps = round(self.duration / self.time_step)
        return _TEMPLATE.format(
            title=self.title,
            model=json.dumps(self.model, ensure_ascii=False),
            temperature=self.temperature,
            time_step=1000 * self.time_step,
            time_step_note=f"  # {self.note}" if self.note else "",
            duration=f"{self.duration:g}",
            n_steps=n_steps,
            seed=self.seed,
        )
