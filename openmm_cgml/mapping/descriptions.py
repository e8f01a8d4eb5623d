"""Labels written as a `system.yaml`: residues with their beads, chains where residues form them, and the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.mapping.labels import AtomGroup, mapping_from_labels, residue_groups
from openmm_cgml.mapping.templates import NAMELESS, unique_names
from openmm_cgml.specification import (
    AtomSpecification,
    BeadSpecification,
    ChainSpecification,
    ResidueSpecification,
    SystemSpecification,
)
from openmm_cgml.topology import AtomTopology, CGTopology


def describe_system(
    atoms: AtomTopology, labels: ArrayLike, *, name: str, temperature: float, description: str = ""
) -> SystemSpecification:
    """The system whose beads are those of the labels.

    Residues that hold no bead are listed as unmapped. Molecules of several residues are described as chains, from the
    first of them; nameless residues (UNL) are called M1, M2, ...

    Args:
        atoms: The atoms.
        labels: The bead of each atom; negative for atoms in no bead, shape (n_atoms,).
        name: Name of the system.
        temperature: Temperature [K].
        description: One line.

    Raises:
        InputError: Beads across residues, residues of one name that are divided or made differently, or molecules of
            several residues that are no linear chains of a head, bodies and a tail.
    """
    named = replace(atoms, names=unique_names(atoms))
    beads = np.asarray(labels, dtype=np.int64)
    _check_within_residues(beads, atoms)
    target = mapping_from_labels(named, beads).target
    groups, mapped = residue_groups(named), [g for g in residue_groups(named) if (beads[g.atoms] >= 0).any()]
    names = _names_of(mapped)
    single = np.bincount(_molecules_of_residues(atoms), minlength=int(atoms.molecules.max()) + 1)
    order = _bead_order(beads, atoms.residues)
    residues = [
        _residue(named, group, name, beads, target, order, single) for group, name in zip(mapped, names, strict=True)
    ]
    unmapped = sorted({g.name for g in groups if (beads[g.atoms] < 0).all()})
    called = dict(zip(map(id, mapped), names, strict=True))
    return SystemSpecification(
        name=name,
        description=description,
        temperature=temperature,
        residues=tuple(residues),
        chains=_chains(named, mapped, [called[id(group)] for group in mapped]),
        unmapped=tuple(unmapped),
    )


def to_yaml(specification: SystemSpecification, *, comment: str = "") -> str:
    """The text of a `system.yaml`.

    Args:
        specification: The system, without a reference.
        comment: Lines for its top.
    """
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    lines += [f"name: {_flow(specification.name)}", f"description: {_flow(specification.description)}"]
    lines += [f"temperature: {specification.temperature:g} kelvin", f"pressure: {specification.pressure:g} bar"]
    lines.append("residues:")
    for residue in specification.residues:
        lines.append(f"  - name: {_flow(residue.name)}")
        lines += [f"    count: {residue.count}"] if residue.count else []
        lines.append("    atoms:")
        lines += [f"      - {{name: {_flow(a.name)}, element: {_flow(a.element)}}}" for a in residue.atoms]
        lines.append("    beads:")
        for bead in residue.beads:
            members = ", ".join(_flow(atom) for atom in bead.atoms)
            lines.append(f"      - {{name: {_flow(bead.name)}, type: {_flow(bead.type)}, atoms: [{members}]}}")
        if residue.bonds:
            bonds = ", ".join(f"[{_flow(a)}, {_flow(b)}]" for a, b in residue.bonds)
            lines.append(f"    bonds: [{bonds}]")
    lines += ["chains:"] if specification.chains else []
    for chain in specification.chains:
        links = ", ".join(f"[{_flow(a)}, {_flow(b)}]" for a, b in chain.links)
        lines.append(
            f"  - {{name: {chain.name}, head: {_flow(chain.head)}, body: {_flow(chain.body)}, tail: "
            f"{_flow(chain.tail)}, links: [{links}], monomers: {chain.monomers}, count: {chain.count}}}"
        )
    if specification.unmapped:
        lines.append(f"unmapped: [{', '.join(map(_flow, specification.unmapped))}]")
    return "\n".join(lines) + "\n"


def _flow(text: str) -> str:
    """A text as YAML writes it within braces."""
    return yaml.safe_dump([text], default_flow_style=True, width=10_000).strip()[1:-1]


def _names_of(groups: Sequence[AtomGroup]) -> list[str]:
    """A name for each kind of residue.

    Raises:
        InputError: Two kinds of residues have one name.
    """
    names: list[str] = []
    for group in groups:
        name = group.name
        if name in NAMELESS:
            kinds = sum(other.name in NAMELESS for other in groups)
            name = name if kinds == 1 and name else f"M{sum(n.startswith('M') for n in names) + 1}"
        if name in names:
            raise InputError(
                f"residues called {name} are of several kinds (other atoms, bonds or masses); give each kind a name of "
                "its own in the topology"
            )
        names.append(name)
    return names


def _molecules_of_residues(atoms: AtomTopology) -> NDArray[np.int64]:
    return atoms.molecules[np.unique(atoms.residues, return_index=True)[1]]


def _bead_order(beads: NDArray[np.int64], residues: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of each atom's bead in the mapping of the labels; -1 for none, shape (n_atoms,)."""
    mapped = np.flatnonzero(beads >= 0)
    _, first, owner = np.unique(beads[mapped], return_index=True, return_inverse=True)
    order = np.lexsort((first, residues[mapped[first]]))
    result = np.full(len(beads), -1, dtype=np.int64)
    result[mapped] = np.argsort(order)[owner]
    return result


