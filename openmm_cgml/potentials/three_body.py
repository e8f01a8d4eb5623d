"""A three-body term between molecules: pairs of neighbors of a bead, by their distances and the angle between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np
import openmm
from numpy.typing import NDArray
from pydantic import Field

from openmm_cgml.config import Config, Length
from openmm_cgml.errors import InputError
from openmm_cgml.periodic import find_pairs
from openmm_cgml.potentials.coordinate import Lengths, type_key
from openmm_cgml.potentials.moment_tensors import FIRST_POWER, legendre_powers, monomials
from openmm_cgml.potentials.pair import find_in_all
from openmm_cgml.potentials.potential import (
    Parameter,
    Parameters,
    Period,
    Potential,
    frozen_array,
    minimum_image,
    norm,
)
from openmm_cgml.topology import CGTopology
from openmm_cgml.wholeness import BondForest

if TYPE_CHECKING:
    import torch

MOST_RADIAL, MOST_ANGULAR = 6, 6
NO_NATIVE_THREE_BODY = (
    "three-body priors have no native OpenMM force that knows molecules and is fast; the engine evaluates them, in an "
    'ML force that is a PythonForce: take ml_backend="PythonForce" or "auto"'
)

Types = tuple[str, ...]


class ThreeBodyConfig(Config):
    """A three-body term that is fitted with the pairs to the forces between molecules.

    Attributes:
        cutoff: Distance of a neighbor from which the energy is zero, with its first two derivatives.
        n_max: Number of radial functions.
        l_max: Highest degree of the Legendre polynomials of the cosine of the angle.
    """

    cutoff: Length = Field(default=0.7, gt=0)
    n_max: int = Field(default=1, ge=1, le=MOST_RADIAL)
    l_max: int = Field(default=1, ge=0, le=MOST_ANGULAR)

    @classmethod
    def of(cls, parameters: Parameters) -> Self:
        """The settings of a term with these parameters."""
        return cls(cutoff=parameters["cutoff"], n_max=int(parameters["n_max"]), l_max=int(parameters["l_max"]))

    def parameters(self, coefficients: Sequence[float]) -> dict[str, Any]:
        """Those of a term with these coefficients [kJ/mol]."""
        return {
            "cutoff": self.cutoff,
            "n_max": float(self.n_max),
            "l_max": float(self.l_max),
            "coefficients": tuple(map(float, coefficients)),
        }


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the coefficients of a term stand.

    Attributes:
        types: Bead type of one neighbor, of the bead in the middle, and of the other neighbor.
        radial: Number of the radial function of either neighbor, counted from 0, for each; where neighbors are of one
            type, each pair of functions once.
    """

    types: Types
    radial: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, types: Types, n_max: int) -> Self:
        """That of a term of three bead types."""
        first = [(n, k) for n in range(n_max) for k in range(n if types[0] == types[2] else 0, n_max)]
        return cls(types=types, radial=tuple(first))


