"""start_system: the folder of a liquid that is known by the SMILES of its molecules alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from openmm_cgml.config import Config
from openmm_cgml.errors import InputError
from openmm_cgml.starting.ambertools import Charges, parametrize
from openmm_cgml.starting.beads import Groups, group_atoms, loose_beads, name_beads, read_groups
from openmm_cgml.starting.config import StartConfig
from openmm_cgml.starting.files import (
    FORCE_FIELD,
    PICTURE,
    Start,
    commands,
    fit_yaml,
    molecule_pdb,
    readme,
    refine_yaml,
    system_yaml,
)
from openmm_cgml.starting.force_field_xml import (
    MADE_HERE,
    ParametrizedMolecule,
    check_energies,
    force_field_xml,
    water_parameters,
    water_positions,
)
from openmm_cgml.starting.molecules import SmallMolecule, is_smiles, parse_smiles, read_smiles
from openmm_cgml.starting.names import check_system_name, residue_names
from openmm_cgml.starting.picture import draw_mapping
from openmm_cgml.starting.protocol import Protocol, choose_protocol
from openmm_cgml.storage import OutputKind, check_output, hold_output, write_atomically

__all__ = ["OUTPUT", "StartedSystem", "command_line", "start_system"]


def _is_made_by_init(marker: Path) -> bool:
    with open(marker, "rb") as file:
        return file.read(len(MADE_HERE)) == MADE_HERE.encode()


OUTPUT = OutputKind(
    verb="init",
    marker=FORCE_FIELD,
    members=("system.yaml", "fit.yaml", "refine.yaml", "README.md", PICTURE, "*.pdb"),
    recognizes=_is_made_by_init,
)


@dataclass(frozen=True, kw_only=True)
class StartedSystem:
    """A folder that was written.

    Attributes:
        folder: The folder.
        description: What the liquid is, in one line.
        commands: Command lines from here to a report, installation and `init` first.
        notes: What was decided, and should be known.
    """

    folder: Path
    description: str
    commands: tuple[str, ...]
    notes: tuple[str, ...]


def start_system(folder: str | Path, config: StartConfig, *, overwrite: bool = False) -> StartedSystem:
    """Write the folder of a liquid: system.yaml, fit.yaml, refine.yaml, atomistic force field, molecules, README.

    The atomistic force field is GAFF-2, with TIP3P for water, one OpenMM XML whose energies are compared with those of
    tleap's topology before anything is written. The folder runs as it is: `run_reference(read_specification(folder),
    ...)` and what follows, as its README says.

    Args:
        folder: Folder to write; its name is that of the system.
        config: Molecules, beads and conditions.
        overwrite: Replace what an earlier call wrote there.

    Raises:
        InputError: A SMILES, a number or a name makes no sense, or AmberTools gives up on a molecule.
        MissingDependencyError: RDKit or AmberTools is missing.
        OutputExistsError: The folder holds something, and is not to be replaced.
    """
    folder = Path(folder)
    check_system_name(folder.name)
    check_output(folder, OUTPUT, overwrite=overwrite)
    smiles, counts = read_counts(config)
    _refuse_twice(smiles)
    names = residue_names(folder.name, [_is_water(each) for each in smiles])
    molecules = [_molecule(text, name, config.seed) for text, name in zip(smiles, names, strict=True)]
    groups = _groups(molecules, config)
    parametrized = [_parametrized(molecule, config.charges) for molecule in molecules]
    xml = force_field_xml(parametrized)
    check_energies(xml, parametrized)
    protocol = choose_protocol(parametrized, counts)
    start = Start(
        folder=folder,
        command=command_line(folder, config, StartConfig(smiles=config.smiles)),
        molecules=tuple(molecules),
        counts=counts,
        beads=name_beads(molecules, groups),
        sources=tuple(each.parameters.source for each in parametrized),
        protocol=protocol,
        temperature=config.temperature,
        pressure=config.pressure,
        notes=tuple(_notes(parametrized, groups, protocol)),
    )
    with hold_output(folder, OUTPUT, overwrite=overwrite):
        for name, content in _files(start, xml).items():
            write_atomically(folder / name, content)
    return StartedSystem(
        folder=folder, description=start.description, commands=tuple(commands(start)), notes=start.notes
    )


def read_counts(config: StartConfig) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """SMILES and numbers of molecules.

    A number behind the last "=" is a count where what comes before it is a SMILES of its own: in "C=1CCCCC=1" it is
    not, since a ring would stay open.

    Raises:
        InputError: A number is missing, or given twice.
    """
    found = [_split_count(text) for text in config.smiles]
    smiles = tuple(each for each, _ in found)
    if len(found) == 1:
        (_, counted), given = found[0], config.molecules
        if (counted is None) == (given is None):
            raise InputError(
                f"say once how many molecules: --smiles {smiles[0]} --molecules 500"
                if given is None
                else f"--smiles {config.smiles[0]} has a number, and --molecules {given} another; leave one out"
            )
        return smiles, (counted or given or 0,)
    missing = [each for each, count in found if count is None]
    if missing or config.molecules is not None:
        raise InputError(
            "a mixture needs the number of each kind with its SMILES and nothing else: "
            + " ".join(f"--smiles {each}={count or 100}" for each, count in found)
        )
    return smiles, tuple(count or 0 for _, count in found)


def command_line(
    folder: Path, config: Config, usual: Config, *, options: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The command line that starts a system with this configuration.

    Args:
        folder: The folder.
        config: The configuration.
        usual: The same where only what has no default is set.
        options: Options of settings that are called otherwise.
    """
    words = ["openmm-cgml", "init", str(folder)]
    needed = {name for name, field in type(config).model_fields.items() if field.is_required()}
    for name in type(config).model_fields:
        value = getattr(config, name)
        if name not in needed and value == getattr(usual, name):
            continue
        unit = {"temperature": " kelvin", "pressure": " bar"}.get(name, "")
        for each in value if isinstance(value, tuple) else (value,):
            words += [f"--{options.get(name, name)}", f"{each:g}{unit}" if unit else str(each)]
    return shlex.join(words)


def _split_count(text: str) -> tuple[str, int | None]:
    head, equals, tail = text.rpartition("=")
    if equals and tail.isdigit() and is_smiles(head):
        if not int(tail):
            raise InputError(f"--smiles {text}: a kind of molecule that is not there; leave it out")
        return head, int(tail)
    parse_smiles(text)
    return text, None


def _refuse_twice(smiles: Sequence[str]) -> None:
    """Refuse one molecule as two kinds, however its SMILES are written."""
    from rdkit import Chem

    first: dict[str, str] = {}
    for text in smiles:
        other = first.setdefault(Chem.MolToSmiles(parse_smiles(text)), text)
        if other is not text:
            raise InputError(f"--smiles {other} and --smiles {text} are the same molecule; give it once")


def _is_water(smiles: str) -> bool:
    graph = parse_smiles(smiles)
    return (
        graph.GetNumAtoms() == 1
        and graph.GetAtomWithIdx(0).GetSymbol() == "O"
        and (graph.GetAtomWithIdx(0).GetTotalNumHs() == 2)
    )


def _molecule(smiles: str, name: str, seed: int) -> SmallMolecule:
    molecule = read_smiles(smiles, name, seed=seed)
    return replace(molecule, positions=water_positions()) if molecule.is_water else molecule


def _parametrized(molecule: SmallMolecule, charges: Charges) -> ParametrizedMolecule:
    parameters = water_parameters() if molecule.is_water else parametrize(molecule, charges)
    return ParametrizedMolecule(molecule=molecule, parameters=parameters)


def _groups(molecules: Sequence[SmallMolecule], config: StartConfig) -> list[Groups]:
    if config.bead:
        return [read_groups(molecules[0], config.bead)]
    return [group_atoms(molecule, config.beads_of(kind)) for kind, molecule in enumerate(molecules)]


def _notes(parametrized: Sequence[ParametrizedMolecule], groups: Sequence[Groups], protocol: Protocol) -> Iterator[str]:
    for each, own in zip(parametrized, groups, strict=True):
        name = each.molecule.residue_name
        yield from (f"{name}: {note}" for note in (*each.molecule.notes, *each.parameters.notes))
        for bead in loose_beads(each.molecule, own):
            yield f"{name}: no bonds within bead B{bead + 1} hold its atoms together"
    yield from protocol.notes


def _files(start: Start, xml: str) -> dict[str, str | bytes]:
    """Contents by file name, the one by which the folder is known first."""
    return {
        FORCE_FIELD: xml,
        **{f"{molecule.residue_name}.pdb": molecule_pdb(molecule) for molecule in start.molecules},
        PICTURE: draw_mapping(start.molecules, start.beads),
        "system.yaml": system_yaml(start),
        "fit.yaml": fit_yaml(start),
        "refine.yaml": refine_yaml(start),
        "README.md": readme(start),
    }
