"""What a box holds: how many of which molecules, and whether a force field knows them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.residues.environment import environments
from openmm_cgml.topology import CGTopology, ChainTemplate, MoleculeTemplate

MAX_BEADS = 2_000_000
_SYNTAX = 'write 100, "100x50", "NAME=100x50", or the residues, "20xPEH,PEM*48,PET"'


@dataclass(frozen=True, kw_only=True)
class ChainCount:
    """A number of equal chains.

    Attributes:
        count: How many.
        monomers: Residues of each, ends included; None for the length in the training data.
        name: Which of the force field's chains; may be empty if it has one.
        residues: Residue names in order instead, for copolymers; links are those of the force field's chains.
    """

    count: int
    monomers: int | None = None
    name: str = ""
    residues: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, *, monomers: int | None = None) -> ChainCount:
        """Chains from a text like "100", "50x100", "polyethylene=50x100" or "20xPEH,PEM*48,PET".

        Args:
            text: The text.
            monomers: Residues of each chain where the text does not say.

        Raises:
            InputError: If the text is none of these.
        """
        found = re.fullmatch(r"(?:(?P<name>[^=]+)=)?(?P<count>\d+)(?:x(?P<rest>.+))?", text.strip())
        if found is None:
            raise InputError(f"chains {text!r}: {_SYNTAX}")
        name, count, rest = found["name"] or "", int(found["count"]), found["rest"]
        if rest is None:
            return cls(count=count, monomers=monomers, name=name)
        if rest.strip().isdigit():
            return cls(count=count, monomers=int(rest), name=name)
        blocks = [re.fullmatch(r"([^*]+)(?:\*(\d+))?", block.strip()) for block in rest.split(",")]
        if name or not all(blocks):
            raise InputError(f"chains {text!r}: {_SYNTAX}")
        residues = (itertools.repeat(block[1], int(block[2] or 1)) for block in blocks if block)
        return cls(count=count, residues=tuple(itertools.chain.from_iterable(residues)))


def chain_molecules(
    force_field: ForceField, chains: Sequence[ChainCount | tuple[int, int]]
) -> list[tuple[MoleculeTemplate, int]]:
    """The molecules of chains, each with its number.

    Raises:
        InputError: If a chain or residue is unknown, or a number makes no sense.
    """
    found = []
    for given in chains:
        chain = given if isinstance(given, ChainCount) else ChainCount(count=given[0], monomers=given[1])
        if isinstance(chain.count, bool) or not isinstance(chain.count, int) or chain.count < 1:
            raise InputError(f"number of chains is {chain.count!r}; it must be a positive whole number")
        found.append((_molecule(force_field, chain), chain.count))
    return found


def small_molecules(
    force_field: ForceField, molecules: int | Mapping[str, int] | None
) -> list[tuple[MoleculeTemplate, int]]:
    """The molecules of one residue each, with their numbers.

    Raises:
        InputError: If a residue is unknown or part of chains, or a number makes no sense.
    """
    linked = {name for chain in force_field.chains for name in (chain.head, chain.body, chain.tail)}
    linked |= {name for kind in force_field.architectures for name in kind.residue_names}
    known = {template.name: template for template in force_field.templates if template.name not in linked}
    if molecules is None:
        return []
    if isinstance(molecules, int):
        if len(known) != 1:
            if not known:
                raise InputError(f"{force_field.name} knows chains only; say how many with chains, like 100x50")
            example = dict.fromkeys(known, 100)
            raise InputError(f"this force field knows {', '.join(known)}; say how many of each, like {example}")
        molecules = {next(iter(known)): molecules}
    for name, count in molecules.items():
        if name not in known:
            where = "is part of chains; build those" if name in linked else "is unknown"
            raise InputError(
                f"unknown residue {name!r}: it {where}; molecules of one residue here are {', '.join(known) or 'none'}"
            )
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise InputError(f"number of {name} is {count!r}; it must be a whole number")
    return [(MoleculeTemplate(residues=(known[name],)), count) for name, count in molecules.items() if count]


def check_size(molecules: Sequence[tuple[MoleculeTemplate, int]]) -> None:
    """Refuse boxes without beads, and larger ones than can be built.

    Raises:
        InputError: If there are none or too many.
    """
    total = sum(count * sum(len(r.bead_names) for r in molecule.residues) for molecule, count in molecules)
    if not 0 < total <= MAX_BEADS:
        raise InputError(f"{total} beads; build at least one molecule and at most {MAX_BEADS} beads")


def check_type_pairs(force_field: ForceField, topology: CGTopology) -> None:
    """Refuse bead types together that the force field has never seen together.

    Types are known to each other if they belong to one residue or one chain, or if their closest approach in the
    training data is recorded. A force field that records none is not judged.

    Raises:
        InputError: Naming the pairs.
    """
    training = force_field.manifest.training
    if training is None or not training.closest_approach:
        return
    known = {frozenset(pair) for pair in itertools.combinations_with_replacement(force_field.type_names, 2)
             if closest_approach(force_field, *pair) is not None}  # fmt: skip
    for types in _types_together(force_field):
        known |= {frozenset(pair) for pair in itertools.combinations_with_replacement(sorted(types), 2)}
    present = sorted({topology.type_names[t] for t in np.unique(topology.bead_types)})
    pairs = itertools.combinations_with_replacement(present, 2)
    if unknown := [f"{a}-{b}" for a, b in pairs if frozenset((a, b)) not in known]:
        raise InputError(
            f"{force_field.name} was not trained on beads of types {', '.join(unknown)} near each other; build a box "
            "without these pairs, or train on data that holds them"
        )


def closest_approach(force_field: ForceField, type_a: str, type_b: str) -> float | None:
    """Smallest distance between beads of two types of different molecules in the training data [nm], if recorded."""
    training = force_field.manifest.training
    recorded = training.closest_approach if training else {}
    return recorded.get(f"{type_a}-{type_b}", recorded.get(f"{type_b}-{type_a}"))


def _molecule(force_field: ForceField, chain: ChainCount) -> MoleculeTemplate:
    """An architecture by its name, or what the data holds in place of a chain of this length, or a linear chain."""
    if kind := _architecture(force_field, chain):
        return kind
    names = chain.residues
    if not names:
        template = _chain_template(force_field, chain.name)
        n_residues = template.monomers if chain.monomers is None else chain.monomers
        if kind := _in_place_of(force_field, template, n_residues):
            return kind
        names = template.residues(n_residues)
    if len(names) * chain.count > MAX_BEADS:
        raise InputError(f"{chain.count} chains of {len(names)} residues; build at most {MAX_BEADS} beads")
    molecule = MoleculeTemplate.from_names(names, force_field.templates, force_field.chains)
    _check_ends(force_field, molecule)
    return molecule


def _architecture(force_field: ForceField, chain: ChainCount) -> MoleculeTemplate | None:
    """The architecture that is named, or the only one where nothing is said."""
    known = {kind.name: kind for kind in force_field.architectures}
    if not (chain.name or chain.residues or chain.monomers) and len(known) == 1:
        return next(iter(known.values()))
    kind = known.get(chain.name)
    if kind and chain.monomers not in (None, len(kind.residues)):
        raise InputError(f"{kind.name} has {len(kind.residues)} residues, not {chain.monomers}; leave the length out")
    return kind


def _in_place_of(force_field: ForceField, template: ChainTemplate, n_residues: int) -> MoleculeTemplate | None:
    """The architecture of as many residues of the same kinds, or None."""
    own = {template.head, template.body, template.tail}
    kinds = [
        kind
        for kind in force_field.architectures
        if len(kind.residues) == n_residues and set(kind.residue_names) <= own
    ]
    if len(kinds) > 1:
        listed = ", ".join(kind.name for kind in kinds)
        raise InputError(f"{force_field.name} knows {listed} of {n_residues} residues; say which, like NAME=100")
    return kinds[0] if kinds else None


def _check_ends(force_field: ForceField, molecule: MoleculeTemplate) -> None:
    """Refuse a linear chain whose ends the data never had: it held rings."""
    if not force_field.architectures:
        return
    ends = {
        name
        for kind in force_field.architectures
        for name, around in zip(kind.residue_names, environments(kind.residue_names, kind.joints), strict=True)
        if len(around) == 1
    }
    for name in (molecule.residue_names[0], molecule.residue_names[-1]):
        if name not in ends:
            raise InputError(
                f"{force_field.name} was not trained on chains that end in {name!r}; its data holds "
                f"{', '.join(kind.name for kind in force_field.architectures)}: build those, like NAME=100"
            )


def _chain_template(force_field: ForceField, name: str) -> ChainTemplate:
    known = {chain.name: chain for chain in force_field.chains}
    if name in known:
        return known[name]
    listed = ", ".join([*known, *(kind.name for kind in force_field.architectures)]) or "none"
    if name:
        raise InputError(f"{force_field.name} has no chain {name!r}; it has: {listed}")
    if len(known) != 1:
        raise InputError(f"{force_field.name} has these chains: {listed}; say which, like NAME=100x50")
    return next(iter(known.values()))


def _types_together(force_field: ForceField) -> list[set[str]]:
    types = {template.name: set(template.bead_type_names) for template in force_field.templates}
    chains = (types[c.head] | types[c.body] | types[c.tail] for c in force_field.chains)
    kinds = (set().union(*(types[name] for name in kind.residue_names)) for kind in force_field.architectures)
    return [*types.values(), *chains, *kinds]
