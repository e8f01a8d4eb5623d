"""Force weights of a mapping: uniform sums, and the sums with the least noise."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.mapping.force_map_report import ForceMapReport
from openmm_cgml.mapping.operator import TOLERANCE, Mapping
from openmm_cgml.topology import AtomTopology

_ROUNDING = 1e-10  # weights nearer than this to those of a plain sum are these
_RIDGE = 1e-9  # of the mean variance of a group
_LEAST_SAMPLES = 5  # for each group of atoms, below which noise would look like something to cancel


class TooFewSamplesError(InputError):
    """There are too few frames to tell optimal force weights from noise."""


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
    force_weights: csr_array,
    constraints: np.ndarray,
    atom_names: Sequence[str] | None = None,
    *,
    way_out: str = "",
) -> None:
    """Check that atoms held at a fixed distance carry equal force weights, so that constraint forces cancel.

    Constraint forces are not among recorded forces. They drop out of a bead's force only if both ends count equally
    (Kraemer et al., J. Phys. Chem. Lett. 14, 3970 (2023)).

    Args:
        force_weights: Force weights, shape (n_beads, n_atoms).
        constraints: Constrained atom pairs, shape (n_constraints, 2).
        atom_names: Names for the error text.
        way_out: What else can be done, for the error text.

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
            f"force on the bead, and it is not recorded. {way_out}Keep constrained atoms (a hydrogen and its carbon) "
            f"in one bead, or record the reference without these constraints."
        )


def optimal_weights_exist(mapping: Mapping, atoms: AtomTopology) -> bool:
    """Whether there are force weights that fit the mapping and its constraints; see `optimal_force_weights`."""
    return all(_is_feasible(kind) for kind in _residue_kinds(mapping, atoms))


def optimal_force_weights(
    mapping: Mapping, frames: Iterable[Frames], atoms: AtomTopology
) -> tuple[csr_array, tuple[ForceMapReport, ...]]:
    """The force weights that minimize the mean square force, and what they gain.

    Minimizes tr(B S B^T), with S the covariance of the atomic forces, subject to B C^T = 1, to equal weights within
    groups of atoms joined by constraints, and to weights that sum to 1 over the beads for every atom: all such maps
    have the same mean force, so the least square is the least noise (Kraemer et al., J. Phys. Chem. Lett. 14, 3970
    (2023)), and the force on a whole molecule stays the sum over its atoms, so forces on beads add up to zero and the
    pressure of molecules is that of the atoms. Weights are shared by all residues of a kind, or by all molecules of a
    kind where beads or constraints reach across residues. A bead that is a whole residue has uniform weights.

    Args:
        mapping: The mapping with any force weights that fit its position weights.
        frames: Frames of the atoms with forces, in chunks; they are read once.
        atoms: The atoms, with residues and constraints.

    Raises:
        TooFewSamplesError: Fewer than five samples for each atom of a kind, or group of atoms held by constraints.
        InputError: No forces, or constraints that leave no such weights.
    """
    kinds = _residue_kinds(mapping, atoms)
    for kind in kinds:
        if not _is_feasible(kind):
            raise InputError(
                f"the constraints of {kind.name} join so many atoms of different beads ({', '.join(kind.bead_names)}) "
                "that no force weights fit the beads: beads held at fixed distances from each other feel no force of "
                "their own. Keep constrained atoms in one bead, or record the reference without these constraints."
            )
    totals, inters, counts = _covariances(kinds, frames)
    _check_samples(kinds, counts)
    rows, columns, values, reports = [], [], [], []
    for kind, total, inter, count in zip(kinds, totals, inters, counts, strict=True):
        local = _solve(total, kind.position_weights, kind.groups)
        reports.append(_report(kind, total, inter, local, count))
        rows.append(np.repeat(kind.beads[:, :, None], local.shape[1], axis=2).ravel())
        columns.append(np.repeat(kind.atoms[:, None, :], local.shape[0], axis=1).ravel())
        values.append(np.broadcast_to(local, (len(kind.beads), *local.shape)).ravel())
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return csr_array(entries, shape=mapping.force_weights.shape), tuple(reports)


def _covariances(
    kinds: Sequence["_ResidueKind"], frames: Iterable[Frames]
) -> tuple[list[np.ndarray], list[np.ndarray | None], list[int]]:
    """Mean products of the forces on the atoms of each kind, of all forces and of intermolecular ones, and samples."""
    sums = {part: [np.zeros((kind.atoms.shape[1],) * 2) for kind in kinds] for part in ("forces", "forces_inter")}
    counts, has_inter = np.zeros(len(kinds), dtype=np.int64), True
    for chunk in frames:
        if chunk.forces is None:
            raise InputError("the frames hold no forces; an optimal force map is made from the atomic forces.")
        has_inter &= chunk.forces_inter is not None
        for k, kind in enumerate(kinds):
            for part in ("forces", "forces_inter") if has_inter else ("forces",):
                samples = np.asarray(getattr(chunk, part), dtype=np.float64)[:, kind.atoms].transpose(0, 1, 3, 2)
                samples = samples.reshape(-1, kind.atoms.shape[1])
                sums[part][k] += samples.T @ samples
            counts[k] += len(samples)
    if not counts.all():
        raise InputError("there are no frames to make an optimal force map from. Record some first.")
    totals, inters = ([each / n for each, n in zip(sums[p], counts, strict=True)] for p in ("forces", "forces_inter"))
    return totals, list(inters) if has_inter else [None] * len(kinds), counts.tolist()


