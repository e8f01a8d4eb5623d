"""What every analytic potential offers: its name, its parameters, its energy in torch and as an OpenMM force."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import openmm
from numpy.typing import ArrayLike, NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.potentials.coordinate import Lengths

if TYPE_CHECKING:
    import torch

Value = float | tuple[float, ...]
"""Value of one parameter: a number, or as many as a term needs."""
Parameters = Mapping[str, Any]
"""The `Value` of every parameter of one term, in the units that its form states."""

EnergyFunction = Callable[["torch.Tensor", "torch.Tensor | None"], "torch.Tensor"]
"""Energies [kJ/mol], shape (...), of positions [nm], shape (..., n_beads, 3), in boxes [nm], shape (..., 3, 3)."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of a form.

    Attributes:
        unit: Its unit.
        signed: Whether it may be zero or negative.
        shared: Whether all terms of the form have the same value.
        many: Whether a term has a list of values, of a length of its own.
    """

    unit: str
    signed: bool = False
    shared: bool = False
    many: bool = False

    def problem(self, value: object) -> str | None:
        """What is wrong with a value; None if nothing is."""
        kind = "finite" if self.signed else "positive"
        if not self.many:
            return None if self._is_right(value) else f"{value} {self.unit}; it must be a {kind} number"
        if isinstance(value, tuple | list) and value and all(map(self._is_right, value)):
            return None
        return f"{value} {self.unit}; it must be a list of {kind} numbers"

    def _is_right(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return math.isfinite(value) and (self.signed or value > 0)

    def text(self, value: Value) -> str:
        """A value with its unit, for people; of a list how long it is and how far it reaches."""
        if isinstance(value, tuple):
            content = f"{len(value)} values from {min(value):.4g} to {max(value):.4g}"
        else:
            content = f"{value:.5g}"
        return f"{content} {self.unit}".removesuffix(" 1")


@dataclass(frozen=True, order=True, kw_only=True)
class Period:
    """The fastest motion that a potential drives.

    Attributes:
        period: 2 pi sqrt(mu / k) [ps].
        term: The term that has it, in words.
    """

    period: float
    term: str


class Potential(abc.ABC):
    """One analytic form bound to the beads of a system.

    Subclasses are final frozen dataclasses that hold particle indices or types, and parameters: each is a
    `BondedPotential` or a `PairPotential`, such a form between sites (`SitePairs`), or a `ThreeBody`. A form declares
    everything that is particular to it; the rest of the package asks, and names none.
    The torch and the OpenMM energy of a form sit in one file, and the parity harness of the tests compares them for
    every native member of `POTENTIALS`.
    """

    key: ClassVar[str]
    """What it is called in files, such as "harmonic_bond"."""
    parameters: ClassVar[Mapping[str, Parameter]]
    """Every parameter of a term, by name."""
    since: ClassVar[str] = "1.1"
    """Version of the schema of priors that brought it."""
    is_native: ClassVar[bool] = True
    """Whether OpenMM has a force for it; what has none is evaluated by the engine."""

    @classmethod
    @abc.abstractmethod
    def n_types(cls) -> int:
        """Number of bead types that key a term."""

    @classmethod  # noqa: B027 -- most forms have nothing to check
    def check_term(cls, parameters: Parameters) -> None:
        """Raise if the parameters of a term, each right by itself, do not fit each other.

        Args:
            parameters: Every parameter of the form.

        Raises:
            InputError: Saying what does not fit.
        """

    @property
    def name(self) -> str:
        """What it is called in words; the OpenMM force is called "prior: <name>"."""
        return self.key.replace("_", " ")

    @abc.abstractmethod
    def energy(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Energy [kJ/mol], shape (...), differentiable with respect to the positions.

        Args:
            positions: Bead positions [nm], shape (..., n_beads, 3); leading dimensions are frames.
            box: Reduced lower-triangular box vectors [nm], shape (..., 3, 3), or None without periodicity.
        """

    @abc.abstractmethod
    def to_openmm(self, *, periodic: bool) -> openmm.Force:
        """The same potential as a native OpenMM force.

        Args:
            periodic: Whether the System has a periodic box.
        """

    @abc.abstractmethod
    def period(self, masses: NDArray[np.float64], lengths: Lengths, kt: float) -> Period | None:
        """The fastest motion that it drives, which limits the time step; None if there is none.

        Args:
            masses: Bead masses [Da], shape (n_beads,); 0 for beads that do not move.
            lengths: Equilibrium lengths of all bonds.
            kt: Thermal energy [kJ/mol].
        """

    def named(self, force: openmm.Force, *, periodic: bool) -> Any:
        """A bonded OpenMM force with this potential's name, periodic or not."""
        force.setUsesPeriodicBoundaryConditions(periodic)
        force.setName(f"prior: {self.name}")
        return force


