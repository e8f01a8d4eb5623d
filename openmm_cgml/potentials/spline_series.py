"""What spline bonds, angles and torsions have in common: a cubic B-spline where there are samples, and walls beyond.

An energy of evenly spaced bells is linear in their heights, so it is fitted by maximum likelihood as every form is, and
it has room for any distribution: two maxima, a skewed one, one that reaches 180 degrees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.potentials.bonded import Basis, BondedConfig, BondedPotential, Parameters
from openmm_cgml.potentials.cardinal_splines import (
    evaluate_polynomials,
    spline_functions,
    spline_polynomials,
    truncated_powers,
)
from openmm_cgml.potentials.inversion import Samples
from openmm_cgml.potentials.potential import check_indices, frozen_array

if TYPE_CHECKING:
    import torch

_TAIL = 1e-4  # share of the samples beyond either end of the range
_LEAST_INTERVALS, _MOST_INTERVALS = 8, 200
_PER_INTERVAL = 16  # points at which minima are sought
_VISITED = 3.0  # kT above the minimum up to which a curvature counts for the time step
_FEWEST = 5  # samples in an interval


_POLYNOMIAL = "p0 + v*(p1 + v*(p2 + v*p3))"
_BENT = "x = min(max(t, low), high) + room1*sin(min(t - low, 0)/room1) + room2*sin(max(t - high, 0)/room2); t = {}"


class SplineConfig(BondedConfig):
    """A cubic spline, always fitted.

    Attributes:
        spacing: Largest distance of two knots; a range of few of them gets eight intervals.
    """

    form: Literal["spline"] = "spline"
    spacing: float


@dataclass(frozen=True, kw_only=True)
class SplineBasis(Basis):
    """The bells of one spline and their continuation beyond its range.

    Where the range ends at a limit, the energy is even about it: the bells beyond are those within, mirrored.

    Attributes:
        low: Where the spline begins [nm or rad].
        high: Where it ends [nm or rad].
        wall: Least curvature beyond [kJ/mol/nm^2 or kJ/mol/rad^2].
        limits: Values about which an energy of this coordinate is even [nm or rad]; infinite where there are none.

    Raises:
        InputError: If the range is empty or beyond the limits, or has no interval.
    """

    low: float
    high: float
    wall: float
    limits: tuple[float, float]

    def __post_init__(self) -> None:
        if not self.limits[0] <= self.low < self.high <= self.limits[1]:
            raise InputError(
                f"a spline reaches from {self.low:g} to {self.high:g}; it must rise within {self.limits[0]:g} to "
                f"{self.limits[1]:g}"
            )
        if self.n_intervals < 3:
            raise InputError(f"a spline has {self.n} coefficients; it needs at least {self.n - self.n_intervals + 3}")

    @classmethod
    def over(cls, origin: float, low: float, high: float, wall: float, limits: tuple[float, float], n: int) -> Self:
        """The basis of n intervals from low to high."""
        mirrored = (low <= limits[0]) + (high >= limits[1])
        return cls(origin=origin, n=n + 3 - mirrored, low=low, high=high, wall=wall, limits=limits)

    @cached_property
    def mirrored(self) -> tuple[bool, bool]:
        """Whether the range begins, and whether it ends, at a limit."""
        return self.low <= self.limits[0], self.high >= self.limits[1]

    @cached_property
    def n_intervals(self) -> int:
        """Number of intervals between knots."""
        return self.n - 3 + sum(self.mirrored)

    @cached_property
    def spacing(self) -> float:
        """Distance of two knots [nm or rad]."""
        return (self.high - self.low) / self.n_intervals

    @cached_property
    def unfold(self) -> NDArray[np.float64]:
        """Heights of all bells from the coefficients, shape (n_intervals + 3, n)."""
        first, last = self.mirrored
        bell = np.arange(self.n_intervals + 3)
        bell = np.where((bell == 0) & first, 2, bell)
        bell = np.where((bell == self.n_intervals + 2) & last, self.n_intervals, bell)
        return np.asarray((bell[:, None] - int(first) == np.arange(self.n)).astype(np.float64))

    @cached_property
    def rooms(self) -> tuple[float, float]:
        """Distance [nm or rad] from either end to the limit; infinite without one, and where the range ends at it."""
        rooms = (self.low - self.limits[0], self.limits[1] - self.high)
        return tuple(math.inf if end else room for room, end in zip(rooms, self.mirrored, strict=True))  # type: ignore[return-value]

    def functions(self, values: NDArray[np.float64], derivative: int = 0) -> NDArray[np.float64]:
        """The features within the range, or a derivative of them, shape (*values.shape, n)."""
        steps = (np.clip(values, self.low, self.high) - self.low) / self.spacing
        return np.asarray(
            spline_functions(steps, self.n_intervals, derivative) @ self.unfold / self.spacing**derivative
        )

    def features(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The features at any values, shape (*values.shape, n): quadratic beyond the range, with two derivatives."""
        result = self.functions(values)
        distances = np.minimum(values - self.low, 0.0), np.maximum(values - self.high, 0.0)
        for end, distance, room in zip((self.low, self.high), distances, self.rooms, strict=True):
            slope, curvature = (self.functions(np.array(end), order) for order in (1, 2))
            far = bent(distance, room)[..., None]
            result = result + far * slope + far**2 / 2 * curvature
        return result

    def hold(self, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coefficients whose energy rises beyond the range, with the wall's curvature at least, and is least at zero.

        The outermost bell reaches into the last interval only, where it is a sixth at most: raising it changes little
        that is sampled, and makes both the slope and the curvature at the end what they must be.
        """
        held = coefficients.copy()
        curvature = self.wall * self.spacing**2
        for end, mirrored in zip((0, -1), self.mirrored, strict=True):
            if not mirrored:
                first, second, third = (held[[0, 1, 2]] if end == 0 else held[[-1, -2, -3]]).tolist()
                held[end] = max(first, third, curvature + 2 * second - third)
        return np.asarray(held - (self.functions(self.grid) @ held).min())

    @cached_property
    def grid(self) -> NDArray[np.float64]:
        """Values close enough to find minima among, shape (n,)."""
        return np.linspace(self.low, self.high, _PER_INTERVAL * self.n_intervals + 1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Spline:
    """The spline of one kind of term.

    Attributes:
        basis: Its bells.
        coefficients: Their heights [kJ/mol], shape (basis.n,).
    """

    basis: SplineBasis
    coefficients: NDArray[np.float64]

    @property
    def heights(self) -> NDArray[np.float64]:
        """Heights of all bells, mirrored ones too [kJ/mol], shape (n_intervals + 3,)."""
        return np.asarray(self.basis.unfold @ self.coefficients)

    def energies(self, values: NDArray[np.float64], derivative: int = 0) -> NDArray[np.float64]:
        """Energy [kJ/mol] or a derivative of it within the range, of the shape of the values."""
        return np.asarray(self.basis.functions(values, derivative) @ self.coefficients)

    def minima(self) -> NDArray[np.float64]:
        """Where the energy has minima [nm or rad], the deepest first, shape (n,)."""
        grid = self.basis.grid
        energies = self.energies(grid)
        padded = np.pad(energies, 1, constant_values=np.inf)
        found = np.flatnonzero((energies <= padded[:-2]) & (energies < padded[2:]))
        return np.asarray(grid[found[np.argsort(energies[found], kind="stable")]])

    def stiffest(self, kt: float) -> tuple[float, float]:
        """Where the curvature is largest within 3 kT of the minimum, and that curvature.

        A spline's curvature is linear between knots, so it is largest at one of them.
        """
        basis = self.basis
        knots = np.append(np.linspace(basis.low, basis.high, basis.n_intervals + 1), self.minima()[0])
        curvatures = self.energies(knots, 2)
        curvatures[self.energies(knots) > self.energies(knots).min() + _VISITED * kt] = -np.inf
        return float(knots[np.argmax(curvatures)]), float(curvatures.max())

    def walls(self) -> list[list[float]]:
        """Slope, curvature [kJ/mol and powers of nm or rad] and length of `bent` at either end."""
        ends, lengths = np.array([self.basis.low, self.basis.high]), [*map(bend_length, self.basis.rooms)]
        return np.stack([self.energies(ends, 1), self.energies(ends, 2), lengths], axis=-1).tolist()

    def place(self) -> dict[str, float]:
        """Where it lies: parameters of OpenMM."""
        basis = self.basis
        room1, room2 = map(bend_length, basis.rooms)
        middle = basis.low + basis.n_intervals // 2 * basis.spacing
        scale = 1 / basis.spacing
        return {"middle": middle, "scale": scale, "low": basis.low, "high": basis.high, "room1": room1, "room2": room2}


def bent(distance: NDArray[np.float64], room: float) -> NDArray[np.float64]:
    """A distance from the end of a range that comes to rest at the limit of the coordinate, with two derivatives.

    So an energy that is quadratic in it is even about that limit: the force of an angle vanishes at 180 degrees.

    Args:
        distance: Distances [nm or rad], negative below the range.
        room: Distance to the limit [nm or rad]; infinite if there is none, and the result is the distance.
    """
    if math.isinf(room):
        return distance
    length = bend_length(room)
    return np.asarray(length * np.sin(distance / length))


def bend_length(room: float) -> float:
    """Length of the sine of `bent` [nm or rad]; 1 where there is no room to bend in, and the distance is zero."""
    return 1.0 if math.isinf(room) else 2 / math.pi * room


class SplineSeries(BondedPotential):
    """A spline of a coordinate. Its features are the bells.

    Attributes:
        indices: Beads of each term, shape (n_terms, n_beads).
        kinds: Which spline each term has, shape (n_terms,).
        splines: The splines.
    """

    since: ClassVar[str] = "1.2"
    limits: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    """Values about which the energy is even [nm or rad]."""

    kinds: NDArray[np.int64]
    splines: tuple[Spline, ...]

    def __post_init__(self) -> None:
        kind = self.coordinate.kind
        indices = frozen_array(self.indices, np.int64, (None, self.coordinate.n_beads), f"{kind} indices")
        object.__setattr__(self, "indices", indices)
        object.__setattr__(self, "kinds", frozen_array(self.kinds, np.int64, (len(indices),), f"{kind} kinds"))
        check_indices(indices, kind)
        if len(indices) and not 0 <= self.kinds.min() <= self.kinds.max() < len(self.splines):
            raise InputError(f"{kind} kinds must lie within 0..{len(self.splines) - 1}; found {self.kinds.max()}")

    @classmethod
    def bind(cls, indices: NDArray[np.int64], terms: Sequence[Parameters]) -> Self:
        """See `BondedPotential.bind`."""
        different = {id(term): term for term in terms}
        number = {key: n for n, key in enumerate(different)}
        splines = tuple(cls._spline(term) for term in different.values())
        kinds = np.array([number[id(term)] for term in terms], np.int64)
        return cls(indices=indices, kinds=kinds, splines=splines)  # type: ignore[call-arg]

    @classmethod
    def _spline(cls, parameters: Parameters) -> Spline:
        basis = cls.basis_of(parameters, 0.0)
        return Spline(basis=basis, coefficients=cls.to_coefficients(parameters, basis))

    @classmethod
    def basis_of(cls, parameters: Parameters, origin: float) -> SplineBasis:
        """See `BondedPotential.basis_of`."""
        low, high, wall = (parameters[name] for name in ("low", "high", "wall"))
        n = len(parameters["coefficients"])
        return SplineBasis(origin=origin, n=n, low=low, high=high, wall=wall, limits=cls.limits)

    @classmethod
    def basis_for(cls, samples: Samples, kt: float, config: BondedConfig) -> SplineBasis:
        """See `BondedPotential.basis_for`; over the range of the samples, and up to a limit that they come close to.

        Raises:
            InputError: If the spacing is far too small for the range.
        """
        assert isinstance(config, SplineConfig)  # the class that this form declares
        low, high = cls.range_of(samples, config.spacing)
        n = max(_LEAST_INTERVALS, math.ceil((high - low) / config.spacing))
        if n > _MOST_INTERVALS:
            raise InputError(
                f"would have {n} knots {config.spacing:g} {cls.coordinate.unit} apart, from {low:g} to {high:g}; at "
                f"most {_MOST_INTERVALS} are sensible, so take {cls.coordinate.section}.spacing larger"
            )
        return SplineBasis.over(samples.mean, low, high, kt / samples.variance, cls.limits, n)

    @classmethod
    def range_of(cls, samples: Samples, spacing: float) -> tuple[float, float]:
        """Ends of the spline [nm or rad]: nearly all samples are between, and a limit that is two knots away is one."""
        low, high = samples.range_without(_TAIL)
        low = cls.limits[0] if low - 2 * spacing < cls.limits[0] else low
        return low, cls.limits[1] if high + 2 * spacing > cls.limits[1] else high

    @classmethod
    def features(cls, values: NDArray[np.float64], basis: Basis) -> NDArray[np.float64]:
        """See `BondedPotential.features`."""
        return _own(basis).features(cls.folded(values))

    @classmethod
    def folded(cls, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values of the coordinate as the spline has them: by default as they are."""
        return values

    @classmethod
    def to_coefficients(cls, parameters: Parameters, basis: Basis) -> NDArray[np.float64]:
        """See `BondedPotential.to_coefficients`."""
        return np.array(parameters["coefficients"], np.float64)

    @classmethod
    def from_coefficients(cls, coefficients: NDArray[np.float64], basis: Basis) -> dict[str, Any]:
        """See `BondedPotential.from_coefficients`; with walls, see `SplineBasis.hold`."""
        own = _own(basis)
        return {
            "low": own.low,
            "high": own.high,
            "wall": own.wall,
            "coefficients": tuple(own.hold(coefficients).tolist()),
        }

    @classmethod
    def roughness(cls, basis: Basis) -> NDArray[np.float64]:
        """See `BondedPotential.roughness`: third differences of heights, so that ends go on like parabolas.

        The last row is their sum, which changes nothing, since the bells add up to one.
        """
        own = _own(basis)
        return np.concatenate([np.diff(own.unfold, 3, axis=0), np.full((1, own.n), 1 / own.n)])

    @classmethod
    def reach(cls, parameters: Parameters, kt: float) -> tuple[float, float]:
        """See `BondedPotential.reach`."""
        width = 12 * math.sqrt(kt / parameters["wall"])
        return parameters["low"] - width, parameters["high"] + width

    @classmethod
    def doubts(cls, parameters: Parameters, samples: NDArray[np.float64] | None, kt: float) -> tuple[str, ...]:
        """See `BondedPotential.doubts`; between samples a spline is a guess, beyond them it is a wall."""
        assert samples is not None  # a spline is always fitted
        basis = _own(cls.basis_of(parameters, 0.0))
        values = np.clip(cls.folded(samples), basis.low, basis.high)
        counts = np.histogram(values, bins=basis.n_intervals, range=(basis.low, basis.high))[0]
        enough = np.flatnonzero(counts >= _FEWEST)
        few = np.setdiff1d(np.arange(*enough[[0, -1]]) if len(enough) else np.arange(len(counts)), enough)
        if not len(few):
            return ()
        edge = basis.low + basis.spacing * few
        listed = ", ".join(f"{x:.3g} to {x + basis.spacing:.3g}" for x in edge[:3].tolist())
        return (
            f"has fewer than {_FEWEST} samples in {len(few)} of its {basis.n_intervals} intervals ({listed}"
            f"{', ...' if len(few) > 3 else ''} {cls.coordinate.unit}), where it only goes on smoothly; take more "
            f"frames or a larger {cls.coordinate.section}.spacing",
        )

    def minima(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `BondedPotential.minima`; the deepest of each."""
        centers = np.array([spline.minima()[0] for spline in self.splines])
        curvatures = [float(s.energies(np.array(x), 2)) for s, x in zip(self.splines, centers, strict=True)]
        return centers[self.kinds], np.array(curvatures)[self.kinds]

    def usual_range(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `BondedPotential.usual_range`: that of the data that the spline was fitted to."""
        low, high = (np.array([getattr(spline.basis, end) for spline in self.splines]) for end in ("low", "high"))
        return low[self.kinds], high[self.kinds]

    def stiffest(self, kt: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `BondedPotential.stiffest`; within 3 kT of the minimum."""
        found = np.array([spline.stiffest(kt) for spline in self.splines])
        return found[self.kinds, 0], found[self.kinds, 1]

    def energies_of(self, values: torch.Tensor) -> torch.Tensor:
        """Summed energy [kJ/mol], shape (...), of values of the coordinate [nm or rad], shape (..., n_terms)."""
        table = values.new_tensor(np.concatenate([spline_polynomials(s.heights) for s in self.splines]))
        sizes = np.array([s.basis.n_intervals for s in self.splines])
        firsts = np.cumsum(sizes) - sizes
        first, count = (values.new_tensor(of[self.kinds]).long() for of in (firsts, sizes))
        places = [[s.basis.low, s.basis.high, s.basis.spacing] for s in self.splines]
        low, high, spacing = values.new_tensor(np.array(places)[self.kinds]).unbind(-1)
        energy = evaluate_polynomials((values.maximum(low).minimum(high) - low) / spacing, table, first, count)
        walls = values.new_tensor(np.array([spline.walls() for spline in self.splines])[self.kinds])
        beyond = (values - low).clamp(max=0), (values - high).clamp(min=0)
        for distance, wall in zip(beyond, walls.unbind(-2), strict=True):
            slope, curvature, length = wall.unbind(-1)
            far = length * (distance / length).sin() if math.isfinite(self.limits[0]) else distance
            energy = energy + far * (slope + curvature * far / 2)
        return energy.sum(-1)

    def formula(self, coordinate: str) -> tuple[str, list[str], list[list[float]]]:
        """Energy of a term in OpenMM [kJ/mol], the names of its parameters, and their values for each term.

        Forces of bonds, angles and torsions know no tables, and those that do take several times as long.

        Args:
            coordinate: What OpenMM calls the coordinate, or an expression of it.
        """
        parts = [truncated_powers(spline_polynomials(spline.heights)) for spline in self.splines]
        n_up, n_down = (max(len(part[side]) for part in parts) for side in (1, 2))
        cubes = {f"up{k}": f"max(0, v - {k})^3" for k in range(1, n_up + 1)}
        cubes |= {f"down{k}": f"max(0, -v - {k})^3" for k in range(n_down)}
        bounded = math.isfinite(self.limits[0])
        place = ["middle", "scale", *(("low", "high", "room1", "room2") if bounded else ())]
        rows = []
        for spline, (polynomial, up, down) in zip(self.splines, parts, strict=True):
            padded = np.concatenate([polynomial, up, np.zeros(n_up - len(up)), down, np.zeros(n_down - len(down))])
            rows.append([*padded.tolist(), *(spline.place()[name] for name in place)])
        total = " + ".join([_POLYNOMIAL, *(f"{name}*{cube}" for name, cube in cubes.items())])
        where = _BENT.format(coordinate) if bounded else f"x = {coordinate}"
        names = ["p0", "p1", "p2", "p3", *cubes, *place]
        return f"{total}; v = scale*(x - middle); {where}", names, [rows[kind] for kind in self.kinds.tolist()]


def _own(basis: Basis) -> SplineBasis:
    assert isinstance(basis, SplineBasis)  # forms get the bases that they made
    return basis
