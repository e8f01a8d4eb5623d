"""Analytic potentials, each with its torch and its OpenMM form side by side."""

from openmm_cgml.potentials.cosine_angle import CosineAngle
from openmm_cgml.potentials.cosine_torsion import CosineTorsion
from openmm_cgml.potentials.harmonic_angle import HarmonicAngle
from openmm_cgml.potentials.harmonic_bond import HarmonicBond
from openmm_cgml.potentials.neighbors import check_cutoff, find_pairs
from openmm_cgml.potentials.potential import EnergyFunction, Potential, evaluate, evaluate_energies, minimum_image
from openmm_cgml.potentials.power_repulsion import PowerRepulsion

POTENTIALS: tuple[type[Potential], ...] = (HarmonicBond, HarmonicAngle, CosineAngle, CosineTorsion, PowerRepulsion)
"""Every potential there is; the parity harness runs over this tuple."""

__all__ = [
    "POTENTIALS",
    "CosineAngle",
    "CosineTorsion",
    "EnergyFunction",
    "HarmonicAngle",
    "HarmonicBond",
    "Potential",
    "PowerRepulsion",
    "check_cutoff",
    "evaluate",
    "evaluate_energies",
    "find_pairs",
    "minimum_image",
]