def evaluate(
    potentials: Iterable[Potential], positions: torch.Tensor, box: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed energy [kJ/mol], shape (...), and forces [kJ/mol/nm], shape (..., n_beads, 3), by differentiation.

    Args:
        potentials: The terms to add up; none gives zeros.
        positions: Bead positions [nm], shape (..., n_beads, 3).
        box: Box vectors [nm], shape (..., 3, 3), or None.
    """
    return evaluate_energies([potential.energy for potential in potentials], positions, box)


def evaluate_energies(
    energies: Iterable[EnergyFunction], positions: torch.Tensor, box: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `evaluate`, of functions of positions and box.

    Args:
        energies: What to add up, as `Potential.energy`.
        positions: Bead positions [nm], shape (..., n_beads, 3).
        box: Box vectors [nm], shape (..., 3, 3), or None.
    """
    positions = positions.detach().requires_grad_()
    energy = positions.new_zeros(positions.shape[:-2])
    for function in energies:
        energy = energy + function(positions, box)
    if not energy.requires_grad:
        return energy, positions.new_zeros(positions.shape)
    import torch

    (gradient,) = torch.autograd.grad(energy.sum(), positions)
    return energy.detach(), -gradient


def minimum_image(vectors: torch.Tensor, box: torch.Tensor | None) -> torch.Tensor:
    """Nearest periodic images of difference vectors, by OpenMM's own rule for reduced boxes.

    Exact for every vector whose nearest image is shorter than half the smallest diagonal element of the box.

    Args:
        vectors: Differences of positions [nm], shape (..., n, 3).
        box: Reduced lower-triangular box vectors [nm], shape (..., 3, 3), or None for no change.
    """
    if box is None:
        return vectors
    box = box.to(vectors.dtype)
    for axis in (2, 1, 0):
        edge = box[..., None, axis, :]
        vectors = vectors - edge * (vectors[..., axis, None] / edge[..., axis, None]).round()
    return vectors


def as_beads(indices: NDArray[np.int64], positions: torch.Tensor) -> torch.Tensor:
    """Beads of terms, shape (n_terms, k), as k rows of indices into positions, on their device."""
    import torch

    return torch.tensor(indices.T, device=positions.device)


def norm(vectors: torch.Tensor) -> torch.Tensor:
    """Length of vectors, shape (..., n), with a zero gradient instead of NaN for a vector of no length."""
    return (vectors * vectors).sum(-1).clamp(min=1e-30).sqrt()


def frozen_array(values: ArrayLike, dtype: type, shape: Sequence[int | None], what: str) -> NDArray[Any]:
    """A read-only C-contiguous copy of `values`, checked to be finite and of the given shape.

    Args:
        values: Numbers.
        dtype: Element type of the result.
        shape: Expected shape; None matches any length.
        what: Name of the values for error messages.

    Raises:
        InputError: If the shape is another one, or an element is not finite.
    """
    array: NDArray[Any] = np.array(values, dtype=dtype, order="C", copy=True)
    if array.size == 0 and len(shape) == 2 and shape[1] is not None:
        array = array.reshape(0, shape[1])
    if array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.shape, strict=True)):
        expected = ", ".join("any" if n is None else str(n) for n in shape)
        raise InputError(f"{what} has shape {array.shape}; expected ({expected})")
    if not np.isfinite(array).all():
        raise InputError(f"{what} holds a value that is not finite at index {np.argwhere(~np.isfinite(array))[0]}")
    array.flags.writeable = False
    return array


def check_indices(indices: NDArray[np.int64], what: str) -> None:
    """Raise unless the particles of each term are non-negative and differ.

    Raises:
        InputError: Naming the first offending term.
    """
    ordered = np.sort(indices, axis=1)
    wrong = (ordered[:, 0] < 0) | (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    if wrong.any():
        term = int(np.argmax(wrong))
        raise InputError(f"{what} term {term} joins beads {indices[term].tolist()}; they must be >= 0 and all differ")


def check_positive(values: NDArray[np.float64], what: str, unit: str) -> None:
    """Raise unless every value is above zero.

    Raises:
        InputError: Naming the first offending term and its value.
    """
    if not (values > 0).all():
        where = np.argwhere(~(values > 0))[0].tolist()
        raise InputError(f"{what} of term {where} is {values[tuple(where)]:g} {unit}; it must be positive")
