#!/usr/bin/env python3
"""Write the tables of speed-cpu.json into docs/speed.md and draw docs/images/speed-cpu.png."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from docs.speed_tables import TITLES, format_section, spread
from openmm_cgml.selection.pages import format_markdown, replace_between
from openmm_cgml.storage import read_json, write_atomically

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
ROWS = {
    "ef_benz500": "energy and forces, benz-500",
    "ef_pe1000": "energy and forces, PE-1000",
    "ef_4k": "energy and forces, 4000 beads",
    "md_benz500": "MD steps per second, benz-500",
    "threads2": "two threads over one, 4000 beads",
    "per_bead_108k": "cost per bead, 108 000 beads over 500",
    "train": "training frames per second",
    "nve_drift": "NVE drift [kT/ns/dof]",
    "replicas64": "64 copies in one Context over one copy, all steps",
}
"""Rows of the results file in the order of the summary."""
SPEEDUPS = ("ef_benz500", "ef_pe1000", "ef_4k", "md_benz500", "train")
"""The rows that are ratios to a peer."""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS / "speed-cpu.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "speed.md")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "images" / "speed-cpu.png")
    given = parser.parse_args()
    results = read_json(given.results)
    page = given.page.read_text()
    page = replace_between(page, "summary", format_summary(results))
    page = replace_between(page, "tables", format_tables(results["tables"]))
    write_atomically(given.page, page)
    draw(results, given.picture)
    print(f"{given.page.name} and {given.picture.name} written from {given.results.name}")


def format_summary(results: Mapping[str, Any]) -> str:
    """The rows that are there, as a table."""
    rows = [(name, spread(results[key]), results[key]["peer"]) for key, name in ROWS.items() if key in results]
    return format_markdown(("", "median (min to max of the rounds)", "measured against"), rows)


def format_tables(tables: Mapping[str, Any]) -> str:
    """All sections in order."""
    return "\n".join(format_section(section, tables[section]) for section in TITLES if section in tables).rstrip()


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Ratios to the faster peer, and cost per bead over the number of beads."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 3.8), width_ratios=(1.25, 1), layout="constrained")
    _draw_speedups(left, results)
    _draw_scaling(right, results["tables"])
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def _draw_speedups(axes: Any, results: Mapping[str, Any]) -> None:
    keys = [key for key in reversed(SPEEDUPS) if key in results]
    medians = [results[key]["median"] for key in keys]
    below = [results[key]["median"] - results[key]["min"] for key in keys]
    above = [results[key]["max"] - results[key]["median"] for key in keys]
    bars = axes.barh([ROWS[key] for key in keys], medians, xerr=(below, above), color="#2a6f97", capsize=3)
    axes.bar_label(bars, [f"{median:.1f}x  " for median in medians], label_type="center", color="white")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("times as fast as the faster of TorchMD-Net and SchNetPack")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_scaling(axes: Any, tables: Mapping[str, Any]) -> None:
    if "scaling" in tables:
        costs = tables["scaling"]["us_per_bead"]
        sizes = sorted(costs, key=int)
        axes.plot([int(n) for n in sizes], [costs[n]["median"] for n in sizes], "o-", color="#2a6f97", label="ours")
    if "ef" in tables:
        boxes = [tables["ef"][key] for key in ("ef_benz500", "ef_4k")]
        names = ("TorchMD-Net, TorchForce", "SchNetPack, matscipy list")
        for name, color in zip(names, ("#e07a5f", "#81b29a"), strict=True):
            cost = [1e3 * box["methods"][name]["cpu_ms"] / box["beads"] for box in boxes]
            axes.plot([box["beads"] for box in boxes], cost, "s--", color=color, label=name.split(",")[0])
    axes.set(xscale="log", yscale="log", xlabel="beads", ylabel="energy and forces, CPU µs a bead", ylim=(5, 800))
    axes.set_yticks([10, 20, 50, 100, 200, 500], ["10", "20", "50", "100", "200", "500"])
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


if __name__ == "__main__":
    main()
