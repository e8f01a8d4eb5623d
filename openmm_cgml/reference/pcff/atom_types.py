"""PCFF's atom types of saturated hydrocarbons, and charges from bond increments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.reference.pcff.internal_coordinates import InternalCoordinates
from openmm_cgml.reference.pcff.lookup import ParameterLookup
from openmm_cgml.reference.pcff.parameter_file import PCFFParameters

__all__ = ["assign_pcff_types", "compute_bond_increment_charges"]

# Type of a carbon with four bonds, by its number of hydrogens.
_CARBON_TYPES = {0: "c", 1: "c1", 2: "c2", 3: "c3", 4: "c"}


def assign_pcff_types(topology: app.Topology) -> list[str]:
    """PCFF atom type of each atom of a saturated hydrocarbon: c, c1, c2, c3 by the number of hydrogens, and hc.

    Raises:
        InputError: An atom is neither a hydrogen on one carbon nor a carbon with four neighbors.
    """
    atoms = list(topology.atoms())
    symbols = [atom.element.symbol if atom.element is not None else "none" for atom in atoms]
    types = []
    for atom, around in zip(atoms, InternalCoordinates.from_topology(topology).neighbors, strict=True):
        found = [symbols[i] for i in around]
        if symbols[atom.index] == "H" and found == ["C"]:
            types.append("hc")
        elif symbols[atom.index] == "C" and len(found) == 4 and set(found) <= {"C", "H"}:
            types.append(_CARBON_TYPES[found.count("H")])
        else:
            raise InputError(
                f"atom {atom.index} ({atom.name} of {atom.residue.name}) is {symbols[atom.index]} bonded to "
                f"{', '.join(found) or 'nothing'}; types are assigned to saturated hydrocarbons only: "
                "give atom_types for other molecules"
            )
    return types


def compute_bond_increment_charges(
    topology: app.Topology, atom_types: Sequence[str], parameters: PCFFParameters
) -> NDArray[np.float64]:
    """Charge of each atom [e], shape (n_atoms,): the sum of the increments of its bonds.

    Raises:
        InputError: The increment of a bond is missing; the message names all of them.
    """
    lookup = ParameterLookup(parameters)
    charges = np.zeros(len(atom_types))
    for i, j in InternalCoordinates.from_topology(topology).bonds:
        charges[[i, j]] += lookup.find("bond_increments", (atom_types[i], atom_types[j]))
    lookup.check()
    return charges
