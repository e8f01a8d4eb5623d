"""Pair potentials: a function of the distance of two beads by their types, within a cutoff, but for excluded pairs."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.config import Config
from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.periodic import find_pairs, pair_distances
from openmm_cgml.potentials.centers import CenterKind, Centers
from openmm_cgml.potentials.coordinate import Lengths, invert_masses, type_key
from openmm_cgml.potentials.points import BuiltPoints, Points
from openmm_cgml.potentials.potential import Parameters, Period, Potential, frozen_array, minimum_image, norm
from openmm_cgml.potentials.sites import SiteTemplate
from openmm_cgml.topology import CGTopology
from openmm_cgml.wholeness import BondForest

if TYPE_CHECKING:
    import torch

    from openmm_cgml.potentials.three_body import ThreeBodyConfig

PairSearch = Callable[[NDArray[np.float64], NDArray[np.float64] | None], NDArray[np.int64]]

_STEP = 1e-5  # nm, of a difference that stands for a derivative
_MOST_SITES = 500_000  # in all frames that a form between sites is fitted to
_LEAST_FRAMES = 40
COLLISION_ENERGY = 5.0
"""Energy in kT that less than one collision of a hundred exceeds; the curvature there limits the time step."""


class PairConfig(Config):
    """Settings of a pair form.

    Attributes:
        form: Its key without "pair" and the like, such as "power".
    """

    form: str

    def site_templates(self) -> tuple[SiteTemplate, ...]:
        """The sites that the form acts between; none where it acts between the beads themselves."""
        return ()

    def center_kind(self) -> CenterKind | None:
        """What the form acts between the centers of, beside the sites; None where there are no such terms."""
        return None

    def alike_types(self) -> Mapping[str, str]:
        """Bead types whose pairs are those of another type."""
        return {}

    @property
    def takes_three_body(self) -> bool:
        """Whether a three-body term can be fitted with the form."""
        return False

    @property
    def follows_forces(self) -> bool:
        """Whether the form is fitted to forces between molecules."""
        return False

    def settings(self) -> dict[str, Any]:
        """What may differ between pairs of bead types: each of them one value for all, or a mapping from bead types."""
        return {}


@dataclass(frozen=True, eq=False, kw_only=True)
class PairData:
    """What a pair form is fitted to.

    Attributes:
        topology: Beads and bonds.
        frames: Mapped frames, molecules whole.
        kt: Thermal energy [kJ/mol].
        exclude_bonds: Beads up to this many bonds apart do not interact.
        sites: The sites (or centers) that the form acts between; None where it acts between the beads themselves.
        centers: The centers that it acts between beside the sites; None for none.
        three_body: Settings of a three-body term that is fitted with the form; None for none.
        alike: Bead types whose pairs are those of another type.
    """

    topology: CGTopology
    frames: Frames
    kt: float
    exclude_bonds: int
    sites: BuiltPoints | None = None
    centers: Centers | None = None
    three_body: ThreeBodyConfig | None = None
    alike: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @cached_property
    def points(self) -> Points:
        """What the form acts between."""
        if self.sites is None:
            return Points.of_beads(self.topology, self.exclude_bonds).merged(self.alike)
        return self.sites.points

    @cached_property
    def types(self) -> tuple[tuple[str, ...], ...]:
        """Every pair of types of points that occur."""
        present = [self.points.type_names[t] for t in np.unique(self.points.types)]
        return tuple(dict.fromkeys(type_key((a, b)) for i, a in enumerate(present) for b in present[i:]))

    @property
    def of_centers(self) -> PairData | None:
        """The same as the terms between the centers see it; None without centers."""
        return None if self.centers is None else dataclasses.replace(self, sites=self.centers, centers=None)

    def choose_frames(self, most: int | None = None) -> NDArray[np.int64]:
        """Frames to look at, evenly spread; of sites fewer, since many close pairs in each make up for it.

        Args:
            most: At most so many; None for all.
        """
        n = len(self.frames)
        limit = n if most is None else min(n, most)
        if self.sites is not None:
            limit = min(limit, max(_LEAST_FRAMES, _MOST_SITES // self.sites.n_sites))
        return np.unique(np.linspace(0, n - 1, limit).round().astype(np.int64))

    def box(self, index: int) -> NDArray[np.float64] | None:
        """Box vectors of a frame [nm], shape (3, 3), or None."""
        return None if self.frames.box is None else np.asarray(self.frames.box[index], np.float64)

    def place(self, index: int) -> NDArray[np.float64]:
        """Positions of the points in a frame [nm], shape (n_points, 3)."""
        beads = np.asarray(self.frames.positions[index], np.float64)
        return beads if self.sites is None else self.sites.place(self.sites.axes(beads, self.box(index)))


@dataclass(frozen=True, eq=False, kw_only=True)
class PairFit:
    """What a fit of a pair form found.

    Attributes:
        parameters: Parameters of each pair of bead types.
        provenance: What they were made from, plain JSON content.
        three_body: Parameters of each three-body term that was fitted with them.
    """

    parameters: Mapping[tuple[str, ...], Parameters]
    provenance: Mapping[str, Any]
    three_body: Mapping[tuple[str, ...], Parameters] = dataclasses.field(default_factory=dict)


class PairPotential(Potential):
    """A pair form, bound to the beads of a system."""

    Config: ClassVar[type[PairConfig]]
    """Its settings in a configuration of priors."""
    bead_types: NDArray[np.int64]
    """Row of each bead in the tables of its parameters, shape (n_beads,)."""
    cutoff: float
    """Distance from which the energy is zero [nm]; where types differ, the longest."""
    exclusions: NDArray[np.int64]
    """Pairs that do not interact, i < j, shape (n_exclusions, 2)."""

    @classmethod
    def n_types(cls) -> int:
        """Two."""
        return 2

    @abc.abstractmethod
    def pair_energy(
        self, distance: torch.Tensor, type_i: torch.Tensor | int, type_j: torch.Tensor | int
    ) -> torch.Tensor:
        """Energy [kJ/mol] of pairs, shape (n_pairs,), differentiable, and zero with its derivative at the cutoff.

        Args:
            distance: Distances [nm], shape (n_pairs,).
            type_i: Bead types of the first beads, shape (n_pairs,), or one for all.
            type_j: Likewise of the second beads.
        """

    def cutoff_of(self, type_i: int, type_j: int) -> float:
        """Distance from which the energy of two types is zero [nm], at most `cutoff`.

        Args:
            type_i: One bead type.
            type_j: The other.
        """
        return self.cutoff

    @abc.abstractmethod
    def contact(self, type_i: int, type_j: int, energy: float) -> tuple[float, float]:
        """Where the wall of two types reaches an energy [nm], and its curvature there [kJ/mol/nm^2].

        Args:
            type_i: One bead type.
            type_j: The other.
            energy: Energy, positive [kJ/mol].
        """

    @classmethod
    @abc.abstractmethod
    def features(cls, parameters: Parameters, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """The functions of the distance that a term weighs, shape (n_pairs, n); its energy is features @ coefficients.

        Args:
            parameters: Parameters of the term; those that say what the functions are.
            distances: Distances within the cutoff [nm], shape (n_pairs,).
        """

    @classmethod
    def slopes(cls, parameters: Parameters, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivatives of the features by the distance, shape (n_pairs, n); by differences where a form has no better.

        Args:
            parameters: As for `features`.
            distances: Distances within the cutoff [nm], shape (n_pairs,).
        """
        ahead, behind = (cls.features(parameters, distances + step) for step in (_STEP, -_STEP))
        return np.asarray((ahead - behind) / (2 * _STEP))

    @classmethod
    def walls(cls, parameters: Parameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What coefficients must be like for beads to be kept apart: rows @ coefficients <= limits, (m, n) and (m,).

        Args:
            parameters: As for `features`.
        """
        return np.zeros((0, len(cls.to_coefficients(parameters)))), np.zeros(0)

    @classmethod
    @abc.abstractmethod
    def to_coefficients(cls, parameters: Parameters) -> NDArray[np.float64]:
        """Coefficients of the features of a term, shape (n,)."""

    @classmethod
    @abc.abstractmethod
    def from_coefficients(cls, coefficients: NDArray[np.float64], parameters: Parameters) -> dict[str, Any]:
        """A term with other coefficients.

        Args:
            coefficients: Shape (n,).
            parameters: The term before.

        Raises:
            InputError: If no parameters of the form have them.
        """

    @classmethod
    @abc.abstractmethod
    def fit(cls, data: PairData, config: PairConfig) -> PairFit:
        """Parameters for every pair of bead types of the data.

        Args:
            data: Frames of the beads.
            config: The settings of this form.

        Raises:
            InputError: If the data cannot give a value that is to be fitted.
        """

    @classmethod
    def bind(
        cls,
        bead_types: NDArray[np.int64],
        tables: Mapping[str, NDArray[np.float64]],
        exclusions: NDArray[np.int64],
    ) -> Self:
        """The form for beads.

        Args:
            bead_types: Row of each bead in the tables, shape (n_beads,).
            tables: Each parameter by two types, shape (n_types, n_types).
            exclusions: Pairs that do not interact, i < j, shape (n_exclusions, 2).
        """
        values = {n: float(t.flat[0]) if cls.parameters[n].shared else t for n, t in tables.items()}
        return cls(bead_types=bead_types, exclusions=exclusions, **values)  # type: ignore[call-arg]

    def with_exclusions(self, exclusions: NDArray[np.int64]) -> Self:
        """The same with other pairs excluded, shape (n_exclusions, 2)."""
        return dataclasses.replace(self, exclusions=exclusions)  # type: ignore[type-var]

    def energy(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Energy [kJ/mol], shape (...). See `Potential.energy`.

        Raises:
            InputError: If the cutoff exceeds half the box, where the minimum image would miss pairs.
        """
        return self.energy_of(self.find, positions, box)

    def inter_energy(
        self, forest: BondForest, positions: torch.Tensor, box: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The part of `energy` that acts between different molecules, or a molecule and its own periodic images.

        Args:
            forest: The molecules.
            positions: As for `energy`.
            box: As for `energy`.

        Raises:
            InputError: If the cutoff exceeds half the box, where the minimum image would miss pairs.
        """

        def find(frame: NDArray[np.float64], cell: NDArray[np.float64] | None) -> NDArray[np.int64]:
            pairs = self.find(frame, cell)
            return pairs[:, ~forest.is_intra(frame, cell, pairs)]

        return self.energy_of(find, positions, box)

    def period(self, masses: NDArray[np.float64], lengths: Lengths, kt: float) -> Period | None:
        """The period of two beads that collide with 5 kT. See `Potential.period`."""
        return self.collision_period(invert_masses(masses), kt)

    def collision_period(self, inverse: NDArray[np.float64], kt: float) -> Period | None:
        """The period of two points that collide with 5 kT; None if nothing moves.

        Args:
            inverse: Inverse mass of each [1/Da], shape (n_beads,).
            kt: Thermal energy [kJ/mol].
        """
        types = np.unique(self.bead_types).tolist()
        lightest = {t: float(inverse[self.bead_types == t].max()) for t in types}  # of those that move, if any does
        found = []
        for index, a in enumerate(types):
            for b in types[index:]:
                distance, curvature = self.contact(a, b, COLLISION_ENERGY * kt)
                rate = curvature * (lightest[a] + lightest[b])
                if rate > 0:
                    term = f"{self.name} at {COLLISION_ENERGY:g} kT, {distance:.3f} nm"
                    found.append(Period(period=float(2 * np.pi / np.sqrt(rate)), term=term))
        return min(found, default=None)

    def check_pairs(self, n_types: int) -> None:
        """Freeze and check bead types and exclusions; for `__post_init__`.

        Raises:
            InputError: If a bead type is outside the tables, or exclusions are not pairs i < j of beads.
        """
        object.__setattr__(self, "bead_types", frozen_array(self.bead_types, np.int64, (None,), "bead_types"))
        object.__setattr__(self, "exclusions", frozen_array(self.exclusions, np.int64, (None, 2), "exclusions"))
        n_beads = len(self.bead_types)
        if n_beads and not 0 <= self.bead_types.min() <= self.bead_types.max() < n_types:
            raise InputError(f"bead_types must lie within 0..{n_types - 1}, as there are parameters of {n_types} types")
        i, j = self.exclusions.T
        if ((i < 0) | (i >= j) | (j >= n_beads)).any():
            raise InputError(f"exclusions must be pairs 0 <= i < j < {n_beads}, the number of beads")

    def energy_of(self, find: PairSearch, positions: torch.Tensor, box: torch.Tensor | None) -> torch.Tensor:
        """Energy [kJ/mol] of the pairs that a search finds in each frame, shape (...).

        Args:
            find: From positions, shape (n_beads, 3), and a box to pairs, shape (2, n_pairs).
            positions: As for `energy`.
            box: As for `energy`.
        """
        import torch

        shape, n_beads = positions.shape[:-2], positions.shape[-2]
        flat = positions.reshape(-1, n_beads, 3)
        boxes = None if box is None else box.to(positions).expand(*shape, 3, 3).reshape(-1, 3, 3)
        frames, pairs = find_in_all(find, flat, boxes)
        beads = flat.reshape(-1, 3)
        offset = frames * n_beads
        vectors = beads.index_select(0, offset + pairs[1]) - beads.index_select(0, offset + pairs[0])
        if boxes is not None:
            vectors = minimum_image(vectors[:, None, :], boxes[frames])[:, 0, :]
        types = torch.tensor(self.bead_types, device=positions.device)
        energies = self.pair_energy(norm(vectors), types[pairs[0]], types[pairs[1]])
        return flat.new_zeros(len(flat)).index_add(0, frames, energies).reshape(shape)

    def find(self, frame: NDArray[np.float64], cell: NDArray[np.float64] | None) -> NDArray[np.int64]:
        """Pairs that interact, shape (2, n_pairs).

        Args:
            frame: Positions [nm], shape (n_beads, 3).
            cell: Box vectors [nm], shape (3, 3), or None.
        """
        pairs = find_pairs(frame, cell, self.cutoff, exclusions=self.exclusions)
        cutoffs = self._cutoffs
        if cutoffs.min() == self.cutoff:
            return pairs
        return pairs[:, pair_distances(frame, cell, *pairs) < cutoffs[tuple(self.bead_types[pairs])]]

    @cached_property
    def _cutoffs(self) -> NDArray[np.float64]:
        """Cutoff of each pair of types [nm], shape (n_types, n_types)."""
        types = range(int(self.bead_types.max(initial=0)) + 1)
        return np.array([[self.cutoff_of(a, b) for b in types] for a in types])


def find_in_all(
    find: PairSearch, positions: torch.Tensor, boxes: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Frame index of each pair, shape (n_pairs,), and its beads, shape (2, n_pairs).

    Args:
        find: From positions, shape (n_beads, 3), and a box to pairs, shape (2, n_pairs).
        positions: Positions [nm], shape (n_frames, n_beads, 3).
        boxes: Box vectors [nm], shape (n_frames, 3, 3), or None.
    """
    import torch

    coordinates = positions.detach().cpu().numpy().astype(np.float64)
    cells = None if boxes is None else boxes.detach().cpu().numpy().astype(np.float64)
    found = [find(frame, None if cells is None else cells[index]) for index, frame in enumerate(coordinates)]
    frames = np.repeat(np.arange(len(found)), [pairs.shape[1] for pairs in found])
    pairs = np.concatenate(found, axis=1) if found else np.zeros((2, 0), np.int64)
    return torch.from_numpy(frames).to(positions.device), torch.from_numpy(pairs).to(positions.device)
