"""The mapping from atoms to beads: two sparse linear operators, one for positions and one for forces."""

import hashlib
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array, identity

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.frames import Frames
from openmm_cgml.storage import refusing_damage
from openmm_cgml.topology import CGTopology
from openmm_cgml.wholeness import BondForest

TOLERANCE = 1e-8
MOST_ATOMS = 10**8


@dataclass(frozen=True, eq=False, kw_only=True)
class Mapping:
    """Positions and forces of beads as linear functions of those of atoms.

    With position weights C and force weights B, beads sit at C r and feel B f. The two are consistent, so that the
    mean of B f is minus the gradient of the potential of mean force, if B C^T is the identity (Noid et al., J. Chem.
    Phys. 128, 244114 (2008); Kraemer et al., J. Phys. Chem. Lett. 14, 3970 (2023)), and if B gives atoms that are held
    together by constraints equal weights (`check_constraints`).

    Attributes:
        target: The beads.
        position_weights: C, shape (n_beads, n_atoms); rows sum to 1.
        force_weights: B, shape (n_beads, n_atoms); a dimensionless sum, 1 for every atom of the bead if uniform.
        source_bonds: Bonded atom pairs, by which molecules are made whole before averaging, shape (n_bonds, 2).
        provenance: Where the weights come from, as text.

    Raises:
        InputError: Weights that do not make a consistent mapping, or a bead that mixes molecules.
    """

    target: CGTopology
    position_weights: csr_array
    force_weights: csr_array
    source_bonds: np.ndarray
    provenance: Dictionary[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("position_weights", "force_weights"):
            object.__setattr__(self, name, _canonical(getattr(self, name)))
        bonds = np.ascontiguousarray(np.asarray(self.source_bonds, dtype=np.int64).reshape(-1, 2))
        bonds.setflags(write=False)
        object.__setattr__(self, "source_bonds", bonds)
        object.__setattr__(self, "provenance", dict(self.provenance))
        self._check_shapes()
        self._check_position_weights()
        self._check_consistency()
        self._check_molecules()

    @classmethod
    def identity(cls, topology: CGTopology) -> "Mapping":
        """The mapping of beads to themselves."""
        weights = csr_array(identity(topology.n_beads, format="csr"))
        return cls(
            target=topology, position_weights=weights, force_weights=weights.copy(), source_bonds=topology.bonds,
            provenance={"mapping": "identity"},
        )  # fmt: skip

    @classmethod
    def from_dict(cls, data: Dictionary[str, Any]) -> "Mapping":
        """The mapping that `to_dict` wrote.

        Raises:
            ArtifactError: Something is missing, of the wrong kind or out of range, or the content does not match the
                recorded fingerprint.
        """
        with refusing_damage("mapping"):
            target = CGTopology.from_dict(data["target"])
            shape = _shape_from(data["shape"], target.n_beads)
            mapping = cls(
                target=target,
                position_weights=_weights_from_dict(data["position_weights"], shape),
                force_weights=_weights_from_dict(data["force_weights"], shape),
                source_bonds=_whole_numbers(data["source_bonds"], 0, shape[1]).reshape(-1, 2),
                provenance={str(key): str(value) for key, value in data["provenance"].items()},
            )
            recorded = data["fingerprint"]
        if mapping.fingerprint != recorded:
            raise ArtifactError(
                f"the mapping was changed after it was written: its fingerprint is {mapping.fingerprint}, "
                f"the recorded one {recorded}. Make it again from the system.yaml."
            )
        return mapping

    def to_dict(self) -> dict[str, Any]:
        """The mapping as plain JSON types."""
        return {
            "shape": list(self.position_weights.shape),
            "target": self.target.to_dict(),
            "position_weights": _weights_to_dict(self.position_weights),
            "force_weights": _weights_to_dict(self.force_weights),
            "source_bonds": self.source_bonds.tolist(),
            "provenance": dict(self.provenance),
            "fingerprint": self.fingerprint,
        }

    @property
    def n_beads(self) -> int:
        """The number of beads."""
        return self.position_weights.shape[0]

    @property
    def n_atoms(self) -> int:
        """The number of atoms (of the finer description, which may itself be beads)."""
        return self.position_weights.shape[1]

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the weights, the bonds and the target topology, in hexadecimal."""
        digest = hashlib.sha256(self.target.fingerprint.encode())
        for weights in (self.position_weights, self.force_weights):
            digest.update(np.asarray(weights.shape, dtype="<i8").tobytes())
            digest.update(weights.indptr.astype("<i8").tobytes())
            digest.update(weights.indices.astype("<i8").tobytes())
            digest.update(weights.data.astype("<f8").tobytes())
        digest.update(self.source_bonds.astype("<i8").tobytes())
        return digest.hexdigest()

    @cached_property
    def _forest(self) -> BondForest:
        return BondForest.from_bonds(self.source_bonds, self.n_atoms)

    def __call__(self, frames: Frames) -> Frames:
        """The frames of the beads; molecules are made whole first where there is a box.

        Errors of averaged forces are propagated as independent between atoms. Energies, times and boxes are kept.

        Args:
            frames: Frames of the atoms. Memory use is a few times theirs: give long trajectories in chunks.

        Raises:
            InputError: Frames of another number of atoms, or a molecule that cannot be made whole.
        """
        positions = np.asarray(frames.positions, dtype=np.float64)
        if positions.shape[1] != self.n_atoms:
            raise InputError(
                f"the frames hold {positions.shape[1]} atoms, the mapping was made for {self.n_atoms}. "
                f"Use the topology that belongs to this trajectory."
            )
        if frames.box is not None:
            positions = self._forest.make_whole(positions, np.asarray(frames.box, dtype=np.float64))
        error = None if frames.force_error is None else _apply(self.force_weights**2, frames.force_error**2) ** 0.5
        return Frames(
            positions=_apply(self.position_weights, positions),
            box=frames.box,
            forces=None if frames.forces is None else _apply(self.force_weights, frames.forces),
            forces_inter=None if frames.forces_inter is None else _apply(self.force_weights, frames.forces_inter),
            force_error=error,
            energies=frames.energies,
            times=frames.times,
        )

    def __matmul__(self, inner: "Mapping") -> "Mapping":
        """The mapping that applies `inner` first: beads to superbeads @ atoms to beads.

        Raises:
            InputError: The target of `inner` does not have the number of beads that this mapping starts from.
        """
        if not isinstance(inner, Mapping):
            return NotImplemented
        if inner.n_beads != self.n_atoms:
            raise InputError(
                f"the inner mapping gives {inner.n_beads} beads, the outer one starts from {self.n_atoms}. "
                f"Compose them as (beads to superbeads) @ (atoms to beads)."
            )
        return Mapping(
            target=self.target,
            position_weights=self.position_weights @ inner.position_weights,
            force_weights=self.force_weights @ inner.force_weights,
            source_bonds=inner.source_bonds,
            provenance={
                **{f"inner {key}": value for key, value in inner.provenance.items()},
                **{f"outer {key}": value for key, value in self.provenance.items()},
            },
        )

    def _check_shapes(self) -> None:
        shapes = self.position_weights.shape, self.force_weights.shape
        if shapes[0] != shapes[1] or shapes[0][0] != self.target.n_beads:
            raise InputError(
                f"position weights have shape {shapes[0]} and force weights {shapes[1]}; both need "
                f"({self.target.n_beads} beads, number of atoms)."
            )
        bonds = self.source_bonds
        if len(bonds) and (bonds.min() < 0 or bonds.max() >= shapes[0][1] or (bonds[:, 0] == bonds[:, 1]).any()):
            raise InputError(f"the bonds of the atoms must join two different atoms of 0 to {shapes[0][1] - 1}.")

    def _check_position_weights(self) -> None:
        weights = self.position_weights
        for data in (weights.data, self.force_weights.data):
            if not np.isfinite(data).all():
                raise InputError("a mapping weight is not finite. Check the masses of the atoms.")
        empty = np.flatnonzero(np.diff(weights.indptr) == 0)
        if len(empty):
            raise InputError(f"{self._name(empty[0])} holds no atoms ({len(empty)} such beads). Give it at least one.")
        if (weights.data < 0).any():
            bead = np.repeat(np.arange(self.n_beads), np.diff(weights.indptr))[weights.data < 0][0]
            raise InputError(f"{self._name(bead)} has a negative position weight. Weights are mass fractions, above 0.")
        sums = np.asarray(weights.sum(axis=1)).ravel()
        wrong = np.flatnonzero(np.abs(sums - 1) > TOLERANCE)
        if len(wrong):
            listed = ", ".join(f"{self._name(bead)}: {sums[bead]:.8g}" for bead in wrong[:5])
            raise InputError(
                f"the position weights of {len(wrong)} beads do not sum to 1 ({listed}). Divide each row by its sum."
            )

    def _check_consistency(self) -> None:
        product = (self.force_weights @ self.position_weights.T).tocoo()
        residual = csr_array(product - identity(self.n_beads))
        if residual.nnz and np.abs(residual.data).max() > TOLERANCE:
            entry = np.abs(residual.data).argmax()
            row = np.searchsorted(residual.indptr, entry, side="right") - 1
            raise InputError(
                f"the force weights do not fit the position weights: the product B C^T should be the identity, but it "
                f"is off by {residual.data[entry]:.3g} at {self._name(row)}, {self._name(residual.indices[entry])}. "
                f"Use uniform_force_weights or optimal_force_weights."
            )

    def _check_molecules(self) -> None:
        molecule = self._forest.roots[self.position_weights.indices]
        beads = np.repeat(np.arange(self.n_beads), np.diff(self.position_weights.indptr))
        first = molecule[self.position_weights.indptr[:-1]]
        mixed = np.flatnonzero(molecule != first[beads])
        if len(mixed):
            atom, bead = self.position_weights.indices[mixed[0]], beads[mixed[0]]
            raise InputError(
                f"{self._name(bead)} mixes molecules: atom {atom} is not bonded to the bead's first atom "
                f"{self.position_weights.indices[self.position_weights.indptr[bead]]}. A bead must lie in one "
                f"molecule; if these atoms are one molecule, give the bonds between them."
            )
        owner = np.full(self.target.molecules.max() + 1, -1, dtype=np.int64)
        owner[self.target.molecules[::-1]] = first[::-1]
        split = np.flatnonzero(owner[self.target.molecules] != first)
        if len(split):
            raise InputError(
                f"{self._name(split[0])} and the first bead of its molecule lie in different bonded parts of the "
                f"atomistic topology, so the molecule cannot be made whole. Give the missing bonds between its atoms."
            )

    def _name(self, bead: int) -> str:
        residue = self.target.residues[bead]
        return f"bead {bead} ({self.target.bead_names[bead]} of {self.target.residue_names[residue]} {residue})"


def _canonical(weights: Any) -> csr_array:
    """A read-only copy in a unique form, so that equal weights have equal bytes."""
    copy = csr_array(weights, dtype=np.float64, copy=True)
    copy.sum_duplicates()
    copy.eliminate_zeros()
    copy.sort_indices()
    for array in (copy.data, copy.indices, copy.indptr):
        array.setflags(write=False)
    return copy


def _apply(weights: csr_array, vectors: np.ndarray) -> np.ndarray:
    """The products weights @ vectors for every frame, shape (n_frames, n_beads, 3)."""
    n_frames, n_atoms, _ = vectors.shape
    columns = np.asarray(vectors, dtype=np.float64).transpose(1, 0, 2).reshape(n_atoms, n_frames * 3)
    return np.ascontiguousarray((weights @ columns).reshape(-1, n_frames, 3).transpose(1, 0, 2))


def _weights_to_dict(weights: csr_array) -> dict[str, list[Any]]:
    return {
        "row_starts": weights.indptr.tolist(), "columns": weights.indices.tolist(), "values": weights.data.tolist(),
    }  # fmt: skip


def _shape_from(data: Any, n_beads: int) -> tuple[int, int]:
    rows, columns = (int(size) for size in _whole_numbers(data, 1, MOST_ATOMS))
    if rows != n_beads:
        raise ValueError(f"{rows} rows of weights for {n_beads} beads")
    return rows, columns


def _weights_from_dict(data: Dictionary[str, Any], shape: tuple[int, int]) -> csr_array:
    """The weights, with every index checked: scipy's compiled code reads and writes where they say."""
    values = np.asarray(data["values"], dtype=np.float64)
    columns = _whole_numbers(data["columns"], 0, shape[1])
    starts = _whole_numbers(data["row_starts"], 0, len(values) + 1)
    if values.ndim != 1 or columns.shape != values.shape:
        raise ValueError(f"{values.shape} weights in {columns.shape} columns")
    if starts.shape != (shape[0] + 1,) or starts[0] != 0 or starts[-1] != len(values) or (np.diff(starts) < 0).any():
        raise ValueError(f"the starts of {shape[0]} rows do not divide {len(values)} weights")
    return csr_array((values, columns.astype(np.int32), starts.astype(np.int32)), shape=shape)


def _whole_numbers(data: Any, low: int, high: int) -> np.ndarray:
    """Integers of a list, all of them at least `low` and below `high`."""
    numbers = np.asarray(data)
    if numbers.size == 0:
        return numbers.astype(np.int64)
    if numbers.dtype.kind not in "iu" or numbers.min() < low or numbers.max() >= high:
        raise ValueError(f"numbers of kind {numbers.dtype} that are not all whole and from {low} to {high - 1}")
    return numbers.astype(np.int64)
