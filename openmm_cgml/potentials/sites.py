"""Interaction sites at fixed places in the local frames of beads, and how forces on them act on the beads.

Distances between beads do not see how molecules are turned, and most of the forces between molecules depend on it. A
site is rebuilt from the bead that owns it and two more beads: with u and v the vectors from the owner to these, x is
along u + c v, z along u x v, and y is z x x. A bead with two bonded neighbors has these and c = 1 (x bisects their
angle); the end of a chain has its neighbor and the next bead, and c = 0 (x is along the bond).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.periodic import minimum_image as nearest_image
from openmm_cgml.potentials.coordinate import Lengths, invert_masses
from openmm_cgml.potentials.points import BuiltPoints
from openmm_cgml.potentials.potential import minimum_image
from openmm_cgml.topology import CGTopology

if TYPE_CHECKING:
    import torch

SHORTEST_BISECTOR = 0.005
"""Length [nm] that u + c v is compared with when it is normalized, so that no force diverges where it vanishes."""
SMALLEST_NORMAL = 0.001
"""The same for u x v [nm^2]. At a bond angle of 104 degrees and bonds of 0.17 nm it moves a site by a thousandth."""
_SAME = 1e-6  # nm, of positions that are declared
_WIDEST = np.cos(np.radians(120))  # a bond angle that no length tells; wide, which makes sites move more

Positions = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, kw_only=True)
class SiteTemplate:
    """The sites of one type that every bead of one type owns.

    Attributes:
        site_type: Name of the site type, by which terms of pair forms are keyed.
        bead_type: Name of the type of the beads that own them.
        positions: Where they are in the local frame of the bead [nm], three coordinates each.

    Raises:
        InputError: If a name is empty, or there is no position, or one has not three finite coordinates.
    """

    site_type: str
    bead_type: str
    positions: Positions

    def __post_init__(self) -> None:
        object.__setattr__(self, "positions", tuple(tuple(map(float, each)) for each in self.positions))
        if not self.site_type or not self.bead_type:
            raise InputError(f"{self}: a site needs a type and the bead type that owns it")
        if not self.positions or any(len(each) != 3 or not np.isfinite(each).all() for each in self.positions):
            raise InputError(
                f"{self}: positions are {self.positions}; give one or more, each of three finite coordinates [nm]"
            )

    def __str__(self) -> str:
        return f"sites {self.site_type} of bead type {self.bead_type}"

    @cached_property
    def leaves_the_bead(self) -> bool:
        """Whether a site is elsewhere than at its bead."""
        return bool(np.abs(self.positions).max() > _SAME)

    @cached_property
    def leaves_the_axis(self) -> bool:
        """Whether a site has a y or a z, for which a bead needs two others."""
        return bool(np.abs(np.array(self.positions)[:, 1:]).max() > _SAME)

    @cached_property
    def is_symmetric(self) -> bool:
        """Whether half a turn about x, which exchanges the two neighbors of a bead, leaves the sites as they are."""
        here = np.array(self.positions)
        turned = here * [1, -1, -1]
        return bool((np.abs(here[:, None] - turned[None]).max(axis=-1) < _SAME).any(axis=1).all())

    def describe(self) -> str:
        """The positions with their unit, for people."""
        return ", ".join(f"({x:.4g}, {y:.4g}, {z:.4g})" for x, y, z in self.positions) + " nm in the bead's frame"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        return {
            "type": self.site_type,
            "bead_type": self.bead_type,
            "positions": [list(each) for each in self.positions],
        }


@dataclass(frozen=True, eq=False)
class Axes:
    """Local frames in one configuration; all arrays are of shape (n_frames, 3) unless stated.

    Attributes:
        origins: Beads that own them [nm].
        first: u, from the owner to the first other bead [nm].
        second: v, to the second [nm].
        x: Axis along u + c v.
        z: Axis along u x v.
        lengths: What u + c v was divided by [nm], shape (n_frames, 1).
        areas: What u x v was divided by [nm^2], shape (n_frames, 1).
    """

    origins: NDArray[np.float64]
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    x: NDArray[np.float64]
    z: NDArray[np.float64]
    lengths: NDArray[np.float64]
    areas: NDArray[np.float64]

    def taken(self, frames: NDArray[np.int64]) -> Axes:
        """Those of some frames, shape (n,), in that order."""
        return Axes(*(getattr(self, name)[frames] for name in self.__dataclass_fields__))


@dataclass(frozen=True, eq=False, kw_only=True)
class Sites(BuiltPoints):
    """The sites of the beads of a topology, those of a bead one after the other.

    Attributes:
        n_beads: Number of beads.
        type_names: Names of the site types.
        types: Type of each site, shape (n_sites,).
        molecules: Molecule of each site, shape (n_sites,).
        local: Positions in the local frames [nm], shape (n_sites, 3).
        frame_of: Local frame of each site, in increasing order, shape (n_sites,).
        frames: Owner, first and second other bead of each local frame, shape (n_frames, 3).
        weights: c of each local frame, 1 or 0, shape (n_frames,).
        exclusions: Pairs i < j of sites that do not interact, since they have the same owner or owners that do not
            interact, shape (n_exclusions, 2).
    """

    n_beads: int
    type_names: tuple[str, ...]
    types: NDArray[np.int64]
    molecules: NDArray[np.int64]
    local: NDArray[np.float64]
    frame_of: NDArray[np.int64]
    frames: NDArray[np.int64]
    weights: NDArray[np.float64]
    exclusions: NDArray[np.int64]

    @classmethod
    def of(cls, topology: CGTopology, templates: Sequence[SiteTemplate], exclude_bonds: int) -> Self:
        """The sites of a topology.

        Args:
            topology: Beads and bonds.
            templates: The sites of each bead type that has some.
            exclude_bonds: Beads up to this many bonds apart do not interact, nor do their sites.

        Raises:
            InputError: If no bead has sites, or the bonds of a bead do not tell the local frame that its sites need.
        """
        names = tuple(sorted({template.site_type for template in templates}))
        of_bead_type: dict[str, list[SiteTemplate]] = {}
        for template in templates:
            of_bead_type.setdefault(template.bead_type, []).append(template)
        own = [of_bead_type.get(topology.type_names[t], []) for t in topology.bead_types.tolist()]
        owners = [bead for bead, declared in enumerate(own) if declared]
        if not owners:
            raise InputError(
                f"no bead has sites: they are declared for {', '.join(of_bead_type) or 'no bead type'}, and the beads "
                f"are {', '.join(topology.type_names)}"
            )
        neighbors = _neighbors(topology)
        found = [_frame(bead, own[bead], neighbors, topology) for bead in owners]
        sizes = [sum(len(template.positions) for template in own[bead]) for bead in owners]
        each = [template for bead in owners for template in own[bead]]
        return cls(
            n_beads=topology.n_beads,
            type_names=names,
            types=np.repeat([names.index(t.site_type) for t in each], [len(t.positions) for t in each]),
            molecules=np.repeat(topology.molecules[owners], sizes),
            local=np.array([position for template in each for position in template.positions]),
            frame_of=np.repeat(np.arange(len(owners)), sizes),
            frames=np.array([beads for beads, _ in found]),
            weights=np.array([weight for _, weight in found]),
            exclusions=_expand(topology.exclusions(exclude_bonds), np.array(owners), np.array(sizes)),
        )

    @cached_property
    def owners(self) -> NDArray[np.int64]:
        """Bead that owns each site, shape (n_sites,)."""
        return np.asarray(self.frames[self.frame_of, 0])

    def axes(self, positions: NDArray[np.float64], box: NDArray[np.float64] | None = None) -> Axes:
        """The local frames at bead positions [nm], shape (n_beads, 3), in a box [nm], shape (3, 3), or in none."""
        origins, first, second = (positions[beads] for beads in self.frames.T)
        return self._axes(origins, *(nearest_image(other - origins, box) for other in (first, second)))

    def _axes(self, origins: NDArray[np.float64], u: NDArray[np.float64], v: NDArray[np.float64]) -> Axes:
        bisector, normal = u + self.weights[:, None] * v, np.cross(u, v)
        length = np.sqrt((bisector**2).sum(axis=1, keepdims=True) + SHORTEST_BISECTOR**2)
        area = np.sqrt((normal**2).sum(axis=1, keepdims=True) + SMALLEST_NORMAL**2)
        return Axes(origins, u, v, bisector / length, normal / area, length, area)

    def place(self, axes: Axes) -> NDArray[np.float64]:
        """Site positions [nm], shape (n_sites, 3)."""
        x, z = axes.x[self.frame_of], axes.z[self.frame_of]
        along = self.local[:, :1] * x + self.local[:, 1:2] * np.cross(z, x) + self.local[:, 2:] * z
        return np.asarray(axes.origins[self.frame_of] + along)

    def place_torch(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Site positions [nm], shape (..., n_sites, 3), differentiable by the bead positions, shape (..., n_beads, 3).

        Args:
            positions: Bead positions [nm]; leading dimensions are frames.
            box: Box vectors [nm], shape (..., 3, 3), or None.
        """
        import torch

        origins, first, second = (
            positions[..., torch.tensor(beads, device=positions.device), :] for beads in self.frames.T
        )
        u, v = (minimum_image(other - origins, box) for other in (first, second))
        bisector, normal = u + positions.new_tensor(self.weights)[:, None] * v, torch.linalg.cross(u, v)
        x = bisector / ((bisector**2).sum(-1, keepdim=True) + SHORTEST_BISECTOR**2).sqrt()
        z = normal / ((normal**2).sum(-1, keepdim=True) + SMALLEST_NORMAL**2).sqrt()
        frames, local = torch.tensor(self.frame_of, device=positions.device), positions.new_tensor(self.local)
        placed = origins[..., frames, :]
        for k, axis in enumerate((x, torch.linalg.cross(z, x), z)):
            placed = placed + local[:, k : k + 1] * axis[..., frames, :]
        return placed

    def carry(self, axes: Axes, forces: NDArray[np.float64]) -> NDArray[np.float64]:
        """What forces on sites are on beads, by the chain rule, shape (n_beads, 3, n).

        Args:
            axes: The local frames.
            forces: Forces on the sites, of n kinds, shape (n_sites, 3, n).
        """
        starts = np.searchsorted(self.frame_of, np.arange(len(self.frames)))
        total, *moments = (
            np.add.reduceat(forces * weight[:, None, None], starts) for weight in (np.ones(self.n_sites), *self.local.T)
        )
        shares = _shares(axes, self.weights, total, *moments)
        result = np.zeros((self.n_beads, 3, forces.shape[2]))
        for beads, share in zip(self.frames.T, shares, strict=True):
            np.add.at(result, beads, share)
        return result

    def straight_share(self, axes: Axes, within: float) -> float:
        """Share of the local frames that sites depend on whose three beads are so near to a straight line [rad]."""
        u, v = axes.first, axes.second
        other = np.where(self.weights[:, None] > 0, v, v - u)
        sine = np.linalg.norm(np.cross(u, v), axis=1)
        flat = sine < np.sin(within) * np.linalg.norm(u, axis=1) * np.linalg.norm(other, axis=1)
        off_axis = np.abs(self.local[:, 1:]).max(axis=1) > _SAME
        matters = off_axis | ((np.abs(self.local[:, 0]) > _SAME) & (self.weights[self.frame_of] > 0))
        needed = np.unique(self.frame_of[matters])
        return float(flat[needed].mean()) if len(needed) else 0.0

    def mobilities(self, masses: NDArray[np.float64], lengths: Lengths) -> NDArray[np.float64]:
        """Largest inverse mass of each site along any direction [1/Da], shape (n_sites,).

        A site far from its bead turns with little inertia. The bond angles are those that bonds tell where they close a
        triangle, else 120 degrees.

        Args:
            masses: Bead masses [Da], shape (n_beads,); 0 for beads that do not move.
            lengths: Equilibrium lengths of all bonds.
        """
        axes = self._axes(np.zeros((len(self.frames), 3)), *_reference_geometry(self.frames, self.weights, lengths))
        one = np.tile(np.eye(3), (self.n_sites, 1, 1))
        moments = (one * weight[:, None, None] for weight in self.local.T)
        shares = _shares(axes.taken(self.frame_of), self.weights[self.frame_of], one, *moments)
        inverse = invert_masses(masses)[self.frames[self.frame_of]]
        result = np.zeros((self.n_sites, 3, 3))
        for k, share in enumerate(shares):
            result += inverse[:, k, None, None] * (share.swapaxes(1, 2) @ share)
        return np.asarray(np.linalg.eigvalsh(result)[:, -1])