def three_body_types(names: Sequence[str]) -> tuple[Types, ...]:
    """Every combination of a middle bead and two neighbors of bead types."""
    found = (type_key((a, middle, b)) for middle in names for k, a in enumerate(names) for b in names[k:])
    return tuple(dict.fromkeys(found))


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ThreeBody(Potential):
    """E = sum over i, j < k, n, m, l of c_nml g_n(r_ij) g_m(r_ik) P_l(cos theta_jik); g_n are `radial_functions`.

    j and k are neighbors of i that belong to other molecules than i, or to another periodic image of its molecule; j
    and k may belong to one. The coefficients depend on the types of all three beads. It is of the kind of Larini, Lu
    and Voth, J. Chem. Phys. 132, 164107 (2010), who fit a three-body term of another shape to the forces of water.

    By the addition theorem, the coefficients of one middle bead and one l are a quadratic form of moments of the
    neighbors, and fits make none with a negative eigenvalue: else crowds of neighbors gain energy with the square of
    their number, which no sum over pairs can hold off. Two beads alone have no energy.

    Channels are combinations of a bead type and a radial function, type by type.

    Attributes:
        bead_types: Bead type of every bead, shape (n_beads,).
        coefficients: By type of the bead in the middle, channels of both neighbors (in which they are symmetric), and l
            [kJ/mol], shape (n_types, n_types * n_max, n_types * n_max, l_max + 1).
        cutoff: Distance of a neighbor from which the energy is zero [nm].
        forest: The molecules.

    Raises:
        InputError: If shapes disagree, or coefficients are not symmetric.
    """

    key: ClassVar[str] = "three_body"
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "cutoff": Parameter(unit="nm", shared=True),
        "n_max": Parameter(unit="1", shared=True),
        "l_max": Parameter(unit="1", signed=True, shared=True),
        "coefficients": Parameter(unit="kJ/mol", signed=True, many=True),
    }
    since: ClassVar[str] = "1.4"
    is_native: ClassVar[bool] = False

    bead_types: NDArray[np.int64]
    coefficients: NDArray[np.float64]
    cutoff: float
    forest: BondForest

    def __post_init__(self) -> None:
        bead_types = frozen_array(self.bead_types, np.int64, (len(self.forest.roots),), "bead_types")
        coefficients = frozen_array(self.coefficients, np.float64, (None, None, None, None), "coefficients")
        n_types, n_channels = coefficients.shape[:2]
        if n_channels != coefficients.shape[2] or not n_types or n_channels % n_types:
            raise InputError(
                f"coefficients have shape {coefficients.shape}; expected (n_types, n_channels, n_channels, l_max + 1), "
                "with as many channels for each type"
            )
        if not np.array_equal(coefficients, coefficients.swapaxes(1, 2)):
            raise InputError("coefficients of two neighbors must be the same in either order")
        if len(bead_types) and not 0 <= bead_types.min() <= bead_types.max() < n_types:
            raise InputError(
                f"bead_types must lie within 0..{n_types - 1}, as there are coefficients of {n_types} types"
            )
        object.__setattr__(self, "bead_types", bead_types)
        object.__setattr__(self, "coefficients", coefficients)

    @classmethod
    def n_types(cls) -> int:
        """Three, the bead in the middle at index 1."""
        return 3

    @property
    def n_max(self) -> int:
        """Number of radial functions."""
        return int(self.coefficients.shape[1] // self.coefficients.shape[0])

    @property
    def l_max(self) -> int:
        """Highest degree of the Legendre polynomials."""
        return int(self.coefficients.shape[3]) - 1

    @property
    def n_moments(self) -> int:
        """Number of moments that a neighbor adds to."""
        return self.n_max * len(monomials(self.l_max).degrees)

    @classmethod
    def check_term(cls, parameters: Parameters) -> None:
        """See `Potential.check_term`; without types, either number of coefficients is right."""
        n_max, l_max = parameters["n_max"], parameters["l_max"]
        for name, value, low, high in (("n_max", n_max, 1, MOST_RADIAL), ("l_max", l_max, 0, MOST_ANGULAR)):
            if value != int(value) or not low <= value <= high:
                raise InputError(f"{name} is {value:g}; it must be a whole number from {low} to {high}")
        sizes = [len(Layout.of(types, int(n_max)).radial) * (int(l_max) + 1) for types in (("A",) * 3, ("A", "A", "B"))]
        if len(parameters["coefficients"]) not in sizes:
            raise InputError(
                f"there are {len(parameters['coefficients'])} coefficients; n_max {n_max:g} and l_max {l_max:g} take "
                f"{sizes[0]} where both neighbors are of one type, and {sizes[1]} else"
            )

    @classmethod
    def bind(cls, topology: CGTopology, terms: Mapping[Types, Parameters]) -> Self:
        """The form for the beads of a topology.

        Args:
            topology: The beads and molecules.
            terms: Parameters of every combination of the bead types that occur, see `three_body_types`.

        Raises:
            InputError: If a term has not the coefficients that its types take.
        """
        present, bead_types = np.unique(topology.bead_types, return_inverse=True)
        names = [topology.type_names[t] for t in present]
        first = next(iter(terms.values()))
        n_max, l_max = int(first["n_max"]), int(first["l_max"])
        n_channels = len(names) * n_max
        table = np.zeros((len(names), n_channels, n_channels, l_max + 1))
        for types in three_body_types(names):
            layout, own = Layout.of(types, n_max), terms[types]["coefficients"]
            if len(own) != len(layout.radial) * (l_max + 1):
                raise InputError(
                    f"three_body {'-'.join(types)} has {len(own)} coefficients, and takes "
                    f"{len(layout.radial) * (l_max + 1)}"
                )
            one, middle, other = map(names.index, types)
            for (n, k), by_angle in zip(layout.radial, np.reshape(own, (-1, l_max + 1)), strict=True):
                table[middle, one * n_max + n, other * n_max + k] = by_angle
                table[middle, other * n_max + k, one * n_max + n] = by_angle
        return cls(
            bead_types=bead_types,
            coefficients=table,
            cutoff=float(first["cutoff"]),
            forest=BondForest.from_topology(topology),
        )

    def by_monomials(self) -> NDArray[np.float64]:
        """The coefficients in the products of monomials, shape (n_types, n_channels, n_channels, n_monomials)."""
        powers, known = self.coefficients @ legendre_powers(self.l_max), monomials(self.l_max)
        return np.asarray(powers[..., known.degrees] * known.weights)

    def of_one_neighbor(self) -> NDArray[np.float64]:
        """What the sums over all j and k have too much where j is k, by powers of 1 - r / cutoff from twice the first.

        Shape (n_types, n_types, 2 n_max - 1) by types of middle and neighbor [kJ/mol].
        """
        n_types, n_max = len(self.coefficients), self.n_max
        result = np.zeros((n_types, n_types, 2 * n_max - 1))
        straight = self.coefficients.sum(axis=3).reshape(n_types, n_types, n_max, n_types, n_max)  # P_l(1) is 1
        for other in range(n_types):
            for n in range(n_max):
                for k in range(n_max):
                    result[:, other, n + k] += straight[:, other, n, other, k]
        return result

    def energy(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Energy [kJ/mol], shape (...). See `Potential.energy`.

        Raises:
            InputError: If the cutoff exceeds half the box, where the minimum image would miss pairs.
        """
        import torch

        shape, n_beads = positions.shape[:-2], positions.shape[-2]
        flat = positions.reshape(-1, n_beads, 3)
        boxes = None if box is None else box.to(positions).expand(*shape, 3, 3).reshape(-1, 3, 3)
        frames, pairs = find_in_all(self._find, flat, boxes)
        frames, middle, other = torch.cat([frames, frames]), torch.cat([pairs[0], pairs[1]]), pairs.flip(0).flatten()
        beads, offset = flat.reshape(-1, 3), frames * n_beads
        vectors = beads.index_select(0, offset + other) - beads.index_select(0, offset + middle)
        if boxes is not None:
            vectors = minimum_image(vectors[:, None, :], boxes[frames])[:, 0, :]
        distances = norm(vectors)
        types = torch.tensor(self.bead_types, device=positions.device)
        radial = self._radial(distances)
        moments = self._moments(radial, vectors / distances[:, None], types[other], offset + middle, len(beads))
        weights = positions.new_tensor(self.by_monomials())[types.repeat(len(flat))]
        whole = (torch.einsum("icm,ickm,ikm->i", moments, weights, moments) / 2).reshape(-1, n_beads).sum(-1)
        powers = torch.arange(2 * self.n_max - 1, device=positions.device) + 2 * FIRST_POWER
        inside = (1 - distances / self.cutoff).clamp(min=0)
        alone = positions.new_tensor(self.of_one_neighbor())[types[middle], types[other]]
        energies = (alone * inside[:, None] ** powers).sum(-1) / 2
        return (whole - flat.new_zeros(len(flat)).index_add(0, frames, energies)).reshape(shape)

    def inter_energy(
        self, forest: BondForest, positions: torch.Tensor, box: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The same as `energy`: all of it acts between molecules. See `PairPotential.inter_energy`."""
        return self.energy(positions, box)

    def _radial(self, distances: torch.Tensor) -> torch.Tensor:
        """The radial functions, shape (n_pairs, n_max)."""
        import torch

        inside = (1 - distances / self.cutoff).clamp(min=0)
        return torch.stack([inside ** (n + FIRST_POWER) for n in range(self.n_max)], dim=-1)

    def _moments(
        self,
        radial: torch.Tensor,
        directions: torch.Tensor,
        types: torch.Tensor,
        middle: torch.Tensor,
        n_beads: int,
    ) -> torch.Tensor:
        """Moments of the neighbors of each bead, shape (n_beads, n_channels, n_monomials)."""
        import torch

        known = monomials(self.l_max)
        values = [torch.ones_like(directions[:, 0])]
        for m in range(1, len(known.degrees)):
            values.append(values[int(known.parents[m])] * directions[:, int(known.axes[m])])
        each = radial[:, :, None] * torch.stack(values, dim=-1)[:, None, :]
        n_types = len(self.coefficients)
        sums = radial.new_zeros(n_beads * n_types, *each.shape[1:]).index_add(0, middle * n_types + types, each)
        return sums.reshape(n_beads, n_types * self.n_max, -1)

    def _find(self, frame: NDArray[np.float64], cell: NDArray[np.float64] | None) -> NDArray[np.int64]:
        pairs = find_pairs(frame, cell, self.cutoff)
        return pairs[:, ~self.forest.is_intra(frame, cell, pairs)]

    def to_openmm(self, *, periodic: bool) -> openmm.Force:
        """There is none.

        Raises:
            InputError: Always.
        """
        raise InputError(NO_NATIVE_THREE_BODY)

    def period(self, masses: NDArray[np.float64], lengths: Lengths, kt: float) -> Period | None:
        """None: it is soft beside the walls of the pairs that it is fitted with."""
        return None
