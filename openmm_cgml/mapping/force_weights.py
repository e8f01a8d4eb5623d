"""Force weights of a mapping: uniform sums, and the sums with the least noise."""

from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Dictionary
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.mapping.operator import TOLERANCE, Mapping
from openmm_cgml.topology import AtomTopology


@dataclass(frozen=True, kw_only=True)
class ForceMapReport:
    """What an optimal force map gains for one kind of residue.

    Attributes:
        residue_name: The kind of residue.
        bead_names: Its beads.
        uniform_rms: Force rms per component with uniform weights [kJ/mol/nm], one value per bead.
        optimal_rms: The same with optimal weights.
        n_samples: Force components averaged over for each pair of atoms.
    """

    _LISTS: ClassVar[tuple[str, ...]] = ("bead_names", "uniform_rms", "optimal_rms")

    residue_name: str
    bead_names: tuple[str, ...]
    uniform_rms: tuple[float, ...]
    optimal_rms: tuple[float, ...]
    n_samples: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        return {**asdict(self), **{name: list(getattr(self, name)) for name in self._LISTS}}

    @classmethod
    def from_dict(cls, content: Dictionary[str, Any]) -> "ForceMapReport":
        """The report that `to_dict` wrote."""
        return cls(**{**content, **{name: tuple(content[name]) for name in cls._LISTS}})

    def to_text(self) -> str:
        """One line per bead."""
        lines = [f"optimal force map of {self.residue_name} ({self.n_samples} samples), force rms [kJ/mol/nm]:"]
        for bead, before, after in zip(self.bead_names, self.uniform_rms, self.optimal_rms, strict=True):
            lines.append(f"  {bead}: {before:.1f} with uniform sums, {after:.1f} optimal ({after / before - 1:+.1%})")
        return "\n".join(lines)


def uniform_force_weights(position_weights: csr_array) -> csr_array:
    """Weights with which the force on a bead is the plain sum over its atoms, shape (n_beads, n_atoms).

    Consistent if beads share no atoms and sit at the center of mass (or any average) of their atoms.

    Raises:
        InputError: An atom is part of two beads.
    """
    weights = csr_array(position_weights, copy=True)
    weights.data = np.ones_like(weights.data)
    shared = np.flatnonzero(np.asarray(weights.sum(axis=0)).ravel() > 1)
    if len(shared):
        raise InputError(
            f"atoms {shared[:10].tolist()} belong to more than one bead ({len(shared)} atoms in all), so the sum of "
            f"their forces is not the force on the bead. Put each atom in one bead, or give force weights explicitly."
        )
    return weights


def check_constraints(
    force_weights: csr_array, constraints: np.ndarray, atom_names: Sequence[str] | None = None
) -> None:
    """Check that atoms held at a fixed distance carry equal force weights, so that constraint forces cancel.

    Constraint forces are not among recorded forces. They drop out of a bead's force only if both ends count equally
    (Kraemer et al., J. Phys. Chem. Lett. 14, 3970 (2023)).

    Args:
        force_weights: Force weights, shape (n_beads, n_atoms).
        constraints: Constrained atom pairs, shape (n_constraints, 2).
        atom_names: Names for the error text.

    Raises:
        InputError: A constraint straddles beads.
    """
    constraints = np.asarray(constraints, dtype=np.int64).reshape(-1, 2)
    columns = force_weights.tocsc()
    difference = abs(columns[:, constraints[:, 0]] - columns[:, constraints[:, 1]]).max(axis=0)
    bad = np.flatnonzero(np.asarray(difference.todense()).ravel() > TOLERANCE)
    if len(bad):
        names = atom_names if atom_names is not None else [str(i) for i in range(force_weights.shape[1])]
        listed = ", ".join(f"{names[i]} ({i})-{names[j]} ({j})" for i, j in constraints[bad[:5]])
        raise InputError(
            f"{len(bad)} constraints straddle beads, for example {listed}: the constraint force does not cancel in the "
            f"force on the bead, and it is not recorded. Keep constrained atoms (a hydrogen and its carbon) in one "
            f"bead, or record the reference without these constraints."
        )


def optimal_force_weights(
    mapping: Mapping, frames: Iterable[Frames], atoms: AtomTopology
) -> tuple[csr_array, tuple[ForceMapReport, ...]]:
    """The force weights that minimize the mean square force, and what they gain.

    Minimizes tr(B S B^T), with S the covariance of the atomic forces, subject to B C^T = 1 and equal weights within
    groups of atoms joined by constraints: all such maps have the same mean force, so the least square is the least
    noise (Kraemer et al., J. Phys. Chem. Lett. 14, 3970 (2023)). Weights are shared by all residues of a kind.

    Args:
        mapping: The mapping with any consistent force weights, residue by residue.
        frames: Frames of the atoms with forces, in chunks; they are read once.
        atoms: The atoms, with residues and constraints.

    Raises:
        InputError: No forces, constraints between residues, or beads that reach across residues.
    """
    check_constraints(mapping.force_weights, atoms.constraints, atoms.names)
    kinds = _residue_kinds(mapping, atoms)
    covariances = [np.zeros((kind.atoms.shape[1],) * 2) for kind in kinds]
    counts = np.zeros(len(kinds), dtype=np.int64)
    for chunk in frames:
        if chunk.forces is None:
            raise InputError("the frames hold no forces; an optimal force map is made from the atomic forces.")
        for k, kind in enumerate(kinds):
            samples = np.asarray(chunk.forces, dtype=np.float64)[:, kind.atoms].transpose(0, 1, 3, 2)
            samples = samples.reshape(-1, kind.atoms.shape[1])
            covariances[k] += samples.T @ samples
            counts[k] += len(samples)
    if not counts.all():
        raise InputError("there are no frames to make an optimal force map from. Record some first.")
    rows, columns, values, reports = [], [], [], []
    for kind, covariance, count in zip(kinds, covariances, counts, strict=True):
        local = _solve(covariance / count, kind.position_weights, kind.groups)
        reports.append(_report(kind, covariance / count, local, int(count)))
        rows.append(np.repeat(kind.beads[:, :, None], local.shape[1], axis=2).ravel())
        columns.append(np.repeat(kind.atoms[:, None, :], local.shape[0], axis=1).ravel())
        values.append(np.broadcast_to(local, (len(kind.beads), *local.shape)).ravel())
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return csr_array(entries, shape=mapping.force_weights.shape), tuple(reports)


