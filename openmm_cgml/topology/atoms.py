"""`AtomTopology`: atoms of an atomistic system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.residues import check_bonds
from openmm_cgml.topology.arrays import frozen_array
from openmm_cgml.topology.coarse import CGTopology
from openmm_cgml.topology.graph import connected_components


@dataclass(frozen=True, eq=False, kw_only=True)
class AtomTopology:
    """Atoms of an atomistic system, as a mapping needs them.

    Attributes:
        names: Atom names.
        elements: Element symbols.
        masses: Real masses, before any repartitioning [Da], shape (n_atoms,).
        residues: Residue number of each atom, shape (n_atoms,).
        residue_names: Name of each residue.
        molecules: Molecule number of each atom, shape (n_atoms,).
        bonds: Bonded pairs i < j, shape (n_bonds, 2).
        constraints: Pairs i < j whose distance was constrained in the run, shape (n_constraints, 2).
    """

    names: tuple[str, ...]
    elements: tuple[str, ...]
    masses: NDArray[np.float64]
    residues: NDArray[np.int64]
    residue_names: tuple[str, ...]
    molecules: NDArray[np.int64]
    bonds: NDArray[np.int64]
    constraints: NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.names)
        if len(self.elements) != n:
            raise InputError(f"{n} atom names, but {len(self.elements)} elements")
        object.__setattr__(self, "masses", frozen_array(self.masses, np.float64, (n,), "masses"))
        for field in ("residues", "molecules"):
            object.__setattr__(self, field, frozen_array(getattr(self, field), np.int64, (n,), field))
        for field in ("bonds", "constraints"):
            pairs = np.sort(np.asarray(getattr(self, field), dtype=np.int64).reshape(-1, 2), axis=1)
            object.__setattr__(self, field, frozen_array(pairs, np.int64, None, field))
        bad = np.flatnonzero(~(np.isfinite(self.masses) & (self.masses > 0)))
        if len(bad):
            raise InputError(
                f"atom {bad[0]} ({self.names[bad[0]]!r}) has mass {self.masses[bad[0]]} Da; masses are positive"
            )
        check_bonds(self.bonds, n, "atomistic topology")

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.names)

    @classmethod
    def from_openmm(cls, topology: Any, constraints: ArrayLike = ()) -> AtomTopology:
        """Atoms of an `openmm.app.Topology`, with the masses of their elements.

        Args:
            topology: Its atoms all have elements.
            constraints: Constrained pairs, shape (n_constraints, 2), for example from `System.getConstraintParameters`.

        Raises:
            InputError: If an atom has no element.
        """
        from openmm import unit

        atoms = list(topology.atoms())
        nameless = [atom for atom in atoms if atom.element is None]
        if nameless:
            raise InputError(
                f"atom {nameless[0].index} ({nameless[0].name!r}) has no element; set it, so that its mass is known"
            )
        bonds = np.array([[b[0].index, b[1].index] for b in topology.bonds()], dtype=np.int64).reshape(-1, 2)
        return cls(
            names=tuple(atom.name for atom in atoms),
            elements=tuple(atom.element.symbol for atom in atoms),
            masses=np.array([atom.element.mass.value_in_unit(unit.dalton) for atom in atoms]),
            residues=np.array([atom.residue.index for atom in atoms]),
            residue_names=tuple(residue.name for residue in topology.residues()),
            molecules=connected_components(len(atoms), bonds),
            bonds=bonds,
            constraints=np.asarray(constraints, dtype=np.int64).reshape(-1, 2),
        )

    @classmethod
    def from_beads(cls, topology: CGTopology) -> AtomTopology:
        """The beads taken for atoms, each an element of its type's name: what beads of beads are made from."""
        return cls(
            names=topology.bead_names,
            elements=tuple(topology.type_names[t] for t in topology.bead_types.tolist()),
            masses=topology.masses,
            residues=topology.residues,
            residue_names=topology.residue_names,
            molecules=topology.molecules,
            bonds=topology.bonds,
            constraints=np.zeros((0, 2), dtype=np.int64),
        )

    def to_beads(self) -> CGTopology:
        """One bead per atom, typed by element, for what simulates beads."""
        type_names, bead_types = np.unique(self.elements, return_inverse=True)
        residues, numbers = np.unique(self.residues, return_inverse=True)
        return CGTopology(
            type_names=tuple(str(name) for name in type_names),
            bead_types=bead_types,
            bead_names=self.names,
            masses=self.masses,
            molecules=self.molecules,
            residues=numbers,
            residue_names=tuple(self.residue_names[residue] for residue in residues.tolist()),
            bonds=self.bonds,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        return {
            "names": list(self.names),
            "elements": list(self.elements),
            "residue_names": list(self.residue_names),
            **{f: getattr(self, f).tolist() for f in ("masses", "residues", "molecules", "bonds", "constraints")},
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> AtomTopology:
        """The topology that `to_dict` wrote."""
        try:
            return cls(
                names=tuple(content["names"]),
                elements=tuple(content["elements"]),
                residue_names=tuple(content["residue_names"]),
                masses=np.array(content["masses"], dtype=np.float64),
                residues=np.array(content["residues"]),
                molecules=np.array(content["molecules"]),
                bonds=np.array(content["bonds"], dtype=np.int64).reshape(-1, 2),
                constraints=np.array(content["constraints"], dtype=np.int64).reshape(-1, 2),
            )
        except InputError:
            raise
        except KeyError as error:
            raise InputError(f"atomistic topology content lacks {error}") from error
        except (TypeError, ValueError, OverflowError, IndexError) as error:
            raise InputError(f"atomistic topology content holds what does not belong there: {error}") from error
