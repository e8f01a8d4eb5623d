"""The tables of the speed benchmarks as text, for docs/speed.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openmm_cgml.selection.pages import format_markdown

TITLES = {
    "ef": "Energy and forces",
    "md": "Molecular dynamics",
    "scaling": "Cost per bead",
    "nve": "Energy conservation",
    "replicas": "Many copies in one Context",
    "memory": "Memory",
    "threads": "Two threads over one",
    "train": "Training",
}


def format_section(section: str, table: Mapping[str, Any]) -> str:
    """A section with its title and the machine's rates, as Markdown."""
    return f"### {TITLES[section]}\n\n{format_body(section, table)}\n\n{format_machine(table)}\n"


def format_body(section: str, table: Mapping[str, Any]) -> str:
    """The table of a section as Markdown."""
    bodies = {
        "ef": _energy_and_forces,
        "md": _dynamics,
        "scaling": _scaling,
        "nve": _drift,
        "replicas": _replicas,
        "memory": _memory,
        "threads": _threads,
        "train": _training,
    }
    return bodies[section](table)


def format_machine(table: Mapping[str, Any]) -> str:
    """Processor, threads, rates and versions in two lines."""
    machine, rates = dict(table["machine"]), table["rates"]
    first = (
        f"{machine.pop('cpu')}; {machine.pop('threads')} thread; sgemm {rates['sgemm_gf_s']:.0f} GF/s, packed"
        f" {rates['sgemm_packed_gf_s']:.0f} GF/s; copies in L2 {rates['l2_copy_gb_s']:.0f} GB/s, in memory"
        f" {rates['dram_copy_gb_s']:.0f} GB/s (read + written); activation and slope {rates['activation_ns']:.2f} ns"
    )
    origin = machine.pop("schnetpack_is", "PyPI")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.items()))
    return f"{first}.\n{versions} (SchNetPack: {origin})."


def _energy_and_forces(table: Mapping[str, Any]) -> str:
    blocks = []
    for key in ("ef_benz500", "ef_pe1000", "ef_4k"):
        part = table[key]
        rows = [
            (
                name,
                f"{timing['cpu_ms']:.4g}",
                f"{timing['wall_ms']:.4g}",
                spread(part["speedup_over"][name]),
                f"{part['force_difference'][name]:.1e}",
                f"{part['roofline'][name]:.0%}",
            )
            for name, timing in sorted(part["methods"].items(), key=lambda item: item[1]["cpu_ms"])
        ]
        title = (
            f"{part['workload']}: {part['beads']} beads, {part['neighbors']:.1f} neighbors, {part['pairs']} pairs;"
            f" least possible {part['least_ms']:.3g} ms"
        )
        head = ("method", "CPU ms", "wall ms", "ours is faster by", "max force error / rms", "roofline")
        blocks.append(f"{title}\n\n{format_markdown(head, rows)}")
    return "\n\n".join(blocks)


def _dynamics(table: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            spread(rate),
            f"{table['methods'][name]['cpu_ms']:.4g}",
            spread(table["speedup_over"][name]),
            "" if name.startswith("the native") else f"{table['least_ms'] / table['methods'][name]['cpu_ms']:.0%}",
        )
        for name, rate in sorted(table["steps_per_second"].items(), key=lambda item: -item[1]["median"])
    ]
    head = ("method", "steps/s", "CPU ms a step", "ours is faster by", "roofline of the network alone")
    title = f"{table['workload']}, Langevin at 300 K, {table['time_step_fs']:g} fs"
    return f"{title}\n\n{format_markdown(head, rows)}"


def _scaling(table: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            spread(cost),
            spread(table["over_smallest"][name]),
            f"{table['methods'][name]['cpu_ms']:.4g}",
            f"{table['roofline'][name]:.0%}",
        )
        for name, cost in sorted(table["us_per_bead"].items(), key=lambda item: int(item[0]))
    ]
    return format_markdown(("beads", "CPU us a bead", "over the smallest box", "CPU ms a call", "roofline"), rows)


def _drift(table: Mapping[str, Any]) -> str:
    rows = [(index + 1, f"{run['drift']:+.1e}", f"{run['error']:.0e}") for index, run in enumerate(table["runs"])]
    title = (
        f"{table['beads']} beads without a thermostat, {table['duration_ps']:g} ps each at {table['time_step_fs']:g} fs"
    )
    return f"{title}\n\n{format_markdown(('run', 'drift [kT/ns/dof]', 'standard error'), rows)}"


def _replicas(table: Mapping[str, Any]) -> str:
    rows = [
        (name, spread(rate), f"{table['least_ms'] / table['methods'][name]['cpu_ms']:.0%}")
        for name, rate in sorted(table["steps_per_second"].items(), reverse=True)
    ]
    return format_markdown((table["workload"], "steps/s of all copies together", "roofline of the network alone"), rows)


def _memory(table: Mapping[str, Any]) -> str:
    rows = [
        (box, method, f"{found['peak_mb']:.0f}", f"{found['above_libraries_mb']:.0f}")
        for box, methods in sorted(table["boxes"].items(), key=lambda item: min(v["peak_mb"] for v in item[1].values()))
        for method, found in sorted(methods.items(), key=lambda item: item[1]["peak_mb"])
    ]
    return format_markdown(("box", "method", "peak MB", "of it above libraries and positions"), rows)


def _threads(table: Mapping[str, Any]) -> str:
    rows = [
        (box, spread(part["wall_ms"]["1"]), spread(part["wall_ms"]["2"]), spread(part["ratio"]))
        for box, part in sorted(table["boxes"].items(), reverse=True)
    ]
    return format_markdown(("box", "one thread, wall ms", "two threads, wall ms", "ratio"), rows)


def _training(table: Mapping[str, Any]) -> str:
    blocks = []
    for case in table["cases"]:
        faster = case["speedup_over"]
        rows = [
            (
                name,
                spread(case["frames_per_second"][name]),
                f"{timing['cpu_ms']:.4g}",
                spread(faster[name]) if name in faster else "",
                " then ".join(f"{loss:.6g}" for loss in case["losses"][name]),
            )
            for name, timing in sorted(case["methods"].items(), key=lambda item: item[1]["cpu_ms"])
        ]
        size = case["size"]
        title = (
            f"{case['workload']}: {case['frames']} frames of {case['beads']} beads a step,"
            f" {case['pairs_per_frame']:.0f} pairs a frame; {size['features']} features, {size['filters']} filters,"
            f" {size['blocks']} blocks; filter tables of {case['filter_knots']} knots"
        )
        head = (
            "method",
            "frames/s",
            "CPU ms a step",
            "ours is faster by",
            "loss of two frames, and after one step downhill",
        )
        blocks.append(f"{title}\n\n{format_markdown(head, rows)}")
    return "\n\n".join(blocks)


def spread(found: Mapping[str, float]) -> str:
    """Median with the extremes in brackets."""
    return f"{found['median']:.3g} ({found['min']:.3g} to {found['max']:.3g})"