@dataclass(frozen=True, eq=False, kw_only=True)
class _ResidueKind:
    """All residues of one kind: atoms (n_copies, a), beads (n_copies, b), local weights (b, a), groups (g, a)."""

    name: str
    bead_names: tuple[str, ...]
    atoms: np.ndarray
    beads: np.ndarray
    position_weights: np.ndarray
    force_weights: np.ndarray
    groups: np.ndarray


def _residue_kinds(mapping: Mapping, atoms: AtomTopology) -> list[_ResidueKind]:
    """Sorts the residues by name, atom names and local weights."""
    coordinates = mapping.position_weights.tocoo()
    bead_residues = np.full(mapping.n_beads, -1, dtype=np.int64)
    bead_residues[coordinates.row] = atoms.residues[coordinates.col]
    crossing = np.flatnonzero(bead_residues[coordinates.row] != atoms.residues[coordinates.col])
    straddling = np.flatnonzero(np.diff(atoms.residues[atoms.constraints], axis=1).ravel())
    if len(crossing) or len(straddling):
        what = "beads" if len(crossing) else "constraints"
        raise InputError(f"some {what} reach across residues; optimal force maps are made residue by residue.")
    members: dict[tuple[object, ...], list[tuple[np.ndarray, np.ndarray]]] = {}
    names = np.asarray(atoms.names)
    n_residues = len(atoms.residue_names)
    for residue, (own_atoms, own_beads) in enumerate(
        zip(_group(atoms.residues, n_residues), _group(bead_residues, n_residues), strict=True)
    ):
        if len(own_beads):
            key = (
                atoms.residue_names[residue],
                tuple(names[own_atoms]),
                tuple(mapping.target.bead_names[b] for b in own_beads),
            )
            members.setdefault(key, []).append((own_atoms, own_beads))
    return [_residue_kind(mapping, atoms, str(key[0]), copies) for key, copies in members.items()]


def _residue_kind(
    mapping: Mapping, atoms: AtomTopology, name: str, copies: list[tuple[np.ndarray, np.ndarray]]
) -> _ResidueKind:
    own_atoms, own_beads = copies[0]
    inside = np.isin(atoms.constraints[:, 0], own_atoms)
    local = np.searchsorted(own_atoms, atoms.constraints[inside])
    graph = csr_array((np.ones(len(local)), (local[:, 0], local[:, 1])), shape=(len(own_atoms),) * 2)
    n_groups, labels = connected_components(graph, directed=False)
    return _ResidueKind(
        name=name,
        bead_names=tuple(mapping.target.bead_names[b] for b in own_beads),
        atoms=np.array([a for a, _ in copies]),
        beads=np.array([b for _, b in copies]),
        position_weights=mapping.position_weights[own_beads][:, own_atoms].toarray(),
        force_weights=mapping.force_weights[own_beads][:, own_atoms].toarray(),
        groups=(labels == np.arange(n_groups)[:, None]).astype(np.float64),
    )


def _group(labels: np.ndarray, n_groups: int) -> list[np.ndarray]:
    """The ascending indices that carry each label."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(n_groups)))[1:]


def _solve(covariance: np.ndarray, position_weights: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """B = D G with D = (A S^-1 A^T)^-1 A S^-1, S = G S_F G^T, A = C G^T, shape (n_beads, n_atoms)."""
    reduced = groups @ covariance @ groups.T
    reduced += 1e-9 * np.trace(reduced) / len(reduced) * np.eye(len(reduced))
    constraint = position_weights @ groups.T
    solved = np.linalg.solve(reduced, constraint.T)
    return np.linalg.solve(constraint @ solved, solved.T) @ groups


def _report(kind: _ResidueKind, covariance: np.ndarray, weights: np.ndarray, n_samples: int) -> ForceMapReport:
    def rms(local: np.ndarray) -> tuple[float, ...]:
        return tuple(np.sqrt(np.einsum("bi,ij,bj->b", local, covariance, local)).tolist())

    return ForceMapReport(
        residue_name=kind.name, bead_names=kind.bead_names, n_samples=n_samples,
        uniform_rms=rms(kind.force_weights), optimal_rms=rms(weights),
    )  # fmt: skip
