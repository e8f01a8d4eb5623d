"""Which atoms of a repeat unit make which bead, and the beads of the residues at the ends of a chain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from openmm_cgml.starting.beads import Bead, Groups, bead_bonds, group_atoms, name_beads, read_groups
from openmm_cgml.starting.molecules import SmallMolecule, formula_of
from openmm_cgml.starting.oligomers import Oligomer

__all__ = ["chain_beads", "inner_residue", "residue_bonds", "unit_groups"]

_RING = 3
"""Units of the ring that tells which beads are equivalent in a chain without end."""


def inner_residue(chain: Oligomer) -> SmallMolecule:
    """The atoms and bonds within an inner residue of a chain, as if they were a molecule."""
    return _inner(chain, 1)


def unit_groups(chain: Oligomer, n_beads: int, texts: Sequence[str] = ()) -> Groups:
    """Numbers of the atoms of each bead of an inner residue: by their names, or so many of masses as even as can be.

    Raises:
        InputError: See `group_atoms` and `read_groups`.
    """
    unit = inner_residue(chain)
    return read_groups(unit, texts) if texts else group_atoms(unit, n_beads)


def chain_beads(chain: Oligomer, groups: Groups) -> tuple[tuple[Bead, ...], tuple[Bead, ...], tuple[Bead, ...]]:
    """Beads of the first, an inner and the last residue of a chain.

    Beads that are equivalent in a chain without end are of one type. What ends the chain belongs to the bead that it is
    bonded to; that is of another type only if heavy atoms came to it.

    Args:
        chain: The chain.
        groups: Numbers of the atoms of each bead of an inner residue.
    """
    n_unit = len(chain.residues[1])
    ring = _inner(chain, _RING)
    everywhere = tuple(tuple(n_unit * k + atom for atom in group) for k in range(_RING) for group in groups)
    inner = name_beads([ring], [everywhere])[0][: len(groups)]
    names = [chain.atom_names[atom] for atom in chain.residues[1]]
    head = _with_end(chain, 0, inner, names.index(chain.entry))
    tail = _with_end(chain, len(chain.residues) - 1, inner, names.index(chain.exit))
    return head, inner, tail


def _with_end(chain: Oligomer, number: int, inner: Sequence[Bead], joint: int) -> tuple[Bead, ...]:
    """The beads of a residue at an end; what ends the chain joins the bead of the atom that it is bonded to."""
    residue, n_unit = chain.residues[number], len(chain.residues[1])
    elements = [chain.molecule.elements[atom] for atom in residue]
    added = tuple(range(n_unit, len(residue)))
    is_heavy = any(elements[atom] != "H" for atom in added)
    taken = {bead.type for bead in inner}
    beads = []
    for bead in inner:
        if joint not in bead.atoms:
            beads.append(bead)
            continue
        atoms = (*bead.atoms, *added)
        kind = bead.type
        if is_heavy:
            kind = formula_of([elements[atom] for atom in atoms])
            kind = f"{kind}-end" if kind in taken else kind
        beads.append(Bead(name=bead.name, type=kind, atoms=atoms))
    return tuple(beads)


def _inner(chain: Oligomer, repeats: int) -> SmallMolecule:
    """The atoms of an inner residue so many times; more than once in a ring, each bonded to the next."""
    residue = chain.residues[1]
    place = {atom: i for i, atom in enumerate(residue)}
    n_atoms = len(residue)
    names = tuple(chain.atom_names[atom] for atom in residue)
    inside = [(place[i], place[j]) for i, j in chain.molecule.bonds if i in place and j in place]
    bonds = [(n_atoms * k + i, n_atoms * k + j) for k in range(repeats) for i, j in inside]
    if repeats > 1:
        links = [
            (n_atoms * k + names.index(chain.exit), n_atoms * ((k + 1) % repeats) + names.index(chain.entry))
            for k in range(repeats)
        ]
        bonds += [(min(pair), max(pair)) for pair in links]
    elements = tuple(chain.molecule.elements[atom] for atom in residue)
    return SmallMolecule(
        smiles=chain.molecule.smiles,
        residue_name=chain.residue_names[1],
        atom_names=names * repeats,
        elements=elements * repeats,
        bonds=tuple(sorted(bonds)),
        positions=np.zeros((n_atoms * repeats, 3)),
        symmetry=np.unique(elements * repeats, return_inverse=True)[1].astype(np.int64),
        volume=0.0,
        mol_block="",
    )


def residue_bonds(chain: Oligomer, groups: Groups) -> tuple[tuple[int, int], ...]:
    """Pairs of bonded beads within an inner residue."""
    return bead_bonds(inner_residue(chain), groups)
