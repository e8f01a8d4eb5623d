"""Speed of the shipped models over the atomistic runs that they replace: ns/day in the same box on one core.

    python benchmarks/speed_atomistic.py --reference benzene=runs/references/benzene --reference polyethylene=...

Each reference is an output folder of `openmm-cgml reference`; its last frame is where the atomistic run starts. Models
whose atomistic run is not given are left out. Times are process CPU times, all methods in turn in every round.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openmm

from benchmarks.machine_rates import describe_machine
from benchmarks.timing import ROUNDS, summarize, time_in_rounds
from openmm_cgml.builder import build_box
from openmm_cgml.dataset import open_recording
from openmm_cgml.force_field import ForceField
from openmm_cgml.reference import ReferenceConfig
from openmm_cgml.reference.plan import make_plan
from openmm_cgml.selection.recipe import find_recipe, read_recipe
from openmm_cgml.shipped import list_models
from openmm_cgml.simulation import SimulationConfig
from openmm_cgml.simulation.integrator import share_group_of_priors
from openmm_cgml.simulation.pair_choice import choose_pairs
from openmm_cgml.simulation.sampler import Sampler
from openmm_cgml.specification import SystemSpecification
from openmm_cgml.storage import write_json

RESULT = Path(__file__).parent / "results" / "speed-atomistic.json"
WARM_UP_STEPS = 200


def main() -> None:
    """Measure and write the table."""
    arguments = parse_arguments()
    references = dict(text.split("=", 1) for text in arguments.reference)
    table: dict[str, Any] = {"command": "python benchmarks/speed_atomistic.py", "models": {}}
    for name in arguments.only or list_models():
        recipe, specification = read_recipe(find_recipe(name))
        if recipe.reference.name in references:
            table["models"][name] = measure(
                name, specification, Path(references[recipe.reference.name]), arguments.rounds
            )
            print(
                name,
                {key: value for key, value in table["models"][name].items() if key.startswith("ratio")},
                flush=True,
            )
    write_json(arguments.output, {**table, "processor": describe_machine(1)})


def measure(name: str, specification: SystemSpecification, reference: Path, rounds: int) -> dict[str, Any]:
    """Ratios of a model, of its priors alone, and of the model with native pair forces, where it can have them.

    Args:
        name: The model.
        specification: Its system.
        reference: Output folder of its atomistic run.
        rounds: Number of rounds.
    """
    atomistic, step = atomistic_steps(specification, reference)
    force_field = ForceField.load(name)
    alone = replace(force_field, network=None)
    runs = {"ratio": (force_field, "auto")}
    if force_field.priors.is_native:
        runs["ratio_native"] = (force_field, "native")
    if force_field.network is not None:
        runs["ratio_priors_only"] = (alone, "auto")
    methods: dict[str, Callable[[], object]] = {"atomistic": atomistic}
    lengths: dict[str, float] = {"atomistic": 10 * step}
    for key, (model, backend) in runs.items():
        methods[key], lengths[key], config = coarse_steps(model, specification, backend)
    timings = time_in_rounds(methods, rounds=rounds)
    speeds = {key: lengths[key] / timing.cpu for key, timing in timings.items()}
    ratios = {key: summarize(speeds[key] / speeds["atomistic"]) for key in runs}
    return {
        "ratio_priors_only": ratios["ratio"],  # of a model without a network, and replaced for others
        **ratios,
        "time_step_fs": 1000 * config.time_step,
        "network_interval": 1 if force_field.network is None else config.network_interval,
        "atomistic_time_step_fs": 1000 * step,
        "ns_per_day": {key: summarize(86.4 * speed) for key, speed in speeds.items()},
    }


def atomistic_steps(specification: SystemSpecification, reference: Path) -> tuple[Callable[[], object], float]:
    """Ten steps of the atomistic run from its last frame, and the length of one [ps]."""
    assert specification.reference is not None  # shipped systems have one
    plan = make_plan(specification, ReferenceConfig(frame_interval=specification.reference.time_step))
    store = open_recording(reference)
    frame = store.read(store.n_frames - 1)
    assert frame.box is not None
    system = plan.box.create_system(plan.settings, float(frame.box[0, 0, 0]))
    step = plan.settings.time_step
    integrator = openmm.LangevinMiddleIntegrator(specification.temperature, plan.settings.friction, step)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatform("CPU"), {"Threads": "1"})
    context.setPositions(frame.positions[0].astype(np.float64))
    context.setVelocitiesToTemperature(specification.temperature, 1)
    integrator.step(WARM_UP_STEPS)
    return lambda: context.getIntegrator().step(10), step  # the Context must live on


def coarse_steps(
    force_field: ForceField, specification: SystemSpecification, backend: str
) -> tuple[Callable[[], object], float, SimulationConfig]:
    """A few steps of a model in a box like that of its reference, their length [ps], and the settings."""
    what: Mapping[str, Any] = (
        {"chains": [(chain.count, chain.monomers) for chain in specification.chains]}
        if specification.chains
        else {"molecules": sum(kind.count for kind in specification.residues)}
    )
    topology, positions, box = build_box(force_field, **what)
    beads = force_field.bead_topology(topology)
    given: dict[str, Any] = {"duration": 1000.0, "threads": 1, "platform": "CPU", "pair_backend": backend}
    config = SimulationConfig.for_force_field(force_field, beads, **given)
    if force_field.network is None:
        config = config.model_copy(update={"network_interval": 1})
    pairs = choose_pairs(force_field, beads, config, "CPU")
    system = force_field.create_system(beads, box=box, ml_backend="PythonForce", pair_backend=pairs.backend)
    if config.network_interval > 1:
        share_group_of_priors(system)
    sampler = Sampler.create(system, beads, positions, box, config)
    sampler.step(WARM_UP_STEPS * config.network_interval)
    n = 10 * config.network_interval
    return lambda: sampler.step(n), n * config.time_step, config


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", action="append", default=[], metavar="NAME=FOLDER", help="an atomistic run")
    parser.add_argument("--only", nargs="*", help="models; by default all that are shipped")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--output", type=Path, default=RESULT)
    return parser.parse_args()


if __name__ == "__main__":
    main()