def _shares(
    axes: Axes,
    weights: NDArray[np.float64],
    total: NDArray[np.float64],
    along_x: NDArray[np.float64],
    along_y: NDArray[np.float64],
    along_z: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Forces on owners, first and second beads, from sums of forces on sites, all of shape (n_frames, 3, n).

    Args:
        axes: The local frames.
        weights: Their c.
        total: Sum of the forces on the sites of each.
        along_x: Sum of the forces times the x of the sites.
        along_y: Likewise y.
        along_z: Likewise z.
    """
    x, z, u, v = (each[:, :, None] for each in (axes.x, axes.z, axes.first, axes.second))
    of_x = along_x + _cross(along_y, z)
    of_z = along_z + _cross(x, along_y)
    of_bisector = (of_x - x * (x * of_x).sum(axis=1, keepdims=True)) / axes.lengths[:, :, None]
    of_normal = (of_z - z * (z * of_z).sum(axis=1, keepdims=True)) / axes.areas[:, :, None]
    first = of_bisector + _cross(v, of_normal)
    second = weights[:, None, None] * of_bisector + _cross(of_normal, u)
    return total - first - second, first, second


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.cross(a, b, axis=1))


def _neighbors(topology: CGTopology) -> list[list[int]]:
    """Bonded neighbors of each bead, in the order of the names of their types, then of their numbers."""
    found: list[list[int]] = [[] for _ in range(topology.n_beads)]
    for i, j in topology.bonds.tolist():
        found[i].append(j)
        found[j].append(i)
    names = [topology.type_names[t] for t in topology.bead_types.tolist()]
    return [sorted(others, key=lambda other: (names[other], other)) for others in found]


def _frame(
    bead: int, templates: Sequence[SiteTemplate], neighbors: Sequence[Sequence[int]], topology: CGTopology
) -> tuple[tuple[int, int, int], float]:
    """Owner, first and second other bead of a local frame, and its c.

    Raises:
        InputError: If the bonds do not tell a frame that the sites need.
    """
    others = neighbors[bead]
    if len(others) == 2:
        first, second = others
        if topology.bead_types[first] == topology.bead_types[second]:
            _require(templates, "is_symmetric", True, bead, "its two neighbors are of one type, so that half a turn")
        return (bead, first, second), 1.0
    if len(others) == 1:
        next_ones = [other for other in neighbors[others[0]] if other != bead]
        if len(next_ones) == 1:
            return (bead, others[0], next_ones[0]), 0.0
        _require(templates, "leaves_the_axis", False, bead, "no one bead follows its neighbor")
        return (bead, others[0], others[0]), 0.0
    _require(templates, "leaves_the_bead", False, bead, f"it has {len(others)} bonds")
    return (bead, bead, bead), 0.0


_DEMANDS = {
    "is_symmetric": "about x exchanges them; declare with each (x, y, z) also (x, -y, -z)",
    "leaves_the_axis": "and only its bond tells a direction; declare positions (x, 0, 0)",
    "leaves_the_bead": "and a local frame takes one or two; declare the position (0, 0, 0), or no sites for it",
}


def _require(templates: Sequence[SiteTemplate], trait: str, wanted: bool, bead: int, why: str) -> None:
    for template in templates:
        if getattr(template, trait) != wanted:
            raise InputError(f"{template}: bead {bead} cannot place {template.positions}: {why}, {_DEMANDS[trait]}")


def _expand(pairs: NDArray[np.int64], owners: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs i < j of sites with the same owner or with owners that are a pair, in increasing order, shape (n, 2)."""
    rank = np.full(int(max(owners.max(), pairs.max(initial=0))) + 1, -1)
    rank[owners] = np.arange(len(owners))
    between = rank[pairs]
    between = between[(between >= 0).all(axis=1)]
    both = np.concatenate([between, np.repeat(np.arange(len(owners))[:, None], 2, axis=1)])
    starts = np.cumsum(sizes) - sizes
    counts = sizes[both[:, 0]] * sizes[both[:, 1]]
    row = np.repeat(np.arange(len(both)), counts)
    within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    a, b = np.divmod(within, sizes[both[row, 1]])
    found = np.stack([starts[both[row, 0]] + a, starts[both[row, 1]] + b], axis=1)
    found = found[found[:, 0] < found[:, 1]]
    return np.asarray(found[np.lexsort((found[:, 1], found[:, 0]))])


def _reference_geometry(
    frames: NDArray[np.int64], weights: NDArray[np.float64], lengths: Lengths
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Vectors u and v of each local frame at equilibrium [nm], shape (n_frames, 3)."""
    first, second = np.zeros((2, len(frames), 3))
    for k, ((owner, one, other), weight) in enumerate(zip(frames.tolist(), weights.tolist(), strict=True)):
        if one == owner:
            continue
        u = lengths[frozenset((owner, one))]
        first[k, 0] = u
        if other == one:
            second[k] = first[k]
        elif weight > 0:
            second[k, :2] = _leg(u, lengths[frozenset((owner, other))], lengths.get(frozenset((one, other))))
        else:
            second[k, :2] = np.array([u, 0.0]) - _leg(u, lengths[frozenset((one, other))], None)
    return first, second


def _leg(u: float, v: float, opposite: float | None) -> NDArray[np.float64]:
    """A vector of length v in the plane, at the angle to x that the length of the opposite side tells, shape (2,)."""
    cosine = _WIDEST if opposite is None else float(np.clip((u**2 + v**2 - opposite**2) / (2 * u * v), -1, 1))
    return np.array([v * cosine, v * np.sqrt(1 - cosine**2)])


def templates_of(
    declared: Mapping[str, Mapping[str, Sequence[Sequence[float]]]],
) -> tuple[SiteTemplate, ...]:
    """Templates from positions [nm] by bead type and site type."""
    return tuple(
        SiteTemplate(site_type=site_type, bead_type=bead_type, positions=tuple(tuple(p) for p in positions))  # type: ignore[misc]
        for bead_type, sites in declared.items()
        for site_type, positions in sites.items()
    )
