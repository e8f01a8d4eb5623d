"""What torsions that fade out cost in a step: by OpenMM's own force, and by the engine.

`python -m benchmarks.fading_torsions RESULT.json`: chains of one-bead polyethylene's length with nothing but torsions,
one thread of the CPU platform. A step without forces is taken off; processor times, medians of rounds in turn.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openmm

from benchmarks.machine_rates import describe_machine
from benchmarks.timing import time_in_rounds
from openmm_cgml.engine import create_torsion_force
from openmm_cgml.engine.torsions import TorsionFunction
from openmm_cgml.potentials import FadingTorsion

N_CHAINS, N_BEADS, EDGE = 10, 50, 6.0
STEPS = 100


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path)
    given = parser.parse_args(arguments)
    torsions, positions = make_chains()
    function = TorsionFunction(torsions, periodic=True)
    box = EDGE * np.eye(3)
    forces: dict[str, Any] = {
        "none": None,
        "native": torsions.to_openmm(periodic=True),
        "engine": create_torsion_force(torsions, periodic=True),
    }
    methods = {name: time_steps(force, positions) for name, force in forces.items()}
    methods["loop"] = lambda: function.evaluate(positions, box)
    timings = time_in_rounds(methods, calls_each=dict.fromkeys(forces, STEPS))
    milliseconds = {name: 1000 * float(np.median(timing.cpu)) for name, timing in timings.items()}
    native, engine = (milliseconds[name] - milliseconds["none"] for name in ("native", "engine"))
    content = {
        "about": "Milliseconds of a step of torsions alone, less a step without forces, by OpenMM's "
        "CustomCompoundBondForce and by the engine in a PythonForce, and of the engine's loop by itself; one thread.",
        "command": f"python -m benchmarks.fading_torsions {given.result}",
        "processor": describe_machine(1),
        "torsions": len(torsions.indices),
        "native_ms": round(native, 4),
        "engine_ms": round(engine, 4),
        "loop_ms": round(milliseconds["loop"], 4),
        "ratio": round(native / engine, 1),
    }
    given.result.write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")
    print(json.dumps({name: content[name] for name in ("torsions", "native_ms", "engine_ms", "loop_ms", "ratio")}))


def make_chains() -> tuple[FadingTorsion, np.ndarray]:
    """Random walks with bonds of 0.25 nm and their torsions, of four harmonics each."""
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(N_CHAINS, N_BEADS, 3))
    steps *= 0.25 / np.linalg.norm(steps, axis=2, keepdims=True)
    walks = rng.uniform(0, EDGE, (N_CHAINS, 1, 3)) + np.cumsum(steps, axis=1)
    rows = np.arange(N_BEADS - 3)[:, None] + np.arange(4)
    indices = np.concatenate([chain * N_BEADS + rows for chain in range(N_CHAINS)])
    coefficients = np.tile([2.0, -1.0, 0.5, 0.2], (len(indices), 1))
    return FadingTorsion(indices=indices, coefficients=coefficients), walks.reshape(-1, 3)


def time_steps(force: openmm.Force | None, positions: np.ndarray) -> Callable[[], object]:
    """Some steps of a System of this force, of a hundredth of a femtosecond, so that no chain gets far."""
    system = openmm.System()
    for _ in positions:
        system.addParticle(28.0)
    system.setDefaultPeriodicBoxVectors(*(openmm.Vec3(*row) for row in (EDGE * np.eye(3)).tolist()))
    if force is not None:
        system.addForce(force)
    integrator = openmm.LangevinMiddleIntegrator(300, 1, 1e-5)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatform("CPU"), {"Threads": "1"})
    context.setPositions(positions)
    integrator.step(20)
    return lambda: (integrator.step(STEPS), context)


if __name__ == "__main__":
    main()
