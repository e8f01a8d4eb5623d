"""What forces between molecules say of pair coefficients, beside the structure that simulations are compared by.

Configurations of the reference and its forces are two things that a force field explains. The relative entropy is minus
the logarithm of the likelihood of the first; that of forces with independent normal errors of variance s^2 is minus
half their squared residual over s^2. Both are known to second order in the coefficients, so a step may follow their
sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import PairPotential, ThreeBody, ThreeBodyConfig
from openmm_cgml.potentials.force_matching import NormalEquations
from openmm_cgml.potentials.pair import PairData
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import BOLTZMANN

_LEAST = 1e-6  # of the mean square of the forces, for the variance of errors that a model makes of its own forces


@dataclass(frozen=True, eq=False, kw_only=True)
class ForceLikelihood:
    """Minus the logarithm of the likelihood of a frame's forces, c @ matrix @ c / 2 - vector @ c for coefficients c.

    Attributes:
        places: Where the coefficients of each term stand, by its types.
        matrix: [mol^2/kJ^2], shape (n, n).
        vector: [mol/kJ], shape (n,).
        virial: Sum of forces times arms in a frame by each coefficient, shape (n,).
    """

    places: Mapping[tuple[str, ...], slice]
    matrix: NDArray[np.float64]
    vector: NDArray[np.float64]
    virial: NDArray[np.float64]

    @classmethod
    def of(cls, force_field: ForceField, topology: CGTopology, frames: Frames, temperature: float) -> Self:
        """That of the pair priors of a force field, of whose residual the variance of the errors is taken.

        Three-body terms are what they are, and pair priors explain what these leave.

        Args:
            force_field: The force field.
            topology: Its beads.
            frames: Frames with forces.
            temperature: Of the frames [K].

        Raises:
            InputError: If the frames have no forces, or a network or two pair forms act between molecules.
        """
        priors = force_field.priors
        forms = {term.potential for term in priors.terms if issubclass(term.potential, PairPotential)}
        if force_field.network is not None or len(forms) > 1:
            raise InputError(
                f"{force_field.name}: force_weight holds the forces of pair priors of one form, and there is a network "
                "or a second form between its molecules; leave it 0"
            )
        form = forms.pop()
        terms, of_three = (
            {term.types: term.parameters for term in priors.terms if term.potential is kind}
            for kind in (form, ThreeBody)
        )
        data = PairData(
            topology=topology,
            frames=frames,
            kt=BOLTZMANN * temperature,
            exclude_bonds=priors.exclude_bonds,
            sites=priors.bind_sites(topology),
            centers=priors.bind_centers(topology),
            three_body=ThreeBodyConfig.of(next(iter(of_three.values()))) if of_three else None,
            alike=priors.alike,
        )
        present = {*data.types, *(data.of_centers.types if data.of_centers else ())}
        equations = NormalEquations(form, {types: terms[types] for types in terms if types in present}, data)
        n, known = equations.n_pair, equations.of_three_body(of_three)
        best = equations.solve((np.eye(len(equations.vector))[n:], known) if len(known) else None)
        variance = max(equations.rmse(best) ** 2, _LEAST * equations.mean_square)
        scale = 1 / (equations.n_frames * variance)
        return cls(
            places=equations.places,
            matrix=scale * equations.regularized()[:n, :n],
            vector=scale * (equations.vector[:n] - equations.matrix[:n, n:] @ known),
            virial=equations.virial[:n],
        )

    def derivatives(
        self, present: Mapping[tuple[str, ...], NDArray[np.float64]], types: Sequence[tuple[str, ...]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Second and first derivatives by the coefficients of some terms.

        Args:
            present: The present coefficients of every term [kJ/mol].
            types: Types of the terms, in the order that the derivatives shall have.

        Returns:
            Shapes (n, n) and (n,).
        """
        values = np.zeros_like(self.vector)
        for each, place in self.places.items():
            values[place] = present[each]
        order = np.concatenate([np.arange(len(values))[self.places[each]] for each in types])
        slope = self.matrix @ values - self.vector
        return self.matrix[np.ix_(order, order)], np.asarray(slope[order])
