"""Analysis of trajectories of beads: pure functions, arrays in, frozen results out."""

from openmm_cgml.analysis.block_average import Average, compute_average
from openmm_cgml.analysis.box_picture import write_box_picture
from openmm_cgml.analysis.chains import find_chains, find_linear_molecules
from openmm_cgml.analysis.compare import compare_rdf, compute_gr_rmse, compute_js_divergence, compute_mass_below
from openmm_cgml.analysis.conformation import ChainStatistics, SeparationCurve, compute_chain_statistics
from openmm_cgml.analysis.diffusion import DiffusionCoefficient, MeanSquareDisplacement, compute_msd, fit_diffusion
from openmm_cgml.analysis.distributions import (
    Distribution,
    compute_angle_distributions,
    compute_bond_distributions,
    compute_torsion_distributions,
)
from openmm_cgml.analysis.gyration import compute_squared_gyration
from openmm_cgml.analysis.molecules import compute_centers_of_mass
from openmm_cgml.analysis.rdf import PairDistributions, RadialDistribution, compute_pair_distributions, compute_rdf
from openmm_cgml.analysis.relaxation import EndToEndRelaxation, compute_relaxation
from openmm_cgml.analysis.thermo import compute_temperatures, count_degrees_of_freedom

__all__ = [
    "Average",
    "ChainStatistics",
    "DiffusionCoefficient",
    "Distribution",
    "EndToEndRelaxation",
    "MeanSquareDisplacement",
    "PairDistributions",
    "RadialDistribution",
    "SeparationCurve",
    "compare_rdf",
    "compute_angle_distributions",
    "compute_average",
    "compute_bond_distributions",
    "compute_centers_of_mass",
    "compute_chain_statistics",
    "compute_gr_rmse",
    "compute_js_divergence",
    "compute_mass_below",
    "compute_msd",
    "compute_pair_distributions",
    "compute_rdf",
    "compute_relaxation",
    "compute_squared_gyration",
    "compute_temperatures",
    "compute_torsion_distributions",
    "count_degrees_of_freedom",
    "find_chains",
    "find_linear_molecules",
    "fit_diffusion",
    "write_box_picture",
]
