"""What three-body terms explain of the forces between molecules of one bead, by cutoff and number of functions.

`python -m benchmarks.three_body DATASET MEAN_FORCES.npz RESULT.json`, with a dataset of molecules of one bead and the
mean forces of one configuration of the same liquid: positions `com` [nm] and forces `mean` [kJ/mol/nm], shape
(n_molecules, 3), their variance `var` over `N` samples, and the edge `L` of the cubic box [nm].

Splines of the pairs are fitted with the terms, at 1 atm, as `openmm-cgml fit` does. Radial functions and polynomials
are nested, so the equations of the largest term hold those of all others.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.engine import DeployedPairs, DeployedThreeBody
from openmm_cgml.engine.cpu import TabulatedPairs
from openmm_cgml.engine.pair_tables import tabulate_pairs
from openmm_cgml.engine.three_body import EvaluatedThreeBody
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import PairData, PairSpline, PairSplineConfig, ThreeBody, ThreeBodyConfig
from openmm_cgml.potentials.force_matching import NormalEquations
from openmm_cgml.potentials.least_squares import minimize_quadratic
from openmm_cgml.potentials.pair_spline import _blank_terms
from openmm_cgml.potentials.three_body_features import ThreeBodyFeatures
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import BOLTZMANN

CUTOFF = 1.2  # nm
PAIRS = PairSplineConfig(cutoff=CUTOFF)
PRESSURE = 1.01325  # bar
CUTOFFS, MOST_RADIAL, MOST_ANGULAR = (0.6, 0.65, 0.7, 0.8, 0.9, 1.0), 4, 5
N_FITTED, N_HELD_OUT, HELD_OUT_FROM = 120, 40, 0.7
CALLS = 400
Engine = Callable[[np.ndarray, np.ndarray], object]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("dataset", "mean_forces", "result"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args(arguments)
    dataset = ForceMatchingDataset.open(given.dataset, verify=False)
    frames, topology = dataset.frames(), dataset.topology
    border = int(HELD_OUT_FROM * len(frames))
    split = {
        "fit": frames[np.linspace(0, border - 1, N_FITTED).astype(int)],
        "held_out": frames[np.linspace(border + 10, len(frames) - 1, N_HELD_OUT).astype(int)],
    }
    split["mean_force"], noise = read_mean_forces(given.mean_forces)
    kt = BOLTZMANN * dataset.temperature
    rows: list[dict[str, Any]] = []
    for cutoff in CUTOFFS:
        rows += measure_cutoff(cutoff, split, topology, kt, noise, with_pairs=not rows)
    content = {
        "about": "R2 of the forces between molecules of splines of the pairs (1.2 nm, 1 atm held) with three-body "
        "terms: of the instantaneous forces in frames that were not fitted to, of the mean forces of one configuration "
        "(as they are, and less the variance of their noise), and of these by a fit without the rule that no "
        "eigenvalue is negative. "
        "Multiplications: rough number per bead in the loops over pairs. Milliseconds: a call of the engine with the "
        "pairs, one thread, the tenth percentile.",
        "command": f"python -m benchmarks.three_body {given.dataset} {given.mean_forces.name} {given.result}",
        "fitted_frames": N_FITTED,
        "rows": rows,
    }
    given.result.write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")


def read_mean_forces(path: Path) -> tuple[Frames, float]:
    """The configuration, and the mean square of the noise of its forces [(kJ/mol/nm)^2]."""
    held = np.load(path)
    box = np.eye(3)[None] * float(held["L"])
    frames = Frames(positions=held["com"][None], forces=held["mean"][None], box=box)
    return frames, float(np.mean(held["var"] / held["N"]))


def measure_cutoff(
    cutoff: float, split: dict[str, Frames], topology: CGTopology, kt: float, noise: float, *, with_pairs: bool
) -> list[dict[str, Any]]:
    """A row for every number of functions at a cutoff [nm], with the pairs alone before them if asked for."""
    largest = ThreeBodyConfig(cutoff=cutoff, n_max=MOST_RADIAL, l_max=MOST_ANGULAR)
    data = {
        name: PairData(topology=topology, frames=frames, kt=kt, exclude_bonds=2, three_body=largest)
        for name, frames in split.items()
    }
    blank = _blank_terms(data["fit"], PAIRS, dict.fromkeys(data["fit"].types, CUTOFF))
    equations = {name: NormalEquations(PairSpline, blank, each) for name, each in data.items()}
    sizes = [(n, angular) for n in range(1, MOST_RADIAL + 1) for angular in range(MOST_ANGULAR + 1)]
    configs: list[ThreeBodyConfig | None] = [None] if with_pairs else []
    configs += [ThreeBodyConfig(cutoff=cutoff, n_max=n, l_max=angular) for n, angular in sizes]
    return [measure(config, equations, split, topology, blank, noise) for config in configs]


def measure(
    config: ThreeBodyConfig | None,
    equations: dict[str, NormalEquations],
    split: dict[str, Frames],
    topology: CGTopology,
    blank: dict[tuple[str, ...], dict[str, Any]],
    noise: float,
) -> dict[str, Any]:
    """R2, and what a call costs, with one number of functions, or none."""
    own = {name: restricted(each, config, topology) for name, each in equations.items()}
    fit = own["fit"]
    pressure = (fit.virial[None], np.array([fit.virial_at(PRESSURE)]))
    row: dict[str, Any] = {} if config is None else config.model_dump()
    free = minimize_quadratic(fit.regularized(), fit.vector, equal=pressure, at_most=fit.walls())
    row["mean_force_r2_any_eigenvalues"] = round(r2(own["mean_force"], free), 4)
    solution = fit.solve(pressure)
    square, residual = own["mean_force"].mean_square, own["mean_force"].rmse(solution) ** 2
    row["mean_force_r2"] = round(1 - residual / square, 4)
    row["mean_force_r2_without_noise"] = round(1 - (residual - noise) / (square - noise), 4)
    row["held_out_r2"] = round(r2(own["held_out"], solution), 4)
    (types,) = fit.places
    place = fit.places[types]
    parameters = {**blank[types], "coefficients": tuple(solution[place].tolist())}
    arrays = {name: np.array([[value]]) for name, value in parameters.items() if name != "coefficients"}
    arrays["coefficients"] = solution[None, None, place]
    pair = PairSpline.bind(np.zeros(topology.n_beads, np.int64), arrays, np.zeros((0, 2), np.int64))
    table = tabulate_pairs([pair])
    assert table is not None  # there is a potential
    positions, box = split["fit"].positions[0].astype(float), split["fit"].box
    assert box is not None  # the dataset has one
    if config is None:
        engine = TabulatedPairs(DeployedPairs(pair_table=table), n_threads=1)
    else:
        three_body = ThreeBody.bind(topology, fit.three_body_of(solution))
        engine = EvaluatedThreeBody(DeployedThreeBody(three_body=three_body, pair_table=table), n_threads=1)
        n_moments = config.n_max * (config.l_max + 1) * (config.l_max + 2) * (config.l_max + 3) // 6
        row["neighbors"] = round(neighbors(split["fit"], config.cutoff), 1)
        row["multiplications"] = round(row["neighbors"] * n_moments * 7 + n_moments * config.n_max)
    row["ms"] = round(time_call(engine, positions, box[0].astype(float)), 3)
    return row


def restricted(equations: NormalEquations, config: ThreeBodyConfig | None, topology: CGTopology) -> NormalEquations:
    """The equations of fewer functions."""
    known, n_pair = equations._three_body, equations.n_pair
    assert known is not None  # all hold the largest term
    kept = [np.arange(n_pair)]
    result = copy.copy(equations)
    result._three_body = None
    if config is not None:
        of_largest = [(n, k) for n in range(MOST_RADIAL) for k in range(n, MOST_RADIAL)]
        numbers = [of_largest.index((n, k)) for n in range(config.n_max) for k in range(n, config.n_max)]
        starts = n_pair + np.array(numbers) * (MOST_ANGULAR + 1)
        kept.append((starts[:, None] + np.arange(config.l_max + 1)).ravel())
        result._three_body = ThreeBodyFeatures(config, topology.bead_types, topology.type_names)
    chosen = np.concatenate(kept)
    result.matrix, result.vector = equations.matrix[np.ix_(chosen, chosen)], equations.vector[chosen]
    result.virial = equations.virial[chosen]
    return result


def r2(equations: NormalEquations, solution: np.ndarray) -> float:
    """Share of the square of the forces that a solution explains."""
    return 1 - equations.rmse(solution) ** 2 / equations.mean_square


def neighbors(frames: Frames, cutoff: float) -> float:
    """Mean number of neighbors in the first frame."""
    from openmm_cgml.periodic import find_pairs

    assert frames.box is not None  # the dataset has one
    pairs = find_pairs(frames.positions[0], frames.box[0], cutoff)
    return 2 * pairs.shape[1] / frames.n_particles


def time_call(engine: Engine, positions: np.ndarray, box: np.ndarray) -> float:
    """Time of a call [ms]: that which one of ten calls is faster than, since others may use the machine."""
    engine(positions, box)
    times = []
    for _ in range(CALLS):
        start = time.perf_counter()
        engine(positions, box)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.percentile(times, 10))


if __name__ == "__main__":
    main()
