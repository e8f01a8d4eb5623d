"""Beads by SMARTS patterns: chemical groups, each a bead wherever it occurs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_cgml.errors import InputError, MissingDependencyError
from openmm_cgml.mapping.heavy_atoms import HeavyAtoms
from openmm_cgml.mapping.partition import numbered_along


def group_by_smarts(
    masses: ArrayLike,
    elements: Sequence[str],
    bonds: ArrayLike,
    patterns: Sequence[str],
    *,
    charge: int = 0,
    smiles: str | None = None,
) -> NDArray[np.int64]:
    """The bead of each atom of a molecule, shape (n_atoms,): the matches of SMARTS patterns.

    Patterns come in the order of their priority. Each match of a pattern whose atoms are all free is a bead, the match
    with the lowest atoms first; hydrogens go with their heavy atom. Patterns see bond orders and aromaticity, which
    bonds alone do not have: RDKit finds orders that fit the valences, or takes those of a SMILES string.

    Args:
        masses: Atomic masses [Da], shape (n_atoms,).
        elements: Element symbols, hydrogens included.
        bonds: Bonded pairs, shape (n_bonds, 2).
        patterns: SMARTS patterns of heavy atoms, such as ["[CH3][CH2]", "[CH2][CH2]"].
        charge: Charge of the molecule, which decides about bond orders.
        smiles: The molecule as a SMILES string with its bond orders, in place of orders that are guessed.

    Raises:
        MissingDependencyError: RDKit is not installed.
        InputError: A pattern is wrong or not connected, bond orders are not found, or atoms are in no match; the
            message names them.
    """
    heavy = HeavyAtoms.from_molecule(masses, elements, bonds)
    molecule = _molecule(elements, np.asarray(bonds, dtype=np.int64).reshape(-1, 2), charge, smiles)
    beads = np.full(heavy.n_heavy, -1, dtype=np.int64)
    place = {int(atom): number for number, atom in enumerate(heavy.atoms)}
    n_beads = 0
    for pattern in patterns:
        matches = molecule.GetSubstructMatches(_query(pattern), uniquify=True, maxMatches=1_000_000)
        for match in sorted(tuple(sorted(match)) for match in matches):
            own = [place[atom] for atom in match if atom in place]
            if own and (beads[own] < 0).all():
                beads[own] = n_beads
                n_beads += 1
    if (beads < 0).any():
        free = sorted(heavy.atoms[beads < 0].tolist())
        listed = ", ".join(f"{atom} ({elements[atom]})" for atom in free[:10]) + (" ..." if len(free) > 10 else "")
        raise InputError(
            f"{len(free)} heavy atoms are in no match of {', '.join(patterns)}: {listed}. "
            "Add a pattern for them (at the end, so that it takes only what is left), such as [*]"
        )
    return numbered_along(beads[heavy.owners], bonds)


def _query(pattern: str) -> Any:
    query = _rdkit().MolFromSmarts(pattern)
    if query is None:
        raise InputError(f"{pattern!r} is no SMARTS pattern that RDKit understands")
    if len(_rdkit().GetMolFrags(query)) > 1:
        raise InputError(
            f"the SMARTS pattern {pattern!r} has unconnected parts; a bead is connected: give two patterns"
        )
    return query


def _molecule(elements: Sequence[str], bonds: NDArray[np.int64], charge: int, smiles: str | None) -> Any:
    """The molecule of RDKit with bond orders; its atoms are those given, in order."""
    chem = _rdkit()
    from rdkit import rdBase
    from rdkit.Chem import rdDetermineBonds
    from rdkit.Chem.AllChem import AssignBondOrdersFromTemplate

    made = chem.RWMol()
    try:
        for element in elements:
            atom = chem.Atom("H" if element in ("D", "T") else element)
            atom.SetNoImplicit(True)
            made.AddAtom(atom)
    except RuntimeError as error:
        raise InputError(f"element {element!r} is not known to RDKit; SMARTS need real elements") from error
    for i, j in np.unique(np.sort(bonds, axis=1), axis=0).tolist():
        made.AddBond(i, j, chem.BondType.SINGLE)
    try:
        with rdBase.BlockLogs():
            if smiles is not None:
                made = AssignBondOrdersFromTemplate(_template(smiles), made.GetMol())
            else:
                rdDetermineBonds.DetermineBondOrders(made, charge=charge, embedChiral=False, maxIterations=100_000)
            chem.SanitizeMol(made)
    except InputError:
        raise
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"no bond orders fit these {len(elements)} atoms ({' '.join(str(error).split())[:200]}); give all "
            "hydrogens, the charge of the molecule, or its SMILES string"
        ) from error
    return made


def _template(smiles: str) -> Any:
    """The molecule of a SMILES string with its hydrogens."""
    template = _rdkit().MolFromSmiles(smiles)
    if template is None:
        raise InputError(f"{smiles!r} is no SMILES string that RDKit understands")
    return _rdkit().AddHs(template)


def _rdkit() -> Any:
    try:
        from rdkit import Chem
    except ImportError as error:
        raise MissingDependencyError(
            "beads by SMARTS need RDKit; install it with `pip install 'openmm-cgml[mapping]'` or `pip install rdkit`"
        ) from error
    return Chem
