"""How an unknown liquid is simulated: density to start from, cutoffs, box, time step, stages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import openmm

from openmm_cgml.errors import InputError
from openmm_cgml.reference.atomistic_box import box_length
from openmm_cgml.starting.force_field_xml import ParametrizedMolecule
from openmm_cgml.units import DALTON_PER_NM3_IN_G_PER_CM3

__all__ = ["Protocol", "choose_polymer_protocol", "choose_protocol", "model_cutoff", "shortest_period"]

HYDROGEN_MASS = 3.0
"""Of hydrogens in the dynamics [Da]; their heavy atom gives the rest."""
_PACKING = 0.55
"""Part of a liquid that molecules fill; 0.52 to 0.58 for common solvents near room temperature."""
_PACKING_OF_CHAINS = 0.6
"""The same of polymers; 0.62 of amorphous polyethylene."""
_STEPS_PER_PERIOD = 5.0
_LONG_STEP, _SHORT_STEP = 0.004, 0.002  # ps
_CUTOFFS = (1.0, 0.9, 0.8)  # nm
_MARGIN = 1.1
"""Edge of the box over twice the cutoff: the density is a guess, and the barostat moves it."""
_MODEL_CUTOFF = 1.2  # nm


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Settings of an atomistic run, and what follows from its box.

    Attributes:
        density: Guess that the box starts from [g/cm^3].
        edge: Edge of the box at that density [nm].
        cutoff: Cutoff of Lennard-Jones and of direct-space PME [nm].
        time_step: Integration step [ps].
        shortest_period: Period of the fastest bond that is not constrained [ps]; None if there is none.
        model_cutoff: Cutoff of the pair potentials of the beads [nm].
        notes: What is less than usual, and why.
    """

    density: float
    edge: float
    cutoff: float
    time_step: float
    shortest_period: float | None
    model_cutoff: float
    notes: tuple[str, ...]

    @property
    def switch_distance(self) -> float:
        """Where Lennard-Jones starts to be switched off [nm]."""
        return round(self.cutoff - 0.1, 3)


def choose_protocol(molecules: Sequence[ParametrizedMolecule], counts: Sequence[int]) -> Protocol:
    """The protocol for a number of molecules of each kind.

    Raises:
        InputError: They are too few for a box of twice the shortest cutoff.
    """
    mass = sum(count * float(each.molecule.masses.sum()) for each, count in zip(molecules, counts, strict=True))
    volume = sum(count * each.molecule.volume for each, count in zip(molecules, counts, strict=True)) / _PACKING
    return _protocol(molecules, mass, volume, sum(counts), "molecules")


def choose_polymer_protocol(chain: ParametrizedMolecule, n_units: int, n_chains: int, monomers: int) -> Protocol:
    """The protocol for chains.

    Args:
        chain: A short chain.
        n_units: Its units.
        n_chains: Number of chains in the box.
        monomers: Units of each.

    Raises:
        InputError: They are too few for a box of twice the shortest cutoff.
    """
    scale = n_chains * monomers / n_units
    mass = scale * float(chain.molecule.masses.sum())
    return _protocol([chain], mass, scale * chain.molecule.volume / _PACKING_OF_CHAINS, n_chains, "chains")


def _protocol(
    molecules: Sequence[ParametrizedMolecule], mass: float, volume: float, number: int, what: str
) -> Protocol:
    density = mass / volume * DALTON_PER_NM3_IN_G_PER_CM3
    edge = box_length(mass, density)
    cutoff = _choose_cutoff(edge, number, what)
    periods = [period for each in molecules if (period := shortest_period(each)) is not None]
    shortest = min(periods, default=None)
    is_slow = shortest is None or shortest >= _STEPS_PER_PERIOD * _LONG_STEP
    return Protocol(
        density=round(density, 2),
        edge=edge,
        cutoff=cutoff,
        time_step=_LONG_STEP if is_slow else _SHORT_STEP,
        shortest_period=shortest,
        model_cutoff=model_cutoff(edge / _MARGIN**0.5),
        notes=tuple(_notes(edge, cutoff, number, what)),
    )


def model_cutoff(edge: float) -> float:
    """Cutoff of the pair potentials of beads that a box leaves room for [nm]; 1.2 nm at most.

    Args:
        edge: Smallest width of the box [nm].
    """
    return min(_MODEL_CUTOFF, math.floor(20 * 0.5 * edge) / 20)


def shortest_period(each: ParametrizedMolecule) -> float | None:
    """Period of the fastest bond between heavy atoms with repartitioned masses [ps]; None without such bonds.

    T = 2 pi sqrt(mu / k); bonds to hydrogen are constrained. Water is rigid.
    """
    molecule = each.molecule
    if molecule.is_water:
        return None
    masses = molecule.masses.copy()
    for pair in molecule.bonds:
        light, heavy = sorted(pair, key=lambda atom: molecule.elements[atom] != "H")
        if molecule.elements[light] == "H":
            masses[heavy] -= HYDROGEN_MASS - masses[light]
    periods = [
        2 * math.pi * math.sqrt(masses[i] * masses[j] / (masses[i] + masses[j]) / k)
        for i, j, k in _stretches(each.parameters.system)
        if "H" not in (molecule.elements[i], molecule.elements[j])
    ]
    return min(periods, default=None)


def _stretches(system: openmm.System) -> Iterator[tuple[int, int, float]]:
    """Ends and stiffness [kJ/mol/nm^2] of every bond."""
    for force in system.getForces():
        if isinstance(force, openmm.HarmonicBondForce):
            for index in range(force.getNumBonds()):
                i, j, _, k = force.getBondParameters(index)
                yield i, j, k._value


def _choose_cutoff(edge: float, number: int, what: str) -> float:
    for cutoff in _CUTOFFS:
        if edge >= 2.0 * cutoff * _MARGIN:
            return cutoff
    needed = math.ceil(number * (2.0 * _CUTOFFS[-1] * _MARGIN / edge) ** 3)
    usual = math.ceil(number * (2.0 * _CUTOFFS[0] * _MARGIN / edge) ** 3)
    counted = f"{number} {what}" if number > 1 else f"one {what.removesuffix('s')}"
    raise InputError(
        f"a box of {counted} would be about {edge:.2f} nm wide, too small for a cutoff of {_CUTOFFS[-1]:g} nm; "
        f"take at least {needed}, or {usual} for the usual {_CUTOFFS[0]:g} nm"
    )


def _notes(edge: float, cutoff: float, number: int, what: str) -> Iterator[str]:
    if cutoff < _CUTOFFS[0]:
        usual = math.ceil(number * (2.0 * _CUTOFFS[0] * _MARGIN / edge) ** 3)
        yield (
            f"the box of about {edge:.2f} nm is small, so the cutoff is {cutoff:g} nm; the usual {_CUTOFFS[0]:g} nm "
            f"takes {usual} {what}"
        )
