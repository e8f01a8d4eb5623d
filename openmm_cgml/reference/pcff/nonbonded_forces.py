"""OpenMM forces for the non-bonded terms of PCFF: the 9-6 potential with sixth-power mixing, and Coulomb."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import openmm

from openmm_cgml.reference.pcff.lookup import ParameterLookup

__all__ = ["create_coulomb_force", "create_van_der_waals_force"]

# epsilon [2 (sigma/r)^9 - 3 (sigma/r)^6] with sigma^6 = (sigma1^6 + sigma2^6)/2 and
# epsilon = sqrt(epsilon1 epsilon2) sigma1^3 sigma2^3 / sigma^6, where sigma^6 cancels in the attraction.
_VAN_DER_WAALS = "weight1*weight2*(2*sqrt(0.5*(sixth1+sixth2))/r^9 - 3/r^6)"


def create_van_der_waals_force(
    atom_types: Sequence[str],
    exclusions: Iterable[tuple[int, int]],
    lookup: ParameterLookup,
    *,
    cutoff: float,
    switch_distance: float | None,
    periodic: bool,
    dispersion_correction: bool = False,
) -> openmm.CustomNonbondedForce:
    """The 9-6 interactions of all pairs but the excluded ones.

    Args:
        atom_types: PCFF type of each atom.
        exclusions: Pairs i < j that do not interact.
        lookup: Where parameters are looked up; what is missing is noted there.
        cutoff: [nm]
        switch_distance: Where the potential starts to be switched to zero [nm]; None cuts it off instead.
        periodic: With the nearest periodic images.
        dispersion_correction: Add the mean interaction beyond the cutoff of a uniform liquid, which is a function of
            the volume only.
    """
    force = openmm.CustomNonbondedForce(_VAN_DER_WAALS)
    force.setName("PCFF van der Waals")
    force.addPerParticleParameter("weight")
    force.addPerParticleParameter("sixth")
    for name in atom_types:
        distance, depth = lookup.find("nonbond(9-6)", (name,))
        force.addParticle([depth**0.5 * distance**3, distance**6])
    for i, j in exclusions:
        force.addExclusion(i, j)
    force.setNonbondedMethod(force.CutoffPeriodic if periodic else force.CutoffNonPeriodic)
    force.setCutoffDistance(cutoff)
    if switch_distance is not None:
        force.setUseSwitchingFunction(True)
        force.setSwitchingDistance(switch_distance)
    force.setUseLongRangeCorrection(dispersion_correction)
    return force


def create_coulomb_force(
    charges: Iterable[float],
    exclusions: Iterable[tuple[int, int]],
    *,
    cutoff: float | None = None,
    ewald_tolerance: float = 5e-4,
) -> openmm.NonbondedForce:
    """The Coulomb interactions of all pairs but the excluded ones.

    Args:
        charges: [e]
        exclusions: Pairs i < j that do not interact.
        cutoff: Of the part of particle-mesh Ewald in real space [nm]; None takes all pairs, without images.
        ewald_tolerance: OpenMM's error tolerance of particle-mesh Ewald.
    """
    force = openmm.NonbondedForce()
    force.setName("PCFF Coulomb")
    for charge in charges:
        force.addParticle(charge, 1.0, 0.0)
    for i, j in exclusions:
        force.addException(i, j, 0.0, 1.0, 0.0)
    force.setUseDispersionCorrection(False)
    if cutoff is None:
        force.setNonbondedMethod(force.NoCutoff)
    else:
        force.setNonbondedMethod(force.PME)
        force.setCutoffDistance(cutoff)
        force.setEwaldErrorTolerance(ewald_tolerance)
    return force
