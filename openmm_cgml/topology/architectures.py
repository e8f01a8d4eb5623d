"""The kinds of molecules of some data that linear chains do not describe: rings, stars, networks, sequences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from openmm_cgml.residues import ChainTemplate, LinkRules, MoleculeTemplate, ResidueTemplate
from openmm_cgml.residues.environment import environments
from openmm_cgml.topology.coarse import CGTopology
from openmm_cgml.topology.joining import kinds_of_molecules

SHORT_CHAIN = 6
"""Residues of the chain that stands for all of its polymer: torsions of four body residues and of both ends occur."""
_MAX_RESIDUES = 2000  # of all kinds together; more are kept only where they bring a new environment


def find_architectures(
    topologies: Sequence[CGTopology], templates: Sequence[ResidueTemplate], chains: Sequence[ChainTemplate]
) -> tuple[MoleculeTemplate, ...]:
    """The kinds of molecules in the topologies, named, or none if the chains describe them all.

    Chains describe what they allow (`LinkRules`), provided that a short chain of each has no bond, angle or torsion of
    bead types that the data lacks: a sequence in which no residue follows itself says nothing about chains of one.

    Args:
        topologies: Beads of known residues, in the order of their residues.
        templates: The kinds of residues.
        chains: The polymers they are said to form.

    Returns:
        Molecules of more than one residue, and those of one that the chains do not allow alone; of many kinds, those
        that hold a residue in a new environment.
    """
    known = {template.name: template for template in templates}
    kinds = {kind: None for topology in topologies for kind in kinds_of_molecules(topology, known)}
    rules = LinkRules(templates, chains)
    described = all(rules.accepts(kind) for kind in kinds) and all(
        _paths([_short(chain, templates, chains, topologies[0].type_names)]) <= _paths(topologies) for chain in chains
    )
    if described:
        return ()
    linked = {name for chain in chains for name in (chain.head, chain.body, chain.tail)}
    wanted = [kind for kind in kinds if len(kind.residues) > 1 or kind.residue_names[0] in linked]
    return _named(_covering(wanted))


def _short(
    chain: ChainTemplate,
    templates: Sequence[ResidueTemplate],
    chains: Sequence[ChainTemplate],
    type_names: tuple[str, ...],
) -> CGTopology:
    molecule = MoleculeTemplate.from_names(chain.residues(SHORT_CHAIN), templates, chains)
    return CGTopology.from_molecules([(molecule, 1)], type_names=type_names)


def _paths(topologies: Iterable[CGTopology]) -> set[tuple[str, ...]]:
    """Bead types along every bond, angle and torsion, in both directions."""
    found: set[tuple[str, ...]] = set()
    for topology in topologies:
        for rows in (topology.bonds, topology.angles, topology.dihedrals):
            for kind in np.unique(topology.bead_types[rows], axis=0).tolist():
                types = tuple(topology.type_names[t] for t in kind)
                found |= {types, types[::-1]}
    return found


def _covering(kinds: Sequence[MoleculeTemplate]) -> list[MoleculeTemplate]:
    """All kinds, or of too many the smaller ones that hold a residue in an environment not met before."""
    if sum(len(kind.residues) for kind in kinds) <= _MAX_RESIDUES:
        return list(kinds)
    met: set[tuple[str, object]] = set()
    kept = []
    for kind in sorted(kinds, key=lambda kind: len(kind.residues)):
        new = set(zip(kind.residue_names, environments(kind.residue_names, kind.joints), strict=True))
        if not new <= met:
            kept.append(kind)
            met |= new
    return kept


def _named(kinds: Sequence[MoleculeTemplate]) -> tuple[MoleculeTemplate, ...]:
    counts: Counter[str] = Counter()
    named = []
    for kind in kinds:
        shape = _shape(kind)
        counts[shape] += 1
        named.append(MoleculeTemplate(residues=kind.residues, joints=kind.joints, name=f"{shape}-{counts[shape]}"))
    return tuple(named)


def _shape(kind: MoleculeTemplate) -> str:
    """What the graph of residues looks like, in a word."""
    pairs = {(a, b) for a, _, b, _ in kind.joints}
    degrees = Counter(residue for pair in pairs for residue in pair)
    most = max(degrees.values(), default=0)
    if len(pairs) >= len(kind.residues):
        return "ring" if most == 2 and len(pairs) == len(kind.residues) else "network"
    return "branched" if most > 2 else "sequence" if pairs else "residue"
