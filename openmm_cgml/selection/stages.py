"""The stages that make a model, each one a function that goes on with what is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from openmm_cgml.dataset import map_recording, open_recording
from openmm_cgml.errors import InputError
from openmm_cgml.reference import compute_mean_forces, run_reference
from openmm_cgml.reference.mean_force import NOISE_FLOOR_FILE
from openmm_cgml.reference.report import REPORT_FILE
from openmm_cgml.selection.comparison import summarize, write_report
from openmm_cgml.selection.long_runs import make_long_runs
from openmm_cgml.selection.refining import refine_force_field
from openmm_cgml.selection.simulations import Structure, is_finished, simulate_built, simulate_once
from openmm_cgml.selection.table import write_table
from openmm_cgml.selection.time_steps import make_time_steps
from openmm_cgml.selection.workplace import Workplace
from openmm_cgml.simulation import SimulationConfig
from openmm_cgml.training import fit


@dataclass(frozen=True)
class Stage:
    """A step towards a model, or a study of it.

    Attributes:
        name: Its name.
        run: What it does: nothing where the recipe does not ask for it, and nothing twice.
    """

    name: str
    run: Callable[[Workplace], None]


def make_reference(workplace: Workplace) -> None:
    """Run the atomistic system, which recipes share, unless its recording is there."""
    output, recipe = workplace.reference, workplace.recipe
    if recipe.data:
        workplace.open_datasets()
    elif workplace.recording is not None:
        open_recording(workplace.recording)
    elif not (output / REPORT_FILE).is_file():
        config = recipe.reference.run.model_copy(update={"threads": workplace.threads})
        run_reference(workplace.specification_of_reference(), output, config, resume=output.exists())


def make_dataset(workplace: Workplace) -> None:
    """Map the recording to beads, unless the recipe names mapped frames."""
    output = workplace.dataset
    if not workplace.recipe.data:
        # The data that shipped models are made from were mapped with plain sums, and stay so.
        map_recording(workplace.reference, workplace.specification, output, force_map="uniform", resume=output.exists())


def make_mean_forces(workplace: Workplace) -> None:
    """Sample the mean forces of some recorded frames, unless the recipe names them."""
    output, settings = workplace.mean_forces, workplace.recipe.mean_forces
    if workplace.recipe.mean_force_data is not None:
        workplace.open_mean_forces()
    elif settings is not None and output is not None and not (output / NOISE_FLOOR_FILE).is_file():
        config = settings.model_copy(update={"threads": workplace.threads})
        specification = workplace.specification
        compute_mean_forces(workplace.reference, specification, output, config, resume=output.exists())


def make_fits(workplace: Workplace) -> None:
    """Fit the model and the others."""
    for plan in workplace.recipe.fits:
        output = workplace.fit_folder(plan.name)
        if not workplace.has_force_field(plan.name):
            fit(workplace.fit_config(plan), output, resume=output.exists(), progress=False)


def make_refinement(workplace: Workplace) -> None:
    """Refine the fit of the model, and those of the others that are refined."""
    for plan in workplace.recipe.plans:
        if plan.refinement is not None and not workplace.has_force_field(plan.name):
            force_field, output = workplace.load_force_field(plan.fitted), workplace.fit_folder(plan.name)
            refine_force_field(force_field, workplace.open_datasets(), output, workplace.system / plan.refinement)


def make_simulations(workplace: Workplace) -> None:
    """Simulate every force field with its seeds, each from another frame of the reference."""
    recipe = workplace.recipe
    for name, seeds in recipe.simulated:
        force_field = workplace.load_force_field(name)
        for seed, output in zip(seeds, workplace.simulations(name, seeds), strict=True):
            if not is_finished(output):
                start, temperature = _start(workplace, seed)
                duration = recipe.simulation.duration
                config = workplace.variant_config(name, seed, temperature=temperature, duration=duration)
                simulate_once(force_field, start, output, config)


def make_constant_pressure(workplace: Workplace) -> None:
    """Simulate the model at the pressure of the system, from frames of the reference."""
    recipe = workplace.recipe
    if recipe.constant_pressure is None:
        return
    force_field = workplace.load_force_field(recipe.shipped)
    for seed, output in zip(recipe.simulation.seeds, workplace.constant_pressure, strict=True):
        if not is_finished(output):
            start, temperature = _start(workplace, seed)
            duration = recipe.constant_pressure.duration
            config = workplace.variant_config(recipe.shipped, seed, temperature=temperature, duration=duration)
            pressure = workplace.specification.pressure
            simulate_once(force_field, start, output, config.model_copy(update={"pressure": pressure}))


def make_sizes(workplace: Workplace) -> None:
    """Simulate boxes of several sizes, built from nothing."""
    sizes = workplace.recipe.sizes
    if sizes is None:
        return
    force_field = workplace.load_force_field(workplace.recipe.shipped)
    for molecules in sizes.molecules:
        config = _built_config(workplace, sizes.duration)
        output = workplace.size_folder(molecules)
        simulate_built(force_field, output, config, molecules=molecules, seed=molecules)


def make_transfer(workplace: Workplace) -> None:
    """Simulate boxes of chains of other lengths at the density of the reference, and one of its own, built likewise."""
    transfer = workplace.recipe.transfer
    if transfer is None:
        return
    force_field = workplace.load_force_field(workplace.recipe.shipped)
    for chains in workplace.chain_boxes:
        config = _built_config(workplace, transfer.duration)
        simulate_built(force_field, workplace.transfer_folder(chains), config, chains=chains, seed=1)


def make_report(workplace: Workplace) -> None:
    """Write the report of the model's simulations."""
    recipe = workplace.recipe
    runs = [path for path in workplace.simulations(recipe.shipped, recipe.simulation.seeds) if is_finished(path)]
    reference = summarize(workplace.open_datasets(), recipe.name, recipe.limits)
    write_report(runs, reference, workplace.report)


