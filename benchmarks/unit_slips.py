"""Which slips of units and signs `openmm-cgml import` would refuse in recordings that are right.

`python -m benchmarks.unit_slips RESULT.json NAME=RECORDING ...`, with recordings of atoms: of `reference`, a
`ForceRecorder` or `import`. Velocities are not looked at, which most trajectories lack.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from openmm_cgml.dataset import open_recording
from openmm_cgml.frames import Frames
from openmm_cgml.storage import write_json
from openmm_cgml.topology import AtomTopology
from openmm_cgml.trajectories import inspect_frames
from openmm_cgml.trajectories.sanity import Verdict

N_FRAMES = 100  # that `import` looks at
SLIPS = {
    "none": (1.0, 1.0),
    "angstrom taken for nm": (10.0, 1.0),
    "nm taken for angstrom": (0.1, 1.0),
    "kJ/mol taken for kcal/mol": (1.0, 4.184),
    "kcal/mol taken for kJ/mol": (1.0, 1 / 4.184),
    "eV taken for kJ/mol": (1.0, 1 / 96.485),
    "kcal/mol/angstrom taken for kJ/mol/nm": (1.0, 1 / 41.84),
    "kcal/mol/angstrom taken for eV/angstrom": (1.0, 23.06),
    "per angstrom taken for per nm": (1.0, 0.1),
    "per nm taken for per angstrom": (1.0, 10.0),
    "gradients taken for forces": (1.0, -1.0),
}
"""By what factor lengths and forces are wrong."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Try all slips on all recordings and write down the worst verdict of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("recordings", nargs="+")
    given = parser.parse_args(arguments)
    recordings = dict(text.split("=", 1) for text in given.recordings)
    verdicts = {name: try_slips(Path(path)) for name, path in recordings.items()}
    write_json(
        given.result,
        {"command": "python -m benchmarks.unit_slips RESULT.json NAME=RECORDING ...", "verdicts": verdicts},
    )


def try_slips(path: Path) -> dict[str, str]:
    """The worst verdict on the first frames of a recording with each slip."""
    store = open_recording(path)
    frames = store.read(0, min(N_FRAMES, store.n_frames)).replace(energies={}, forces_inter=None)
    atoms, temperature = AtomTopology.from_dict(store.metadata["atoms"]), store.metadata["temperature"]
    return {name: worst_verdict(slipped(frames, *factors), atoms, temperature) for name, factors in SLIPS.items()}


def slipped(frames: Frames, length: float, force: float) -> Frames:
    """Frames with wrong lengths and forces."""
    box = None if frames.box is None else frames.box * length
    return frames.replace(positions=frames.positions * length, box=box, forces=frames.forces * force)


def worst_verdict(frames: Frames, atoms: AtomTopology, temperature: float) -> str:
    """The worst of the findings on frames."""
    order = list(Verdict)
    return max((finding.verdict for finding in inspect_frames(frames, atoms, temperature)), key=order.index).value


if __name__ == "__main__":
    main()