def _residue(
    atoms: AtomTopology,
    group: AtomGroup,
    name: str,
    labels: NDArray[np.int64],
    target: CGTopology,
    order: NDArray[np.int64],
    residues_of_molecule: NDArray[np.int64],
) -> ResidueSpecification:
    own = order[group.atoms]
    _check_alike(group, name, own)
    first = own[0].tolist()
    beads = list(dict.fromkeys(bead for bead in sorted(first)))
    members = {bead: tuple(n for n, b in zip(group.names, first, strict=True) if b == bead) for bead in beads}
    called = {bead: target.bead_names[bead] for bead in beads}
    bonds = [(i, j) for i, j in target.bonds.tolist() if i in called and j in called]
    alone = residues_of_molecule[atoms.molecules[group.atoms[:, 0]]] == 1
    return ResidueSpecification(
        name=name,
        count=len(group.atoms) if alone.all() else 0,
        atoms=tuple(AtomSpecification(name=n, element=e) for n, e in zip(group.names, group.elements, strict=True)),
        beads=tuple(
            BeadSpecification(name=called[b], type=target.type_names[target.bead_types[b]], atoms=members[b])
            for b in beads
        ),
        bonds=tuple((called[i], called[j]) for i, j in bonds),
    )


def _check_within_residues(beads: NDArray[np.int64], atoms: AtomTopology) -> None:
    """Raise if a bead has atoms of two residues.

    Raises:
        InputError: One has.
    """
    mapped = beads >= 0
    pairs = np.unique(np.stack([beads[mapped], atoms.residues[mapped]], axis=1), axis=0)
    across = np.flatnonzero(np.diff(pairs[:, 0]) == 0)
    if len(across):
        bead, residue = pairs[across[0]].tolist()
        raise InputError(
            f"bead {bead} reaches from residue {residue} ({atoms.residue_names[residue]}) into others; a system.yaml "
            "describes residues one by one. Use `mapping_from_labels`, or make each molecule one residue"
        )


def _check_alike(group: AtomGroup, name: str, beads: NDArray[np.int64]) -> None:
    """Raise unless all copies are divided alike.

    Raises:
        InputError: They are not, or some atoms are in no bead.
    """
    if (beads < 0).any():
        raise InputError(f"residue {name}: some atoms are in no bead and others are; put all of them in beads, or none")
    local = beads - beads.min(axis=1, keepdims=True)
    if (local != local[:1]).any():
        raise InputError(f"residues {name} are not all divided in the same way; a system.yaml describes each kind once")


def _chains(atoms: AtomTopology, groups: Sequence[AtomGroup], names: Sequence[str]) -> tuple[ChainSpecification, ...]:
    """Linear chains, one for every sequence of head, body and tail.

    Raises:
        InputError: Molecules of several residues that are not of this kind.
    """
    kind = {int(atoms.residues[first]): n for g, n in zip(groups, names, strict=True) for first in g.atoms[:, 0]}
    members: dict[int, list[int]] = {}
    for residue, molecule in enumerate(_molecules_of_residues(atoms).tolist()):
        if residue in kind:
            members.setdefault(molecule, []).append(residue)
    found: dict[tuple[str, str, str, tuple[tuple[str, str], ...]], list[int]] = {}
    links = _links(atoms)
    for residues in members.values():
        if len(residues) > 1:
            kinds = [kind[r] for r in residues]
            own = {link for a, b in pairwise(residues) for link in links.get((a, b), ())}
            inner = set(kinds[1:-1]) or {kinds[0]}
            if len(inner) > 1 or not own:
                raise InputError(
                    f"a molecule of residues {', '.join(dict.fromkeys(kinds))} is no linear chain of a head, alike "
                    "bodies and a tail, which is what is described here; write its system.yaml by hand"
                )
            found.setdefault((kinds[0], inner.pop(), kinds[-1], tuple(sorted(own))), []).append(len(residues))
    return tuple(
        ChainSpecification(
            name=f"chain-{n}" if len(found) > 1 else "chain", head=head, body=body, tail=tail, links=pairs,
            monomers=max(lengths), count=len(lengths),
        )
        for n, ((head, body, tail, pairs), lengths) in enumerate(found.items(), 1)
    )  # fmt: skip


def _links(atoms: AtomTopology) -> dict[tuple[int, int], list[tuple[str, str]]]:
    """Names of bonded atoms of two residues, by these residues in order."""
    result: dict[tuple[int, int], list[tuple[str, str]]] = {}
    for i, j in atoms.bonds.tolist():
        a, b = int(atoms.residues[i]), int(atoms.residues[j])
        if a != b:
            (low, first), (high, second) = sorted(((a, atoms.names[i]), (b, atoms.names[j])))
            result.setdefault((low, high), []).append((first, second))
    return result
