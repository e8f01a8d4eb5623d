"""start_from_recording: the folder of a system that has been simulated already."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from openmm_cgml.dataset import open_recording
from openmm_cgml.errors import InputError
from openmm_cgml.judging import draw_mapping
from openmm_cgml.mapping.descriptions import to_yaml
from openmm_cgml.mapping.operator import Mapping
from openmm_cgml.mapping.templates import center_of_mass_mapping
from openmm_cgml.periodic import box_widths
from openmm_cgml.shards import FrameStore
from openmm_cgml.specification import SystemSpecification
from openmm_cgml.starting.config import StartFromRecordingConfig
from openmm_cgml.starting.files import PICTURE, bonded_priors, fit_text, pair_priors, refine_text
from openmm_cgml.starting.folder import StartedSystem, command_line
from openmm_cgml.starting.names import check_system_name
from openmm_cgml.starting.protocol import model_cutoff
from openmm_cgml.starting.recorded_beads import describe_beads, labels_of
from openmm_cgml.starting.texts import commands_from_data, filled, pressure_text
from openmm_cgml.storage import OutputKind, check_output, hold_output, write_atomically
from openmm_cgml.topology import AtomTopology, CGTopology

__all__ = ["start_from_recording"]

_ROOM = 0.97
"""Part of the width of the box that twice the cutoff may take: at constant pressure it shrinks at times."""
_MADE_HERE = b"# What the beads are. Made by: openmm-cgml init"


def _is_made_by_init(marker: Path) -> bool:
    with open(marker, "rb") as file:
        return file.read(len(_MADE_HERE)) == _MADE_HERE


_OUTPUT = OutputKind(
    verb="init",
    marker="system.yaml",
    members=("fit.yaml", "refine.yaml", "README.md", PICTURE),
    recognizes=_is_made_by_init,
)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Start:
    """What a recorded system starts with; see `texts.Described`."""

    folder: Path
    command: str
    config: StartFromRecordingConfig
    specification: SystemSpecification
    target: CGTopology
    cutoff: float
    notes: tuple[str, ...]

    @property
    def description(self) -> str:
        return self.specification.description

    @property
    def temperature(self) -> float:
        return self.specification.temperature

    @property
    def pressure(self) -> float:
        return self.config.pressure


def start_from_recording(
    folder: str | Path, config: StartFromRecordingConfig, *, overwrite: bool = False
) -> StartedSystem:
    """Write the folder of a recorded system: system.yaml, fit.yaml, refine.yaml, a picture of its beads, README.

    Elements, atoms, residues and numbers of molecules are those of the recording, whether it was made here or imported.

    Args:
        folder: Folder to write; its name is that of the system.
        config: The recording, and its beads.
        overwrite: Replace what an earlier call wrote there.

    Raises:
        InputError: There is no such recording, it has no box, or the beads do not fit it.
        OutputExistsError: The folder holds something, and is not to be replaced.
    """
    folder = Path(folder)
    check_system_name(folder.name)
    check_output(folder, _OUTPUT, overwrite=overwrite)
    store = open_recording(config.recording)
    atoms = AtomTopology.from_dict(store.metadata["atoms"])
    cutoff = _cutoff(store)
    specification = _describe(folder.name, config, store, atoms)
    mapping = center_of_mass_mapping(specification, atoms)
    usual = StartFromRecordingConfig(recording=config.recording)
    start = _Start(
        folder=folder,
        command=command_line(folder, config, usual, options={"recording": "from"}),
        config=config,
        specification=specification,
        target=mapping.target,
        cutoff=cutoff,
        notes=tuple(_notes(store, specification, config)),
    )
    with hold_output(folder, _OUTPUT, overwrite=overwrite):
        for name, content in _files(start, atoms, mapping).items():
            write_atomically(folder / name, content)
    commands = tuple(_commands(start))
    return StartedSystem(folder=folder, description=start.description, commands=commands, notes=start.notes)


def _cutoff(store: FrameStore) -> float:
    """Cutoff of pair potentials that the boxes of a recording leave room for [nm]."""
    box = store.read(0, 1).box
    if box is None:
        raise InputError(
            f"{store.path} has no periodic box: pair energies, refinement and pressure need one. Write a fit.yaml of "
            "bonded terms (docs/priors.md)"
        )
    return model_cutoff(_ROOM * float(box_widths(box[0]).min()))


def _describe(
    name: str, config: StartFromRecordingConfig, store: FrameStore, atoms: AtomTopology
) -> SystemSpecification:
    """The system of a recording with the beads that were asked for."""
    temperature = float(store.metadata["temperature"])
    found = describe_beads(name, config, atoms, temperature)
    beads = ", ".join(found.type_names)
    description = f"Beads of {beads} from the recording {config.recording.name} at {temperature:g} K"
    return found.model_copy(
        update={
            "name": name,
            "description": description,
            "temperature": temperature,
            "pressure": config.pressure,
        }
    )


def _notes(store: FrameStore, specification: SystemSpecification, config: StartFromRecordingConfig) -> Iterator[str]:
    frame = store.read(0, 1)
    if frame.forces is None:
        yield (
            "the recording has no forces: fit needs them. Have them computed, openmm-cgml import --rerun "
            "(docs/importing.md)"
        )
    elif frame.forces_inter is None:
        yield (
            "the recording has total forces alone: pair energies are fitted to what bonded terms leave of them, "
            "which is coarser, and refine does the rest (docs/importing.md)"
        )
    yield (
        f"fit and refine hold a pressure of {pressure_text(config.pressure)} at the density of the recording, "
        "which does not say what it had; change `pressure` in fit.yaml and refine.yaml if you know better, or take it "
        "out"
    )
    if specification.unmapped:
        yield f"residues {', '.join(specification.unmapped)} have no beads: the beads feel their mean force"


def _files(start: _Start, atoms: AtomTopology, mapping: Mapping) -> dict[str, str | bytes]:
    comment = f"{_MADE_HERE.decode()[2:].removesuffix('openmm-cgml init')}{start.command}\n"
    comment += f"Every key is explained in docs/settings.md. Atoms and numbers are those of {start.config.recording}."
    return {
        "system.yaml": to_yaml(start.specification, comment=comment),
        "fit.yaml": _fit_yaml(start),
        "refine.yaml": refine_text(start, has_bonds=bool(len(start.target.bonds))),
        PICTURE: _picture(atoms, mapping, start.folder.name),
        "README.md": _readme(start),
    }


def _fit_yaml(start: _Start) -> str:
    target = start.target
    longest = 4 if len(target.dihedrals) else 3 if len(target.angles) else 2
    pairs = pair_priors(start, start.cutoff)
    bonded = bonded_priors(start, longest) if len(target.bonds) else ""
    priors = bonded + pairs if bonded else pairs + filled("three_body.yaml", start)
    return fit_text(start, priors, start.cutoff, what="system")


def _picture(atoms: AtomTopology, mapping: Mapping, title: str) -> bytes:
    image = io.BytesIO()
    draw_mapping(atoms, labels_of(mapping), title=title).savefig(image, dpi=110, format="png")
    return image.getvalue()


def _readme(start: _Start) -> str:
    rows = [
        f"| {residue.name} | {residue.count or 'in chains'} | "
        + "; ".join(f"{bead.name} ({bead.type}): {' '.join(bead.atoms)}" for bead in residue.beads)
        + " |"
        for residue in start.specification.residues
    ]
    return filled(
        "README-recording.md",
        start,
        residues="\n".join(rows),
        recording=str(start.config.recording),
        commands="\n".join(_commands(start)),
        notes="\n".join(f"- {note}" for note in start.notes),
    )


def _commands(start: _Start) -> list[str]:
    """The command lines from the recording to a report."""
    folder, recording = shlex.quote(str(start.folder)), shlex.quote(str(start.config.recording))
    counts = [f"--molecules {r.name}={r.count}" for r in start.specification.residues if r.count]
    counts += [f"--chains {chain.name}={chain.count}x{chain.monomers}" for chain in start.specification.chains]
    return [
        "pip install openmm-cgml",
        start.command,
        f"openmm-cgml map {recording} {folder} -o {folder}/runs/data",
        *commands_from_data(start.folder, " ".join(counts), "200 ps"),
    ]