STAGES = (
    Stage("reference", make_reference),
    Stage("map", make_dataset),
    Stage("mean-forces", make_mean_forces),
    Stage("fit", make_fits),
    Stage("refine", make_refinement),
    Stage("simulate", make_simulations),
    Stage("constant-pressure", make_constant_pressure),
    Stage("sizes", make_sizes),
    Stage("transfer", make_transfer),
    Stage("validate", make_report),
    Stage("table", write_table),
)
"""From nothing to the table of a model, in this order."""
STUDIES = (Stage("long-runs", make_long_runs), Stage("time-steps", make_time_steps))
"""Studies of a shipped model, which need nothing but what is shipped."""


def find_stages(names: Sequence[str] | None = None) -> tuple[Stage, ...]:
    """The stages of these names in the order in which they run; without names all that make a model.

    Raises:
        InputError: If there is no stage of a name.
    """
    if names is None:
        return STAGES
    known = {stage.name: stage for stage in (*STAGES, *STUDIES)}
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"no stage {unknown[0]!r}; there are {', '.join(known)}")
    return tuple(stage for name, stage in known.items() if name in names)


def make_model(
    recipe: str | Path,
    runs: str | Path,
    *,
    stages: Sequence[str] | None = None,
    recording: Path | None = None,
    threads: int = 1,
    platform: str = "CPU",
    progress: Callable[[str], None] = lambda text: None,
) -> Workplace:
    """Carry out the stages of a recipe in a folder, going on with what is there.

    Args:
        recipe: Name or folder of a system with a recipe, or the file.
        runs: Folder of everything that is computed.
        stages: Names of the stages; by default all that make a model.
        recording: Folder of an atomistic run that is there already.
        threads: CPU threads.
        platform: OpenMM platform of the simulations of beads, or "auto" for the fastest.
        progress: Told the stage that begins.

    Returns:
        Where everything is.

    Raises:
        InputError: If the recipe or a stage is not there, or the recipe is wrong.
        ArtifactError: If what a stage needs is missing or damaged.
        KeyboardInterrupt: After Ctrl-C; the same call goes on from there.
    """
    chosen = find_stages(stages)
    workplace = Workplace.open(recipe, runs, recording=recording, threads=threads, platform=platform)
    for stage in chosen:
        progress(f"{workplace.recipe.name}: {stage.name}")
        stage.run(workplace)
    return workplace


def _start(workplace: Workplace, seed: int) -> tuple[Structure, float]:
    """Beads in a frame of the reference, and its temperature [K]."""
    dataset, frame = workplace.open_dataset(), workplace.starting_frame(seed)
    assert frame.box is not None
    return (dataset.topology, frame.positions[0], frame.box[0]), dataset.temperature


def _built_config(workplace: Workplace, duration: float) -> SimulationConfig:
    return workplace.simulation_config(1, temperature=workplace.specification.temperature, duration=duration)
