"""Pairs within molecules, and molecules alone, of a CustomNonbondedForce (Lennard-Jones with NBFIX, for example)."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from itertools import combinations

import openmm
from openmm import unit

from openmm_cgml.errors import InputError
from openmm_cgml.reference.standard_pairs import switch_expression

__all__ = ["custom_pairs_alone", "intramolecular_custom_pairs"]


def intramolecular_custom_pairs(
    force: openmm.CustomNonbondedForce, molecules: Iterable[Sequence[int]]
) -> openmm.CustomCompoundBondForce:
    """The pairs within molecules as bonds of the same energy; they become exclusions of `force`.

    Args:
        force: The force, changed in place.
        molecules: Particles of each molecule in increasing order.

    Raises:
        InputError: The energy uses names that stand for the two ends of a bond.
    """
    names = [force.getPerParticleParameterName(k) for k in range(force.getNumPerParticleParameters())]
    pairs = openmm.CustomCompoundBondForce(2, _bond_energy(force, names))
    for end in ("1", "2"):
        for name in names:
            pairs.addPerBondParameter(name + end)
    _copy_globals_and_functions(force, pairs)
    excluded = {tuple(sorted(force.getExclusionParticles(k))) for k in range(force.getNumExclusions())}
    for molecule in molecules:
        for i, j in combinations(molecule, 2):
            if (i, j) not in excluded:
                pairs.addBond([i, j], [*force.getParticleParameters(i), *force.getParticleParameters(j)])
                force.addExclusion(i, j)
    return pairs


def custom_pairs_alone(force: openmm.CustomNonbondedForce, particles: Sequence[int]) -> openmm.CustomNonbondedForce:
    """The force for some particles alone, without periodic boundaries and long-range correction."""
    alone = openmm.CustomNonbondedForce(force.getEnergyFunction())
    for k in range(force.getNumPerParticleParameters()):
        alone.addPerParticleParameter(force.getPerParticleParameterName(k))
    _copy_globals_and_functions(force, alone)
    place = {particle: number for number, particle in enumerate(particles)}
    for particle in particles:
        alone.addParticle(force.getParticleParameters(particle))
    for k in range(force.getNumExclusions()):
        i, j = force.getExclusionParticles(k)
        if i in place and j in place:
            alone.addExclusion(place[i], place[j])
    no_cutoff = force.getNonbondedMethod() == force.NoCutoff
    alone.setNonbondedMethod(alone.NoCutoff if no_cutoff else alone.CutoffNonPeriodic)
    alone.setCutoffDistance(force.getCutoffDistance())
    alone.setUseSwitchingFunction(force.getUseSwitchingFunction())
    alone.setSwitchingDistance(force.getSwitchingDistance())
    alone.setUseLongRangeCorrection(False)
    return alone


def _bond_energy(force: openmm.CustomNonbondedForce, names: Sequence[str]) -> str:
    """The energy of a pair in terms of the distance of the two particles of a bond."""
    energy, _, definitions = force.getEnergyFunction().partition(";")
    clashing = sorted({"p", "x", "y", "z", "distance", "angle", "dihedral"} & set(names))
    if clashing or re.search(r"\bpair_cutoff\b", force.getEnergyFunction()):
        raise InputError(
            f"{force.getName()} has parameters called {', '.join(clashing) or 'pair_cutoff'}, which mean something "
            "else in the bonds that its pairs become; rename them"
        )
    parts = [f"({energy})", *([definitions] if definitions.strip() else []), "r=distance(p1,p2)"]
    if force.getNonbondedMethod() != force.NoCutoff:
        cutoff = force.getCutoffDistance().value_in_unit(unit.nanometer)
        switch = force.getSwitchingDistance().value_in_unit(unit.nanometer) if force.getUseSwitchingFunction() else None
        parts[0] = f"pair_cutoff*{parts[0]}"
        parts.insert(-1, f"pair_cutoff={switch_expression(cutoff, switch)}")
    return "; ".join(part.strip().rstrip(";") for part in parts)


def _copy_globals_and_functions(
    force: openmm.CustomNonbondedForce, to: openmm.CustomNonbondedForce | openmm.CustomCompoundBondForce
) -> None:
    for k in range(force.getNumGlobalParameters()):
        to.addGlobalParameter(force.getGlobalParameterName(k), force.getGlobalParameterDefaultValue(k))
    for k in range(force.getNumTabulatedFunctions()):
        to.addTabulatedFunction(force.getTabulatedFunctionName(k), copy.deepcopy(force.getTabulatedFunction(k)))
