"""What splines between beads, sites and centers explain of the forces between molecules, and what a call costs.

`python -m benchmarks.orientation RESULT.json`, in a checkout, with the data in `data/`: every form is fitted with 1 atm
held, as `openmm-cgml fit` does, to every other of some blocks of frames; R2 is that of the frames between.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine_rates import describe_machine
from benchmarks.three_body import time_call
from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.engine import DeployedPairs, deploy_sites
from openmm_cgml.engine.cpu import TabulatedPairs
from openmm_cgml.engine.pair_tables import tabulate_pairs
from openmm_cgml.engine.sites import TabulatedSites
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import PairPotential, PairSplineConfig, SitePairs, intermolecular_forces
from openmm_cgml.priors import PriorConfig, PriorSet, fit_priors
from openmm_cgml.topology import CGTopology
from openmm_cgml.training.config import read_fit_config

ROOT = Path(__file__).parents[1]
N_BLOCKS = 8
BEADS = (1.0,)
SITES = ((0.66, 0.5, 0.38), (0.42, 0.36, 0.28))
CENTERS = ((0.66, 0.5, 0.38, 1.0), (0.46, 0.4, 0.3, 1.2), (0.42, 0.32, 0.26, 1.0))
PRESSURE = 1.01325  # bar
SYSTEMS = ("benzene-3bead", "polyethylene-2bead")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path)
    given = parser.parse_args(arguments)
    systems = {name: measure_system(name) for name in SYSTEMS}
    content = {
        "about": "R2 of the forces between molecules in frames that were not fitted to, of splines with 1 atm held: "
        "between beads, between carbons and hydrogens placed by them (cutoffs of C-C, C-H, H-H), and between these "
        "with further splines between centers of mass of molecules (benzene) or between the beads (polyethylene). "
        "Milliseconds: a call of the engine, one thread, the tenth percentile.",
        "command": f"python -m benchmarks.orientation {given.result}",
        "processor": describe_machine(1),
        "systems": systems,
    }
    given.result.write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")


def measure_system(name: str) -> list[dict[str, Any]]:
    """A row for every form."""
    dataset = ForceMatchingDataset.open(ROOT / "data" / name / "box-1", verify=False)
    frames = dataset.frames()
    blocks = np.array_split(np.arange(len(frames)), N_BLOCKS)
    fitted, held = (frames[np.concatenate(blocks[half::2])] for half in (0, 1))
    pairs = read_fit_config(ROOT / "systems" / name / "fit.yaml").priors.pairs
    assert isinstance(pairs, PairSplineConfig) and pairs.sites is not None and pairs.centers is not None
    shared = {"pressure": PRESSURE}
    sites, of = {**shared, "sites": pairs.sites}, pairs.centers.of
    forms: list[tuple[str, dict[str, Any]]] = [("beads", {**shared, "cutoff": cutoff}) for cutoff in BEADS]
    forms += [("sites", {**sites, "cutoff": by_types(*cutoffs)}) for cutoffs in SITES]
    forms += [
        ("sites and centers", {**sites, "cutoff": by_types(*own), "centers": {"of": of, "cutoff": last}})
        for *own, last in CENTERS
    ]
    rows = []
    for form, settings in forms:
        rows.append({"form": form, **measure(PairSplineConfig(**settings), dataset, fitted, held)})
        print(name, rows[-1], flush=True)
    return rows


def by_types(cc: float, ch: float, hh: float) -> Mapping[str, float]:
    """Cutoffs of carbons and hydrogens [nm]."""
    return {"C-C": cc, "C-H": ch, "H-H": hh}


def measure(config: PairSplineConfig, dataset: ForceMatchingDataset, fitted: Frames, held: Frames) -> dict[str, Any]:
    """Cutoffs [nm], R2 of held-out frames, and the time of a call [ms]."""
    topology = dataset.topology
    whole = PriorConfig(pairs=config, exclude_bonds=3)
    priors = fit_priors(whole, topology, fitted, dataset.temperature)
    labels = intermolecular_forces(held, topology)
    found = priors.forces(topology, held, part="inter")
    settings = config.model_dump(include={"cutoff", "centers"}, exclude_none=True)
    r2 = 1 - float(np.square(found - labels).sum()) / float(np.square(labels, dtype=np.float64).sum())
    return {**settings, "inter_force_r2": round(r2, 4), "ms": round(time_priors(priors, topology, held), 3)}


def time_priors(priors: PriorSet, topology: CGTopology, frames: Frames) -> float:
    """Time of a call of the engine for the pair priors [ms]."""
    bound = priors.bind(topology)
    of_sites = [potential for potential in bound if isinstance(potential, SitePairs)]
    engine: TabulatedSites | TabulatedPairs
    if of_sites:
        engine = TabulatedSites(deploy_sites(of_sites), n_threads=1)
    else:
        table = tabulate_pairs([potential for potential in bound if isinstance(potential, PairPotential)])
        assert table is not None  # the configuration has pairs
        engine = TabulatedPairs(DeployedPairs(pair_table=table), n_threads=1)
    assert frames.box is not None  # the datasets have one
    return time_call(engine, frames.positions[0].astype(float), frames.box[0].astype(float))


if __name__ == "__main__":
    main()
