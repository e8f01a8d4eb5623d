"""`refine`: a part of a force field adjusted in simulations until these are like the reference."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.interruption import Interruption
from openmm_cgml.refinement.bonded import BondedTarget
from openmm_cgml.refinement.config import (
    BondedRefinementConfig,
    NetworkRefinementConfig,
    PairRefinementConfig,
    PressureRefinementConfig,
    PriorsRefinementConfig,
    RefinementConfig,
)
from openmm_cgml.refinement.ensemble import Ensemble
from openmm_cgml.refinement.network import NetworkTarget
from openmm_cgml.refinement.pair import PairTarget
from openmm_cgml.refinement.pressure import PressureTarget
from openmm_cgml.refinement.priors import PriorsTarget
from openmm_cgml.refinement.state import PREVIOUS, STATE, read_state, write_state
from openmm_cgml.refinement.target import Row, Target
from openmm_cgml.storage import (
    OutputKind,
    check_output,
    hold_output,
    read_object,
    refusing_damage,
    write_atomically,
    write_sealed_json,
)

_FORCE_FIELD, _HISTORY, _PICTURE = "force_field", "refinement.csv", "refinement.png"
OUTPUT = OutputKind(verb="refine", marker="refine.json", members=(_FORCE_FIELD, STATE, PREVIOUS, _HISTORY, _PICTURE))
Progress = Callable[[int, int, float], None]


@dataclass(frozen=True, eq=False, kw_only=True)
class RefinementResult:
    """What a refinement left behind.

    Attributes:
        force_field: The refined force field.
        path: Its folder.
        history: What was measured, in order of "round", the number of changes before; see the `measure` of each target.
            The last round's rows describe `force_field`.
        converged: Whether the last round showed nothing left to change.
    """

    force_field: ForceField
    path: Path
    history: tuple[Row, ...]
    converged: bool

    @property
    def last_rows(self) -> tuple[Row, ...]:
        """The rows of the last round."""
        return tuple(row for row in self.history if row["round"] == self.history[-1]["round"])


def refine(
    force_field: ForceField,
    data: ForceMatchingDataset | Sequence[ForceMatchingDataset],
    output: str | os.PathLike[str],
    config: RefinementConfig,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> RefinementResult:
    """Adjust bonded priors, pair priors or the network in rounds of simulation, and write the force field.

    Writes `force_field/`, `refine.json` (the settings), `refinement.csv` and, for bonded priors, `refinement.png`
    (distributions before and after) into `output`.

    Args:
        force_field: A fitted force field; it is not changed.
        data: Mapped reference frames at constant volume, of one box or of several independent ones of the same beads.
        output: Folder to write into.
        config: Settings; their class says what is adjusted.
        resume: Go on after the last finished round.
        overwrite: Replace what is there.
        progress: Called after each round with the changes before it, `config.rounds`, and the target's main number.

    Raises:
        InputError: If there is nothing to refine, the force field does not fit the data, or the boxes not each other.
        OutputExistsError: If `output` holds something and neither flag is set, or another process works in it.
        TrainingError: If a simulation became unstable.
    """
    datasets = [data] if isinstance(data, ForceMatchingDataset) else list(data)
    place: dict[str, Any] = {"overwrite": overwrite, "resume": resume, "inputs": [each.path for each in datasets]}
    check_output(output, OUTPUT, **place)
    if config.threads:
        torch.set_num_threads(config.threads)
    ensemble = Ensemble(force_field, datasets, config)  # refuses what does not fit before anything is written
    target = create_target(force_field, ensemble, config)
    with hold_output(output, OUTPUT, **place) as folder, Interruption() as interruption:
        fingerprints = ", ".join(dataset.fingerprint for dataset in datasets)
        identity = {"force_field": force_field.fingerprint, "dataset": fingerprints, **config.model_dump(mode="json")}
        _check_identity(folder / OUTPUT.marker, identity, _defaults(config))
        history = _restore(folder, ensemble, target)
        while not _is_finished(history, target, config):
            interruption.raise_again()
            number = history[-1]["round"] + 1 if history else 0
            history += _do_round(ensemble, target, config, number)
            _store(folder, ensemble, target, history)
            if progress is not None:
                progress(number, config.rounds, target.progress_of(_last(history)))
        target.draw(folder / _PICTURE)
        converged = target.is_converged(_last(history))
        refined = _finish(target, identity, {"corrections": history[-1]["round"], "converged": converged})
        path = refined.save(folder / _FORCE_FIELD, overwrite=True)
    return RefinementResult(force_field=refined, path=path, history=tuple(history), converged=converged)


def create_target(force_field: ForceField, ensemble: Ensemble, config: RefinementConfig) -> Target:
    """The part of a force field that a configuration adjusts.

    Raises:
        InputError: If the force field has no such part.
    """
    if isinstance(config, BondedRefinementConfig):
        return BondedTarget(force_field, ensemble, config)
    if isinstance(config, PriorsRefinementConfig):
        return PriorsTarget(force_field, ensemble, config)
    if isinstance(config, PressureRefinementConfig):
        return PressureTarget(force_field, ensemble, config)
    if isinstance(config, PairRefinementConfig):
        return PairTarget(force_field, ensemble, config)
    if isinstance(config, NetworkRefinementConfig):
        return NetworkTarget(force_field, ensemble, config)
    raise InputError(f"{type(config).__name__} is the configuration of no target; take that of one of them")


def _do_round(ensemble: Ensemble, target: Target, config: RefinementConfig, number: int) -> list[Row]:
    """Simulate after `number` changes, measure, and change once more unless that is the end."""
    frames = ensemble.simulate(target.force_field, number)
    rows = target.measure(frames, number)
    if not _is_finished(rows, target, config):
        target.change(frames, number)
    return rows


def _is_finished(history: Sequence[Row], target: Target, config: RefinementConfig) -> bool:
    if not history:
        return False
    return history[-1]["round"] >= config.rounds or target.is_converged(_last(history))


def _last(history: Sequence[Row]) -> list[Row]:
    return [row for row in history if row["round"] == history[-1]["round"]]


def _store(folder: Path, ensemble: Ensemble, target: Target, history: Sequence[Row]) -> None:
    """Write everything a resumed refinement needs, and the table."""
    tensors, content = target.state()
    write_state(folder, {**tensors, **ensemble.state()}, {**content, "history": [dict(row) for row in history]})
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(dict.fromkeys(key for row in history for key in row)))
    writer.writeheader()
    writer.writerows(history)
    write_atomically(folder / _HISTORY, text.getvalue())


def _restore(folder: Path, ensemble: Ensemble, target: Target) -> list[Row]:
    """Take up what `_store` wrote, if anything; returns the history."""
    found = read_state(folder)
    if found is None:
        return []
    tensors, content = found
    with refusing_damage(folder):
        target.restore(tensors, content)
        ensemble.restore(tensors)
        history = [dict(row) for row in content["history"]]
        if not history or not all(isinstance(row["round"], int) for row in history):
            raise ArtifactError(f"{folder}: the history is empty or damaged; start again with --overwrite")
    return list(history)


def _finish(target: Target, identity: Mapping[str, Any], outcome: Mapping[str, Any]) -> ForceField:
    """The refined force field with a manifest that says how it came about."""
    record = {**identity, **outcome}
    force_field = target.finished(record)
    manifest = force_field.manifest
    description = f"{manifest.description.rstrip('. ')}. {target.description}".lstrip(". ")
    changed = manifest.model_copy(
        update={
            "validation": None,
            "provenance": {**manifest.provenance, target.provenance_key: record},
            "description": description,
        }
    )
    return replace(force_field, manifest=changed)


def _defaults(config: RefinementConfig) -> dict[str, Any]:
    """What each setting is where nothing is said, as JSON has it."""
    found = {name: field.get_default() for name, field in type(config).model_fields.items()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def _check_identity(path: Path, identity: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Write what identifies a refinement, or compare it with what is there.

    Settings that a refinement of an older version does not have were as they are by default.

    Raises:
        InputError: If the refinement there is another one.
    """
    if path.exists():
        known = read_object(path)
        changed = [
            name for name in identity if name != "threads" and known.get(name, defaults.get(name)) != identity[name]
        ]
        if changed:
            raise InputError(
                f"{path.parent}: the refinement there differs in {', '.join(changed)}; resume it with the same "
                "settings, or start again with --overwrite"
            )
    write_sealed_json(path, identity)
