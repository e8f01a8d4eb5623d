"""Every kind of file that is read back, made small, and what reading it gives."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openmm
import torch

from openmm_cgml.cli.run_record import read_run_record, recorded
from openmm_cgml.dataset import ForceMatchingDataset, read_force_map_reports
from openmm_cgml.errors import ArtifactError
from openmm_cgml.force_field import ForceField
from openmm_cgml.mapping import ForceMapReport, Mapping
from openmm_cgml.priors import PriorSet
from openmm_cgml.reference import checkpoint as reference_checkpoint
from openmm_cgml.reference.mixture import mixture_of
from openmm_cgml.refinement.state import read_state, write_state
from openmm_cgml.runs import checkpoint as simulation_checkpoint
from openmm_cgml.runs.folder import RunFolder
from openmm_cgml.runs.output import check_marks
from openmm_cgml.runs.result import SimulationResult
from openmm_cgml.simulation import simulate_system
from openmm_cgml.specification import read_specification
from openmm_cgml.storage import read_json, write_sealed_json
from openmm_cgml.topology import CGTopology
from openmm_cgml.training import checkpoints as training_checkpoints
from openmm_cgml.training.config import read_fit_config
from tests.fixtures import tiny_force_field
from tests.reference.test_system_of_files import FILES
from tests.simulation.conftest import make_config, make_liquid
from tests.training.dimers import TEMPLATE, dimer_frames, dimer_topology

SYSTEMS = Path(__file__).parents[2] / "systems"


@dataclass(frozen=True)
class Target:
    """A folder whose files are damaged one at a time.

    Attributes:
        name: What it is.
        folder: The whole one.
        files: Names of the files that are damaged.
        read: Everything that a program takes from it, as something to compare; raises or falls back if it is damaged.
        sealed: Whether any change must be noticed; files that people write cannot be.
    """

    name: str
    folder: Path
    files: tuple[str, ...]
    read: Callable[[Path], object]
    sealed: bool = True


def make_targets(root: Path) -> list[Target]:
    """All of them, below a folder."""
    makers = (
        _force_field, _dataset, _mapping, _priors, _force_maps, _simulation, _simulation_checkpoint, _reference_checkpoint,
        _training_checkpoint, _refinement, _record, _system, _molecule, _fit,
    )  # fmt: skip
    return [make(root / make.__name__) for make in makers]


def _digest(*parts: object) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else repr(part).encode())
    return digest.hexdigest()


def _force_field(folder: Path) -> Target:
    tiny_force_field(3).save(folder)

    def read(path: Path) -> object:
        found = ForceField.load(path)
        return found.fingerprint, found.manifest.model_dump_json(), found.priors.to_json()

    files = ("manifest.json", "priors.json", "network.json", "weights.safetensors", "selftest.safetensors")
    return Target("force field", folder, files, read)


def _dataset(folder: Path) -> Target:
    ForceMatchingDataset.create(
        folder, [dimer_frames(6, 4)], topology=dimer_topology(4), temperature=300.0, mapping_fingerprint="test", source={},
        templates=[TEMPLATE],
    )  # fmt: skip

    def read(path: Path) -> object:
        data = ForceMatchingDataset.open(path)
        frames = data.frames()
        about = json.dumps(dict(data._store.metadata), sort_keys=True)
        arrays = (frames.positions, frames.forces, frames.forces_inter, frames.box, frames.times)
        return data.fingerprint, _digest(about, *(None if a is None else a.tobytes() for a in arrays))

    return Target("dataset", folder, ("manifest.json", "manifest.json", "frames-000000.h5"), read)


def _mapping(folder: Path) -> Target:
    folder.mkdir()
    write_sealed_json(folder / "mapping.json", Mapping.identity(dimer_topology(3)).to_dict())

    def read(path: Path) -> object:
        mapping = Mapping.from_dict(read_json(path / "mapping.json"))
        return mapping.fingerprint, sorted(mapping.provenance.items())

    return Target("mapping", folder, ("mapping.json",), read)


def _priors(folder: Path) -> Target:
    folder.mkdir()
    (folder / "priors.json").write_text(tiny_force_field(3).priors.to_json())
    return Target(
        "priors alone", folder, ("priors.json",),
        lambda path: PriorSet.from_json((path / "priors.json").read_bytes()).to_json(),
    )  # fmt: skip


def _force_maps(folder: Path) -> Target:
    folder.mkdir()
    report = ForceMapReport(
        residue_name="DIM", bead_names=("A", "B"), uniform_rms=(3.0, 2.0), optimal_rms=(2.0, 1.0), n_samples=9
    )
    write_sealed_json(folder / "force_map.json", {"reports": [report.to_dict()]})
    return Target("force map report", folder, ("force_map.json",), lambda path: read_force_map_reports(path))


def _simulation(folder: Path) -> Target:
    liquid = make_liquid(2, 0.9, smooth=False)
    simulate_system(
        liquid.system, liquid.topology, liquid.positions, liquid.box, output=folder, config=make_config(duration="0.1 ps"),
        progress=False,
    )  # fmt: skip

    def read(path: Path) -> object:
        topology = CGTopology.from_dict(read_json(path / "topology.json"))
        result = SimulationResult.read(path)
        record = json.dumps(read_json(path / "simulation.json"), sort_keys=True)
        return topology.fingerprint, repr(result).replace(str(path), ""), record

    return Target("simulation", folder, ("simulation.json", "result.json", "topology.json"), read)


def _simulation_checkpoint(folder: Path) -> Target:
    liquid = make_liquid(2, 0.9, smooth=False)
    simulate_system(
        liquid.system, liquid.topology, liquid.positions, liquid.box, output=folder, config=make_config(duration="0.1 ps"),
        progress=False,
    )  # fmt: skip
    newest = max((folder / "checkpoints").iterdir()).relative_to(folder)

    def read(path: Path) -> object:
        found, rejected = simulation_checkpoint.find_checkpoint(
            path / "checkpoints", lambda point: check_marks(RunFolder.at(path), point.meta["files"])
        )
        if rejected:
            raise ArtifactError(rejected[0])  # passed over with a note, for the generation before
        assert found is not None
        arrays = (found.positions.tobytes(), found.velocities.tobytes(), found.context)
        return found.step, _digest(*arrays, json.dumps(dict(found.meta), sort_keys=True))

    names = ("meta.json", "state.safetensors", "context.chk", "SHA256SUMS")
    files = (*(str(newest / name) for name in names), "trajectory.xtc", "log.csv", "trajectory/manifest.json")
    return Target("checkpoint of a simulation", folder, files, read)


def _reference_checkpoint(folder: Path) -> Target:
    system = openmm.System()
    system.addParticle(1.0)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions([[0.1, 0.2, 0.3]])
    context.setVelocities([[0.3, 0.2, 0.1]])
    state = openmm.XmlSerializer.serialize(context.getState(positions=True, velocities=True))
    point = reference_checkpoint.Checkpoint(stage="density", step=7, n_frames=0, state=state, densities=(0.8, 0.9))
    reference_checkpoint.write_checkpoint(folder, point, order=1)

    def read(path: Path) -> object:
        found = reference_checkpoint.read_newest_checkpoint(path)
        assert found is not None
        reference_checkpoint.read_state(found.state)
        return repr(found)

    return Target("checkpoint of a reference", folder, (next(folder.glob("*.json")).name,), read)


def _training_checkpoint(folder: Path) -> Target:
    identity = {"data": "a" * 16, "priors": "b" * 16}
    training_checkpoints.write_checkpoint(
        folder, 12, identity, lambda path: Path(path).write_bytes(b"weights" * 50) and None
    )

    def read(path: Path) -> object:
        found = training_checkpoints.find_checkpoint(path, identity)
        return None if found is None else (found.step, found.path.read_bytes())

    return Target("checkpoint of a fit", folder, ("step-000000012.json", "step-000000012.ckpt"), read)


def _refinement(folder: Path) -> Target:
    folder.mkdir()
    write_state(folder, {"positions": torch.rand(4, 3), "network.a": torch.rand(5)}, {"history": [{"round": 0.0}]})

    def read(path: Path) -> object:
        tensors, content = read_state(path) or ({}, {})
        return _digest(json.dumps(content, sort_keys=True), *(t.numpy().tobytes() for _, t in sorted(tensors.items())))

    return Target("state of a refinement", folder, ("state.safetensors",), read)


def _record(folder: Path) -> Target:
    folder.mkdir()
    with recorded(folder, "map", {"output": folder.name}) as result:
        result["n_frames"] = 3
    return Target(
        "record of a verb",
        folder,
        ("run.json",),
        lambda path: json.dumps(read_run_record(path / "run.json"), sort_keys=True),
    )


def _system(folder: Path) -> Target:
    folder.mkdir()
    shutil.copy(SYSTEMS / "benzene-3bead" / "system.yaml", folder)
    return Target("system.yaml", folder, ("system.yaml",), lambda path: repr(read_specification(path)), sealed=False)


def _molecule(folder: Path) -> Target:
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)

    def read(path: Path) -> object:
        mixture = mixture_of(read_specification(path))
        system = mixture.create_system(mixture.topology())
        return openmm.XmlSerializer.serialize(system), mixture.models[0].positions.tolist()

    return Target("atomistic molecule", folder, ("chlorine.xml", "chlorine.pdb"), read, sealed=False)


def _fit(folder: Path) -> Target:
    folder.mkdir()
    shutil.copy(SYSTEMS / "benzene-3bead" / "fit.yaml", folder)

    def read(path: Path) -> object:
        return repr(read_fit_config(path / "fit.yaml", data={"datasets": "d"}))

    return Target("fit.yaml", folder, ("fit.yaml",), read, sealed=False)


def read_quietly(target: Target, folder: Path) -> object:
    """What is read, without the warnings on the way."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return target.read(folder)
