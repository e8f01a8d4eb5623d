"""The vectors along the beads of torsions, from which every form takes what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.potentials.potential import as_beads, minimum_image

if TYPE_CHECKING:
    import torch

STRAIGHT = 1e-6
"""Product of the sines of both angles below which a torsion has no direction."""


class TorsionVectors(NamedTuple):
    """Of every torsion, with leading dimensions for frames.

    Attributes:
        first: From the first bead to the second [nm], shape (..., n_terms, 3).
        squares: Squared lengths of the vectors between the four beads [nm^2], each of shape (..., n_terms).
        one: Normal of the first three beads, shape (..., n_terms, 3).
        other: Normal of the last three.
        in_line: Product of the squared lengths of the normals up to which there is no direction, shape (..., n_terms).
    """

    first: torch.Tensor
    squares: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    one: torch.Tensor
    other: torch.Tensor
    in_line: torch.Tensor

    @classmethod
    def of(cls, indices: NDArray[np.int64], positions: torch.Tensor, box: torch.Tensor | None) -> Self:
        """Those of the beads of each torsion, shape (n_terms, 4). See `Potential.energy` for the others."""
        beads = as_beads(indices, positions)
        first, second, third = (
            minimum_image(positions[..., beads[n + 1], :] - positions[..., beads[n], :], box) for n in range(3)
        )
        a, b, c = ((vectors * vectors).sum(-1) for vectors in (first, second, third))
        return cls(
            first=first,
            squares=(a, b, c),
            one=first.cross(second, dim=-1),
            other=second.cross(third, dim=-1),
            in_line=(STRAIGHT**2 * a * b**2 * c).detach(),
        )
