"""Forces and energies of a Context by component: bonded, intermolecular, non-bonded within molecules, others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

from openmm_cgml.errors import InputError
from openmm_cgml.reference.force_kinds import FREE_GROUPS, is_free, is_nonbonded, nonbonded_forces
from openmm_cgml.reference.interaction_split import (
    BONDED_GROUP,
    ENERGY_GROUPS,
    INTERMOLECULAR_GROUP,
    has_interaction_split,
)
from openmm_cgml.reference.virtual_sites import is_virtual_site

if TYPE_CHECKING:
    from openmm_cgml.reference.isolated_molecules import IsolatedMolecules

__all__ = ["read_components"]

Components = tuple[dict[str, NDArray[np.float64]], dict[str, float]]


def read_components(
    context: openmm.Context, exclude_groups: Sequence[int] = (), isolated: IsolatedMolecules | None = None
) -> Components:
    """Forces [kJ/mol/nm], shape (n_particles, 3), and energies [kJ/mol] by component; no force on virtual sites.

    The components of a split System, or with `isolated`, are those of `ENERGY_GROUPS` and "other" for what is in other
    groups; of any other System there is one, "potential".

    Args:
        context: A Context with positions.
        exclude_groups: Force groups that are left out.
        isolated: Takes the interactions of molecules alone off those of group 1.

    Raises:
        InputError: The force groups are not what a split System or `isolated` needs, or a group of them is excluded.
    """
    system, excluded = context.getSystem(), set(exclude_groups)
    is_split = has_interaction_split(system)
    if not is_split and isolated is None:
        groups = {"potential": set(range(32)) - excluded}
    else:
        _check_groups(system, excluded, is_split, isolated is not None)
        others = {force.getForceGroup() for force in system.getForces()} & set(FREE_GROUPS) - excluded
        groups = {name: {group} for name, group in ENERGY_GROUPS.items()} | ({"other": others} if others else {})
    sites = is_virtual_site(system)
    parts, energies = {}, {}
    for name, members in groups.items():
        parts[name], energies[name] = _forces_and_energy(context, members)
        parts[name][sites] = 0.0  # OpenMM has added it to the forces on the parents
    if isolated is not None:
        state = context.getState(positions=True)
        whole = np.asarray(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
        energies["intra_nonbonded"], parts["intra_nonbonded"] = isolated.evaluate(whole)
        energies["inter"] -= energies["intra_nonbonded"]
        parts["inter"] = parts["inter"] - parts["intra_nonbonded"]
    return parts, energies


def _forces_and_energy(context: openmm.Context, groups: set[int]) -> tuple[NDArray[np.float64], float]:
    state = context.getState(forces=True, energy=True, groups=groups)
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    return np.array(forces), state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)


def _check_groups(system: openmm.System, excluded: set[int], is_split: bool, is_isolated: bool) -> None:
    model = sorted(excluded & set(ENERGY_GROUPS.values()))
    if model:
        names = {group: name for name, group in ENERGY_GROUPS.items()}
        raise InputError(
            f"force group {model[0]} holds the {names[model[0]]} forces and cannot be excluded; put what is no part of "
            "the physical model into a force group of its own from 3 to 31 before the split"
        )
    if not is_isolated:
        return
    if is_split:
        raise InputError("the System is split by split_interactions already; leave `isolated` out, or do not split it")
    nonbonded_forces(system)  # refuses what cannot be told apart
    for force in system.getForces():
        inside = is_nonbonded(force)
        wanted = INTERMOLECULAR_GROUP if inside else BONDED_GROUP
        if force.getForceGroup() != wanted and not is_free(force):
            raise InputError(
                f"{force.getName()} is in force group {force.getForceGroup()}; with isolated molecules all non-bonded "
                f"forces belong in group 1 and bonded ones in group 0: call setForceGroup({wanted}) on it"
            )
        if inside and isinstance(force, openmm.NonbondedForce) and force.getReciprocalSpaceForceGroup() not in (-1, 1):
            raise InputError(
                f"the reciprocal space of {force.getName()} is in force group {force.getReciprocalSpaceForceGroup()}; "
                "call setReciprocalSpaceForceGroup(-1) on it"
            )
