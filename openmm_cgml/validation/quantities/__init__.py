"""The quantities that simulations are compared in: one file each, and the tuple of all, in the order of a report."""

from typing import Any

from openmm_cgml.validation.quantities.angles import ANGLES, TORSIONS
from openmm_cgml.validation.quantities.bonds import BONDS
from openmm_cgml.validation.quantities.chains import CHAINS
from openmm_cgml.validation.quantities.density import DENSITY
from openmm_cgml.validation.quantities.energy import ENERGY
from openmm_cgml.validation.quantities.mobility import MOBILITY
from openmm_cgml.validation.quantities.structure import STRUCTURE
from openmm_cgml.validation.quantities.temperature import TEMPERATURE
from openmm_cgml.validation.quantity import Quantity

QUANTITIES: tuple[Quantity[Any], ...] = (
    TEMPERATURE,
    DENSITY,
    ENERGY,
    STRUCTURE,
    BONDS,
    ANGLES,
    TORSIONS,
    CHAINS,
    MOBILITY,
)
"""All quantities. Those of one's own are compared too where a function is given `(*QUANTITIES, mine)`."""

__all__ = [
    "ANGLES",
    "BONDS",
    "CHAINS",
    "DENSITY",
    "ENERGY",
    "MOBILITY",
    "QUANTITIES",
    "STRUCTURE",
    "TEMPERATURE",
    "TORSIONS",
]
