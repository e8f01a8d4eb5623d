"""start_polymer: the folder of a polymer that is known by the SMILES of its repeat unit alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openmm_cgml.errors import InputError
from openmm_cgml.starting.beads import Bead, loose_beads
from openmm_cgml.starting.config import StartPolymerConfig
from openmm_cgml.starting.files import FORCE_FIELD, PICTURE
from openmm_cgml.starting.folder import OUTPUT, StartedSystem, command_line
from openmm_cgml.starting.names import chain_residue_names, check_system_name
from openmm_cgml.starting.oligomers import Oligomer, RepeatUnit, make_oligomer, read_repeat_unit
from openmm_cgml.starting.picture import draw_mapping
from openmm_cgml.starting.polymer_beads import chain_beads, inner_residue, residue_bonds, unit_groups
from openmm_cgml.starting.polymer_files import (
    CHAIN,
    PolymerStart,
    chain_pdb,
    polymer_commands,
    polymer_fit_yaml,
    polymer_readme,
    polymer_refine_yaml,
    polymer_system_yaml,
)
from openmm_cgml.starting.polymer_parameters import PolymerParameters, parametrize_polymer
from openmm_cgml.starting.protocol import choose_polymer_protocol
from openmm_cgml.storage import check_output, hold_output, write_atomically

__all__ = ["start_polymer"]

_DRAWN_UNITS = 3
"""Of the chain that is drawn and whose charges are made: a residue between two."""
_GROWN_UNITS = 5
"""Units of the chain whose conformations chains are grown from."""
_MOST_ATOMS_GROWN = 130
_CONFORMATIONS = 40


def start_polymer(folder: str | Path, config: StartPolymerConfig, *, overwrite: bool = False) -> StartedSystem:
    """Write the folder of a linear polymer: system.yaml, fit.yaml, refine.yaml, force field, a short chain, README.

    The atomistic force field is GAFF-2, one OpenMM XML with a template for each residue, whose energies for short
    chains are compared with those of tleap's topologies before anything is written. Chains are grown from the
    conformations of a short one, with the tacticity that was asked for, and the folder runs as it is.

    Args:
        folder: Folder to write; its name is that of the system.
        config: Repeat unit, chains, beads and conditions.
        overwrite: Replace what an earlier call wrote there.

    Raises:
        InputError: A SMILES, a number or a name makes no sense, or AmberTools gives up on the polymer.
        MissingDependencyError: RDKit or AmberTools is missing.
        OutputExistsError: The folder holds something, and is not to be replaced.
    """
    folder = Path(folder)
    check_system_name(folder.name)
    check_output(folder, OUTPUT, overwrite=overwrite)
    unit = read_repeat_unit(config.repeat, config.ends)
    tacticity = _tacticity(unit, config)
    names = chain_residue_names(folder.name)
    drawn = make_oligomer(unit, _DRAWN_UNITS, names, seed=config.seed)
    groups = unit_groups(drawn, config.beads, config.bead)
    chain = _grown_from(unit, drawn, names, config.seed)
    parameters = parametrize_polymer(unit, drawn, config.charges, seed=config.seed)
    protocol = choose_polymer_protocol(parameters.chain, _DRAWN_UNITS, config.n_chains, config.monomers)
    start = PolymerStart(
        folder=folder,
        command=command_line(folder, config, StartPolymerConfig(repeat=config.repeat, chains=config.chains)),
        config=config,
        unit=unit,
        chain=chain,
        beads=chain_beads(drawn, groups),
        bonds=residue_bonds(drawn, groups),
        tacticity=tacticity,
        source=parameters.source,
        protocol=protocol,
        notes=(
            *_notes(config, tacticity, parameters, drawn),
            *(
                f"no bonds within bead B{n + 1} hold its atoms together"
                for n in loose_beads(inner_residue(drawn), groups)
            ),
            *protocol.notes,
        ),
    )
    with hold_output(folder, OUTPUT, overwrite=overwrite):
        for name, content in _files(start, drawn, parameters.xml).items():
            write_atomically(folder / name, content)
    return StartedSystem(
        folder=folder, description=start.description, commands=tuple(polymer_commands(start)), notes=start.notes
    )


def _tacticity(unit: RepeatUnit, config: StartPolymerConfig) -> str | None:
    """How stereocenters follow each other; None where the repeat unit leaves none open."""
    if unit.stereocenter is None and config.tacticity is not None:
        raise InputError(
            f"tacticity is {config.tacticity!r}, but the repeat unit {unit.smiles!r} leaves no stereocenter open; "
            "leave it out, or take the @ out of the SMILES"
        )
    return None if unit.stereocenter is None else config.tacticity or "atactic"


def _grown_from(unit: RepeatUnit, drawn: Oligomer, names: tuple[str, str, str], seed: int) -> Oligomer:
    """A short chain in several conformations, of five units where they are small."""
    n_atoms = len(drawn.residues[1])
    n_units = _GROWN_UNITS if n_atoms * _GROWN_UNITS <= _MOST_ATOMS_GROWN else _DRAWN_UNITS
    return make_oligomer(unit, n_units, names, n_conformations=_CONFORMATIONS, seed=seed)


def _notes(
    config: StartPolymerConfig, tacticity: str | None, parameters: PolymerParameters, drawn: Oligomer
) -> Iterator[str]:
    if tacticity is not None and config.tacticity is None:
        yield (
            f"the repeat unit leaves the stereocenter {drawn.stereocenter} open, and chains are atactic; --tacticity "
            "isotactic or syndiotactic for others"
        )
    yield from parameters.notes


def _files(start: PolymerStart, drawn: Oligomer, xml: str) -> dict[str, str | bytes]:
    """Contents by file name, the one by which the folder is known first."""
    return {
        FORCE_FIELD: xml,
        CHAIN: chain_pdb(start.chain),
        PICTURE: _picture(start, drawn),
        "system.yaml": polymer_system_yaml(start),
        "fit.yaml": polymer_fit_yaml(start),
        "refine.yaml": polymer_refine_yaml(start),
        "README.md": polymer_readme(start),
    }


def _picture(start: PolymerStart, drawn: Oligomer) -> bytes:
    """A chain of three units with its beads."""
    beads = [
        Bead(name=bead.name, type=bead.type, atoms=tuple(members[atom] for atom in bead.atoms))
        for members, own in zip(drawn.residues, start.beads, strict=True)
        for bead in own
    ]
    molecule = replace(drawn.molecule, residue_name="-".join(start.residue_names))
    return draw_mapping([molecule], [beads])
