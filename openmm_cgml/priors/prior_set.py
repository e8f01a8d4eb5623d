"""The priors of a force field: terms keyed by bead types, bound to a topology on demand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import (
    BOND,
    COORDINATES,
    POTENTIALS,
    BondedPotential,
    CenterKind,
    Centers,
    Coordinate,
    EnergyFunction,
    PairPotential,
    Potential,
    SitePairs,
    Sites,
    SiteTemplate,
    ThreeBody,
    Value,
    evaluate_energies,
    group_by_types,
    three_body_types,
    type_key,
)
from openmm_cgml.potentials.points import Points
from openmm_cgml.priors.prior_files import describe_priors, read_priors
from openmm_cgml.priors.term import PriorTerm
from openmm_cgml.storage import parse_json, seal, unseal
from openmm_cgml.topology import CGTopology
from openmm_cgml.wholeness import BondForest

_BEADS_PER_CHUNK = 16_384  # bounds the memory of `evaluate` to some hundred MB
_FEW_MOMENTS = 8  # of a neighbor of a bead; more make chunks smaller

Part = Literal["all", "inter"]


@dataclass(frozen=True, eq=False, kw_only=True)
class PriorSet:
    """Prior terms by bead type, and how near in the molecule two beads may be to repel each other.

    Attributes:
        terms: The terms; each form has each combination of bead types once.
        exclude_bonds: Beads up to this many bonds apart feel no excluded volume.
        provenance: Where the numbers come from, plain JSON content.
        sites: The sites that pair forms act between, each type of site of a bead type once; none where they act between
            the beads themselves.
        centers: What pair forms act between the centers of beside the sites, "molecules" or "beads"; terms of pair
            forms whose types are no sites are theirs: of residues, or of bead types. None without such terms.
        alike: Bead types that have no terms of pair forms of their own, and the types whose terms they have.

    Raises:
        InputError: If a term or sites appear twice, a coordinate has terms of two forms, a parameter differs that all
            terms of a form share, or there are sites and no pair form, or three-body terms beside sites; or centers
            without sites or without terms, or such terms without centers; or a type that is taken for another has
            terms, or sites, or three-body terms beside it.
    """

    terms: tuple[PriorTerm, ...]
    exclude_bonds: int = 2
    provenance: Mapping[str, Any] = field(default_factory=dict)
    sites: tuple[SiteTemplate, ...] = ()
    centers: CenterKind | None = None
    alike: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", tuple(self.terms))
        object.__setattr__(self, "sites", tuple(self.sites))
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))
        object.__setattr__(self, "alike", MappingProxyType(dict(self.alike)))
        if (
            isinstance(self.exclude_bonds, bool)
            or self.exclude_bonds != int(self.exclude_bonds)
            or self.exclude_bonds < 0
        ):
            raise InputError(f"exclude_bonds is {self.exclude_bonds!r}; it must be 0 or a positive integer")
        seen: set[tuple[str, tuple[str, ...]]] = set()
        for term in self.terms:
            if (term.form, term.types) in seen:
                raise InputError(f"{term} appears twice; keep one")
            seen.add((term.form, term.types))
        for coordinate in COORDINATES:
            self._check_one_form_each(coordinate)
        for form in self._pair_forms:
            self._check_shared(form)
        self._check_shared(ThreeBody)
        self._check_sites()
        self._check_alike()

    def _check_one_form_each(self, coordinate: Coordinate) -> None:
        found: dict[tuple[str, ...], PriorTerm] = {}
        for term in self._bonded_terms(coordinate):
            other = found.setdefault(term.types, term)
            if other is not term:
                names = " and a ".join(sorted((other.form, term.form), reverse=True))
                raise InputError(f"{coordinate.kind} {'-'.join(term.types)} has a {names}; keep one")

    def _check_shared(self, form: type[Potential]) -> None:
        for name, parameter in form.parameters.items():
            values = {term.parameters[name]: term for term in self._by_types(form).values()}
            if parameter.shared and len(values) > 1:
                stated = ", ".join(
                    f"{parameter.text(value)} for {'-'.join(term.types)}" for value, term in values.items()
                )
                raise InputError(f"all {form.key} terms share one {name}, but here it is {stated}")

    def _check_sites(self) -> None:
        seen: set[tuple[str, str]] = set()
        for template in self.sites:
            if (template.site_type, template.bead_type) in seen:
                raise InputError(f"{template} appear twice; give all their positions in one")
            seen.add((template.site_type, template.bead_type))
        if self.sites and not self._pair_forms:
            raise InputError("there are sites, but no pair form that acts between them; leave them out, or add terms")
        if self.sites and self.has_three_body:
            raise InputError("there are sites and three-body terms, which act between beads; leave out one of them")
        if self.sites or self.centers:
            self._check_centers()

    def _check_centers(self) -> None:
        known, of_centers = {template.site_type for template in self.sites}, []
        for term in (term for form in self._pair_forms for term in self._by_types(form).values()):
            of_sites = [name in known for name in term.types]
            if any(of_sites) and not all(of_sites):
                raise InputError(f"{term} is between a site and something else; give pairs of sites, or of centers")
            of_centers += [] if all(of_sites) else [term]
        if of_centers and self.centers is None:
            raise InputError(
                f"{of_centers[0]} is not between sites, which are {', '.join(sorted(known))}; say with centers "
                '("molecules" or "beads") whose centers it is between, or leave it out'
            )
        if self.centers is not None and not (self.sites and of_centers):
            lacking = "terms of pair forms between them" if self.sites else "sites beside them"
            raise InputError(f"there are centers of {self.centers}, but no {lacking}; add some, or leave centers out")

    def _check_alike(self) -> None:
        if self.alike and (self.sites or self.has_three_body):
            raise InputError(
                "types are taken for others in pairs of beads only; leave alike, or sites and three-body terms"
            )
        for name, other in self.alike.items():
            if other in self.alike:
                raise InputError(
                    f"{name} is taken for {other}, which is taken for {self.alike[other]}; name the last one"
                )
            own = [term for form in self._pair_forms for term in self._by_types(form).values() if name in term.types]
            if own:
                raise InputError(f"{name} is taken for {other}, but there is {own[0]}; leave it out")

    @cached_property
    def _pair_forms(self) -> tuple[type[PairPotential], ...]:
        """The pair forms that have terms."""
        used = {term.form for term in self.terms}
        return tuple(form for form in POTENTIALS if issubclass(form, PairPotential) and form.key in used)

    @cached_property
    def cutoff(self) -> float:
        """Longest cutoff of a pair form [nm]; 0 without one."""
        terms = [term for form in self._pair_forms for term in self._by_types(form).values()]
        return max((_alone(term).cutoff for term in terms), default=0.0)

    @property
    def has_three_body(self) -> bool:
        """Whether there are three-body terms."""
        return any(term.form == ThreeBody.key for term in self.terms)

    @property
    def is_native(self) -> bool:
        """Whether every term has a native OpenMM force."""
        return not self.sites and not self.has_three_body

    def bind(self, topology: CGTopology) -> tuple[Potential, ...]:
        """The potentials of the beads of a topology.

        Every bond needs a bond term; if there are terms for angles or torsions, every angle or every torsion needs one;
        of each pair form that has terms every pair of bead types needs one, and if there are three-body terms every
        three bead types. Nothing defaults to zero.

        Args:
            topology: Beads and bonds.

        Raises:
            InputError: Naming every combination of bead types without a term, and an example of its beads.
        """
        bonded = [p for coordinate in COORDINATES for p in self._bind_bonded(coordinate, topology)]
        return (*bonded, *self._bind_pairs(topology), *self._bind_three_body(topology))

    def bonded_members(self, topology: CGTopology) -> Iterator[tuple[NDArray[np.int64], PriorTerm]]:
        """Beads, shape (n, k), and term of every kind of bond, angle and torsion that has one.

        Args:
            topology: Beads and bonds.
        """
        for coordinate in COORDINATES:
            terms = {term.types: term for term in self._bonded_terms(coordinate)}
            groups = group_by_types(topology, coordinate.members(topology)) if terms else {}
            for types, members in groups.items():
                if types in terms:
                    yield members, terms[types]

    def excluded_pairs(self, topology: CGTopology) -> NDArray[np.int64]:
        """Pairs i < j too near in the molecule for excluded volume, shape (n_pairs, 2).

        The one definition of what is excluded: a network with `include_bonded: false` leaves the same pairs out, and an
        analysis of pairs that are not bonded takes them from here.

        Args:
            topology: Beads and bonds.
        """
        return topology.exclusions(self.exclude_bonds)

    def evaluate(
        self, topology: CGTopology, frames: Frames, *, part: Part = "all"
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Energies [kJ/mol], shape (n_frames,), and forces [kJ/mol/nm], shape (n_frames, n_beads, 3), in float64.

        Args:
            topology: Beads and bonds.
            frames: Frames of that topology.
            part: "all", or "inter" for what acts between different molecules or a molecule and its periodic images.

        Raises:
            InputError: If the topology lacks a term, does not fit the frames, or a box is below twice the cutoff.
        """
        if frames.n_particles != topology.n_beads:
            raise InputError(f"frames have {frames.n_particles} beads, the topology {topology.n_beads}")
        functions = self._energy_functions(topology, part)
        energies = np.zeros(len(frames))
        forces = np.zeros((len(frames), topology.n_beads, 3))
        sites = sum(len(template.positions) for template in self.sites)
        moments = sum(potential.n_moments for potential in self._bind_three_body(topology))
        size = max(1, _BEADS_PER_CHUNK // (topology.n_beads * max(1, sites, moments // _FEW_MOMENTS)))
        for start in range(0, len(frames), size):
            chunk = slice(start, start + size)
            box = None if frames.box is None else torch.tensor(frames.box[chunk], dtype=torch.float64)
            energy, force = evaluate_energies(
                functions, torch.tensor(frames.positions[chunk], dtype=torch.float64), box
            )
            energies[chunk], forces[chunk] = energy.numpy(), force.numpy()
        return energies, forces

    def energies(self, topology: CGTopology, frames: Frames, *, part: Part = "all") -> NDArray[np.float64]:
        """Energy of every frame [kJ/mol], shape (n_frames,). See `evaluate`."""
        return self.evaluate(topology, frames, part=part)[0]

    def forces(self, topology: CGTopology, frames: Frames, *, part: Part = "all") -> NDArray[np.float64]:
        """Forces in every frame [kJ/mol/nm], shape (n_frames, n_beads, 3). See `evaluate`."""
        return self.evaluate(topology, frames, part=part)[1]

    def pair_energy(self, type_a: str, type_b: str, distance: NDArray[np.floating]) -> NDArray[np.float64]:
        """Energy of the pair forms [kJ/mol] of a pair of beads (or sites), shape (n,); zero without any.

        Args:
            type_a: Bead type of one bead, or site type where the pair forms act between sites.
            type_b: Bead type of the other.
            distance: Distances [nm], shape (n,).

        Raises:
            InputError: If a pair form has terms, but none for these types.
        """
        energy = np.zeros(len(distance))
        types = type_key((self.alike.get(type_a, type_a), self.alike.get(type_b, type_b)))
        for form in self._pair_forms:
            terms = self._by_types(form)
            if types not in terms:
                raise _lacking(form.key, [types], "", terms)
            given = torch.tensor(distance, dtype=torch.float64)
            energy += _alone(terms[types]).pair_energy(given, 0, 0).numpy()
        return energy

    def describe_points(self) -> dict[str, str]:
        """What pair forms act between where that is not beads, each of its own type: for people, text by name."""
        found = {str(template): template.describe() for template in self.sites}
        if self.centers is not None:
            found["pairs of types that are no sites"] = f"between centers of {self.centers}"
        return {**found, **{f"{name} in pairs": f"taken for {other}" for name, other in self.alike.items()}}

    def bond_moments(self, types: tuple[str, ...], kt: float) -> tuple[float, float]:
        """Mean and standard deviation of the length of a bond under its prior alone [nm].

        Args:
            types: Its two bead types.
            kt: Thermal energy [kJ/mol].

        Raises:
            InputError: If there is no bond of these types.
        """
        known = {term.types: term for term in self._bonded_terms(BOND)}
        if type_key(types) not in known:
            raise _lacking("bond term", [types], "", known)
        term = known[type_key(types)]
        return term.bonded.moments(term.parameters, kt)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content, with the units stated."""
        return describe_priors(
            self.terms,
            exclude_bonds=int(self.exclude_bonds),
            provenance=self.provenance,
            sites=self.sites,
            centers=self.centers,
            alike=self.alike,
        )

    @classmethod
    def from_dict(cls, content: Any, *, name: str = "priors") -> PriorSet:
        """The prior set that `to_dict` wrote, read strictly.

        Args:
            content: Plain JSON content.
            name: What to call it in an error, usually its path.

        Raises:
            ArtifactError: If a key is missing, unknown or of the wrong kind, a unit is not ours, or a value is wrong.
        """
        fields = read_priors(unseal(content, name=name), name)
        try:
            return cls(**fields)
        except InputError as error:
            raise ArtifactError(f"{name}: {error}") from error

    def to_json(self) -> str:
        """Readable JSON text, with the units stated, and sealed: `from_json` refuses it once it was changed.

        Who means to change it by hand deletes the two entries of the seal; a force field's `priors.json` has none:
        its manifest vouches for it.
        """
        return json.dumps(seal(self.to_dict()), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, *, name: str = "priors") -> PriorSet:
        """The prior set that `to_json` wrote. See `from_dict`."""
        return cls.from_dict(parse_json(text, name=name), name=name)

    def _by_types(self, form: type[Potential]) -> dict[tuple[str, ...], PriorTerm]:
        return {term.types: term for term in self.terms if term.form == form.key}

    def _bonded_terms(self, coordinate: Coordinate) -> list[PriorTerm]:
        """The terms of a coordinate, whatever their form."""
        forms = [(term, term.potential) for term in self.terms]
        return [t for t, form in forms if issubclass(form, BondedPotential) and form.coordinate is coordinate]

    def _bind_bonded(self, coordinate: Coordinate, topology: CGTopology) -> list[Potential]:
        """One potential for each form of a coordinate."""
        members, known = coordinate.members(topology), self._bonded_terms(coordinate)
        if not len(members) or not (known or coordinate.required):
            return []
        terms, term_of = self._terms_of(coordinate, {term.types: term for term in known}, topology, members)
        bound: list[Potential] = []
        for form in POTENTIALS:
            if issubclass(form, BondedPotential):
                chosen = np.array([term.form == form.key for term in terms])[term_of]
                if chosen.any():
                    parameters = [terms[k].parameters for k in term_of[chosen].tolist()]
                    bound.append(form.bind(members[chosen], parameters))
        return bound

    def _energy_functions(self, topology: CGTopology, part: Part) -> list[EnergyFunction]:
        if part == "all":
            return [potential.energy for potential in self.bind(topology)]
        forest = BondForest.from_topology(topology)
        return [partial(potential.inter_energy, forest) for potential in self._bind_intermolecular(topology)]

    def _bind_intermolecular(self, topology: CGTopology) -> list[PairPotential | SitePairs | ThreeBody]:
        """The potentials that act between molecules."""
        return [*self._bind_pairs(topology), *self._bind_three_body(topology)]

    def _bind_three_body(self, topology: CGTopology) -> list[ThreeBody]:
        """The one potential of the three-body terms, if there are some."""
        terms = self._by_types(ThreeBody)
        if not terms:
            return []
        wanted = three_body_types([topology.type_names[t] for t in np.unique(topology.bead_types)])
        missing = sorted(types for types in wanted if types not in terms)
        if missing:
            raise _lacking(ThreeBody.key, missing, "", terms)
        return [ThreeBody.bind(topology, {types: terms[types].parameters for types in wanted})]

    def _bind_pairs(self, topology: CGTopology) -> list[PairPotential] | list[SitePairs]:
        """One potential for each pair form."""
        if not self._pair_forms:
            return []
        sites = self.bind_sites(topology)
        if sites is None:
            return self._bind_points(Points.of_beads(topology, self.exclude_bonds).merged(self.alike))
        bound = [SitePairs(sites=sites, pairs=pairs) for pairs in self._bind_points(sites.points)]
        centers = self.bind_centers(topology)
        if centers is None:
            return bound
        what = f"centers of {self.centers}"
        of_centers = self._bind_points(centers.points)
        return bound + [SitePairs(sites=centers, pairs=pairs, between=what) for pairs in of_centers]

    def bind_sites(self, topology: CGTopology) -> Sites | None:
        """The sites that pair forms act between; None where these act between the beads themselves.

        Raises:
            InputError: If a bead cannot place its sites.
        """
        return Sites.of(topology, self.sites, self.exclude_bonds) if self.sites else None

    def bind_centers(self, topology: CGTopology) -> Centers | None:
        """The centers that pair forms act between beside the sites; None without such terms.

        Raises:
            InputError: If a site type and a type of centers have one name, or molecules have several residues.
        """
        if self.centers is None:
            return None
        centers = Centers.of(topology, self.centers, self.exclude_bonds)
        if twice := sorted({template.site_type for template in self.sites} & set(centers.type_names)):
            raise InputError(f"{twice[0]} is a type of sites and one of centers of {self.centers}; rename the sites")
        return centers

    def _bind_points(self, points: Points) -> list[PairPotential]:
        """Each pair form, bound to beads or sites."""
        exclusions = points.exclusions
        present, bead_types = np.unique(points.types, return_inverse=True)
        names = [points.type_names[t] for t in present]
        keys = [[type_key((a, b)) for b in names] for a in names]
        bound = []
        for form in self._pair_forms:
            terms = self._by_types(form)
            missing = sorted({key for row in keys for key in row if key not in terms})
            if missing:
                raise _lacking(form.key, missing, "", terms)
            bound.append(form.bind(bead_types, _tables([[terms[key] for key in row] for row in keys]), exclusions))
        return bound

    def _terms_of(
        self,
        coordinate: Coordinate,
        known: Mapping[tuple[str, ...], PriorTerm],
        topology: CGTopology,
        indices: NDArray[np.int64],
    ) -> tuple[list[PriorTerm], NDArray[np.int64]]:
        """Terms of the coordinate, and which of them each row of `indices` has, shape (n,)."""
        kinds, kind_of = np.unique(topology.bead_types[indices], axis=0, return_inverse=True)
        keys = [type_key(tuple(topology.type_names[t] for t in kind)) for kind in kinds.tolist()]
        missing = sorted(set(keys) - set(known))
        if missing:
            example = indices[int(np.argmax(kind_of.ravel() == keys.index(missing[0])))]
            used = {term.form for term in known.values()}
            present = [form.key for form in POTENTIALS if form.key in used] or [f"{coordinate.kind} term"]
            raise _lacking(" or ".join(present), missing, f" (beads {example.tolist()} for example)", known)
        return [known[key] for key in keys], kind_of.ravel()


def _lacking(
    what: str, missing: list[tuple[str, ...]], example: str, known: Mapping[tuple[str, ...], PriorTerm]
) -> InputError:
    return InputError(
        f"no {what} for bead types {', '.join('-'.join(types) for types in missing)}{example}; known are "
        f"{', '.join('-'.join(types) for types in known) or 'none'}. Add the term to the priors, or fit them on "
        "data that holds these types"
    )


def _alone(term: PriorTerm) -> PairPotential:
    """The potential of one term of a pair form, for one bead of one type."""
    form = term.potential
    assert issubclass(form, PairPotential)  # callers take terms of pair forms
    return form.bind(np.zeros(1, np.int64), _tables([[term]]), np.zeros((0, 2), np.int64))


def _tables(terms: Sequence[Sequence[PriorTerm]]) -> dict[str, NDArray[np.float64]]:
    """Each parameter of terms by two types, shape (n_types, n_types); lists have a last axis, filled up with zeros."""
    return {name: _table([[term.parameters[name] for term in row] for row in terms]) for name in terms[0][0].parameters}


def _table(values: Sequence[Sequence[Value]]) -> NDArray[np.float64]:
    if not isinstance(values[0][0], tuple):
        return np.array(values, np.float64)
    lists = [[value for value in row if isinstance(value, tuple)] for row in values]
    table = np.zeros((len(lists), len(lists), max(len(value) for row in lists for value in row)))
    for a, row in enumerate(lists):
        for b, value in enumerate(row):
            table[a, b, : len(value)] = value
    return table