def _check_samples(kinds: Sequence["_ResidueKind"], counts: Sequence[int]) -> None:
    for kind, count in zip(kinds, counts, strict=True):
        needed = _LEAST_SAMPLES * len(kind.groups)
        if count < needed and len(kind.bead_names) > 1:
            raise TooFewSamplesError(
                f"there are {count} samples of the forces on {kind.name}, and its optimal force weights need {needed} "
                f"or more ({_LEAST_SAMPLES} for each of its {len(kind.groups)} atoms or groups held by constraints). "
                "Record more frames, or take uniform force weights (`--force-map uniform`)."
            )


def _is_feasible(kind: "_ResidueKind") -> bool:
    return int(np.linalg.matrix_rank(kind.position_weights @ kind.groups.T, tol=1e-9)) == len(kind.bead_names)


@dataclass(frozen=True, eq=False, kw_only=True)
class _ResidueKind:
    """All residues (or molecules) of one kind.

    Atoms (n_copies, a), beads (n_copies, b), local weights (b, a), groups (g, a), and whether no constraint is cut.
    """

    name: str
    bead_names: tuple[str, ...]
    atoms: np.ndarray
    beads: np.ndarray
    position_weights: np.ndarray
    force_weights: np.ndarray
    groups: np.ndarray
    uniform_valid: bool


def _residue_kinds(mapping: Mapping, atoms: AtomTopology) -> list[_ResidueKind]:
    """Sorts the residues by name, atom names and beads; molecules, where beads or constraints join residues."""
    coordinates = mapping.position_weights.tocoo()
    first = np.full(mapping.n_beads, -1, dtype=np.int64)
    first[coordinates.row] = coordinates.col
    across = atoms.residues[first[coordinates.row]] != atoms.residues[coordinates.col]
    straddling = np.diff(atoms.residues[atoms.constraints], axis=1)
    owners = atoms.molecules if across.any() or straddling.any() else atoms.residues
    bead_owners = owners[first]
    members: dict[tuple[object, ...], list[tuple[np.ndarray, np.ndarray]]] = {}
    names, n_owners = np.asarray(atoms.names), int(owners.max()) + 1
    for own_atoms, own_beads in zip(_group(owners, n_owners), _group(bead_owners, n_owners), strict=True):
        if len(own_beads):
            key = (
                atoms.residue_names[atoms.residues[own_atoms[0]]],
                tuple(names[own_atoms]),
                tuple(mapping.target.bead_names[b] for b in own_beads),
                _local_weights(mapping, own_beads, own_atoms).round(6).tobytes(),
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
        position_weights=_local_weights(mapping, own_beads, own_atoms),
        force_weights=mapping.force_weights[own_beads][:, own_atoms].toarray(),
        groups=(labels == np.arange(n_groups)[:, None]).astype(np.float64),
        uniform_valid=_cuts_none(mapping.force_weights[own_beads][:, own_atoms].toarray(), local),
    )


def _local_weights(mapping: Mapping, beads: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """The position weights of some beads in some atoms, shape (n_beads, n_atoms)."""
    local = np.zeros((len(beads), int(atoms[-1]) + 1 - int(atoms[0])))
    weights = mapping.position_weights
    for row, bead in enumerate(beads.tolist()):
        entries = slice(weights.indptr[bead], weights.indptr[bead + 1])
        local[row, weights.indices[entries] - atoms[0]] = weights.data[entries]
    return local[:, atoms - atoms[0]]


def _cuts_none(weights: np.ndarray, constraints: np.ndarray) -> bool:
    return bool(np.allclose(weights[:, constraints[:, 0]], weights[:, constraints[:, 1]], atol=TOLERANCE))


def _group(labels: np.ndarray, n_groups: int) -> list[np.ndarray]:
    """The ascending indices that carry each label."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(n_groups)))[1:]


def _solve(covariance: np.ndarray, position_weights: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The optimal weights, shape (n_beads, n_atoms).

    Without the sums over beads B = (A S^-1 A^T)^-1 A S^-1 with S = G S_F G^T and A = C G^T, for groups G. What each
    group then lacks of a sum of 1 over the beads goes to all beads alike, which changes the square least.
    """
    reduced = groups @ covariance @ groups.T
    reduced += _RIDGE * np.trace(reduced) / len(reduced) * np.eye(len(reduced))
    constraint = position_weights @ groups.T
    solved = np.linalg.solve(reduced, constraint.T)
    weights = np.linalg.solve(constraint @ solved, solved.T)
    weights = weights + (1 - weights.sum(axis=0)) / len(weights)
    plain = np.rint(weights)
    return np.where(np.abs(weights - plain) < _ROUNDING, plain, weights) @ groups


def _report(
    kind: _ResidueKind, total: np.ndarray, inter: np.ndarray | None, weights: np.ndarray, n_samples: int
) -> ForceMapReport:
    def rms(local: np.ndarray, covariance: np.ndarray | None) -> tuple[float, ...]:
        return () if covariance is None else tuple(np.sqrt(np.einsum("bi,ij,bj->b", local, covariance, local)).tolist())

    return ForceMapReport(
        residue_name=kind.name, bead_names=kind.bead_names, n_samples=n_samples,
        uniform_rms=rms(kind.force_weights, total), optimal_rms=rms(weights, total),
        uniform_inter_rms=rms(kind.force_weights, inter), optimal_inter_rms=rms(weights, inter),
        uniform_valid=kind.uniform_valid,
    )  # fmt: skip
