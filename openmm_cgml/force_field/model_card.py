"""The model card: `README.md` of a force field, written from its manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from openmm_cgml.force_field.manifest import Manifest, RecommendedSteps, TrainingSummary
from openmm_cgml.topology import ChainTemplate, MoleculeTemplate, ResidueTemplate


def write_model_card(
    manifest: Manifest,
    templates: Sequence[ResidueTemplate],
    network: Mapping[str, Any] | None,
    priors: Sequence[str],
    time_step: str,
    chains: Sequence[ChainTemplate] = (),
    architectures: Sequence[MoleculeTemplate] = (),
    *,
    native: bool = True,
) -> str:
    """Markdown that says what a force field is for, where it comes from and how good it is.

    Args:
        manifest: Its manifest.
        templates: Residues it knows.
        network: Settings of its network, or None.
        priors: Its priors, one line each.
        time_step: The time step its priors allow, in words; empty if they say nothing.
        chains: Polymers made of the residues.
        architectures: Other molecules made of them.
        native: Whether all priors have native OpenMM forces.
    """
    usage = _usage(manifest.name, _forces(network is not None, native))
    parts = [f"# {manifest.name}", manifest.description, usage, _beads(templates), _chains(chains)]
    parts.append(_architectures(architectures))
    if manifest.limitations:
        parts.append(f"## Not good for\n\n{manifest.limitations}")
    parts += ["## Energy", _bullets(priors) or "No priors."]
    parts.append(_table("Network", network) if network else "No network: priors alone.")
    if (steps := manifest.recommended_steps) is not None:
        parts.append(_recommendation(steps))
    if time_step:
        parts.append(f"Longest time step by the stiffest prior: {time_step}.")
    parts.append(_training(manifest.training) if manifest.training else "## Training\n\nNot recorded.")
    if manifest.validation is None:
        parts.append("## Validation\n\nNone: this force field has been trained but not simulated and compared.")
    else:
        parts.append(_table("Validation", manifest.validation, level="##"))
    parts.append(_table("Provenance", manifest.provenance, level="##") if manifest.provenance else "")
    parts.append(f"License: {manifest.license}" if manifest.license else "")
    return "\n\n".join(part for part in parts if part) + "\n"


def _recommendation(steps: RecommendedSteps) -> str:
    often = "" if steps.network_interval == 1 else f", the network every {steps.network_interval} steps"
    mean = "" if steps.temperature is None else f", at a mean temperature of {steps.temperature:.1f} K"
    seen = f" ({steps.stable}{mean})" if steps.stable else ""
    return f"Recommended time step, which `simulate` takes: {1000 * steps.time_step:g} fs{often}{seen}."


def _forces(has_network: bool, native: bool) -> str:
    """The forces of a System, in words."""
    if native:
        return (
            "native OpenMM forces for the priors, one ML force for the network"
            if has_network
            else "native OpenMM forces"
        )
    also = " and the network" if has_network else ""
    return f"native OpenMM forces for bonded priors, one PythonForce for the others{also}"


def _usage(name: str, forces: str) -> str:
    return f"""```python
from openmm_cgml import ForceField

force_field = ForceField.load("{name}")  # a shipped name, or the path of this folder
system = force_field.create_system(topology)  # {forces}
```"""


def _beads(templates: Sequence[ResidueTemplate]) -> str:
    rows = [
        f"| {template.name} | {bead} | {bead_type} | {mass:.4f} |"
        for template in templates
        for bead, bead_type, mass in zip(template.bead_names, template.bead_type_names, template.masses, strict=True)
    ]
    return "\n".join(["## Beads", "", "| residue | bead | type | mass [Da] |", "|---|---|---|---|", *rows])


def _chains(chains: Sequence[ChainTemplate]) -> str:
    return _bullets(
        [
            f"{chain.name}: {chain.head}, then {chain.body} any number of times, then {chain.tail}; bonds to the next "
            f"residue {', '.join(f'{a}-{b}' for a, b in chain.links)}"
            for chain in chains
        ]
    )


def _architectures(architectures: Sequence[MoleculeTemplate]) -> str:
    return _bullets(
        [
            f"{molecule.name}: {len(molecule.residues)} residues ({', '.join(dict.fromkeys(molecule.residue_names))}), "
            f"{len(molecule.joints)} bonds between them"
            for molecule in architectures
        ]
    )


def _training(training: TrainingSummary) -> str:
    density = f", {training.density:.4g} g/cm^3" if training.density is not None else ""
    lines = [
        f"Trained on {training.n_frames} frames of {training.n_molecules} molecules at {training.temperature:g} K"
        f"{density}. Other temperatures and densities are extrapolations. Time in simulations is CG time: dynamics is "
        "faster than atomistic.",
    ]
    if training.dataset:
        prints = [f"`{each}`" for each in training.dataset.split(", ")]
        lines.append(f"Dataset {'fingerprint' if len(prints) == 1 else 'fingerprints'}: {', '.join(prints)}.")
    if training.closest_approach:
        pairs = ", ".join(f"{pair} {distance:.3f} nm" for pair, distance in sorted(training.closest_approach.items()))
        lines.append(f"Closest approach in the data: {pairs}.")
    parts = ["## Training", *lines]
    if training.metrics:
        parts.append(_table("Errors on held-out data", training.metrics))
    if training.settings:
        settings = json.dumps(training.settings, indent=2, sort_keys=True)
        parts.append(f"<details><summary>Settings</summary>\n\n```json\n{settings}\n```\n\n</details>")
    return "\n\n".join(parts)


def _table(title: str, values: Mapping[str, Any], level: str = "###") -> str:
    rows = [f"| {key.replace('_', ' ')} | {_text(value)} |" for key, value in values.items()]
    return "\n".join([f"{level} {title}", "", "| | |", "|---|---|", *rows])


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(entry)}" for key, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value).replace("|", "\\|").replace("\n", " ")
