"""What the entries of a table are called on model cards and pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_COMMON = {
    "seeds": "simulations",
    "stable_seeds": "of them stable to the end",
    "simulated_ps_per_seed": "length of the shortest [ps]",
    "time_step_fs": "time step [fs]",
    "network_interval": "steps per evaluation of the network",
    "temperature_mean": "mean temperature, set to 300 K [K]",
    "pressure_bar": "pressure at the density of the training data [bar]",
    "pressure_bar_error": "its standard error over the simulations [bar]",
    "pressure_reference_bar": "pressure of the reference [bar]",
    "gr_judged": "g(r), RMSE on frames that no refinement saw",
    "gr_judged_error": "its standard error over the simulations",
    "gr_judged_pair_spline": "the same for a force-matched pair spline, runs of the same length",
    "gr_floor": "the same for windows of the reference as long as the simulations",
    "inter_force_r2": "R2 of the forces between molecules on held-out frames",
    "density_1bar": "density at 1 bar [g/cm^3]",
    "density_1bar_error": "its standard error over the simulations [g/cm^3]",
    "density_reference": "density of the reference [g/cm^3]",
}
DESCRIPTIONS = {
    **_COMMON,
    "gr_com_rmse": "g(r) of centers of mass, RMSE 0.3 to 1.2 nm",
    "gr_com_rmse_error": "its standard error over the seeds",
    "gr_com_rmse_reference_error": "the same between the halves of the reference",
    "gr_com_rmse_pair_spline": "the same for a force-matched pair spline of the same cutoff",
    "gr_inter_rmse": "g(r) of beads of different molecules, RMSE",
    "gr_below_first_bin": "g(r) below the reference's first occupied bin",
    "bond_mean_error": "mean bond length, relative error",
    "bond_std_ratio": "bond length fluctuation over the reference's",
    "force_rmse": "force RMSE on held-out frames [kJ/mol/nm]",
    "force_noise_floor": "least RMSE of any model, from mean forces [kJ/mol/nm]",
    "mean_force_r2": "R2 against held-out mean forces",
    "mean_force_r2_pair_spline": "the same for the pair spline",
    "energy_per_bead": "energy per bead by number of molecules [kJ/mol]",
    "reference_ns": "atomistic reference [ns]",
    "frames": "its frames",
}
"""Entries for molecules."""
DESCRIPTIONS_OF_CHAINS = {
    **_COMMON,
    "gr_inter_rmse": "g(r) between chains, all beads, RMSE up to 1.5 nm",
    "gr_inter_rmse_error": "its standard error over the simulations",
    "gr_intra_rmse": "g(r) within chains, RMSE over its peak height",
    "gr_intra_far_rmse": "the same without bonded beads and next neighbors, RMSE",
    "gr_below_first_bin": "g(r) below the reference's first occupied bin",
    "bond_mean_error": "mean bond length, relative error of the worst type",
    "bond_std_ratio": "bond length fluctuation over the reference's, worst type",
    "angle_js": "angles, Jensen-Shannon divergence [bit]",
    "torsion_js": "torsions, Jensen-Shannon divergence [bit]",
    "rg_ratio": "radius of gyration over the reference's",
    "rg_ratio_error": "its standard error over the simulations",
    "force_rmse": "intermolecular force RMSE on held-out frames [kJ/mol/nm]",
    "force_rmse_pair_spline": "the same for a force-matched pair spline of the same cutoff",
    "force_std": "standard deviation of these forces [kJ/mol/nm]",
    "reference_ns": "atomistic reference [ns]",
    "frames": "its frames",
}
"""Entries for chains."""


def describe(table: Mapping[str, Any], *, chains: bool) -> dict[str, Any]:
    """The entries of a table that people read, by their descriptions.

    Args:
        table: The table of a model.
        chains: Whether the model is one of chains.
    """
    descriptions = DESCRIPTIONS_OF_CHAINS if chains else DESCRIPTIONS
    return {text: table[key] for key, text in descriptions.items() if table.get(key) is not None}
