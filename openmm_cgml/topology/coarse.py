"""`CGTopology`: beads, what they are and how they are connected."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.residues import ChainTemplate, MoleculeTemplate, ResidueTemplate, check_bonds
from openmm_cgml.topology.arrays import frozen_array, in_order
from openmm_cgml.topology.graph import extended_paths
from openmm_cgml.topology.joining import joined_fields, molecule_fields, repeated_fields
from openmm_cgml.topology.openmm_topology import residues_of, to_openmm
from openmm_cgml.topology.recognition import recognized_fields

MAX_TYPES = 32


@dataclass(frozen=True, eq=False, kw_only=True)
class CGTopology:
    """Beads, their types, masses, molecules, residues and bonds.

    Attributes:
        type_names: Names of the bead types.
        bead_types: Index into `type_names`, shape (n_beads,).
        bead_names: Name of each bead, as in its residue's template.
        masses: Bead masses [Da], shape (n_beads,).
        molecules: Molecule number of each bead, from 0, shape (n_beads,).
        residues: Residue number of each bead, from 0 and without gaps, shape (n_beads,).
        residue_names: Name of each residue.
        bonds: Bonded pairs i < j in increasing order, shape (n_bonds, 2).
    """

    type_names: tuple[str, ...]
    bead_types: NDArray[np.int64]
    bead_names: tuple[str, ...]
    masses: NDArray[np.float64]
    molecules: NDArray[np.int64]
    residues: NDArray[np.int64]
    residue_names: tuple[str, ...]
    bonds: NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.bead_names)
        if n == 0:
            raise InputError("a topology needs at least one bead")
        for field in ("bead_types", "molecules", "residues"):
            object.__setattr__(self, field, frozen_array(getattr(self, field), np.int64, (n,), field))
        object.__setattr__(self, "masses", frozen_array(self.masses, np.float64, (n,), "masses"))
        bonds = np.sort(np.asarray(self.bonds, dtype=np.int64).reshape(-1, 2), axis=1)
        bonds = bonds[np.lexsort((bonds[:, 1], bonds[:, 0]))]
        object.__setattr__(self, "bonds", frozen_array(bonds, np.int64, bonds.shape, "bonds"))
        _check_type_names(self.type_names)
        if self.bead_types.min() < 0 or self.bead_types.max() >= len(self.type_names):
            raise InputError(
                f"bead types run from {self.bead_types.min()} to {self.bead_types.max()};"
                f" there are {len(self.type_names)}"
            )
        bad = np.flatnonzero(~(np.isfinite(self.masses) & (self.masses > 0)))
        if len(bad):
            raise InputError(
                f"bead {bad[0]} ({self.bead_names[bad[0]]!r}) has mass {self.masses[bad[0]]} Da; masses are positive"
            )
        if self.residues.min() != 0 or self.residues.max() + 1 != len(self.residue_names):
            raise InputError(
                f"residue numbers run to {self.residues.max()}, but there are {len(self.residue_names)} residue names"
            )
        check_bonds(self.bonds, n, "topology")
        across = np.flatnonzero(self.molecules[self.bonds[:, 0]] != self.molecules[self.bonds[:, 1]])
        if len(across):
            i, j = self.bonds[across[0]]
            raise InputError(
                f"bond {i}-{j} joins molecules {self.molecules[i]} and {self.molecules[j]}; they are one molecule then"
            )

    @property
    def n_beads(self) -> int:
        """Number of beads."""
        return len(self.bead_names)

    @property
    def n_molecules(self) -> int:
        """Number of molecules."""
        return int(self.molecules.max()) + 1

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of everything the topology holds."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    @cached_property
    def angles(self) -> NDArray[np.int64]:
        """Bead triples i-j-k bonded i-j and j-k, i < k, shape (n_angles, 3); closed triangles included."""
        triples = self._paths[0]
        return frozen_array(in_order(triples[triples[:, 0] < triples[:, 2]]), np.int64, None, "angles")

    @cached_property
    def dihedrals(self) -> NDArray[np.int64]:
        """Bead quadruples i-j-k-l bonded i-j, j-k and k-l, i < l, shape (n_dihedrals, 4); closed triangles left out."""
        quadruples = extended_paths(*self._paths)
        return frozen_array(in_order(quadruples[quadruples[:, 0] < quadruples[:, 3]]), np.int64, None, "dihedrals")

    def exclusions(self, max_bonds: int) -> NDArray[np.int64]:
        """Pairs i < j that are at most `max_bonds` bonds apart, in increasing order, shape (n_pairs, 2)."""
        from scipy.sparse import eye_array, triu

        adjacent = self._adjacency
        reached = eye_array(self.n_beads, dtype=np.int32, format="csr")
        for _ in range(max_bonds):
            before = reached.nnz
            reached = reached + reached @ adjacent
            reached.data[:] = 1  # whether, not in how many ways
            if reached.nnz == before:
                break
        pairs = triu(reached, k=1, format="coo")
        return in_order(np.stack([pairs.row, pairs.col], axis=1).astype(np.int64))

    @cached_property
    def _adjacency(self) -> Any:
        """1 for bonded beads, a sparse array of shape (n_beads, n_beads)."""
        from scipy.sparse import csr_array

        i, j = self.bonds.T
        entries = (np.ones(2 * len(i), np.int32), (np.concatenate([i, j]), np.concatenate([j, i])))
        return csr_array(entries, shape=(self.n_beads, self.n_beads))

    @cached_property
    def _paths(self) -> tuple[NDArray[np.int64], Any]:
        """Bead triples i-j-k in both directions, shape (n, 3), and the adjacency that they follow."""
        directed = np.concatenate([self.bonds, self.bonds[:, ::-1]])
        return extended_paths(directed, self._adjacency), self._adjacency

    def repeated(self, copies: int) -> CGTopology:
        """The same beads `copies` times, one copy after the other, molecule and residue numbers going on.

        Args:
            copies: Number of copies.

        Raises:
            InputError: If it is not a positive integer.
        """
        if isinstance(copies, bool) or int(copies) != copies or copies < 1:
            raise InputError(f"{copies!r} copies of a topology; it must be a positive integer")
        if copies == 1:
            return self
        return CGTopology(**repeated_fields(self, copies))

    @classmethod
    def from_residues(
        cls, residues: Sequence[tuple[ResidueTemplate, int]], type_names: Sequence[str] | None = None
    ) -> CGTopology:
        """Topology of molecules of one residue each.

        Args:
            residues: Templates, each with the number of its copies, in order.
            type_names: Bead types in the order wanted; by default in the order met.

        Raises:
            InputError: If there is nothing to build, or a bead type is not among `type_names`.
        """
        return cls.from_molecules(
            [(MoleculeTemplate(residues=(template,)), count) for template, count in residues], type_names
        )

    @classmethod
    def from_molecules(
        cls, molecules: Sequence[tuple[MoleculeTemplate, int]], type_names: Sequence[str] | None = None
    ) -> CGTopology:
        """Topology of molecules of any number of residues.

        Args:
            molecules: Molecules, each with the number of its copies, in order.
            type_names: Bead types in the order wanted; by default in the order met.

        Raises:
            InputError: If there is nothing to build, or a bead type is not among `type_names`.
        """
        types = tuple(
            type_names
            or dict.fromkeys(t for molecule, _ in molecules for r in molecule.residues for t in r.bead_type_names)
        )
        parts = [cls(**molecule_fields(molecule, types)).repeated(count) for molecule, count in molecules if count]
        if not parts:
            raise InputError("no residues; give at least one copy of one template")
        return parts[0] if len(parts) == 1 else cls(**joined_fields(parts))

    @classmethod
    def from_openmm(
        cls,
        topology: Any,
        templates: Sequence[ResidueTemplate],
        type_names: Sequence[str],
        chains: Sequence[ChainTemplate] = (),
        molecules: Sequence[MoleculeTemplate] = (),
    ) -> CGTopology:
        """The coarse-grained meaning of an `openmm.app.Topology`.

        Residues are recognized by name and beads by name, each residue holding all beads of its template in the
        template's order. Names may be those that OpenMM makes of a template's as it reads a file (HOH for SOL).
        Molecules are the sets of bonded beads, in which residues are bonded as in the chains or in the molecules.

        Raises:
            InputError: If a residue or bead is unknown, beads are missing or out of order, or the bonds inside a
                residue or between residues differ from those of the templates; the message names them and what is
                known.
        """
        names, beads, bonds = residues_of(topology)
        return cls(**recognized_fields(names, beads, bonds, templates, type_names, chains, molecules))

    def recognized(
        self,
        templates: Sequence[ResidueTemplate],
        type_names: Sequence[str],
        chains: Sequence[ChainTemplate] = (),
        molecules: Sequence[MoleculeTemplate] = (),
    ) -> CGTopology:
        """The same beads with the types and masses of the templates, recognized by residue and bead names.

        Raises:
            InputError: As `from_openmm`, and if the residues do not come one after the other.
        """
        if (np.diff(self.residues) < 0).any():
            raise InputError("the beads of this topology are not in the order of their residues; sort them")
        ends = np.cumsum(np.bincount(self.residues, minlength=len(self.residue_names))).tolist()
        bead_names = [self.bead_names[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        names = self.residue_names
        return CGTopology(**recognized_fields(names, bead_names, self.bonds, templates, type_names, chains, molecules))

    def to_openmm(self, box: ArrayLike | None = None) -> Any:
        """`openmm.app.Topology`: a chain with an id of its own per molecule, a custom `Element` per bead type and mass.

        Args:
            box: Periodic box vectors [nm], shape (3, 3), or None.

        The elements carry the bead masses, so topologies pass through ParmEd, Modeller, MDAnalysis and (where it is
        imported before) mdtraj; their symbols have two characters, as PDB files need.
        """
        return to_openmm(self, box)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        return {
            "type_names": list(self.type_names),
            "bead_types": self.bead_types.tolist(),
            "bead_names": list(self.bead_names),
            "masses": self.masses.tolist(),
            "molecules": self.molecules.tolist(),
            "residues": self.residues.tolist(),
            "residue_names": list(self.residue_names),
            "bonds": self.bonds.tolist(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> CGTopology:
        """The topology that `to_dict` wrote."""
        try:
            return cls(
                type_names=tuple(map(str, content["type_names"])),
                bead_types=np.array(content["bead_types"]),
                bead_names=tuple(map(str, content["bead_names"])),
                masses=np.array(content["masses"], dtype=np.float64),
                molecules=np.array(content["molecules"]),
                residues=np.array(content["residues"]),
                residue_names=tuple(map(str, content["residue_names"])),
                bonds=np.array(content["bonds"], dtype=np.int64).reshape(-1, 2),
            )
        except InputError:
            raise
        except KeyError as error:
            raise InputError(f"topology content lacks {error}") from error
        except (TypeError, ValueError, OverflowError, IndexError) as error:
            raise InputError(f"topology content holds what does not belong there: {error}") from error


def _check_type_names(names: tuple[str, ...]) -> None:
    if len(names) > MAX_TYPES:
        raise InputError(f"{len(names)} bead types; at most {MAX_TYPES}")
    folded: dict[str, str] = {}
    for name in names:
        key = "".join(name.split()).casefold()
        if not key or key in folded:
            raise InputError(
                f"bead types {folded.get(key, '')!r} and {name!r} are too alike; choose names that differ in letters"
            )
        folded[key] = name
