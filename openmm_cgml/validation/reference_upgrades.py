"""Reference summaries of earlier versions in the form of the present one; they carry no digest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openmm_cgml.errors import ArtifactError

_ENTRIES_1 = {"half_rmse", "limits", "schema", "source", "system", "temperature", "trajectory", "version"}
_ENTRIES_2 = _ENTRIES_1 | {"half_js"}
_LIMITS_1 = {
    "bond_mean_error", "bond_std_deviation", "density_error", "energy_spread", "frozen_ratio", "gr_below_first_bin",
    "gr_com_rmse", "gr_inter_rmse", "temperature",
}  # fmt: skip
_LIMITS_2 = _LIMITS_1 | {"gr_intra_rmse"}
_FACTS = ("duration", "n_beads", "n_frames", "n_molecules", "n_structure_frames")
_STRUCTURE = ("com", "inter", "intra", "intra_far")
_MOBILITY = ("msd", "diffusion", "bead_msd", "inner_msd")
_TRAJECTORY_2 = {
    *_FACTS, *_STRUCTURE, *_MOBILITY, "angles", "bonds", "chains", "density", "energies_per_bead", "temperature",
    "torsions",
}  # fmt: skip
_TRAJECTORY_1 = _TRAJECTORY_2 - {"bead_msd", "chains", "inner_msd", "intra_far", "torsions"}


def upgrade_from_1(content: Mapping[str, Any]) -> dict[str, Any]:
    """Version 2: g(r) between molecules counts in the density of all pairs, as within; chains; errors of widths.

    Raises:
        ArtifactError: If the content is not that of version 1.
    """
    _check_entries("", content, _ENTRIES_1)
    _check_entries("trajectory.", content["trajectory"], _TRAJECTORY_1)
    _check_entries("limits.", content["limits"], _LIMITS_1)
    old = content["trajectory"]
    distributions = {
        kind: {
            name: {"std_error": None, **_as_object(each, name)} for name, each in _as_object(old[kind], kind).items()
        }
        for kind in ("bonds", "angles")
    }
    within = _as_object(old["intra"], "intra")
    inter = {
        name: _rescale(_as_object(each, name), _as_object(within.get(name, each), name).get("n_pairs"))
        for name, each in _as_object(old["inter"], "inter").items()
    }
    absent: dict[str, Any] = {"torsions": {}, "chains": {}, "bead_msd": None, "inner_msd": None, "intra_far": None}
    trajectory = {**old, **distributions, **absent, "inter": inter}
    limits = {"gr_intra_rmse": 0.05, **content["limits"]}
    return {**content, "version": 2, "trajectory": trajectory, "limits": limits, "half_js": {}}


def upgrade_from_2(content: Mapping[str, Any]) -> dict[str, Any]:
    """Version 3: one part for each quantity; the errors of g(r) follow from its blocks and are not kept.

    Raises:
        ArtifactError: If the content is not that of version 2.
    """
    _check_entries("", content, _ENTRIES_2)
    _check_entries("trajectory.", content["trajectory"], _TRAJECTORY_2)
    _check_entries("limits.", content["limits"], _LIMITS_2)
    old, half_js = content["trajectory"], _as_object(content["half_js"], "half_js")
    _check_errors(_as_object(content["half_rmse"], "half_rmse"))
    parts = {
        "temperature": old["temperature"],
        "density": {"mean": old["density"]},
        "energy": {"per_bead": old["energies_per_bead"]} if old["energies_per_bead"] else None,
        "structure": {"n_beads": old["n_beads"], **{name: old[name] for name in _STRUCTURE}},
        "bonds": {"by_types": old["bonds"]},
        "angles": _join_halves("angle", old["angles"], half_js),
        "torsions": _join_halves("torsion", old["torsions"], half_js),
        "chains": {"by_length": old["chains"]} if old["chains"] else None,
        "mobility": {name: old[name] for name in _MOBILITY} if old["msd"] is not None else None,
    }
    trajectory = {
        **{name: old[name] for name in _FACTS},
        "chain_lengths": _list_lengths(_as_object(old["chains"], "chains")),
        "parts": {key: part for key, part in parts.items() if part is not None},
    }
    kept = {name: content[name] for name in ("schema", "limits", "source", "system", "temperature")}
    return {**kept, "version": 3, "trajectory": trajectory}


def _check_entries(where: str, content: Any, wanted: set[str]) -> None:
    if not isinstance(content, Mapping) or set(content) != wanted:
        off = sorted(set(content if isinstance(content, Mapping) else ()) ^ wanted)
        raise ArtifactError(
            f"{where or 'file: '}{', '.join(off)[:80]} missing or unknown; the file was edited or damaged: restore it "
            "or write it again"
        )


def _as_object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ArtifactError(f"{where}: {str(value)[:40]!r} is not an object; the file was edited or damaged")
    return value


def _as_numbers(value: Any, where: str) -> list[float]:
    if not isinstance(value, list) or not all(type(item) in (int, float) for item in value):
        raise ArtifactError(f"{where}: {str(value)[:40]!r} is not a list of numbers; the file was edited or damaged")
    return value


def _rescale(rdf: Mapping[str, Any], n_pairs: Any) -> dict[str, Any]:
    """A stored radial distribution in units of another number of pairs."""
    counts = (rdf.get("n_pairs"), n_pairs)
    if not all(type(count) is int and 0 < count < 2**53 for count in counts) or not isinstance(
        rdf.get("block_g"), list
    ):
        raise ArtifactError(f"g(r) with pairs {str(counts)[:60]} and no blocks; the file was edited or damaged")
    factor = counts[0] / counts[1]
    block_g = [[value * factor for value in _as_numbers(block, "block_g")] for block in rdf["block_g"]]
    g = [value * factor for value in _as_numbers(rdf.get("g"), "g")]
    return {**rdf, "g": g, "block_g": block_g, "n_pairs": n_pairs}


def _check_errors(half_rmse: Mapping[str, Any]) -> None:
    for name, value in half_rmse.items():
        if type(value) not in (int, float) or not 0 <= value < 1e6:
            raise ArtifactError(f"half_rmse of {name!r} is {str(value)[:40]}; the file was edited or damaged")


def _join_halves(kind: str, distributions: Any, half_js: Mapping[str, Any]) -> dict[str, Any] | None:
    """Distributions by types with the divergences of their halves, which were kept as "angle A-B-C"."""
    found = _as_object(distributions, f"{kind}s")
    halves = {name.removeprefix(f"{kind} "): js for name, js in half_js.items() if name.startswith(f"{kind} ")}
    return {"by_types": found, "half_js": halves} if found else None


def _list_lengths(chains: Mapping[str, Any]) -> list[int]:
    if not all(name.isascii() and name.isdigit() and len(name) < 12 for name in chains):
        raise ArtifactError(
            f"chains: {', '.join(chains)[:60]} are not numbers of beads; the file was edited or damaged"
        )
    return sorted(map(int, chains))
