"""A small liquid of diatomic molecules, simulated once, and files of it as other programs write them."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import openmm

from openmm_cgml.units import BOLTZMANN

N_MOLECULES, EDGE, TEMPERATURE, N_FRAMES = 64, 1.75, 300.0, 40
MASSES = np.tile([12.011, 15.999], N_MOLECULES)
BONDS = np.arange(2 * N_MOLECULES).reshape(-1, 2)
LENGTH = 0.142


@dataclass(frozen=True)
class Run:
    """Positions (whole) [nm], forces [kJ/mol/nm], velocities [nm/ps], times [ps], box [nm]."""

    positions: np.ndarray
    forces: np.ndarray
    velocities: np.ndarray
    times: np.ndarray
    box: np.ndarray


def liquid_system(*, constrained=False):
    """The System of the liquid: harmonic bonds or constraints, Lennard-Jones."""
    system, bonds, pairs = openmm.System(), openmm.HarmonicBondForce(), openmm.NonbondedForce()
    pairs.setNonbondedMethod(pairs.CutoffPeriodic)
    pairs.setCutoffDistance(0.85)
    for mass in MASSES.tolist():
        system.addParticle(mass)
        pairs.addParticle(0.0, 0.33, 0.4)
    for i, j in BONDS.tolist():
        if constrained:
            system.addConstraint(i, j, LENGTH)
        else:
            bonds.addBond(i, j, LENGTH, 150_000.0)
        pairs.addException(i, j, 0.0, 1.0, 0.0)
    system.addForce(bonds)
    system.addForce(pairs)
    system.setDefaultPeriodicBoxVectors([EDGE, 0, 0], [0, EDGE, 0], [0, 0, EDGE])
    return system


@cache
def run_liquid(constrained=False):
    """Forty frames of it at 300 K, 0.1 ps apart."""
    integrator = openmm.LangevinMiddleIntegrator(TEMPERATURE, 5, 0.002)
    integrator.setRandomNumberSeed(1)
    system = liquid_system(constrained=constrained)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatform("CPU"), {"Threads": "1"})
    grid = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3) * EDGE / 4
    context.setPositions((grid[:, None] + np.array([[0, 0, 0], [LENGTH, 0, 0]])).reshape(-1, 3))
    openmm.LocalEnergyMinimizer.minimize(context, 10, 50)
    context.setVelocitiesToTemperature(TEMPERATURE, 1)
    integrator.step(1500)
    rows = {"positions": [], "forces": [], "velocities": []}
    for _ in range(N_FRAMES):
        integrator.step(50)
        state = context.getState(positions=True, forces=True, velocities=True)
        rows["positions"].append(state.getPositions(asNumpy=True)._value)
        rows["forces"].append(state.getForces(asNumpy=True)._value)
        rows["velocities"].append(state.getVelocities(asNumpy=True)._value)
    times = 0.1 * np.arange(1, N_FRAMES + 1)
    return Run(times=times, box=np.eye(3) * EDGE, **{name: np.array(values) for name, values in rows.items()})


def kinetic_temperature(run, n_constraints=0):
    """Temperature of its velocities [K]."""
    energy = 0.5 * np.einsum("n,fnx,fnx->f", MASSES, run.velocities, run.velocities)
    return 2 * energy.mean() / (BOLTZMANN * (3 * len(MASSES) - n_constraints))


def write_dump(path, run, *, length=0.1, energy=4.184, time=1e-3, columns=None, seed=None, wrap=False):
    """A LAMMPS text dump, by default in `real` units; atoms in another order in every frame with a seed."""
    columns = columns or "id mol type element x y z vx vy vz fx fy fz"
    rng = None if seed is None else np.random.default_rng(seed)
    lines = []
    for k in range(len(run.times)):
        edge = EDGE / length
        lines += ["ITEM: TIMESTEP", str(100 * (k + 1)), "ITEM: NUMBER OF ATOMS", str(len(MASSES))]
        lines += ["ITEM: BOX BOUNDS pp pp pp", *[f"0.0 {edge:.10g}"] * 3, f"ITEM: ATOMS {columns}"]
        x, images = run.positions[k], np.zeros((len(MASSES), 3), int)
        if wrap:
            images = np.floor(x / EDGE).astype(int)
            x = x - images * EDGE
        table = {
            **dict(zip(("x", "y", "z"), (x / length).T, strict=True)),
            **dict(zip(("xu", "yu", "zu"), (run.positions[k] / length).T, strict=True)),
            **dict(zip(("xs", "ys", "zs"), (x / EDGE).T, strict=True)),
            **dict(zip(("ix", "iy", "iz"), images.T, strict=True)),
            **dict(zip(("vx", "vy", "vz"), (run.velocities[k] / length * time).T, strict=True)),
            **dict(zip(("fx", "fy", "fz"), (run.forces[k] / energy * length).T, strict=True)),
            "id": np.arange(1, len(MASSES) + 1),
            "mol": np.arange(len(MASSES)) // 2 + 1,
            "type": np.arange(len(MASSES)) % 2 + 1,
            "element": np.tile(["C", "O"], N_MOLECULES),
        }
        order = np.arange(len(MASSES)) if rng is None else rng.permutation(len(MASSES))
        for atom in order.tolist():
            lines.append(
                " ".join(
                    f"{table[name][atom]:.9g}" if table[name].dtype.kind == "f" else str(table[name][atom])
                    for name in columns.split()
                )
            )
    path.write_text("\n".join(lines) + "\n")
    return path


def write_data(path):
    """A LAMMPS data file of the atoms and bonds, atom style `full`."""
    lines = ["diatomics", "", f"{len(MASSES)} atoms", f"{N_MOLECULES} bonds", "2 atom types", "1 bond types", ""]
    lines += [f"0.0 {10 * EDGE} {axis}lo {axis}hi" for axis in "xyz"]
    lines += ["", "Masses", "", "1 12.011", "2 15.999", "", "Atoms # full", ""]
    x = 10 * run_liquid().positions[0]
    lines += [
        f"{i + 1} {i // 2 + 1} {i % 2 + 1} 0.0 {x[i, 0]:.6f} {x[i, 1]:.6f} {x[i, 2]:.6f}" for i in range(len(MASSES))
    ]
    lines += ["", "Bonds", "", *[f"{k + 1} 1 {i + 1} {j + 1}" for k, (i, j) in enumerate(BONDS.tolist())], ""]
    path.write_text("\n".join(lines))
    return path
