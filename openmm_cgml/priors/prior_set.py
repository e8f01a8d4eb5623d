"""The priors of a force field: terms keyed by bead types, bound to a topology on demand."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
    CosineAngle,
    CosineTorsion,
    EnergyFunction,
    HarmonicAngle,
    HarmonicBond,
    Potential,
    PowerRepulsion,
    evaluate_energies,
)
from openmm_cgml.priors.term import FORMS, PriorTerm, type_key
from openmm_cgml.storage import parse_json
from openmm_cgml.topology import CGTopology
from openmm_cgml.wholeness import BondForest

SCHEMA = "openmm-cgml/priors"
SCHEMA_VERSION = "1.1"  # 1.1: cosine_angle and cosine_torsion
_FIRST_FORMS = {"harmonic_bond", "harmonic_angle", "power_repulsion"}  # those of version 1.0
_BEADS_PER_CHUNK = 16_384  # bounds the memory of `evaluate` to some hundred MB

Part = Literal["all", "inter"]


@dataclass(frozen=True, eq=False, kw_only=True)
class PriorSet:
    """Prior terms by bead type, and how near in the molecule two beads may be to repel each other.

    Attributes:
        terms: The terms; each form has each combination of bead types once.
        exclude_bonds: Beads up to this many bonds apart feel no excluded volume.
        provenance: Where the numbers come from, plain JSON content.

    Raises:
        InputError: If a term appears twice, or the excluded volumes differ in exponent, cutoff or switch distance.
    """

    terms: tuple[PriorTerm, ...]
    exclude_bonds: int = 2
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", tuple(self.terms))
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))
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
        both = [types for form, types in seen if form == "cosine_angle" and ("harmonic_angle", types) in seen]
        if both:
            raise InputError(f"angle {'-'.join(min(both))} has a harmonic_angle and a cosine_angle; keep one")
        repulsions = self._by_types("power_repulsion").values()
        for name in ("exponent", "cutoff", "switch_distance"):
            values = {term.parameters[name]: term for term in repulsions}
            if len(values) > 1:
                stated = ", ".join(f"{value:g} for {'-'.join(term.types)}" for value, term in values.items())
                raise InputError(f"all power_repulsion terms share one {name}, but here it is {stated}")

    @cached_property
    def cutoff(self) -> float:
        """Cutoff of the excluded volume [nm]; 0 without one."""
        return max((t.parameters["cutoff"] for t in self.terms if t.form == "power_repulsion"), default=0.0)

    def bind(self, topology: CGTopology) -> tuple[Potential, ...]:
        """The potentials of the beads of a topology.

        Every bond needs a bond term; if there are terms for angles, torsions or excluded volume, every angle, every
        torsion or every pair of bead types needs one. Nothing defaults to zero.

        Args:
            topology: Beads and bonds.

        Raises:
            InputError: Naming every combination of bead types without a term, and an example of its beads.
        """
        return (
            *self._bind_bonds(topology),
            *self._bind_angles(topology),
            *self._bind_torsions(topology),
            *self._bind_repulsion(topology),
        )

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
        size = max(1, _BEADS_PER_CHUNK // topology.n_beads)
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
        """Excluded-volume energy [kJ/mol] of a pair of beads, shape (n,); zero without excluded volume.

        Args:
            type_a: Bead type of one bead.
            type_b: Bead type of the other.
            distance: Distances [nm], shape (n,).

        Raises:
            InputError: If there are excluded-volume terms, but none for these types.
        """
        if not self._by_types("power_repulsion"):
            return np.zeros(len(distance))
        potential = self._repulsion(list(dict.fromkeys((type_a, type_b))), np.array([0]), np.zeros((0, 2), np.int64))
        return potential.pair_energy(torch.tensor(distance, dtype=torch.float64), 0, -1).numpy()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content, with the units stated."""
        return {
            "schema": SCHEMA,
            # The version that brought the newest form, so that what older programs wrote is written unchanged.
            "version": "1.0" if {term.form for term in self.terms} <= _FIRST_FORMS else SCHEMA_VERSION,
            "units": {form: dict(FORMS[form].units) for form in sorted({term.form for term in self.terms})},
            "exclude_bonds": int(self.exclude_bonds),
            "terms": [term.to_dict() for term in self.terms],
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_dict(cls, content: Any, *, name: str = "priors") -> PriorSet:
        """The prior set that `to_dict` wrote, read strictly.

        Args:
            content: Plain JSON content.
            name: What to call it in an error, usually its path.

        Raises:
            ArtifactError: If a key is missing, unknown or of the wrong kind, a unit is not ours, or a value is wrong.
        """
        _check_keys(content, {"schema", "version", "units", "exclude_bonds", "terms", "provenance"}, name)
        if content["schema"] != SCHEMA:
            raise ArtifactError(f"{name}: schema is {content['schema']!r}; expected {SCHEMA!r}")
        if str(content["version"]).split(".")[0] != SCHEMA_VERSION.split(".")[0]:
            raise ArtifactError(
                f"{name}: version is {content['version']!r}; this program reads {SCHEMA_VERSION}; upgrade openmm_cgml"
            )
        if not isinstance(content["exclude_bonds"], int) or not isinstance(content["provenance"], dict):
            raise ArtifactError(f"{name}: exclude_bonds must be an integer and provenance an object")
        if not isinstance(content["terms"], list):
            raise ArtifactError(f"{name}: terms is {type(content['terms']).__name__}; expected a list")
        terms = tuple(_read_term(term, f"{name}, term {index}") for index, term in enumerate(content["terms"]))
        units = {form: dict(FORMS[form].units) for form in sorted({term.form for term in terms})}
        if content["units"] != units:
            raise ArtifactError(f"{name}: units are {content['units']}; expected {units}")
        try:
            return cls(terms=terms, exclude_bonds=content["exclude_bonds"], provenance=content["provenance"])
        except InputError as error:
            raise ArtifactError(f"{name}: {error}") from error

    def to_json(self) -> str:
        """Readable JSON text, with the units stated."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, *, name: str = "priors") -> PriorSet:
        """The prior set that `to_json` wrote. See `from_dict`."""
        return cls.from_dict(parse_json(text, name=name), name=name)

    def _by_types(self, form: str) -> dict[tuple[str, ...], PriorTerm]:
        return {term.types: term for term in self.terms if term.form == form}

    def _bind_bonds(self, topology: CGTopology) -> tuple[Potential, ...]:
        if not len(topology.bonds):
            return ()
        terms, term_of = self._terms_of(("harmonic_bond",), topology, topology.bonds)
        return (HarmonicBond(indices=topology.bonds, **_columns(terms, term_of, "length", "stiffness")),)

    def _bind_angles(self, topology: CGTopology) -> tuple[Potential, ...]:
        forms = ("harmonic_angle", "cosine_angle")
        if not len(topology.angles) or not any(self._by_types(form) for form in forms):
            return ()
        terms, term_of = self._terms_of(forms, topology, topology.angles)
        harmonic = np.array([term.form == "harmonic_angle" for term in terms])[term_of]
        potentials: list[Potential] = []
        if harmonic.any():
            columns = _columns(terms, term_of[harmonic], "angle", "stiffness")
            potentials.append(HarmonicAngle(indices=topology.angles[harmonic], **columns))
        if not harmonic.all():
            coefficients = _coefficients(terms, term_of[~harmonic])
            potentials.append(CosineAngle(indices=topology.angles[~harmonic], coefficients=coefficients))
        return tuple(potentials)

    def _bind_torsions(self, topology: CGTopology) -> tuple[Potential, ...]:
        if not len(topology.dihedrals) or not self._by_types("cosine_torsion"):
            return ()
        terms, term_of = self._terms_of(("cosine_torsion",), topology, topology.dihedrals)
        return (CosineTorsion(indices=topology.dihedrals, coefficients=_coefficients(terms, term_of)),)

    def _energy_functions(self, topology: CGTopology, part: Part) -> list[EnergyFunction]:
        if part == "all":
            return [potential.energy for potential in self.bind(topology)]
        forest = BondForest.from_topology(topology)
        return [partial(repulsion.inter_energy, forest) for repulsion in self._bind_repulsion(topology)]

    def _bind_repulsion(self, topology: CGTopology) -> tuple[PowerRepulsion, ...]:
        if not self._by_types("power_repulsion"):
            return ()
        exclusions = self.excluded_pairs(topology)
        present, bead_types = np.unique(topology.bead_types, return_inverse=True)
        return (self._repulsion([topology.type_names[t] for t in present], bead_types, exclusions),)

    def _repulsion(
        self, type_names: list[str], bead_types: NDArray[np.int64], exclusions: NDArray[np.int64]
    ) -> PowerRepulsion:
        terms = self._by_types("power_repulsion")
        keys = [[type_key((a, b)) for b in type_names] for a in type_names]
        missing = sorted({key for row in keys for key in row if key not in terms})
        if missing:
            raise self._lacking("power_repulsion", missing, "", terms)
        table = {
            name: np.array([[terms[key].parameters[name] for key in row] for row in keys])
            for name in ("sigma", "epsilon")
        }
        shared = next(iter(terms.values())).parameters
        return PowerRepulsion(
            bead_types=bead_types,
            sigma=table["sigma"],
            epsilon=table["epsilon"],
            exponent=int(shared["exponent"]),
            cutoff=shared["cutoff"],
            switch_distance=shared["switch_distance"],
            exclusions=exclusions,
        )

    def _terms_of(
        self, forms: tuple[str, ...], topology: CGTopology, indices: NDArray[np.int64]
    ) -> tuple[list[PriorTerm], NDArray[np.int64]]:
        """Terms of any of the forms, and which of them each row of `indices` has, shape (n,)."""
        known = {types: term for form in forms for types, term in self._by_types(form).items()}
        kinds, kind_of = np.unique(topology.bead_types[indices], axis=0, return_inverse=True)
        keys = [type_key(tuple(topology.type_names[t] for t in kind)) for kind in kinds.tolist()]
        missing = sorted(set(keys) - set(known))
        if missing:
            example = indices[int(np.argmax(kind_of.ravel() == keys.index(missing[0])))]
            present = [form for form in forms if self._by_types(form)] or forms[:1]
            raise self._lacking(" or ".join(present), missing, f" (beads {example.tolist()} for example)", known)
        return [known[key] for key in keys], kind_of.ravel()

    def _lacking(
        self, what: str, missing: list[tuple[str, ...]], example: str, known: Mapping[tuple[str, ...], PriorTerm]
    ) -> InputError:
        return InputError(
            f"no {what} for bead types {', '.join('-'.join(types) for types in missing)}{example}; known are "
            f"{', '.join('-'.join(types) for types in known) or 'none'}. Add the term to the priors, or fit them on "
            "data that holds these types"
        )


def _columns(terms: list[PriorTerm], term_of: NDArray[np.int64], *names: str) -> dict[str, Any]:
    rows = [terms[k].parameters for k in term_of.tolist()]
    return {name: np.array([row[name] for row in rows]) for name in names}


def _coefficients(terms: list[PriorTerm], term_of: NDArray[np.int64]) -> NDArray[np.float64]:
    """Coefficients of the series of each row, without harmonics that none of them has."""
    rows = np.array([terms[k].coefficients for k in term_of.tolist()])
    return rows[:, : int(np.flatnonzero(rows.any(axis=0)).max(initial=0)) + 1]


def _read_term(content: Any, name: str) -> PriorTerm:
    _check_keys(content, {"form", "types", "parameters"}, name)
    types, parameters = content["types"], content["parameters"]
    if not isinstance(types, list) or not all(isinstance(t, str) for t in types) or not isinstance(parameters, dict):
        raise ArtifactError(f"{name}: types must be a list of names, parameters an object of numbers")
    wrong = [key for key, value in parameters.items() if isinstance(value, bool) or not isinstance(value, int | float)]
    if wrong:
        raise ArtifactError(f"{name}: {wrong[0]} is {parameters[wrong[0]]!r}; expected a number")
    try:
        return PriorTerm(form=content["form"], types=tuple(types), parameters=parameters)
    except InputError as error:
        raise ArtifactError(f"{name}: {error}") from error


def _check_keys(content: Any, expected: set[str], name: str) -> None:
    if not isinstance(content, dict):
        raise ArtifactError(f"{name}: expected an object, found {type(content).__name__}")
    if content.keys() != expected:
        missing, unknown = sorted(expected - content.keys()), sorted(content.keys() - expected)
        raise ArtifactError(f"{name}: keys missing: {missing or 'none'}; unknown: {unknown or 'none'}")
