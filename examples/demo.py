"""Liquid benzene with a shipped model: build a box, simulate it, compare it with the atomistic reference.

Run by `make demo`; `python examples/demo.py --help` lists what can be changed. Everything goes into one folder:
`report.html` with the pictures, and the run in `run/`.
"""

import argparse
import time
from pathlib import Path

from openmm_cgml import ForceField, build_box, simulate, validate
from openmm_cgml.engine import choose_backend
from openmm_cgml.simulation import SimulationConfig


def main() -> None:
    """Run the demonstration."""
    arguments = parse_arguments()
    began = time.perf_counter()

    force_field = ForceField.load(arguments.model)
    topology, positions, box = build_box(force_field, arguments.molecules, seed=arguments.seed)
    print(f"{force_field.name}: {topology.n_molecules} molecules, {topology.n_beads} beads, cube of {box[0, 0]:.3f} nm")
    if force_field.network is not None:
        backend = choose_backend()
        print(f"network runs in OpenMM as {backend.name} ({backend.reason})")
    config = SimulationConfig.for_force_field(
        force_field,
        topology,
        duration=arguments.duration,
        frame_interval="0.2 ps",
        checkpoint_interval="20 ps",
        seed=arguments.seed,
    )
    print(f"minimization, then {arguments.duration} of NVT at 300 K with steps of {1000 * config.time_step:g} fs ...")
    run = arguments.output / "run"
    result = simulate(force_field, topology, positions, box, output=run, config=config, overwrite=True)
    print(f"{result.steps} steps, {result.steps_per_second:.0f} steps/s, {result.ns_per_day:.0f} ns/day")

    validation = validate(run, reference=arguments.system, output=arguments.output, overwrite=True)
    print(f"\n{validation.table()}\n")
    print(f"report with pictures: {arguments.output / 'report.html'}   ({time.perf_counter() - began:.0f} s)")


def parse_arguments() -> argparse.Namespace:
    """The command line of the demonstration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder to write (default: demo)")
    parser.add_argument("--model", default="benzene-1bead", help="force field: a shipped name or a folder")
    parser.add_argument("--system", default="benzene-1bead", help="reference: a shipped name, or a dataset")
    parser.add_argument("--molecules", type=int, default=500)
    parser.add_argument("--duration", default="200 ps", help='simulated time (default: "200 ps")')
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
