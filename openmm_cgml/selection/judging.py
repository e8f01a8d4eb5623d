"""Every force field judged alike: by frames of the reference that no refinement saw, beside what chance alone makes.

A refinement takes every other of twenty blocks of the reference as its target (`refinement.ensemble`); the blocks
between are the judge. g(r) is that of centers of mass for molecules and that between molecules over all beads for
chains. The floor is the root mean square difference between windows of the reference, as long as the simulations, and
all of it; where there are several boxes, it includes how they differ. What has the structure of the target exactly
differs from the judge by `gr_halves`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.analysis import RadialDistribution
from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.selection.comparison import (
    compare_g,
    density_of_frames,
    density_of_run,
    g_of_run,
    judged_g,
    structure_of_frames,
)
from openmm_cgml.selection.refining import split_halves
from openmm_cgml.selection.simulations import is_complete, read_outcome
from openmm_cgml.selection.workplace import Workplace

_BLOCKS = 20  # of each box, of which windows are made
_FEWEST_FRAMES = 20


def judge(workplace: Workplace) -> dict[str, Any]:
    """The floor, the g(r) of every simulated force field beside the judging half, and the density at the pressure."""
    datasets, chains = workplace.open_datasets(), bool(workplace.specification.chains)
    simulated = dict(workplace.recipe.simulated)
    runs = {name: workplace.simulations(name, seeds) for name, seeds in simulated.items()}
    target, judging = (_g_of_half(datasets, half, chains) for half in (0, 1))
    judged: dict[str, Any] = {
        "n_boxes": len(datasets),
        "gr_judged_is": _describe(chains),
        "gr_halves": compare_g(target, judging, chains=chains),
    }
    for name, paths in runs.items():
        found = [_rmse(path, judging, chains) for path in paths]
        judged |= _with_error(f"gr_judged{workplace.recipe.suffix(name)}", found)
    length = _shortest(runs[workplace.recipe.shipped])
    return {**judged, **_floor(datasets, length, chains), **_densities(workplace, datasets)}


def _describe(chains: bool) -> str:
    what = "between molecules over all beads, to 1.5 nm" if chains else "of centers of mass, 0.3 to 1.2 nm"
    return f"g(r) {what}, RMSE against the blocks of the reference that no refinement saw; the box may end it before"


def _g_of_half(datasets: Sequence[ForceMatchingDataset], half: int, chains: bool) -> RadialDistribution:
    """The g(r) of the half that refinements aim at (0), or of the judging one (1), over all boxes."""
    frames = [dataset.frames(split_halves(dataset)[half]) for dataset in datasets]
    return judged_g(structure_of_frames(frames, datasets[0].topology), chains=chains)


def _rmse(path: Path, target: RadialDistribution, chains: bool) -> float | None:
    outcome = read_outcome(path)
    if outcome is None or outcome.n_frames <= _FEWEST_FRAMES:
        return None
    found = g_of_run(path, chains=chains)
    return None if found is None else compare_g(found, target, chains=chains)


def _shortest(paths: Sequence[Path]) -> float:
    """Length of the shortest simulation [ps]."""
    outcomes = [outcome for path in paths if (outcome := read_outcome(path)) is not None]
    return min((outcome.time for outcome in outcomes), default=0.0)


def _floor(datasets: Sequence[ForceMatchingDataset], length: float, chains: bool) -> dict[str, Any]:
    """Difference of windows of the reference from all of it; at most half of a box is a window."""
    whole = judged_g(
        structure_of_frames([dataset.frames() for dataset in datasets], datasets[0].topology), chains=chains
    )
    differences, window = [], 0.0
    for dataset in datasets:
        g = judged_g(structure_of_frames([dataset.frames()], dataset.topology, n_blocks=_BLOCKS), chains=chains)
        n_blocks, span = len(g.block_g), span_of(dataset)
        width = min(max(1, round(length / span * n_blocks)), max(1, n_blocks // 2))
        window = width * span / n_blocks
        for begin in range(0, n_blocks - width + 1, max(1, width // 2)):
            part = g.block_g[begin : begin + width].mean(axis=0)
            differences.append(compare_g(part, whole, chains=chains))
    return {"gr_floor": float(np.mean(differences)), "gr_floor_window_ps": float(window)}


def span_of(dataset: ForceMatchingDataset) -> float:
    """Time that the frames of a box stand for [ps]."""
    times = dataset.frames(np.array([0, dataset.n_frames - 1])).times
    assert times is not None  # recordings have them
    return float(times[-1] - times[0]) * dataset.n_frames / max(1, dataset.n_frames - 1)


def _densities(workplace: Workplace, datasets: Sequence[ForceMatchingDataset]) -> dict[str, Any]:
    """Density of the reference, and of the model at the pressure of the system [g/cm^3]."""
    reference = _with_error(
        "density_reference", [density_of_frames(dataset.frames(), dataset.topology) for dataset in datasets]
    )
    settings = workplace.recipe.constant_pressure
    if settings is None:
        return reference
    ended = [path for path in workplace.constant_pressure if is_complete(path)]
    found = [density_of_run(path, discard=settings.discard) for path in ended]
    return {**reference, **_with_error("density_1bar", found), "density_1bar_runs": len(ended)}


def _with_error(key: str, values: Sequence[float | None]) -> dict[str, Any]:
    """Mean of the values that there are and its standard error, by name."""
    found: NDArray[np.float64] = np.array([value for value in values if value is not None], np.float64)
    if not len(found):
        return {}
    mean = {key: float(found.mean())}
    if len(found) == 1:
        return mean
    return {**mean, f"{key}_by_seed": found.tolist(), f"{key}_error": float(found.std(ddof=1) / np.sqrt(len(found)))}
