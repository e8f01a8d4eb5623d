"""`openmm-cgml thin`: a small copy of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def thin(
    dataset: Annotated[Path, typer.Argument(help="Dataset that `openmm-cgml map` wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the copy.")],
    frames: Annotated[int, typer.Option(min=1, help="Frames to keep, evenly spread.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Make a small copy of a dataset: fewer frames, numbers rounded to what matters, compressed.

    It is read like any other dataset, and is small enough to be shipped with a model, so that others can fit it anew.
    """
    from openmm_cgml.dataset import ForceMatchingDataset, thin_dataset

    thinned = thin_dataset(ForceMatchingDataset.open(dataset), output, frames, overwrite=overwrite)
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    typer.echo(f"{thinned.n_frames} frames, {size / 1e6:.1f} MB: {output}")
