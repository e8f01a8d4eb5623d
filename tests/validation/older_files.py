"""Reference summaries as earlier releases wrote them, without a digest."""

import json

from openmm_cgml.analysis.compare import compute_half_rmse

LIMITS = (
    "bond_mean_error", "bond_std_deviation", "density_error", "energy_spread", "frozen_ratio", "gr_below_first_bin",
    "gr_com_rmse", "gr_inter_rmse", "gr_intra_rmse", "temperature",
)  # fmt: skip
FACTS = ("duration", "n_beads", "n_frames", "n_molecules", "n_structure_frames")


def as_version_2(summary):
    """What was written before every quantity had a part of its own."""
    content = json.loads(summary.to_json())
    trajectory = content["trajectory"]
    parts = trajectory["parts"]
    structure = parts["structure"]
    halves = {name: compute_half_rmse(rdf) for name, rdf in summary.trajectory.parts["structure"].inter.items()}
    old = {
        **{name: trajectory[name] for name in FACTS},
        "temperature": parts.get("temperature"),
        "density": parts["density"]["mean"],
        "energies_per_bead": parts.get("energy", {"per_bead": {}})["per_bead"],
        **{name: structure[name] for name in ("com", "inter", "intra", "intra_far")},
        **{kind: parts.get(kind, {"by_types": {}})["by_types"] for kind in ("bonds", "angles", "torsions")},
        "chains": parts.get("chains", {"by_length": {}})["by_length"],
        **{name: parts.get("mobility", {}).get(name) for name in ("msd", "diffusion", "bead_msd", "inner_msd")},
    }
    half_js = {
        f"{kind} {name}": js
        for kind in ("angle", "torsion")
        for name, js in parts.get(f"{kind}s", {"half_js": {}})["half_js"].items()
    }
    del content["digest"]
    content["limits"] = {name: content["limits"][name] for name in LIMITS}
    half_rmse = {f"inter {name}": value for name, value in halves.items()}
    return {**content, "version": 2, "trajectory": old, "half_rmse": half_rmse, "half_js": half_js}


def as_version_1(summary):
    """What was written before chains, of dumbbells: g(r) in units of the pairs between molecules."""
    content = as_version_2(summary)
    content["version"] = 1
    del content["half_js"], content["limits"]["gr_intra_rmse"]
    trajectory = content["trajectory"]
    for name in ("torsions", "chains", "bead_msd", "inner_msd", "intra_far"):
        del trajectory[name]
    for each in (*trajectory["bonds"].values(), *trajectory["angles"].values()):
        del each["std_error"]
    mixed = trajectory["inter"]["A-B"]
    mixed["n_pairs"] -= 40
    mixed["g"] = [value * 1600 / 1560 for value in mixed["g"]]
    mixed["block_g"] = [[value * 1600 / 1560 for value in block] for block in mixed["block_g"]]
    return content
