"""What the forces of an OpenMM System are to a recording: bonded, sums over pairs, others, or none that can be split.

Others are restraints, biases and fields: they belong to no pair and no molecule, and stay in the force group they have.
"""

from __future__ import annotations

import openmm

from openmm_cgml.errors import InputError

__all__ = ["FREE_GROUPS", "exerts_forces", "is_bonded", "is_free", "is_nonbonded", "nonbonded_forces"]

FREE_GROUPS = range(3, 32)
"""Force groups that a split leaves alone, for restraints, biases and fields."""

_BONDED = (
    openmm.HarmonicBondForce,
    openmm.HarmonicAngleForce,
    openmm.PeriodicTorsionForce,
    openmm.RBTorsionForce,
    openmm.CMAPTorsionForce,
    openmm.CustomBondForce,
    openmm.CustomAngleForce,
    openmm.CustomTorsionForce,
    openmm.CustomCompoundBondForce,
)
_NONBONDED = (openmm.NonbondedForce, openmm.CustomNonbondedForce)

# These exert no forces. Barostats are recognized by name, since releases of OpenMM differ in which they have.
_WITHOUT_FORCES = ("CMMotionRemover", "AndersenThermostat")

# Interactions between molecules that are no sum over pairs, or whose pairs OpenMM does not let one take out.
_INSEPARABLE = (
    "AmoebaGeneralizedKirkwoodForce",
    "AmoebaMultipoleForce",
    "AmoebaVdwForce",
    "AmoebaWcaDispersionForce",
    "ATMForce",
    "ConstantPotentialForce",
    "CustomGBForce",
    "CustomHbondForce",
    "CustomManyParticleForce",
    "DrudeForce",
    "GayBerneForce",
    "GBSAOBCForce",
    "HippoNonbondedForce",
    "LCPOForce",
)


def is_bonded(force: openmm.Force) -> bool:
    """Whether the force acts between the few particles of a bond, an angle, a torsion or the like."""
    return isinstance(force, _BONDED)


def is_nonbonded(force: openmm.Force) -> bool:
    """Whether the force is a sum over all pairs of particles."""
    return isinstance(force, _NONBONDED)


def is_free(force: openmm.Force) -> bool:
    """Whether the force is in a group of `FREE_GROUPS`, or exerts none."""
    return force.getForceGroup() in FREE_GROUPS or not exerts_forces(force)


def exerts_forces(force: openmm.Force) -> bool:
    """Whether it is a force and no thermostat, barostat or the like."""
    name = type(force).__name__
    return name not in _WITHOUT_FORCES and "Barostat" not in name


def nonbonded_forces(system: openmm.System) -> list[openmm.Force]:
    """The non-bonded forces of a System in which intermolecular forces can be told apart.

    Raises:
        InputError: There is none, there are several NonbondedForces, or a force is of a kind that cannot be split.
    """
    forces = list(system.getForces())
    found = [force for force in forces if is_nonbonded(force)]
    n_standard = sum(isinstance(force, openmm.NonbondedForce) for force in found)
    if not found or n_standard > 1:
        names = ", ".join(force.getName() for force in forces)
        raise InputError(f"need exactly one NonbondedForce to split, found {n_standard} among: {names}")
    for force in forces:
        if not is_nonbonded(force):
            _check_other(force)
        elif isinstance(force, openmm.CustomNonbondedForce):
            _check_custom(force)
        else:
            _check_standard(force)
    return found


def _check_other(force: openmm.Force) -> None:
    kind, name = type(force).__name__, force.getName()
    if kind in _INSEPARABLE:
        raise InputError(
            f"{name} ({kind}) is no sum over pairs of particles, so its part within molecules cannot be taken out; "
            "record total forces only with ForceRecorder(..., require_split=False)"
        )
    if not is_bonded(force) and not is_free(force):
        raise InputError(
            f"{name} ({kind}) in force group {force.getForceGroup()} is neither bonded nor non-bonded; put restraints, "
            "biases and fields into a force group of their own from 3 to 31 with setForceGroup, and name it in "
            "exclude_groups where it is no part of the physical model"
        )


def _check_standard(force: openmm.NonbondedForce) -> None:
    if force.getNonbondedMethod() == force.LJPME:
        raise InputError(
            f"{force.getName()} takes Lennard-Jones by LJPME, which cannot be split by pairs; use PME, or record total "
            "forces only with ForceRecorder(..., require_split=False)"
        )
    n_offsets = force.getNumParticleParameterOffsets() + force.getNumExceptionParameterOffsets()
    if n_offsets:
        raise InputError(
            f"{force.getName()} has {n_offsets} parameter offsets, whose pairs depend on global parameters; make the "
            "System without them"
        )
    if not force.getIncludeDirectSpace():
        raise InputError(
            f"{force.getName()} leaves out its direct space, which another force must compute; make the System so that "
            "one NonbondedForce has all of its interactions"
        )


def _check_custom(force: openmm.CustomNonbondedForce) -> None:
    for what, count in (
        ("interaction groups", force.getNumInteractionGroups()),
        ("computed values", force.getNumComputedValues()),
    ):
        if count:
            raise InputError(
                f"{force.getName()} has {count} {what}, which are not split; record total forces only with "
                "ForceRecorder(..., require_split=False)"
            )
    if force.getForceGroup() in FREE_GROUPS:
        raise InputError(
            f"{force.getName()} is in force group {force.getForceGroup()}, which a recording may leave out, but pairs "
            "of all particles are part of the intermolecular forces; call setForceGroup(1) on it, or make a bias of "
            "another kind of force"
        )
