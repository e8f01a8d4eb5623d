"""`openmm-cgml fit`: from a dataset to a force field."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer


def fit(
    config: Annotated[Path, typer.Argument(help="YAML file: data, priors, network, training.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write into.")],
    data: Annotated[
        list[Path] | None, typer.Option("--data", "-d", help="Dataset instead of data.datasets; may be repeated.")
    ] = None,
    mean_force: Annotated[
        list[Path] | None,
        typer.Option(help="Mean-force dataset to train on, instead of data.mean_force_training; may be repeated."),
    ] = None,
    mean_force_test: Annotated[
        list[Path] | None,
        typer.Option(help="Mean-force dataset to hold out, instead of data.mean_force_test; may be repeated."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed instead of training.seed.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads instead of training.threads.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Fit priors and train a network on the forces they leave over: a force field.

    Writes force_field/, metrics.json, metrics.csv, loss.png, priors.png and priors-report.json (the priors beside the
    data) and TensorBoard logs into OUTPUT. Interrupt it as you like: --resume goes on from the last checkpoint, and
    from the same point an uninterrupted run would have reached.
    """
    from openmm_cgml.cli.run_record import recorded
    from openmm_cgml.training.config import read_fit_config

    paths = {"datasets": data, "mean_force_training": mean_force, "mean_force_test": mean_force_test}
    numbers = {"seed": seed, "threads": threads}
    settings = read_fit_config(
        config,
        data={name: tuple(value) for name, value in paths.items() if value},
        training={name: value for name, value in numbers.items() if value is not None},
    )
    from openmm_cgml.training import fit as fit_force_field  # only after the configuration was found good

    with recorded(output, "fit", {"config": config, "output": output, **paths, **numbers}) as result:
        fitted = fit_force_field(settings, output, resume=resume, overwrite=overwrite)
        result.update(metrics=fitted.metrics, best_epoch=fitted.best_epoch)
    for line in _table(fitted.metrics):
        typer.echo(line)
    for pair, distance in fitted.metrics["holes_below_data"].items():
        typer.echo(
            f"note: the energy of a pair {pair} falls instead of rising inside {distance:.3f} nm, below the data; "
            "beads may drop into that hole: take a larger sigma or epsilon for the excluded volume"
        )
    typer.echo(f"\nforce field: {fitted.path}   (load it with ForceField.load; next: openmm-cgml simulate)")


def _table(metrics: dict[str, Any]) -> list[str]:
    lines = [f"{'':12}{'frames':>8}{'force RMSE':>12}{'of std':>10}{'R2':>8}   [kJ/mol/nm]"]
    for part in ("train", "validation", "test"):
        if part in metrics:
            for name, row in {part: metrics[part], **_several(metrics[part]["by_type"])}.items():
                frames = metrics[part]["n_frames"] if name == part else ""
                lines.append(
                    f"{name:12}{frames:>8}{row['force_rmse']:>12.2f}{row['force_std']:>10.2f}{row['r2']:>8.3f}"
                )
    if "mean_force" in metrics:
        for name, row in {"mean force": metrics["mean_force"], "  inter": metrics["mean_force"].get("inter")}.items():
            if row:
                spread = row["rmse"] / math.sqrt(1 - row["r2"]) if row["r2"] < 1 else float("nan")
                lines.append(
                    f"{name:12}{row.get('n_frames', ''):>8}{row['rmse']:>12.2f}{spread:>10.2f}{row['r2']:>8.3f}"
                )
                if "r2_corrected" in row:
                    lines[-1] += (
                        f"   ({row['r2_corrected']:.3f} with the labels' noise of {row['label_noise']:.1f} taken off)"
                    )
        floor = metrics["noise_floor"]
        lines.append(f"noise floor of the force RMSE: {floor['force_rmse']:.1f} ({floor['from']})")
    return lines


def _several(by_type: dict[str, Any]) -> dict[str, Any]:
    return {f"  {name}": row for name, row in by_type.items()} if len(by_type) > 1 else {}
